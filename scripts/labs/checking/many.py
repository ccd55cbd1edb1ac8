"""Five thousand real servers: what their checks cost, and when they come."""

import time
from collections import Counter

from .packets import OPENINGS, arrivals
from .place import NAT_HTTP, VIPS
from .threads import seconds, split

SERVERS = 5000
INTERVAL = 2.0
MOST = 0.30  # of one core
BIN = 0.01
# The busiest hundredth of a second, as a multiple of the mean: a machine that is busy with other things makes late what was due.
BUNCHED = 5
# That is why it is looked at again, so often at most.
TRIES = 4
ROUGH = 0.1
EVEN = 1.5


class Many:
    """The farm."""

    quick = False

    def __init__(self, place):
        self.place = place
        self.lab = place.lab
        self.check = place.lab.report.check

    def run(self):
        """Five thousand real servers, each checked every 2 s"""
        self._serve()
        for kind, check in (("tcp", 'type = "tcp"'), ("http", 'type = "http", path = "/health", status = [200]')):
            self._measure(kind, check)

    def _serve(self):
        folder = self.lab.folder / "farm"
        folder.mkdir()
        (folder / "nginx.conf").write_text(
            "daemon off; user root; worker_processes 1; error_log stderr crit; "
            f"pid {folder}/nginx.pid; events {{ worker_connections 8192; }}\n"
            f"http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; "
            f"fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;\n"
            f"server {{ listen {NAT_HTTP} backlog=8192; return 200 \"well\\n\"; }} }}\n")
        self.place.farm.sysctl("net.core.somaxconn", 8192)
        self.lab.start(self.place.farm, "farm-nginx", "nginx", "-e", "stderr", "-c", folder / "nginx.conf")

    def _measure(self, kind, check):
        place = self.place
        reals = [(f"10.64.{number // 250}.{1 + number % 250}:{NAT_HTTP}", 1) for number in range(SERVERS)]
        line = f'check = {{ {check}, interval = "{INTERVAL:.0f}s", timeout = "1s", fall = 3, rise = 2 }}'
        place.run([(f"{VIPS['nat']}:80", "tcp", "nat", reals, line)])

        def checked():
            servers = place.health()["servers"]
            return len(servers) == SERVERS and all(each["last"] for each in servers)

        place.until("each is checked", checked, 30)
        file = self.lab.folder / f"{kind}.pcap"
        capture = self.lab.start(place.farm, f"{kind}-arrivals", "tcpdump", "-Z", "root", "-i", "eth0", "-n", "-U", "-s", 64, "-B", 16384,
                                 "-w", file, OPENINGS.split(" or ")[0])
        time.sleep(1)
        for _ in range(TRIES):
            found = self._span(file)
            if all(held for _, held, _ in self._judged(found)):
                break
        capture.stop()
        for what, held, detail in self._judged(found):
            self.check(f"{kind}: {what}", held, detail)
        self.lab.report.row("Five thousand real servers", check=kind, a_second=found["rate"], core=f"{found['share']:.1%}",
                            user=f"{found['user']:.1%}", kernel=f"{found['kernel']:.1%}", busiest_10ms=found["busiest"],
                            p99_10ms=found["typical"], busiest_100ms=found["rough"])

    def _span(self, file):
        """Returns what is found in some seconds."""
        pid, span = self.place.director.process.pid, 6 if Many.quick else 30
        cpu, ticks, since = seconds(pid), split(pid, "health"), time.time()
        time.sleep(span)
        cpu_after, ticks_after, until = seconds(pid), split(pid, "health"), time.time()
        servers = self.place.health()["servers"]
        time.sleep(0.5)
        came = arrivals(file, since, until)
        user, kernel = ((after - before) / (until - since) for after, before in zip(ticks_after, ticks))
        busiest, typical = self._bins(came, since, until, BIN)
        return {"rate": len(came) / (until - since), "share": (cpu_after["health"] - cpu["health"]) / (until - since), "user": user,
                "kernel": kernel, "busiest": busiest, "typical": typical, "rough": self._bins(came, since, until, ROUGH)[0],
                "servers": len(servers), "down": [each["reason"] for each in servers if each["state"] != "up"]}

    @staticmethod
    def _judged(found):
        """Returns what must hold: what, whether it does, and the figures."""
        wanted, down = SERVERS / INTERVAL, found["down"]
        return (
            (f"each is checked each {INTERVAL:.0f} s", abs(found["rate"] / wanted - 1) < 0.03,
             f"{found['rate']:.0f} a second, by the target's kernel; {wanted:.0f} wanted"),
            ("all of them are up", found["servers"] == SERVERS and not down, f"{len(down)} are not {down[:2] or ''}"),
            (f"the checker takes less than {MOST:.0%} of a core", 0 < found["share"] < MOST,
             f"{found['share']:.1%}: {found['user']:.1%} of its own, {found['kernel']:.1%} the kernel's"),
            ("they do not come together", found["busiest"] < BUNCHED and found["rough"] < EVEN,
             f"the busiest {BIN * 1000:.0f} ms have {found['busiest']:.1f} times the mean, one in a hundred {found['typical']:.1f} times or more; "
             f"the busiest {ROUGH * 1000:.0f} ms {found['rough']:.2f} times"),
        )

    @staticmethod
    def _bins(came, since, until, width):
        """Returns the fullest bin and that of one in a hundred, as multiples of the mean."""
        count = int((until - since) / width)
        bins = Counter(int((at - since) / width) for at in came)
        full = sorted(bins.get(number, 0) for number in range(count))
        mean = sum(full) / count or 1
        return full[-1] / mean, full[-1 - count // 100] / mean
