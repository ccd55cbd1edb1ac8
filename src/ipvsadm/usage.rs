//! What `-v` and `-h` print.

/// The version of the command line that this is: scripts look for it.
pub const VERSION: &str = "ipvsadm v1.31 2019/12/24 (compiled with popt and IPVS v1.2.1)";

/// All commands and options.
pub const USAGE: &str = "\
This is the command line of ipvsadm 1.31, answered by millrace. It asks the director at $MILLRACE_SOCKET, or where
directors listen by default.

Commands, the first of all options:
  -A, --add-service    SERVICE [-s NAME] [-b FLAGS] [-p [SECONDS]] [-M MASK] [-o] [--pe NAME]
  -E, --edit-service   SERVICE, and the same; what is left out goes back to its default
  -D, --delete-service SERVICE
  -C, --clear          removes all services
  -a, --add-server     SERVICE -r SERVER [-g | -i | -m | --fullnat] [-w WEIGHT] [-x UPPER] [-y LOWER] [tunnel options]
  -e, --edit-server    SERVICE -r SERVER, and the same; what is left out goes back to its default
  -d, --delete-server  SERVICE -r SERVER
  -L, -l, --list       [SERVICE | -c | --timeout | --daemon] [-n] [-X] [--nosort]
                       [--stats | --rate | --thresholds | --persistent-conn | --tun-info]
  -Z, --zero           [SERVICE]
  -S, --save           [-n], as command lines that -R reads
  -R, --restore        reads command lines from standard input
  --set TCP TCPFIN UDP seconds until idle connections end; 0 leaves one as it is
  --start-daemon ROLE, --stop-daemon ROLE    master or backup; this version does not sync connections
  -h, --help           -v, --version

SERVICE is one of
  -t, --tcp-service HOST[:PORT]    -u, --udp-service HOST[:PORT]    --sctp-service HOST[:PORT]
  -f, --fwmark-service NUMBER      and -6, --ipv6 behind it for packets of IPv6

Options:
  -s, --scheduler NAME       rr, wrr, lc, wlc (the default), lblc, lblcr, dh, sh, sed, nq, fo, ovf, mh; also twos
  -b, --sched-flags FLAGS    sh-fallback, sh-port, mh-fallback, mh-port, with commas
  -p, --persistent [SECONDS] a client keeps to its real server: for 360 seconds, if no number follows
  -M, --netmask MASK         clients of one network count as one
  -o, --ops                  each datagram is scheduled for itself
  --pe NAME                  persistence engine; this version has none
  -r, --real-server HOST[:PORT]
  -g, --gatewaying           direct routing (the default)
  -i, --ipip                 tunnel
  -m, --masquerading         NAT
  --fullnat                  NAT of both ends, from the director's local addresses; ipvsadm has none
  --tun-type TYPE            ipip (the default); gue, gre: not by this version
  --tun-port PORT, --tun-nocsum, --tun-csum, --tun-remcsum
  -w, --weight N             0 to 65535, 1 by default
  -x, --u-threshold N        no new connections from so many on; 0 for no limit
  -y, --l-threshold N        new ones again from so few on
  -c, --connection           lists connections
  -n, --numeric              addresses and ports as numbers
  -X, --exact                numbers in full
  --nosort, --sort           services as the director has them; in ipvsadm's order (the default)
  --mcast-interface NAME, --syncid N, --sync-maxlen N, --mcast-group ADDRESS, --mcast-port N, --mcast-ttl N
";
