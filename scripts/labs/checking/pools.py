"""What becomes of a pool: connections that there are, quorum and sorry server, maintenance, and a server that flaps."""

import json
import signal
import time

from .faults import RATE, SETTLED
from .packets import openings
from .place import CHECK, CLIENT, FARM, HTTP, NAT_HTTP, SERVERS, SORRY, VIPS, Load, check_line, moment
from .threads import seconds

SECOND = 81  # a second service of each VIP: what becomes of its real servers is another thing
OUT = 4.0  # how long a real server with connections is out
GAP = 1.5  # as in steady.py
WEBHOOK = 9180


class Connections:
    """Connections to a real server that fails and still answers them."""

    def __init__(self, place):
        self.place = place
        self.lab = place.lab
        self.check = place.lab.report.check

    def run(self):
        """Connections that there are: kept by on_failure = "inhibit", kept back by "remove" until it is back"""
        place = self.place
        place.run(place.services('on_failure = "remove"') + place.services('on_failure = "inhibit"', port=SECOND))
        place.all_up()
        targets = [f"{vip}:{port}" for port in (HTTP, SECOND) for vip in VIPS.values()]
        steady = self.lab.start(place.client, "steady", *self.lab.program("steady.py"), len(SERVERS), "/slow/long", *targets)
        place.until("downloads go on", lambda: "begun" in steady.output())
        time.sleep(2)
        ill, server = time.time(), place.servers["r1"]
        server.say("return 500;")
        place.until("r1 is out", lambda: place.states("r1") == {"down"})
        time.sleep(OUT)
        server.say()
        well = time.time()
        place.until("r1 is back", lambda: place.states("r1") == {"up"})
        time.sleep(2 * OUT)  # an interrupted TCP tries again ever more seldom
        steady.handle.send_signal(signal.SIGTERM)
        steady.handle.wait(10)
        told = json.loads(steady.output().splitlines()[-1])
        for port, on_failure in ((HTTP, "remove"), (SECOND, "inhibit")):
            for method, vip in VIPS.items():
                self._judge(method, on_failure, [each for each in told if each["target"] == f"{vip}:{port}"], ill, well)

    def _judge(self, method, on_failure, downloads, ill, well):
        what = f"{on_failure}, {method}"
        its = [each for each in downloads if each["server"] == "r1"]
        others = [each for each in downloads if each["server"] in ("r2", "r3")]
        self.check(f"{what}: r1 has one of three downloads", len(its) == 1 and len(others) == 2, [each["server"] for each in downloads])
        self.check(f"{what}: those of others go on", not any(each["gaps"] or each["error"] for each in others),
                   [each["gaps"] + [each["error"]] for each in others if each["gaps"] or each["error"]] or "")
        for each in its:
            silent = sum(max(0, min(to, well) - max(since, ill)) for since, to in each["gaps"])
            if on_failure == "inhibit":
                self.check(f"{what}: its own goes on too", silent == 0 and not each["error"], f"{silent:.1f} s silent {each['error']}")
            else:
                resumed = each["gaps"] and each["gaps"][-1][1] > well and not each["error"]
                self.check(f"{what}: its own is kept back while it is out", silent > OUT - GAP, f"{silent:.1f} s silent")
                self.check(f"{what}: and goes on when it is back", resumed, each["error"] or each["gaps"])
            self.lab.report.row("Connections of a real server that is out", on_failure=on_failure, method=method, silent=silent)


