"""Routing daemons of a lab speak BGP by these numbers; and what a router's kernel makes of it, moment by moment."""

import re
import time
from datetime import datetime

# Of the directors' hosts, and of the router.
DIRECTORS, ROUTER = 65001, 65000
# BFD: a path is given up after a second's silence.
MILLISECONDS, MISSED = 200, 5
# What [announce] marks its routes with.
PROTOCOL = 109


class RouteWatch:
    """The next hops of a kernel's route to an address, with the times at which they changed."""

    def __init__(self, lab, namespace, address):
        self.namespace = namespace
        self.address = address
        self.process = lab.start(namespace, f"{namespace.name}-routes", "ip", "-o", "-ts", "monitor", "route")

    def now(self):
        """Returns the next hops that there are."""
        return set(re.findall(r"via (\S+)", self.namespace.ip("route", "show", self.address).stdout))

    def changed(self, wanted, since, patience=20):
        """Waits until the next hops are these; returns how many seconds after `since` they came to be, or none."""
        deadline = time.time() + patience
        while time.time() < deadline:
            # What is there may be what was: only the monitor tells.
            if self.now() == set(wanted) and (moment := self._moment(set(wanted), since)) is not None:
                return moment - since
            time.sleep(0.05)
        return None

    def _moment(self, wanted, since):
        for line in self.process.output().splitlines():
            if told := re.match(rf"\[([^\]]+)\] (Deleted )?{re.escape(self.address)} (.*)", line):
                moment = datetime.fromisoformat(told[1]).timestamp()
                hops = set() if told[2] else set(re.findall(r"via (\S+)", told[3]))
                if moment >= since and hops == wanted:
                    return moment
        return None
