"""FRR, beside a director and on a router (package frr, which scripts/setup does not install)."""

import time

from . import routing

PROGRAMS = "/usr/lib/frr"

BESIDE_DIRECTOR = """
ip prefix-list vips permit 0.0.0.0/0 ge 32
route-map vips permit 10
 match ip address prefix-list vips
router bgp {directors}
 no bgp ebgp-requires-policy
 neighbor {router} remote-as {routers}
 neighbor {router} bfd
 address-family ipv4 unicast
  redistribute kernel route-map vips
"""

ON_ROUTER = """
ip prefix-list vips permit {vips} ge 32
route-map vips permit 10
 match ip address prefix-list vips
route-map none deny 10
router bgp {routers}
"""

OF_DIRECTOR = """
 neighbor {director} remote-as {directors}
 neighbor {director} bfd
 address-family ipv4 unicast
  neighbor {director} route-map vips in
  neighbor {director} route-map none out
 exit-address-family
"""

BFD = """
bfd
 peer {peer}
  detect-multiplier {missed}
  receive-interval {milliseconds}
  transmit-interval {milliseconds}
"""

NUMBERS = {"directors": routing.DIRECTORS, "routers": routing.ROUTER, "milliseconds": routing.MILLISECONDS, "missed": routing.MISSED}


class Frr:
    """zebra, bgpd and bfdd in a namespace."""

    def __init__(self, lab, namespace, bgp, bfd):
        self.namespace = namespace
        self.folder = lab.folder / f"{namespace.name}-frr"
        self.folder.mkdir()
        # They run as another user.
        self.folder.chmod(0o777)
        (self.folder / "vtysh.conf").touch()
        for program, text in (("zebra", ""), ("bfdd", bfd), ("bgpd", bgp)):
            conf = self.folder / f"{program}.conf"
            conf.write_text(text)
            bfdctl = ["--bfdctl", self.folder / "bfdd.sock"] if program == "bfdd" else []
            lab.start(namespace, f"{namespace.name}-{program}", f"{PROGRAMS}/{program}", "-f", conf, "-i", self.folder / f"{program}.pid",
                      "-z", self.folder / "zserv.api", "--vty_socket", self.folder, "--log", "stdout", *bfdctl)
            time.sleep(1)  # the others connect to the first

    def tell(self, *words):
        """Runs a command of vtysh; returns what it says."""
        return self.namespace.run("vtysh", "--vty_socket", self.folder, "--config_dir", self.folder, "-c", " ".join(words), check=False).stdout

    def paths_up(self):
        """Returns how many neighbours BFD says are there, and all that it says."""
        told = self.tell("show", "bfd", "peers", "brief")
        return sum(line.split()[-1:] == ["up"] for line in told.splitlines()), told


def beside_director(lab, namespace, device, own, router):
    """Tells the router of the routes that are the director's."""
    del device, own
    return Frr(lab, namespace, BESIDE_DIRECTOR.format(router=router, **NUMBERS), BFD.format(peer=router, **NUMBERS))


def on_router(lab, namespace, device, own, directors, vips):
    """Makes routes to VIPs whose next hops are all directors that announce them."""
    del device, own
    peers = "".join(OF_DIRECTOR.format(director=director, **NUMBERS) for director in directors)
    bfd = "".join(BFD.format(peer=director, **NUMBERS) for director in directors)
    return Frr(lab, namespace, ON_ROUTER.format(vips=vips, **NUMBERS) + peers, bfd)