class Quorums:
    """Quorum, sorry server, and who is told."""

    def __init__(self, place):
        self.place = place
        self.lab = place.lab
        self.check = place.lab.report.check
        self.told = self.lab.folder / "told"
        self.hooked = self.lab.folder / "hooked"

    def _script(self, name, line):
        script = self.lab.folder / name
        script.write_text(f"#!/bin/sh\n{line}\n")
        script.chmod(0o755)
        return script

    def run(self):
        """A quorum of two: one left, none left, all back; the sorry server, and who is told"""
        place = self.place
        change = self._script("on-change", f'echo "$MILLRACE_SEQUENCE $MILLRACE_EVENT $MILLRACE_UP/$MILLRACE_SERVERS $*" >> {self.told}')
        hook = self._script("on-quorum", f'echo "$1 $MILLRACE_SERVICE" >> {self.hooked}')
        webhook = self.lab.start(place.host, "webhook", *self.lab.program("webhook.py"), WEBHOOK, 2)
        place.director.api = ["", "[[notify]]", f'command = ["{change}"]', "", "[[notify]]", f'url = "http://127.0.0.1:{WEBHOOK}/"']
        lines = (f'sorry_server = {{ address = "{SORRY}:{NAT_HTTP}", forwarding = "nat" }}', "quorum = 2",
                 f'quorum_up = ["{hook}", "up"]', f'quorum_down = ["{hook}", "down"]')
        place.run(place.services(*lines))
        place.all_up()
        load = Load(place, RATE)
        time.sleep(1)
        moments = [time.time()]
        for number, names in enumerate((("r1", "r2"), ("r3",))):
            for name in names:
                place.servers[name].say("return 500;")
            for name in names:
                place.until(f"{name} is out", lambda name=name: place.states(name) == {"down"})
            if number == 0:
                self._lost()
            moments.append(time.time() + SETTLED)
            time.sleep(1.5)
        moments.append(time.time())
        for server in place.servers.values():
            server.say()
        place.all_up()
        moments.append(time.time() + SETTLED)
        time.sleep(1.5)
        self._answered(load.stop(), moments)
        self._notices(webhook)
        place.director.api = []

    def _lost(self):
        listed = self.place.director.tell("health", "list").stdout
        self.check("`millrace health list` says so", listed.count("the quorum is lost") == 3 and listed.count(" down ") == 6, listed.splitlines()[-1])
        shown = self.place.director.tell("health", "show", SERVERS["r1"]).stdout
        self.check("`millrace health show` says why", shown.count("status 500") >= 3, "")

    def _answered(self, requests, moments):
        lost = [each["error"] for each in requests if not each["ok"]]
        self.check("no request is lost meanwhile", len(requests) > 100 and not lost, f"{len(requests)} requests; {lost[:3] or 'none lost'}")
        spans = (("with one left of a quorum of two, the sorry server answers", moments[1], moments[1] + 1.2, {"sorry"}),
                 ("with none left, too", moments[2], moments[3], {"sorry"}),
                 ("when all are back, they do", moments[4], time.time(), set(SERVERS)))
        for what, since, until, wanted in spans:
            by = [each["server"] for each in requests if since <= each["began"] < until and each["ok"]]
            counts = {name: by.count(name) for name in sorted(set(by))}
            self.check(what, by and set(by) == wanted, counts)
            self.lab.report.row("Who answers", when=what, **{name: by.count(name) for name in (*SERVERS, "sorry")})

    def _notices(self, webhook):
        def told():
            return [line.split(" ", 3) for line in (self.told.read_text().splitlines() if self.told.exists() else [])]

        wanted = {"server_down": 9, "quorum_down": 3, "server_up": 9, "quorum_up": 3}
        self.place.until("all changes are told", lambda: len(told()) >= sum(wanted.values()), 10)
        events = [event for _, event, *_ in told()]
        self.check("a command is told of each change once", {event: events.count(event) for event in wanted} == wanted
                   and len(events) == sum(wanted.values()), events)
        numbers = [int(number) for number, *_ in told()]
        self.check("in their order", numbers == list(range(numbers[0], numbers[0] + len(numbers))), numbers)
        down = [words for _, event, left, words in told() if event == "quorum_down"]
        self.check("in keepalived's words", sorted(down) == sorted(f"VS [{vip}]:tcp:{HTTP} DOWN" for vip in VIPS.values()), down[:1])
        hooked = self.hooked.read_text().splitlines() if self.hooked.exists() else []
        each = [f"{word} {vip}:{HTTP}" for vip in VIPS.values() for word in ("down", "up")]
        self.check("each service's hooks are run", sorted(hooked) == sorted(each), f"{len(hooked)} of {len(each)}")
        self.place.until("the webhook is told", lambda: len(webhook.output().splitlines()) >= len(numbers), 10)
        posted = [json.loads(line)["sequence"] for line in webhook.output().splitlines()]
        self.check("a webhook that was busy at first is told of all of them, in their order", posted == numbers, posted[:5])


