"""The director on network cards: e1000e behind an emulated IOMMU, bound to vfio-pci, HTTP by every method, cables pulled.

          client 192.0.2.100                              real servers 10.0.0.11, .12 (NAT), .21, .22 (tunnel),
                |                                           |  |  |    .31, .32 (direct); nginx on each
      ====== switch wan ======                         ====== switch lan ======
        |                 |                              |                 |
        |               (tap)  +----------------------+  (tap)             |
        |                 +----| e1000e wan     lan   |----+               |
        |                      |  .2  millrace   .2   |                    |
        |                      |  in a qemu guest     |                    |
        |                      +----------------------+                    |
        +------------------ router .1    .1 -------------------------------+

NAT servers answer through the director, the others through the router. The guest has a kernel of its own, two cores,
hugepages and no network but the two cards; what happens in it happens as on an operator's machine: scripts/bind-nic
takes the cards from the kernel, millrace drives them through vfio, and the kernel gets them back.
"""

import re
import shutil
import time

from .guest import image
from .guest.director import Director
from .guest.machine import WITH_IOMMU, Card, Guest
from .kit import traffic
from .kit.director import find_program
from .kit.lab import ROOT
from .kit.servers import RealServer, make_documents

CLIENT, WAN, LAN = "192.0.2.100", "192.0.2.2", "10.0.0.2"
ROUTER_WAN, ROUTER_LAN = "192.0.2.1", "10.0.0.1"
HUGEPAGES = 192  # of 2 MiB
WORKER = 1  # its core, which the kernel gives nobody who does not ask for it
PARAMETERS = f"intel_iommu=on iommu=pt hugepages={HUGEPAGES} isolcpus={WORKER}"
LARGE_MIB = 16

METHODS = {  # VIP and real servers of each
    "nat": ("192.0.2.10", ("10.0.0.11", "10.0.0.12")),
    "tunnel": ("192.0.2.11", ("10.0.0.21", "10.0.0.22")),
    "direct": ("192.0.2.12", ("10.0.0.31", "10.0.0.32")),
}

CARDS = (Card("wan", "wan0", "52:54:00:00:02:02", 2), Card("lan", "lan0", "52:54:00:00:02:03", 3))

# A pulled cable has to be seen, and traffic to be back, within this.
LINK_SECONDS = 10

CONFIG = f"""\
[director]
workers = [{WORKER}]
max_connections = 100_000
poll = "adaptive"
"""
PORT = """
[[port]]
name = "{name}"
device = "{device}"
addresses = ["{address}/24"]
"""
SERVICE = """
[[service]]
address = "{vip}:80"
protocol = "tcp"
scheduler = "rr"
forwarding = "{method}"
"""
REAL = """\
  [[service.real]]
  address = "{address}:80"
"""


def arguments(parser):
    """The lab's options."""
    parser.add_argument("--requests", type=int, default=400, metavar="N", help="HTTP requests by each method (400)")
    parser.add_argument("--parallel", type=int, default=10, metavar="N", help="of which under way at a time (10)")


def run(lab, options):
    """Runs the lab."""
    missing = [name for name in ("qemu-system-x86_64", "busybox", "pkg-config") if not shutil.which(name)]
    if missing:
        raise RuntimeError(f"not installed: {', '.join(missing)} (scripts/setup)")
    client, fabric, servers = build(lab)
    guest = boot(lab, fabric)
    refusals(lab, guest)
    bind(lab, guest)
    director = Director(guest)
    start(lab, director)
    for method, (vip, _) in METHODS.items():
        requests(lab, client, method, vip, options)
        transfers(lab, client, method, vip, servers[0].documents)
    account(lab, director, options.requests)
    for card in reversed(CARDS):
        pull(lab, client, director, card)
    stop(lab, director)
    unbind(lab, guest)


# ---- The network and the machines ------------------------------------------------------------------------------


