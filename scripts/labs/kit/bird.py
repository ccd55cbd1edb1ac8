"""BIRD, beside a director and on a router."""

from . import routing
from .network import command

BOTH = """
protocol bfd {{ interface "{device}" {{ interval {milliseconds} ms; multiplier {missed}; }}; }}
protocol device {{ scan time 1; }}
template bgp peer {{
  bfd on;
  connect delay time 1; connect retry time 2; error wait time 1, 2; error forget time 2;
}}
router id {own};
"""

BESIDE_DIRECTOR = """
protocol kernel {{
  learn;
  ipv4 {{ import filter {{ if krt_source = {protocol} then {{ preference = 200; accept; }} reject; }}; export none; }};
}}
protocol bgp uplink from peer {{
  local {own} as {directors};
  neighbor {router} as {routers};
  ipv4 {{ import none; export where krt_source = {protocol}; }};
}}
"""

ON_ROUTER = """
protocol kernel {{
  merge paths on;
  ipv4 {{ import none; export where source = RTS_BGP; }};
}}
"""

OF_DIRECTOR = """
protocol bgp from peer {{
  local {own} as {routers};
  neighbor {director} as {directors};
  ipv4 {{ import where net ~ [ {vips}{{32,32}} ]; export none; }};
}}
"""

NUMBERS = {"directors": routing.DIRECTORS, "routers": routing.ROUTER, "protocol": routing.PROTOCOL,
           "milliseconds": routing.MILLISECONDS, "missed": routing.MISSED}


class Bird:
    """A BIRD in a namespace."""

    def __init__(self, lab, namespace, text):
        conf = lab.folder / f"{namespace.name}-bird.conf"
        conf.write_text(text)
        self.socket = lab.folder / f"{namespace.name}-bird.ctl"
        self.process = lab.start(namespace, f"{namespace.name}-bird", "bird", "-f", "-c", conf, "-s", self.socket)

    def tell(self, *words):
        """Runs a command of birdc; returns what it says."""
        return command("birdc", "-r", "-s", self.socket, *words, check=False).stdout

    def paths_up(self):
        """Returns how many neighbours BFD says are there, and all that it says."""
        told = self.tell("show", "bfd", "sessions")
        return sum(line.split()[2:3] == ["Up"] for line in told.splitlines()), told


def beside_director(lab, namespace, device, own, router):
    """Tells the router of the routes that are the director's."""
    return Bird(lab, namespace, (BOTH + BESIDE_DIRECTOR).format(device=device, own=own, router=router, **NUMBERS))


def on_router(lab, namespace, device, own, directors, vips):
    """Makes routes to VIPs whose next hops are all directors that announce them."""
    peers = (OF_DIRECTOR.format(own=own, director=director, vips=vips, **NUMBERS) for director in directors)
    return Bird(lab, namespace, (BOTH + ON_ROUTER).format(device=device, own=own, **NUMBERS) + "".join(peers))