class Maintenance:
    """The operator's word."""

    def __init__(self, place):
        self.place = place
        self.check = place.lab.report.check

    def run(self):
        """Maintenance: no new connections, also after a reload"""
        place, rip = self.place, SERVERS["r2"]
        place.run(place.services())
        place.all_up()
        file = place.start_capture()
        load = Load(place, RATE)
        time.sleep(1)
        said = place.director.tell("health", "maintenance", "on", rip).stdout
        on = time.time() + SETTLED
        self.check("a real server is taken out of all its services", said.count("is in maintenance") == len(VIPS), said.splitlines()[:1])
        time.sleep(1)
        place.run(place.services('timeout = "77s"'))
        time.sleep(1)
        self.check("it still is after a reload", place.states("r2") == {"maintenance"}, place.states("r2"))
        off = time.time()
        place.director.tell("health", "maintenance", "off", rip)
        self.check("and is back at once when it is put back", place.states("r2") == {"up"}, place.states("r2"))
        back = time.time() + SETTLED
        time.sleep(1)
        requests = load.stop()
        place.capture.stop()
        mac, clients = place.mac("r2"), [each for each in openings(file) if each.source == CLIENT]
        sent = [each.at for each in clients if each.mac == mac]
        checks = [each for each in openings(file) if each.source != CLIENT and each.mac == mac and on < each.at < off]
        meanwhile = len([at for at in sent if on <= at < off])
        before, after = len([at for at in sent if at < on]), len([at for at in sent if at >= back])
        self.check("no new connection is sent to it meanwhile", meanwhile == 0 and before and after,
                   f"{before} before, {meanwhile} meanwhile, {after} after")
        self.check("and it is checked all the same", checks, len(checks))
        lost = [each["error"] for each in requests if not each["ok"]]
        self.check("no request is lost", len(requests) > 50 and not lost, lost[:3] or f"of {len(requests)}")


class Flapping:
    """A real server that fails and returns, again and again."""

    OTHERS = 3000  # services that have nothing to do with it

    def __init__(self, place):
        self.place = place
        self.lab = place.lab
        self.check = place.lab.report.check

    def run(self):
        """A server that flaps is damped, and costs control no more than its own pieces"""
        place = self.place
        quick = CHECK.replace('interval = "500ms"', 'interval = "200ms"').replace('timeout = "300ms"', 'timeout = "200ms"')
        quick = quick.replace("fall = 3", "fall = 1").replace("rise = 2", "rise = 1")
        others = [(f"203.0.{114 + number // 250}.{1 + number % 250}:80", "tcp", "direct", [(f"{SERVERS['r2']}:80", 1)])
                  for number in range(self.OTHERS)]
        place.run(place.services(check=check_line(quick, "20s")) + others)
        place.all_up()
        whole = self._whole()
        since, server = time.time(), place.servers["r1"]
        before, turns = self._control(), 0
        while time.time() - since < 12:
            server.say("return 500;")
            time.sleep(0.4)
            server.say()
            time.sleep(0.4)
            turns += 2
        spent = self._control() - before
        known = place.of("r1")
        seen = {method: len([each for each in it["history"] if moment(each["at"]) >= since]) for method, it in known.items()}
        self.check("it goes out and comes back less often than it flaps", turns > 20 and all(2 <= count <= turns / 2 for count in seen.values()),
                   f"{turns} turns of its own, of which were followed {seen}")
        held = [it["held_until"] for it in known.values() if it["held_until"]]
        self.check("and is held down meanwhile", held, f"until {held[:1]}")
        each = spent / max(sum(seen.values()), 1)
        self.check(f"with {self.OTHERS} other services a turn costs far less than making all anew", each < whole / 4,
                   f"{each * 1000:.1f} ms of control a turn, {whole * 1000:.0f} ms for a change that concerns all")
        self.lab.report.row("A server that flaps", its_turns=turns, followed=sum(seen.values()) / len(seen),
                            ms_a_turn=each * 1000, ms_all_anew=whole * 1000)
        server.say()

    def _control(self):
        """Returns how long control has run so far: all threads but workers and checks."""
        spent = seconds(self.place.director.process.pid)
        return sum(each for name, each in spent.items() if name != "health" and not name.startswith("rte-worker"))

    def _whole(self):
        """Returns what a change costs that makes everything anew: another route."""
        file = self.place.director.file
        route = f'[[route]]\nto = "10.65.0.0/16"\nvia = "{FARM}"\n\n'
        file.write_text(file.read_text().replace("[[service]]", f"{route}[[service]]", 1))
        before = self._control()
        self.place.tell("POST", "/v1/reload")
        return self._control() - before


class Stopped:
    """The end."""

    def __init__(self, place):
        self.place = place
        self.check = place.lab.report.check

    def run(self):
        """Without millrace nothing of this works"""
        place = self.place
        place.run(place.services())
        place.all_up()
        load = Load(place, RATE)
        time.sleep(1)
        answered = load.stop()
        self.check("requests are answered", answered and all(each["ok"] for each in answered), len(answered))
        code = place.director.stop()
        self.check("the director ends well", code == 0, f"exit {code}")
        load = Load(place, RATE)
        time.sleep(1)
        answered = [each for each in load.stop() if each["ok"]]
        self.check("with millrace stopped, no request is answered", not answered, f"{len(answered)} answered")