def build(lab):
    """Makes client, router, real servers and the two switches; returns client, switches and servers."""
    network = lab.network
    fabric, client, router = (network.namespace(name) for name in ("fabric", "client", "router"))
    for card in CARDS:
        fabric.bridge(card.name)
        fabric.ip("tuntap", "add", "dev", card.tap, "mode", "tap")
        fabric.ip("link", "set", card.tap, "master", card.name, "up")
    network.cable(client, "eth0", fabric, "client", f"{CLIENT}/24", "wan")
    network.cable(router, "wan", fabric, "router-wan", f"{ROUTER_WAN}/24", "wan")
    network.cable(router, "lan", fabric, "router-lan", f"{ROUTER_LAN}/24", "lan")
    router.sysctl("net.ipv4.ip_forward", 1)

    documents = make_documents(lab.folder, LARGE_MIB)
    servers = []
    for method, (vip, addresses) in METHODS.items():
        for number, address in enumerate(addresses, start=1):
            name = f"{method}-{number}"
            namespace = network.namespace(name)
            network.cable(namespace, "eth0", fabric, name, f"{address}/24", "lan")
            server = RealServer(lab, namespace, address, documents)
            if method == "nat":
                server.setup("nat", LAN)
            else:
                namespace.ip("route", "add", "default", "via", ROUTER_LAN)
                server.setup(method, vip, "--director", LAN)
            server.start_nginx([80])
            servers.append(server)
    return client, fabric, servers


def boot(lab, fabric):
    """Makes the image and boots the guest."""
    began = time.monotonic()
    kernel = image.kernel()
    initramfs = lab.folder / "initramfs"
    programs = {"/usr/sbin/millrace": find_program()}
    image.build(initramfs, kernel, programs, {"/usr/sbin/bind-nic": ((ROOT / "scripts/bind-nic").read_bytes(), 0o755)})
    made = time.monotonic()
    guest = Guest(lab, fabric, kernel.image, initramfs, WITH_IOMMU, CARDS, PARAMETERS)
    release = guest.wait_for_boot()
    lab.report.check("the guest boots", True, f"Linux {release}, {time.monotonic() - made:.0f} s")
    lab.report.row("times (s)", step="image", seconds=made - began)
    lab.report.row("times (s)", step="boot", seconds=time.monotonic() - made)
    return guest


# ---- Binding ---------------------------------------------------------------------------------------------------


def driver(guest, card):
    """Returns the kernel driver that has the card."""
    return guest.run(f"basename $(readlink /sys/bus/pci/devices/{card.pci}/driver)").strip()


def interface(guest, card):
    """Returns the name of the card's network interface."""
    return guest.run(f"ls /sys/bus/pci/devices/{card.pci}/net").strip()


def refusals(lab, guest):
    """What bind-nic does not take: what is no network card, and a card by which the machine is reached."""
    pci, name = CARDS[0].pci, interface(guest, CARDS[0])

    def refuses(what, prepare, target, says):
        guest.run(prepare)
        status, said = guest.attempt(f"bind-nic bind {target}")
        held = status == 1 and says in said and driver(guest, CARDS[0]) == "e1000e" and interface(guest, CARDS[0]) == name
        lab.report.check(f"bind-nic refuses {what}", held, said.strip())

    refuses("an address where nothing is", "true", "0000:00:1e.7", "no PCI device")
    refuses("what is not a network card", "true", "00:1f.0", "not a network card")
    guest.run(f"ip addr add {WAN}/24 dev {name}; ip link set {name} up")
    refuses("a card in use", "true", pci, f"is in use, {name} is up with {WAN}/24")
    route = "ip route replace default"
    refuses("the card of the default route", f"{route} via {ROUTER_WAN}", f"{pci} --force", f"default route (on {name})")
    hops = f"nexthop via {ROUTER_WAN} dev {name} nexthop via {CLIENT} dev {name}"
    refuses("the card of one of several default routes", f"{route} {hops}", f"{pci} --force", "default route")
    refuses("the card of IPv6's default route", f"ip route del default; ip -6 route add default dev {name}",
            f"{pci} --force", "default route")
    refuses("a card under the interface of the default route",
            f"ip -6 route del default; ip link add link {name} name upper0 type macvlan; "
            f"ip link set upper0 up; ip route add default dev upper0", f"{pci} --force", "default route (on upper0)")
    guest.run("ip link del upper0")


