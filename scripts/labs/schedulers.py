"""Every scheduler beside the Linux kernel's: the same new connections, in the same order, to the same real servers.

Services with weights, thresholds and flags drawn at random, several of each scheduler, each with clients that open
connections, talk and close. IPVS runs in a guest, on a kernel of Debian's, set up by ipvsadm; millrace, with one worker,
runs as `millrace replay`. Then both say where each client's connection is. Only twos is left out: it throws dice.
"""

import json
import random
import shutil
import subprocess
from dataclasses import dataclass, field

from .comparison.frames import GATEWAY, LAN, WAN, Config, Socket, for_nobody, frame, write_capture
from .comparison.kernel import COMMANDS, address, plain
from .guest import image, machine
from .kit.director import find_program

SCHEDULERS = {
    "rr": [()], "wrr": [()], "lc": [()], "wlc": [()], "sed": [()], "nq": [()], "fo": [()], "ovf": [()], "dh": [()],
    "sh": [(), ("sh-fallback",), ("sh-port",), ("sh-fallback", "sh-port")],
    "mh": [(), ("mh-fallback",), ("mh-port",), ("mh-fallback", "mh-port")],
    "lblc": [()], "lblcr": [()],
}  # fmt: skip
"""By name, the sets of flags to try."""

WITHOUT_THRESHOLDS = ("lblc",)
"""IPVS's lblc does not look at thresholds when it remembers a destination; millrace does."""

SERVERS = [f"10.0.0.{n}" for n in range(11, 19)]
GAP = 0.001
"""Between packets, in seconds."""
PLAY_SECONDS = 300

SETUP = """
modprobe ip_vs
for port in wan lan; do
    ip link add ${{port}}0 type veth peer name $port-feed
    ip link set $port-feed up
done
ip link set lo up
ip link set wan0 address {wan.mac} up
ip link set lan0 address {lan.mac} up
ip addr add {wan.addresses[0]} dev wan0
ip addr add {lan.addresses[0]} dev lan0
ip route add default via {gateway.address}
ip neigh add {gateway.address} lladdr {gateway.mac} dev wan0
for vip in {vips}; do ip addr add $vip/32 dev lo; done
for server in {servers}; do ip neigh add $server lladdr 02:00:00:00:0b:0b dev lan0; done
sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.wan0.rp_filter=0
ipvsadm -R </root/services
tcpreplay -q --pps={rate} -i wan-feed /root/wan >/dev/null
sleep 0.5
cat /proc/net/ip_vs_conn
"""


def arguments(parser):
    """The lab's options."""
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="where drawing begins (1)")
    parser.add_argument("--services", type=int, default=12, metavar="N", help="services of each scheduler and flags (12)")


@dataclass(frozen=True)
class Member:
    """A real server of one service, reached by direct routing."""

    address: str
    weight: int
    upper: int = 0
    lower: int = 0


@dataclass
class Balanced:
    """A service, and its clients in the order in which they come."""

    address: Socket
    scheduler: str
    flags: tuple
    members: list
    clients: list = field(default_factory=list)

    def toml(self):
        """Returns it as millrace's configuration has it."""
        lines = [
            "[[service]]", f'address = "{self.address}"', f'scheduler = "{self.scheduler}"', 'forwarding = "direct"',
        ]  # fmt: skip
        if self.flags:
            lines.append(f"scheduler_flags = {json.dumps(self.flags)}")
        for each in self.members:
            lines += ["[[service.real]]", f'address = "{each.address}"', f"weight = {each.weight}"]
            lines += [f"upper = {each.upper}", f"lower = {each.lower}"]
        return "\n".join(lines) + "\n"

    def ipvsadm(self):
        """Returns it as ipvsadm restores it. IPVS's list begins with the real server that was added last."""
        service = f"-t {self.address}"
        flags = f" -b {','.join(self.flags)}" if self.flags else ""
        lines = [f"-A {service} -s {self.scheduler}{flags}"]
        for each in reversed(self.members):
            real = f"-r {each.address}:{self.address.port} -g -w {each.weight} -x {each.upper} -y {each.lower}"
            lines.append(f"-a {service} {real}")
        return "\n".join(lines) + "\n"


def draw_service(chance, number, scheduler, flags):
    """Returns a service at random, without clients."""
    members = []
    for server in chance.sample(SERVERS, chance.randint(1, len(SERVERS))):
        weight = chance.choice((0, 1, 1, 2, 3, 5, 8, 20, 400))
        upper = chance.randint(1, 6) if chance.random() < 0.2 and scheduler not in WITHOUT_THRESHOLDS else 0
        members.append(Member(server, weight, upper, chance.randint(0, upper)))
    vip = Socket(f"203.0.113.{10 + number % 60}", 1_000 + number)
    return Balanced(vip, scheduler, flags, sorted(members, key=lambda member: member.address))


