"""Every scheduler beside the Linux kernel's: the same new connections, in the same order, to the same real servers.

Services with weights, thresholds and flags drawn at random, several of each scheduler, each with clients that open
connections, talk and close. In between, real servers are given other weights and thresholds, removed and added, several
times. IPVS runs in a guest, on a kernel of Debian's, told by ipvsadm; millrace, with one worker, runs as `millrace replay`,
which reloads its file. Then both say where each client's connection is. Only twos is left out: it throws dice.
"""

import json
import random
import shutil
import subprocess

from .comparison.balance import SERVERS, draw_packets, draw_service
from .comparison.frames import GATEWAY, LAN, WAN, Config, for_nobody, frame, write_capture
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

STAGES = 6
CLIENTS = 10
"""New ones of each service in each stage."""
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
for stage in $(seq 0 {last}); do
    if [ $stage != 0 ]; then ipvsadm -R </root/edits.$stage || exit 1; fi
    tcpreplay -q --pps={rate} -i wan-feed /root/wan.$stage >/dev/null
    sleep 0.5
done
cat /proc/net/ip_vs_conn
"""


def arguments(parser):
    """The lab's options."""
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="where drawing begins (1)")
    parser.add_argument("--services", type=int, default=12, metavar="N", help="services of each scheduler and flags (12)")


def run(lab, options):
    """Runs the lab."""
    missing = [name for name in ("qemu-system-x86_64", "busybox", *COMMANDS) if not shutil.which(name)]
    if missing:
        raise RuntimeError(f"not installed: {', '.join(missing)} (scripts/setup)")
    chance = random.Random(options.seed)
    wanted = [(name, flags) for name, sets in SCHEDULERS.items() for flags in sets for _ in range(options.services)]
    services = [draw_service(chance, number, *each) for number, each in enumerate(wanted)]
    stages = []
    for stage in range(STAGES):
        if stage:
            for service in services:
                service.edit(chance)
        packets = draw_packets(chance, services, stage, CLIENTS)
        stages.append([frame((GATEWAY.mac, client), (WAN.mac, service.address), "tcp", what) for client, service, what in packets])
    ours = replayed(lab, services, stages)
    release, theirs = balanced(lab, services, stages)
    lab.report.check("a kernel to compare with", bool(theirs), f"Linux {release}, {len(theirs)} connections")
    for name in SCHEDULERS:
        compare(lab.report, name, [service for service in services if service.scheduler == name], ours, theirs)


def replayed(lab, services, stages):
    """Returns where millrace has each connection, by client and service."""
    folder = lab.folder / "millrace"
    folder.mkdir()
    command = [find_program().resolve(), "replay", "-c", "0.toml", "--connections", "connections",
               "--in", "wan=wan.pcap", "--in", "lan=lan.pcap"]  # fmt: skip
    frames = [for_nobody()]
    for stage, more in enumerate(stages):
        (folder / f"{stage}.toml").write_text(Config(services=[service.shown(stage) for service in services]).toml())
        if stage:
            command += ["--reload", f"{GAP * (len(frames) - 0.5):.4f}={stage}.toml"]
        frames += more
    stamped = [(round(1e6 * GAP * number), each) for number, each in enumerate([*frames, for_nobody()])]
    write_capture(folder / "wan.pcap", stamped)
    write_capture(folder / "lan.pcap", [stamped[0], (stamped[-1][0], for_nobody())])
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PLAY_SECONDS)
    if done.returncode != 0:
        raise RuntimeError(f"millrace replay, exit {done.returncode}: {done.stderr[-1000:]}")
    listed = map(json.loads, (folder / "connections").read_text().splitlines())
    return {(each["client"], each["service"]): each["real"].partition(":")[0] for each in listed}


def balanced(lab, services, stages):
    """Returns the guest's kernel's release, and where its IPVS has each connection, by client and service."""
    files = {"/root/services": ("".join(service.ipvsadm() for service in services).encode(), 0o644)}
    for stage, frames in enumerate(stages):
        write_capture(lab.folder / "capture", [(0, each) for each in frames])
        files[f"/root/wan.{stage}"] = ((lab.folder / "capture").read_bytes(), 0o644)
        if stage:
            orders = filter(None, (service.edits[stage - 1] for service in services))
            files[f"/root/edits.{stage}"] = ("".join(f"{order}\n" for order in orders).encode(), 0o644)
    kernel = image.kernel()
    image.build(lab.folder / "initramfs", kernel, {}, files, COMMANDS, drivers=())
    guest = machine.Guest(lab, lab.network.namespace("guest"), kernel.image, lab.folder / "initramfs", machine.TIMELESS)
    release = guest.wait_for_boot()
    setup = SETUP.format(
        wan=WAN, lan=LAN, gateway=GATEWAY, vips=" ".join(sorted({service.address.address for service in services})),
        servers=" ".join(SERVERS), rate=round(1 / GAP), last=len(stages) - 1,
    )  # fmt: skip
    found = {}
    for words in map(str.split, guest.run(setup, PLAY_SECONDS).splitlines()):
        match words:
            case ["TCP", client, client_port, vip, port, real, *_]:
                found[plain(client, client_port), plain(vip, port)] = address(real)
    return release, found


def compare(report, name, services, ours, theirs):
    """Holds one scheduler's choices against the kernel's."""
    differences, connections, nobody, edits = [], 0, 0, 0
    for service in services:
        keys = [(str(client), str(service.address)) for client in service.clients]
        mine, its = [ours.get(key) for key in keys], [theirs.get(key) for key in keys]
        connections += len(mine)
        nobody += mine.count(None)
        edits += len([edit for edit in service.edits if edit])
        if mine != its:
            at = next(n for n, pair in enumerate(zip(mine, its)) if pair[0] != pair[1])
            stage = list(service.clients.values())[at]
            differences.append("".join(f"{line}\n" for line in [service.ipvsadm().rstrip(), *service.edits[:stage]])
                               + f"        client {at}, {keys[at][0]}: millrace {mine[at]}, IPVS {its[at]}")  # fmt: skip
    report.row("Compared", scheduler=name, services=len(services), connections=connections, edits=edits, refused=nobody,
               differences=len(differences))  # fmt: skip
    report.check(f"{name}: the same real servers", connections > nobody and not differences,
                 f"{connections} connections to {len(services)} services, {edits} edits, {len(differences)} with a difference"
                 + "".join(f"\n{each}" for each in differences[:3]))  # fmt: skip
