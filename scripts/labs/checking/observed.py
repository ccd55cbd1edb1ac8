"""Real servers whose checks are answered and clients are not: what clients' own connections tell, by NAT."""

import time

from .faults import GIVEN_UP, RATE, SETTLED
from .packets import openings
from .place import CHECK, CLIENT, INTERVAL, NAT_HTTP, SERVERS, VIPS, Load, check_line, moment, turn

CHECKED = 8081  # whatever becomes of the service's own port
BLIND = 81  # a second service, of the same real servers, that only checks them
WINDOW, RISE = 3, 6
# The firewall's word to clients, what is said then, and how long it takes at most: silence is noticed as SYNs come again.
WAYS = {"r1": ("drop", "unanswered", WINDOW + 2), "r2": ("reject with tcp reset", "refused", WINDOW + 1)}


class Observed:
    """Passive observation."""

    def __init__(self, place):
        self.place = place
        self.lab = place.lab
        self.check = place.lab.report.check

    def run(self):
        """Clients get no answer, and checks do: who is observed to fail is out, and its checks bring it back"""
        place = self.place
        check = CHECK.replace("rise = 2", f"rise = {RISE}") + f", port = {CHECKED}"
        observe = f'observe = {{ window = "{WINDOW}s", least = 5, failed = 80 }}'
        reals = [(f"{address}:{NAT_HTTP}", 1) for address in SERVERS.values()]
        vip = VIPS["nat"]
        place.run([(f"{vip}:80", "tcp", "nat", reals, check_line(f"{check}, {observe}")),
                   (f"{vip}:{BLIND}", "tcp", "nat", reals, check_line(check))])
        place.all_up()
        file = place.start_capture()
        for name, way in WAYS.items():
            self._one(name, *way, file)
        self._all(file)
        place.capture.stop()

    def _state(self, name):
        return self.place.of(name)["nat"]["state"]

    def _one(self, name, verdict, said, within, file):
        place, server = self.place, self.place.servers[name]
        load = Load(place, RATE, [VIPS["nat"]])
        time.sleep(WINDOW)
        self.check(f"{name} does well", place.of(name)["nat"]["observed"] == "well", place.of(name)["nat"]["observed"])
        ill = time.time()
        server.deny(CLIENT, NAT_HTTP, verdict)
        gone = place.until(f"{said}: {name} is out", lambda: self._state(name) == "down")
        known = {each["service"]: each for each in place.health()["servers"] if each["real"].startswith(SERVERS[name] + ":")}
        time.sleep(GIVEN_UP)
        server.open()
        back = gone and place.until(f"{said}: {name} is back", lambda: self._state(name) == "up")
        time.sleep(WINDOW)
        requests = load.stop()
        if not back:
            return
        blind = known[f"{VIPS['nat']}:{BLIND}"]
        self.check(f"{said}: its checks saw nothing of it", blind["state"] == "up" and not blind["history"] and not blind["wrong"], blind["history"])
        now = place.of(name)["nat"]
        (out, why), (returned, word) = turn(now, False, ill), turn(now, True, ill)
        self.check(f"{said}: {name} is out in time, for this reason", out - ill < within + 1 and why.startswith("observed: ") and said in why,
                   f"{out - ill:.1f} s; {why}")
        self.check(f"{said}: its checks bring it back, all of them since", returned - out > (RISE - 1) * INTERVAL * 0.9 and word.startswith(str(RISE)),
                   f"after {returned - out:.1f} s; {word}")
        turns = [each["up"] for each in now["history"] if moment(each["at"]) >= ill]
        self.check(f"{said}: and it stays", turns == [False, True], turns)
        mac, ports = place.mac(name), {each["port"] for each in requests}
        to_it = [each for each in openings(file, ill - WINDOW) if each.mac == mac and each.source == CLIENT and each.port in ports]
        late = [each for each in to_it if out + SETTLED <= each.at < returned]
        after = [each for each in to_it if each.at >= returned]
        self.check(f"{said}: no new connection is sent to it while it is out", to_it and after and not late,
                   f"{len(late)} of {len(to_it)}, {len(after)} afterwards")
        sent = {each.port for each in to_it if each.at < out + SETTLED}
        lost = [each for each in requests if not each["ok"]]
        others = [each for each in lost if each["port"] not in sent]
        self.check(f"{said}: requests lost are those sent to it before", lost and not others, f"{len(lost)} of {len(requests)} lost")
        self.lab.report.row("Observed", what=said, out=out - ill, back=returned - out, requests=len(requests), lost=len(lost), sent_while_out=len(late))

    def _all(self, file):
        place = self.place
        load, ill = Load(place, RATE, [VIPS["nat"]]), time.time()
        for server in place.servers.values():
            server.deny(CLIENT, NAT_HTTP, "reject with tcp reset")
        left, deadline = [], time.monotonic() + 2 * WINDOW + 3
        while time.monotonic() < deadline:
            left.append(sum(self._state(name) == "up" for name in SERVERS))
            time.sleep(0.1)
        for server in place.servers.values():
            server.open()
        self.check("all of them refuse: somebody is left all the time", min(left) >= 1, f"{min(left)} of {len(SERVERS)} at least")
        self.check("of whom that is told", "stays, none is left that does better" in place.director.process.output(), "")
        place.all_up()
        time.sleep(1)
        requests = load.stop()
        late = [each for each in requests if each["began"] > time.time() - 0.5]
        self.check("and all is well when they answer again", all(each["ok"] for each in late), f"{len(late)} requests")
        opened = [each for each in openings(file, ill) if each.source == CLIENT]
        self.lab.report.row("All refuse", left=min(left), openings=len(opened))
