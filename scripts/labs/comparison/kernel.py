"""A plan's other player: IPVS in a guest's kernel, a network namespace for each director.

```
      wan-feed ==== wan          lan ==== lan-feed        veth pairs; packets come in by the feeds
                   /  |  \\      /  |  \\
                wan0 wan0 …   lan0 lan0 …                 macvlan, one of each in each director's namespace
```
Nothing is sent in real time: the guest's clock leaps over every pause (`machine.TIMELESS`), so its script alone decides
when a packet comes, to a few hundredths of a second.
"""

import base64
import gzip
from ipaddress import IPv4Address

from ..guest import image, machine
from .frames import GATEWAY, STATIONS, VIP, write_capture
from .played import Connection, Counts, Look
from .plan import COUNTED, LOOK

COMMANDS = ("ipvsadm", "sysctl", "tcpreplay")
FORWARDING = {"nat": "-m", "tunnel": "-i", "direct": "-g"}
SERVICES = {"tcp": "-t", "udp": "-u", "sctp": "--sctp-service"}
PLAY_SECONDS = 300

FEEDS = """
modprobe ip_vs
for port in wan lan; do
    ip link add $port type veth peer name $port-feed
    ip link set $port up
    ip link set $port-feed up
done
"""

NAMESPACE = """
ip netns add {name}
for port in wan lan; do
    ip link add link $port name $port-{number} type macvlan mode bridge
    ip link set $port-{number} netns {name} name ${{port}}0
done
ip netns exec {name} bash /root/{name}.setup
ip netns exec {name} sleep 1000000000 & echo $! >/run/{name}.pid
"""

SETUP = """
ip link set lo up
ip link set wan0 address {wan.mac} up
ip link set lan0 address {lan.mac} up
ip addr add {vip}/32 dev lo
ip addr add {wan.addresses[0]} dev wan0
ip addr add {lan.addresses[0]} dev lan0
ip route add default via {gateway.address}
ip neigh add {gateway.address} lladdr {gateway.mac} dev wan0
{neighbors}
sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.wan0.rp_filter=0 net.ipv4.conf.lan0.rp_filter=0
{sysctls}
ipvsadm -R </root/{name}.services
{timeouts}
"""

PLAY = """
set -e
now() { local up; read -r up _ </proc/uptime; echo $((10#${up/./})); } # hundredths of a second
until_moment() {
    local left=$(($1 - $(now)))
    if [ $left -gt 1 ]; then sleep $((left / 100)).$(printf %02d $((left % 100))); fi
}
start=$(($(now) + 100))
play() { # ROUND MOMENT LOOK COUNTS
    until_moment $((start + $2))
    for port in wan lan; do
        if [ -e /root/$1.$port ]; then tcpreplay -q -t -i $port-feed /root/$1.$port >/dev/null; fi
    done
    echo "round $1 $(($(now) - start - $2))"
    until_moment $((start + $3))
    for pid in /run/*.pid; do
        local name=${pid##*/}
        echo "director ${name%.pid}"
        cat /proc/$(cat $pid)/net/ip_vs_conn
        if [ $4 = counts ]; then nsenter --net=/run/netns/${name%.pid} ipvsadm -Ln; fi
    done
    echo "looked $(($(now) - start - $3))"
}
"""


def services(director):
    """Returns a director's services as ipvsadm restores them. IPVS's list begins with the real server that was added
    last, millrace's with the one that the configuration names first."""
    lines = []
    for sequence in director.sequences:
        service = f"{SERVICES[sequence.protocol]} {sequence.service}"
        lines.append(f"-A {service} -s rr")
        lines += [f"-a {service} -r {station.at(sequence.real_port)} {FORWARDING[sequence.method]}"
                  for station in reversed(STATIONS)]  # fmt: skip
    return "\n".join(lines) + "\n"


def setup(director):
    """Returns the script that makes a director of a namespace."""
    regime = director.regime
    return SETUP.format(
        name=regime.name, wan=director.wan, lan=director.lan, vip=VIP, gateway=GATEWAY,
        neighbors="\n".join(f"ip neigh add {each.address} lladdr {each.mac} dev lan0" for each in STATIONS),
        sysctls="\n".join(f"sysctl -qw net.ipv4.vs.{name}={value}" for name, value in regime.sysctls.items()),
        timeouts=f"ipvsadm --set {' '.join(map(str, regime.timeouts))}" if regime.timeouts else "",
    )  # fmt: skip


class Kernel:
    """The guest."""

    def __init__(self, lab, directors, players, rounds):
        """Makes the image, with all captures and scripts in it, and boots."""
        files = {}
        for number in range(len(rounds)):
            for port in ("wan", "lan"):
                frames = [frame for player in players for frame in player.frames[port][number]]
                if frames:
                    write_capture(lab.folder / "capture", [(0, frame) for frame in frames])
                    files[f"/root/{number}.{port}"] = ((lab.folder / "capture").read_bytes(), 0o644)
        for director in directors:
            files[f"/root/{director.regime.name}.setup"] = (setup(director).encode(), 0o644)
            files[f"/root/{director.regime.name}.services"] = (services(director).encode(), 0o644)
        kernel = image.kernel()
        image.build(lab.folder / "initramfs", kernel, {}, files, COMMANDS, drivers=())
        self.directors, self.rounds = directors, rounds
        self.guest = machine.Guest(lab, lab.network.namespace("guest"), kernel.image, lab.folder / "initramfs", machine.TIMELESS)
        self.release = self.guest.wait_for_boot()

    def configure(self):
        """Makes the directors."""
        self.guest.run(FEEDS)
        for director in self.directors:
            self.guest.run(NAMESPACE.format(name=director.regime.name, number=director.number))

    def play(self):
        """Plays all rounds; returns the looks by director, and how late, in seconds, anything was."""
        script = PLAY
        for number, moment in enumerate(self.rounds):
            counts = "counts" if number in COUNTED else "-"
            script += f"play {number} {round(moment * 100)} {round((moment + LOOK) * 100)} {counts}\n"
        self.guest.write("/root/play", script)
        packed = self.guest.run("bash /root/play >/tmp/looks && gzip -1 </tmp/looks | base64 -w0", PLAY_SECONDS)
        return self.read(gzip.decompress(base64.b64decode(packed)).decode())

    def read(self, text):
        """Reads what the script wrote."""
        looks = {director.regime.name: [] for director in self.directors}
        late, now, service = 0, None, None
        for words in map(str.split, text.splitlines()):
            match words:
                case ["round" | "looked", *_]:
                    late = max(late, int(words[-1]) / 100)
                case ["director", name]:
                    now = Look({}, {})
                    looks[name].append(now)
                case ["TCP" | "UDP" | "SCTP", client, client_port, vip, port, real, _, state, seconds, *_]:
                    key = (plain(client, client_port), plain(vip, port))
                    now.connections[key] = Connection(state, int(seconds), address(real))
                case ["TCP" | "UDP" | "SCTP", service, *_]:
                    pass
                case ["->", real, _, _, active, inactive] if active.isdigit():
                    now.counts[service, real.partition(":")[0]] = Counts(int(active), int(inactive))
        return looks, late


def address(digits):
    """Returns an address that the kernel wrote in hexadecimal digits."""
    return str(IPv4Address(int(digits, 16)))


def plain(digits, port):
    """Returns a socket of which the kernel wrote both parts so."""
    return f"{address(digits)}:{int(port, 16)}"
