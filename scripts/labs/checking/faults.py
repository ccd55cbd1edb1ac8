"""Each way to fail: when a real server is out, what is sent to it afterwards, when it is back, and what clients lost."""

import time
from collections import namedtuple

from .packets import openings
from .place import CHECK, CLIENT, FALL, HTTPS, INTERVAL, JITTER, RISE, SERVERS, TIMEOUT, TIMES, VIPS, Load, check_line, turn

# How a real server is made ill and well again; what a check says of it, a part of one of these; whether it keeps it from answering
# clients; by which methods; and how it is checked.
Fault = namedtuple("Fault", "name ill well said deaf methods check", defaults=(tuple(VIPS), "http"))

FAULTS = [
    Fault("kill -9", lambda it: it.kill(), lambda it: it.start(), ("refused", "reset"), True),
    Fault("kill -STOP", lambda it: it.stop(), lambda it: it.go_on(), ("no answer",), True),
    Fault("firewall drop", lambda it: it.drop(), lambda it: it.open(), ("no connection",), True),
    Fault("link down", lambda it: it.link("down"), lambda it: it.link("up"), ("no connection", "unreachable", "no route"), True),
    Fault("HTTP 500", lambda it: it.say("return 500;"), lambda it: it.say(), ("500",), False),
    Fault("wrong body", lambda it: it.say('return 200 "sick\\n";'), lambda it: it.say(), ("body",), False),
    Fault("slow answer", lambda it: it.say('limit_rate 1; return 200 "well\\n";'), lambda it: it.say(), ("no answer", "no whole answer"), False),
    Fault("expired certificate", lambda it: it.say(certificate="expired"), lambda it: it.say(), ("expired",), False,
          check="https"),
    Fault("VIP is missing", lambda it: it.lose_vips(), lambda it: it.take_vips(), ("no connection",), True, ("tunnel", "direct"), "vip"),
]
GIVEN_UP = 2.1
RATE = 15  # requests a second to each VIP
# What a busy machine may add.
SLACK = 0.7
# Between a check's word and the last packet by the former rules.
SETTLED = 0.1


def out_within():
    """The longest that it may take until a real server is out: the last check of `fall` begins in time, and takes its timeout."""
    return FALL * INTERVAL * (1 + JITTER / 100) + TIMEOUT


def back_within():
    """The same until it is back."""
    return RISE * INTERVAL * (1 + JITTER / 100) + TIMEOUT


def tls_check(lab):
    """Returns a check by HTTPS, against the lab's authority."""
    check = f'type = "https", path = "/health", host = "lab", sni = "lab", ca = "{lab.folder}/ca.crt", status = [200], body = "^well"'
    return check_line(f"{check}, port = {HTTPS}, {TIMES}")


class Faults:
    """The faults, one after the other, each of the next real server."""

    def __init__(self, place):
        self.place = place
        self.lab = place.lab
        self.check = place.lab.report.check

    def run(self):
        """Each way to fail, by all three methods, under load"""
        file = self.place.start_capture()
        checks = {"http": check_line(), "https": tls_check(self.lab), "vip": check_line(f'{CHECK}, through = "vip"')}
        before = None
        for number, fault in enumerate(FAULTS):
            if fault.check != before:
                self.place.run(self.place.services(check=checks[fault.check]))
                self.place.all_up()
                before = fault.check
            self._one(fault, list(SERVERS)[number % len(SERVERS)], file)
        self.place.capture.stop()
        self.over_the_twin(file)

    def _one(self, fault, name, file):
        server, place = self.place.servers[name], self.place
        load = Load(place, RATE)
        time.sleep(1)
        ill = time.time()
        fault.ill(server)
        gone = place.until(f"{fault.name}: {name} is out", lambda: self._all(fault, name, "down"))
        # Who was sent to it and gets no answer has given up by then.
        time.sleep(GIVEN_UP if fault.deaf else 0.5)
        well = time.time()
        fault.well(server)
        mended = time.time()
        back = gone and place.until(f"{fault.name}: {name} is back", lambda: self._all(fault, name, "up"))
        time.sleep(0.5)
        requests = load.stop()
        if gone and back:
            opened = openings(file, ill - 1)
            for method, known in place.of(name).items():
                if method in fault.methods:
                    self._judge(fault, name, method, known, (ill, well, mended), opened, requests)
                else:
                    self.check(f"{fault.name}, {method}: {name} stays", turn(known, False, ill)[0] is None)

    def _all(self, fault, name, state):
        known = self.place.of(name)
        return all(known[method]["state"] == state for method in fault.methods)

    def _judge(self, fault, name, method, known, times, opened, requests):
        (ill, well, mended), mac = times, self.place.mac(name)
        what = f"{fault.name}, {method}"
        (gone, said), (back, _) = turn(known, False, ill), turn(known, True, well)
        if not gone or not back:
            self.check(f"{what}: {name} goes and comes back", False, known["history"])
            return
        self.check(f"{what}: {name} is out in time", gone - ill < out_within() + SLACK,
                   f"{gone - ill:.2f} s, at most {out_within():.2f} s and what a busy machine takes; {said}")
        self.check(f"{what}: for the right reason", any(word in said for word in fault.said), said)
        self.check(f"{what}: it is back in time", back - mended < back_within() + SLACK,
                   f"{back - mended:.2f} s, at most {back_within():.2f} s")
        mine = [each for each in requests if each["vip"] == VIPS[method]]
        ports = {each["port"] for each in mine}
        to_it = [each for each in opened if each.mac == mac and each.source == CLIENT and each.port in ports]
        late = [each for each in to_it if gone + SETTLED <= each.at < back]
        self.check(f"{what}: no new connection is sent to it while it is out", to_it and not late, f"{len(late)} of {len(to_it)}")
        before = {each.port for each in to_it if each.at < gone + SETTLED}
        lost = [each for each in mine if not each["ok"]]
        others = [each for each in lost if each["port"] not in before]
        self.check(f"{what}: requests lost are those sent to it before", not others and len(mine) > RATE,
                   f"{len(lost)} of {len(mine)} lost; {[each['error'] for each in others][:3] or 'none sent elsewhere or later'}")
        if not fault.deaf:
            self.check(f"{what}: which still answers clients, so none", not lost, [each["error"] for each in lost][:3] or "")
        self.lab.report.row("Faults", fault=fault.name, method=method, out=gone - ill, back=back - mended, requests=len(mine),
                            lost=len(lost), sent_to_it=len([each for each in to_it if ill <= each.at < gone]), sent_while_out=len(late))

    def over_the_twin(self, file):
        """Tells where checks come from."""
        checks = [each for each in openings(file) if each.source == "10.0.0.1"]
        sent = self.place.host.statistic("lan0", "tx_packets")
        self.check("checks come from the host, by its interface for the port", len(checks) > 20 and sent > len(checks),
                   f"{len(checks)} connections from the host's own address, {sent} packets by lan0")
