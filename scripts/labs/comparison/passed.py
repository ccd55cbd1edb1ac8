"""What two directors make of the same conversations: every frame that they send, by `millrace replay` and by IPVS in a guest."""

import base64
import gzip
import subprocess
from collections import defaultdict
from dataclasses import replace

from ..guest import image, machine
from .conversation import FAMILIES, METHODS, MTU, PROTOCOLS, server_port, service_port
from .frames import GATEWAY, LAN, REAL1, VIP, WAN, Config, Real, Service, Socket, for_nobody, in_family, read_capture, write_capture
from .kernel import SERVICES

COMMANDS = ("ipvsadm", "sysctl", "tcpreplay", "tcpdump", "ethtool")
GAP = 0.002
"""Between packets, in seconds: slow enough for the limit on ICMP errors of millrace. IPVS is given none."""
PAUSE = 0.3
"""Between phases."""
PLAY_SECONDS = 900

SETUP = """
modprobe ip_vs
for port in wan lan; do
    ip link add ${{port}}0 type veth peer name $port-feed
    sysctl -qw net.ipv6.conf.$port-feed.disable_ipv6=1
    for end in ${{port}}0 $port-feed; do ethtool -K $end tx off gso off tso off gro off >/dev/null; done
    ip link set $port-feed up
done
sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.wan0.accept_dad=0 net.ipv6.conf.lan0.accept_dad=0
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
ip link set lo up
ip link set wan0 address {wan.mac} up
ip link set lan0 address {lan.mac} mtu {mtu[lan]} up
sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.wan0.rp_filter=0 net.ipv4.conf.lan0.rp_filter=0
sysctl -qw net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.wan0.send_redirects=0 net.ipv4.conf.lan0.send_redirects=0
sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv4.icmp_msgs_per_sec=100000 net.ipv4.icmp_msgs_burst=100000 net.ipv6.icmp.ratelimit=0
{addresses}
sleep 2
ipvsadm -R </root/services
ipvsadm -Ln >/root/listed
for port in wan lan; do
    tcpdump -Z root -i $port-feed -Q in -U -s 0 -B 16384 -w /root/$port.out 2>/root/$port.said &
done
sleep 2
for file in /root/???.?.*; do # in the order of groups and phases
    tcpreplay -q -t -i ${{file##*.}}-feed $file >/dev/null
    sleep {pause}
done
sleep 2
kill $(jobs -p)
wait
grep -h dropped /root/*.said
"""


def in_phases(conversations):
    """Returns the frames in the order in which they come: by group, phase and port, the clients' side first."""
    frames = defaultdict(list)
    for conversation in conversations:
        for phase, port, octets in conversation.frames:
            frames[conversation.group, phase, port].append(octets)
    return sorted(frames.items(), key=lambda item: (*item[0][:2], item[0][2] == "lan"))


def combinations():
    """Returns family, method and protocol of each service."""
    return [(family, method, protocol) for family in FAMILIES for method in METHODS for protocol in PROTOCOLS]


def ends(family, method, protocol):
    """Returns a service's socket, and its real server's."""
    there = 10 - family if method == "tunnel-other" else family
    real = Socket(in_family(REAL1.address, there), server_port(method, protocol))
    return Socket(in_family(VIP, family), service_port(method, protocol)), real


def configuration():
    """Returns millrace's configuration."""
    services = []
    for family, method, protocol in combinations():
        service, real = ends(family, method, protocol)
        services.append(Service(service, protocol, method.partition("-")[0], [Real(real)]))
    ports = {port.name: replace(port, mtu=MTU[port.name]) for port in (WAN, LAN)}
    return Config(ports=ports, services=services, families=FAMILIES, transit="route").toml()