def draw_packets(chance, services, clients):
    """Yields client, service and TCP flags, at random: of each service that many clients come, talk and close."""
    left = {number: clients for number in range(len(services))}
    while left:
        service = services[number := chance.choice(list(left))]
        if service.clients and chance.random() < 0.4:
            yield chance.choice(service.clients), service, chance.choice(("A", "A", "FA"))
            continue
        client = Socket(f"198.51.{chance.randint(0, 255)}.{chance.randint(1, 254)}", chance.randint(1024, 65535))
        if client not in service.clients:
            service.clients.append(client)
            yield client, service, "S"
            left[number] -= 1
            if not left[number]:
                del left[number]


def run(lab, options):
    """Runs the lab."""
    missing = [name for name in ("qemu-system-x86_64", "busybox", *COMMANDS) if not shutil.which(name)]
    if missing:
        raise RuntimeError(f"not installed: {', '.join(missing)} (scripts/setup)")
    chance = random.Random(options.seed)
    wanted = [(name, flags) for name, sets in SCHEDULERS.items() for flags in sets for _ in range(options.services)]
    services = [draw_service(chance, number, *each) for number, each in enumerate(wanted)]
    packets = list(draw_packets(chance, services, 40))
    frames = [frame((GATEWAY.mac, client), (WAN.mac, service.address), "tcp", what) for client, service, what in packets]
    ours = replayed(lab, services, frames)
    release, theirs = balanced(lab, services, frames)
    lab.report.check("a kernel to compare with", bool(theirs), f"Linux {release}, {len(theirs)} connections")
    for name in SCHEDULERS:
        compare(lab.report, name, [service for service in services if service.scheduler == name], ours, theirs)


def replayed(lab, services, frames):
    """Returns where millrace has each connection, by client and service."""
    folder = lab.folder / "millrace"
    folder.mkdir()
    (folder / "millrace.toml").write_text(Config(services=services).toml())
    stamped = [(round(1e6 * GAP * number), each) for number, each in enumerate([for_nobody(), *frames, for_nobody()])]
    write_capture(folder / "wan.pcap", stamped)
    write_capture(folder / "lan.pcap", [stamped[0], (stamped[-1][0], for_nobody())])
    command = [find_program().resolve(), "replay", "-c", "millrace.toml", "--connections", "connections",
               "--in", "wan=wan.pcap", "--in", "lan=lan.pcap"]  # fmt: skip
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PLAY_SECONDS)
    if done.returncode != 0:
        raise RuntimeError(f"millrace replay, exit {done.returncode}: {done.stderr[-1000:]}")
    listed = map(json.loads, (folder / "connections").read_text().splitlines())
    return {(each["client"], each["service"]): each["real"].partition(":")[0] for each in listed}


def balanced(lab, services, frames):
    """Returns the guest's kernel's release, and where its IPVS has each connection, by client and service."""
    write_capture(lab.folder / "capture", [(0, each) for each in frames])
    files = {
        "/root/wan": ((lab.folder / "capture").read_bytes(), 0o644),
        "/root/services": ("".join(service.ipvsadm() for service in services).encode(), 0o644),
    }
    kernel = image.kernel()
    image.build(lab.folder / "initramfs", kernel, {}, files, COMMANDS, drivers=())
    guest = machine.Guest(lab, lab.network.namespace("guest"), kernel.image, lab.folder / "initramfs", machine.TIMELESS)
    release = guest.wait_for_boot()
    vips = sorted({service.address.address for service in services})
    said = guest.run(
        SETUP.format(wan=WAN, lan=LAN, gateway=GATEWAY, vips=" ".join(vips), servers=" ".join(SERVERS), rate=round(1 / GAP)),
        PLAY_SECONDS,
    )
    found = {}
    for words in map(str.split, said.splitlines()):
        match words:
            case ["TCP", client, client_port, vip, port, real, *_]:
                found[plain(client, client_port), plain(vip, port)] = address(real)
    return release, found


def compare(report, name, services, ours, theirs):
    """Holds one scheduler's choices against the kernel's."""
    differences, connections, nobody = [], 0, 0
    for service in services:
        keys = [(str(client), str(service.address)) for client in service.clients]
        mine, its = [ours.get(key) for key in keys], [theirs.get(key) for key in keys]
        connections += len(mine)
        nobody += mine.count(None)
        if mine != its:
            at = next(n for n, pair in enumerate(zip(mine, its)) if pair[0] != pair[1])
            differences.append(f"{service.ipvsadm()}        client {at}, {keys[at][0]}: millrace {mine[at]}, IPVS {its[at]}")
    report.row("Compared", scheduler=name, services=len(services), connections=connections, refused=nobody, differences=len(differences))
    report.check(f"{name}: the same real servers", connections > nobody and not differences,
                 f"{connections} connections to {len(services)} services, {len(differences)} with a difference"
                 + "".join(f"\n{each}" for each in differences[:3]))  # fmt: skip