def bind(lab, guest):
    """Gives the cards to vfio-pci: the first one in spite of its address, which --force permits."""
    for card, force in zip(CARDS, ("--force", "")):
        said = guest.run(f"bind-nic bind {card.pci} {force}")
        lab.report.check(f"bind-nic binds {card.name}", driver(guest, card) == "vfio-pci", said.strip())
    said = guest.run(f"bind-nic bind {CARDS[0].pci}")
    lab.report.check("bind-nic leaves alone what is bound", "already" in said, said.strip())
    listed = guest.run("bind-nic status").splitlines()
    shown = [line.split()[2:4] for line in listed if line.startswith(tuple(card.pci for card in CARDS))]
    lab.report.check("bind-nic status shows it", shown == [["vfio-pci", "-"]] * 2, " | ".join(listed[1:]))


def unbind(lab, guest):
    """Gives the cards back to the kernel, and has it use one of them."""
    for card in CARDS:
        said = guest.run(f"bind-nic unbind {card.pci}")
        lab.report.check(f"bind-nic gives {card.name} back", driver(guest, card) == "e1000e", said.strip())
    name = interface(guest, CARDS[0])
    guest.run(f"ip addr add {WAN}/24 dev {name}; ip link set {name} up")
    status, said = guest.attempt(f"for _ in $(seq 20); do ping -c 1 -W 1 {CLIENT} && exit 0; done; exit 1")
    lab.report.check("the kernel's driver works again", status == 0, f"{CLIENT} answers on {name}" if status == 0 else said)


# ---- The director ----------------------------------------------------------------------------------------------


def wait(seconds, condition):
    """Waits until `condition()` is true; returns how long that took, None if it did not come true in time."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if condition():
            return time.monotonic() - began
        time.sleep(0.1)
    return None


def configuration():
    """Returns the director's configuration: both cards, a service for each method."""
    text = CONFIG
    for card, address in zip(CARDS, (WAN, LAN)):
        text += PORT.format(name=card.name, device=card.pci, address=address)
    for method, (vip, addresses) in METHODS.items():
        text += SERVICE.format(vip=vip, method=method) + "".join(REAL.format(address=each) for each in addresses)
    return text


def start(lab, director):
    """Starts millrace on the two cards."""
    began = time.monotonic()
    director.start(configuration())
    lab.report.row("times (s)", step="millrace start", seconds=time.monotonic() - began)
    took = wait(LINK_SECONDS, lambda: all(director.link(card) for card in CARDS))
    lab.report.check("millrace runs on both cards, links up", took is not None)
    taken = HUGEPAGES - director.free_hugepages()
    lab.report.check("its memory is in hugepages", taken > 0, f"{taken} of 2 MiB")
    cores = director.cores()
    lab.report.check("its worker has the isolated core, alone", cores.count(str(WORKER)) == 1 and set(cores) == {"0", str(WORKER)},
                     f"cores of its threads: {' '.join(cores)}")
    status, said = director.guest.attempt(f"bind-nic unbind {CARDS[0].pci}")
    lab.report.check("bind-nic takes no card from it", status == 1 and "in use" in said, said.strip())


def stop(lab, director):
    """Ends millrace by SIGTERM."""
    began = time.monotonic()
    code = director.stop()
    lab.report.row("times (s)", step="millrace stop", seconds=time.monotonic() - began)
    lab.report.check("millrace ends cleanly on SIGTERM", code == 0, f"exit {code}")
    free = director.free_hugepages()
    lab.report.check("its hugepages are free again", free == HUGEPAGES, f"{free} of {HUGEPAGES}")