def restored():
    """Returns the same as ipvsadm restores it."""
    lines, by = [], {"nat": "-m", "direct": "-g", "tunnel": "-i", "tunnel-other": "-i"}
    for family, method, protocol in combinations():
        service, real = ends(family, method, protocol)
        lines += [f"-A {SERVICES[protocol]} {service} -s rr", f"-a {SERVICES[protocol]} {service} -r {real} {by[method]}"]
    return "\n".join(lines) + "\n"


def of_millrace(conversations, program, folder):
    """Returns the frames that millrace sends, by port, and its counters."""
    folder.mkdir()
    (folder / "config.toml").write_text(configuration())
    stamped, moment = {"wan": [], "lan": []}, 1.0
    for (_, _, port), frames in in_phases(conversations):
        for octets in frames:
            stamped[port].append((round(moment * 1e6), octets))
            moment += GAP
        moment += PAUSE
    command = [program, "replay", "-c", "config.toml", "--stats", "stats"]
    for port, frames in stamped.items():
        write_capture(folder / f"{port}.pcap", [(0, for_nobody()), *frames, (round(moment * 1e6), for_nobody())])
        command += ["--in", f"{port}={port}.pcap", "--out", f"{port}={port}.out"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PLAY_SECONDS)
    if done.returncode != 0:
        raise RuntimeError(f"millrace replay, exit {done.returncode}: {done.stderr[-1000:]}")
    return {port: read_capture(folder / f"{port}.out") for port in stamped}


def addresses():
    """Returns the commands that give the kernel the addresses, neighbours and routes that millrace's configuration has. A veth takes no
    frames above its MTU, so that towards clients the route has the smaller one."""
    lines = []
    for family in FAMILIES:
        bits, flag = (32, "") if family == 4 else (128, "nodad")
        lines.append(f"ip addr add {in_family(VIP, family)}/{bits} dev lo {flag}")
        lines += [f"ip addr add {address} dev {port.name}0 {flag}" for port in (WAN, LAN) for address in port.own((family,))]
        for station, device in ((GATEWAY, "wan0"), (REAL1, "lan0")):
            lines.append(f"ip neigh add {in_family(station.address, family)} lladdr {station.mac} nud permanent dev {device}")
        lines.append(f"ip -{family} route add default via {in_family(GATEWAY.address, family)} mtu lock {MTU['wan']}")
    return "\n".join(lines)


def of_ipvs(lab, conversations):
    """Returns the guest's kernel's release, and the frames that its IPVS sends, by port."""
    # tcpdump will not run as nobody that it knows.
    files = {"/root/services": (restored().encode(), 0o644), "/etc/passwd": (b"root:x:0:0::/root:/bin/sh\n", 0o644),
             "/etc/group": (b"root:x:0:\n", 0o644)}  # fmt: skip
    for (group, phase, port), frames in in_phases(conversations):
        write_capture(lab.folder / "capture", [(0, octets) for octets in frames])
        files[f"/root/{group:03}.{phase}.{port}"] = ((lab.folder / "capture").read_bytes(), 0o644)
    kernel = image.kernel()
    image.build(lab.folder / "initramfs", kernel, {}, files, COMMANDS, drivers=())
    guest = machine.Guest(lab, lab.network.namespace("guest"), kernel.image, lab.folder / "initramfs", machine.TIMELESS)
    release = guest.wait_for_boot()
    setup = SETUP.format(wan=WAN, lan=LAN, mtu=MTU, addresses=addresses(), pause=PAUSE)
    said = guest.run(setup, PLAY_SECONDS)
    if said.count("0 packets dropped by kernel") != 2:
        raise RuntimeError(f"the capture is not whole: {said}")
    left = {}
    for port in ("wan", "lan"):
        packed = guest.run(f"gzip -1 </root/{port}.out | base64 -w0", PLAY_SECONDS)
        (lab.folder / f"{port}.ipvs").write_bytes(gzip.decompress(base64.b64decode(packed)))
        left[port] = read_capture(lab.folder / f"{port}.ipvs")
    return release, left
