"""Servers that answer with garbage, without end, an octet at a time, or with lies: they cost bounded memory and time."""

import time

from .faults import RATE
from .place import VIPS, Load
from .threads import resident, seconds

# By port of programs/bad_servers.py: how many of each there are.
WAYS = {9001: ("garbage", 40), 9002: ("a body without end", 10), 9003: ("one octet at a time", 40), 9004: ("a head without end", 10),
        9005: ("silence", 40), 9006: ("chunks that make no sense", 40)}
LIARS, LIES = 9053, 40
TIMEOUT, SLACK = 0.5, 0.3
MOST_MEMORY = 32  # MiB
CPU = 0.5  # of a core: what a check reads of an answer without end is bounded, and so is what that takes


class Bad:
    """The farm again."""

    quick = False

    def __init__(self, place):
        self.place = place
        self.lab = place.lab
        self.check = place.lab.report.check

    def run(self):
        """Bad servers: garbage, endless answers, slow ones, lies"""
        place = self.place
        liars = [f"10.64.9.{1 + number}" for number in range(LIES)]
        bad = self.lab.start(place.farm, "bad-servers", *self.lab.program("bad_servers.py"), *liars)
        place.until("they listen", lambda: "there" in bad.output())
        place.run(place.services())
        place.all_up()
        time.sleep(1)
        pid = place.director.process.pid
        before = resident(pid)
        times = f'interval = "1s", timeout = "{TIMEOUT * 1000:.0f}ms", fall = 1, rise = 1'
        services = place.services()
        for port, (_, count) in WAYS.items():
            reals = [(f"10.64.{port - 9000}.{1 + number}:{port}", 1) for number in range(count)]
            check = f'check = {{ type = "http", path = "/", status = [200], body = "^well", {times} }}'
            services.append((f"{VIPS['nat']}:{port}", "tcp", "nat", reals, check))
        services.append((f"{VIPS['nat']}:{LIARS}", "udp", "nat", [(f"{address}:{LIARS}", 1) for address in liars],
                         f'check = {{ type = "dns", name = "lab.example.", record = "A", {times} }}'))
        place.run(services)
        load, cpu, since = Load(place, RATE), seconds(pid)["health"], time.time()
        most, longest, seen = before, {}, {}
        while time.time() - since < (8 if Bad.quick else 30):
            most = max(most, resident(pid))
            for each in place.health()["servers"]:
                port = int(each["real"].rsplit(":", 1)[1])
                if each["last"] and port >= 9000:
                    longest[port] = max(longest.get(port, 0), each["last"]["seconds"])
                    seen.setdefault(port, {})[each["real"]] = each["state"], each["last"]["failure"], each["right"]
            time.sleep(0.2)
        share = (seconds(pid)["health"] - cpu) / (time.time() - since)
        requests = load.stop()
        for port, (name, count) in {**WAYS, LIARS: ("lies", LIES)}.items():
            found = seen.get(port, {})
            said = {failure for _, failure, _ in found.values()}
            self.check(f"{name}: all {count} are found out, none is taken for well", len(found) == count
                       and all(state == "down" and right == 0 for state, _, right in found.values()), "; ".join(sorted(map(str, said)))[:160])
            self.check(f"{name}: no check takes longer than its timeout", longest.get(port, 9) < TIMEOUT + SLACK, f"{longest.get(port, 0):.3f} s")
            self.lab.report.row("Bad servers", what=name, servers=count, longest=longest.get(port, 0))
        self.check("memory is bounded", most - before < MOST_MEMORY, f"{before:.0f} MiB before, {most:.0f} MiB at most")
        self.check("and so is what they cost", share < CPU, f"{share:.0%} of a core")
        lost = [each["error"] for each in requests if not each["ok"]]
        good = {each["state"] for name in place.servers for each in place.of(name).values()}
        self.check("the good ones are up, and their clients answered", good == {"up"} and len(requests) > 50 and not lost,
                   lost[:3] or f"{len(requests)} requests")
        bad.stop()