# ---- Traffic ---------------------------------------------------------------------------------------------------


def requests(lab, client, method, vip, options):
    """Many small requests: all answered, and by every server."""
    found = traffic.requests(client, vip, options.requests, options.parallel)
    shares = [found.shares[f"{method}-{number}"] for number in (1, 2)]
    lab.report.check(f"{method}: every request is answered", found.complete(), found.summary())
    lab.report.check(f"{method}: every real server takes its share", max(shares) - min(shares) <= 1, shares)
    lab.report.row("HTTP", method=method, requests=found.sent, answered=found.answered, slow=found.slow,
                   first=shares[0], second=shares[1], **{"per second": found.answered / found.seconds})


def transfers(lab, client, method, vip, documents):
    """A large file each way, unharmed."""
    large, got, put = documents / "large", lab.folder / "got", documents / "upload" / method
    wanted = traffic.checksum(large)
    found, seconds = traffic.download(client, vip, got)
    lab.report.check(f"{method}: a {LARGE_MIB} MiB download is whole", found == wanted, f"{seconds:.1f} s")
    seconds = traffic.upload(client, vip, large, method)
    lab.report.check(f"{method}: a {LARGE_MIB} MiB upload is whole", traffic.checksum(put) == wanted, f"{seconds:.1f} s")


def answers(client, vip):
    """Whether a request is answered within a second."""
    return traffic.requests(client, vip, 1, 1, patience=1).complete()


def account(lab, director, requests):
    """The director's own counts: the connections were its, by each method, and nothing is unaccounted for."""
    stats = director.stats()
    for method, (vip, _) in METHODS.items():
        service = next(each for each in stats["services"] if each["address"] == f"{vip}:80")
        lab.report.check(f"{method}: millrace counts the connections", service["connections"] == requests + 2,
                         f"{service['connections']}: {requests} requests and 2 transfers")
    for worker in stats["workers"]:
        ended = sum(worker["outcomes"].values()) + worker["waiting"]
        lab.report.check("every frame has its outcome", worker["received"] == ended, f"{worker['received']} received")


# ---- Cables ----------------------------------------------------------------------------------------------------


def pull(lab, client, director, card):
    """Pulls the cable of a card and plugs it in again."""
    vips = [vip for vip, _ in METHODS.values()]
    director.guest.set_link(card, False)
    seen = wait(LINK_SECONDS, lambda: not director.link(card))
    lab.report.check(f"{card.name} pulled: millrace sees it", seen is not None, f"after {seen or LINK_SECONDS:.1f} s")
    lab.report.check(f"{card.name} pulled: nothing is answered", not any(answers(client, vip) for vip in vips))
    if card.name == "lan":
        dropped = director.outcome("drop_link_down")
        lab.report.check("lan pulled: what cannot be sent is counted", dropped > 0, f"drop_link_down {dropped}")

    director.guest.set_link(card, True)
    plugged = time.monotonic()
    seen = wait(LINK_SECONDS, lambda: director.link(card))
    lab.report.check(f"{card.name} plugged in: millrace sees it", seen is not None, f"after {seen or LINK_SECONDS:.1f} s")
    back = wait(LINK_SECONDS, lambda: all(answers(client, vip) for vip in vips))
    after = time.monotonic() - plugged
    lab.report.check(f"{card.name} plugged in: traffic is back", back is not None, f"after {after:.1f} s")
    lab.report.row("times (s)", step=f"{card.name} plugged in, all methods answer", seconds=after)
    logged = [line for line in director.log() if re.search(rf"\b{card.name}\b.*\b(up|down)\b", line)]
    lab.report.check(f"{card.name}: the log tells of it", len(logged) >= 2, " | ".join(logged[-2:]))
