"""A bad night: garbage, a wrong file, a cut link, a full table, kill -9; and nothing else is lost.

The network is that of the lab `forward`, by NAT. In each step something breaks while requests or a download go on.
"""

import os
import signal
import threading
import time

from .kit import traffic
from .kit.director import outcomes
from .kit.network import command
from .kit.stage import ECHO, HTTP, LAN_MAC, NEAR, NEAR_VIP, VIP, WAN_MAC, Stage

FRAMES = 20_000
NOBODY = "10.0.0.50"
SMALL_TABLE = 1000  # which gets the smallest table there is: 65,536 places
FLOWS = 100_000
NOT_DONE, MISTAKE = 1, 2  # what millrace ends with (README, "Commands")
CLIENTS = "198.51.100.64/26"  # nobody


def arguments(parser):
    """Adds this lab's options."""
    parser.add_argument("--workers", default="1", help="the director's workers, as CPU cores (default: 1)")


def run(lab, options):
    """Runs the lab."""
    stage = Stage(lab, [int(core) for core in options.workers.split(",")], "adaptive", 20)
    stage.setup_servers("nat")
    night = Night(lab, stage)
    for step in (night.garbage, night.wrong_file, night.cut_link, night.killed, night.full_table, night.syn_flood, night.ended_at_work):
        print(f"\n{step.__doc__.splitlines()[0]}")
        night.start()
        step()
        night.accounts()


class Night:
    """What happens to one director."""

    def __init__(self, lab, stage):
        self.lab = lab
        self.stage = stage
        self.director = stage.director
        self.check = lab.report.check

    def start(self, **settings):
        """Starts the director afresh, unless it runs."""
        if self.director.process and self.director.process.alive() and not settings:
            return
        self.director.stop()
        self.director.configure(self.stage.services("nat"), **settings)
        self.director.start()

    def accounts(self):
        """Whatever happened, every frame has one outcome."""
        if not self.director.process.alive():
            return
        stats = self.director.settled()
        received = sum(worker["received"] for worker in stats["workers"])
        waiting = sum(worker["waiting"] for worker in stats["workers"])
        ended = sum(outcomes(stats).values())
        self.check("frames received = sum of outcomes", received == ended + waiting, f"{received} = {ended} + {waiting} waiting")

    def answered(self, what, count=30):
        """Notes whether requests are answered now."""
        outcome = traffic.requests(self.stage.client, VIP, count, 10)
        return self.check(what, outcome.complete(), outcome.summary())

    def logged(self, words):
        """Tells whether the director has logged this."""
        return words in self.director.process.output()

    def wait_for(self, condition, seconds=10):
        """Waits until something is so; returns whether it came to be."""
        deadline = time.monotonic() + seconds
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.05)
        return condition()

    def port(self, name):
        """Returns what the director says of a port."""
        return next(port for port in self.director.stats()["ports"] if port["name"] == name)

    def garbage(self):
        """Garbage from both sides"""
        before = outcomes(self.director.stats())
        loop = traffic.Loop(self.stage.client, VIP)
        senders = [(self.stage.near, WAN_MAC, NEAR, NEAR_VIP), (self.stage.servers[0].namespace, LAN_MAC, NOBODY, VIP)]
        threads = [threading.Thread(target=namespace.run, args=(*self.lab.program("garbage.py"), "eth0", *where, FRAMES, seed))
                   for seed, (namespace, *where) in enumerate(senders)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        answers = loop.stop()
        failed = [answer.status for answer in answers if answer.status != "200"]
        after = outcomes(self.director.settled())
        drops = {name: after[name] - before[name] for name in after if name.startswith("drop_") and after[name] > before[name]}
        self.check("requests go on meanwhile", len(answers) > 10 and not failed, f"{len(answers)} requests, {len(failed)} failed")
        self.check("garbage is dropped, each frame for its reason", len(drops) >= 15 and sum(drops.values()) > FRAMES,
                   f"{sum(drops.values())} of {2 * FRAMES} frames for {len(drops)} reasons")
        self.lab.report.row("Garbage", **{name.removeprefix("drop_"): count for name, count in drops.items()})

    def wrong_file(self):
        """A wrong file, and the signal to apply it"""
        director, file = self.director, self.director.file
        good, before = file.read_text(), director.stats()["generation"]
        file.write_text(good.replace('forwarding = "nat"', 'forwardign = "nat"', 1))
        os.kill(director.process.pid, signal.SIGHUP)
        told = self.wait_for(lambda: self.logged("reload refused, nothing changed"))
        self.check("SIGHUP with a mistake in the file is refused, with file, line and key",
                   told and self.logged(f"{file}:") and self.logged('did you mean "forwarding"?'))
        done = command(director.program, "reload", "--socket", director.socket, check=False)
        self.check("so is millrace reload", done.returncode == MISTAKE and "did you mean" in done.stderr, done.stderr.strip())
        file.write_text(good.replace("max_connections = 100_000", "max_connections = 200_000"))
        done = command(director.program, "reload", "--socket", director.socket, check=False)
        self.check("a change that needs a restart is refused", done.returncode == NOT_DONE and "restart" in done.stderr, done.stderr.strip())
        file.unlink()
        done = command(director.program, "reload", "--socket", director.socket, check=False)
        self.check("a file that is gone is refused", done.returncode == MISTAKE, done.stderr.strip())
        file.write_text(good)
        self.check("it runs on as it was", director.stats()["generation"] == before, f"generation {before}")
        self.answered("and answers")

    def cut_link(self):
        """A cut link"""
        copy = self.lab.folder / "cut"
        wanted = traffic.checksum(self.stage.documents / "large")
        slow = self.lab.start(self.stage.client, "slow", "curl", "-sS", "--fail", "--max-time", 60, "--limit-rate", "4M",
                              "-o", copy, f"http://{VIP}/large")
        time.sleep(1)
        before = outcomes(self.director.stats())
        self.stage.switch.ip("link", "set", "director-wan", "down")
        noticed = self.wait_for(lambda: not self.port("wan")["link_up"], 3)
        self.check("the carrier is gone, and millrace says so", noticed and self.logged("port wan: link down"))
        # The server goes on sending; its answers have nowhere to go.
        time.sleep(1.5)
        lost = outcomes(self.director.stats())["drop_link_down"] - before["drop_link_down"]
        self.check("answers meanwhile are dropped and counted", lost > 0, f"{lost} frames")
        heard = traffic.Capture(self.lab, self.stage.near, "eth0", "announced", "arp")
        self.stage.switch.ip("link", "set", "director-wan", "up")
        back = self.wait_for(lambda: self.port("wan")["link_up"], 3)
        self.check("the carrier is back, and millrace says so", back and self.logged("port wan: link up"))
        announced = heard.text()
        self.check("its addresses are announced again", all(f"who-has {a} tell {a}" in announced or f"who-has {a} (" in announced
                                                            for a in ("192.0.2.2", NEAR_VIP)))
        code = slow.handle.wait(60)
        self.check("a download that was under way comes to its end, whole", code == 0 and traffic.checksum(copy) == wanted, f"curl {code}")
        self.answered("new requests are answered")

    def killed(self):
        """kill -9, and a new start"""
        os.kill(self.director.process.pid, signal.SIGKILL)
        self.director.process.handle.wait()
        outcome = traffic.requests(self.stage.client, VIP, 5, 5, patience=1)
        self.check("nobody answers for it", outcome.answered == 0, outcome.summary())
        self.check("its socket is still there", self.director.socket.exists())
        self.director.start()
        self.answered("a new one starts over what the old one left")

    def full_table(self):
        """A full connection table"""
        self.start(max_connections=SMALL_TABLE)
        copy = self.lab.folder / "full"
        wanted = traffic.checksum(self.stage.documents / "large")
        slow = self.lab.start(self.stage.client, "slow-full", "curl", "-sS", "--fail", "--max-time", 60, "--limit-rate", "5M",
                              "-o", copy, f"http://{VIP}/large")
        time.sleep(0.5)
        before = outcomes(self.director.stats())
        self.stage.near.run(*self.lab.program("flood.py"), "eth0", WAN_MAC, CLIENTS, NEAR_VIP, ECHO, FLOWS)
        stats = self.director.settled()
        refused = outcomes(stats)["drop_table_full"] - before["drop_table_full"]
        held = stats["connections"]["active"] + stats["connections"]["inactive"]
        self.check("what finds no place is dropped and counted", refused > 0, f"{refused} packets, {held} connections held")
        self.check("it holds what it was sized for", held > SMALL_TABLE, f"{held} of {SMALL_TABLE}")
        code = slow.handle.wait(60)
        self.check("a download that was under way comes to its end, whole", code == 0 and traffic.checksum(copy) == wanted, f"curl {code}")

    def syn_flood(self):
        """A SYN flood"""
        self.start(max_connections=SMALL_TABLE)
        copy = self.lab.folder / "flooded"
        wanted = traffic.checksum(self.stage.documents / "large")
        slow = self.lab.start(self.stage.client, "slow-flooded", "curl", "-sS", "--fail", "--max-time", 60, "--limit-rate", "5M",
                              "-o", copy, f"http://{VIP}/large")
        time.sleep(0.5)
        self.stage.near.run(*self.lab.program("flood.py"), "eth0", WAN_MAC, CLIENTS, NEAR_VIP, HTTP, FLOWS, "tcp")
        stats = self.director.settled()
        evicted = sum(worker["evicted"] for worker in stats["workers"])
        self.check("half-open connections give way to others in the full table", evicted > 0, f"{evicted} evicted")
        code = slow.handle.wait(60)
        self.check("a download that was under way comes to its end, whole", code == 0 and traffic.checksum(copy) == wanted, f"curl {code}")
        self.answered("and new requests find a place all the same")

    def ended_at_work(self):
        """SIGINT in the middle of the work"""
        self.start(max_connections=100_000)
        slow = self.lab.start(self.stage.client, "slow-end", "curl", "-sS", "--max-time", 20, "-o", "/dev/null", f"http://{VIP}/large",
                              "--limit-rate", "4M")
        time.sleep(1)
        os.kill(self.director.process.pid, signal.SIGINT)
        code = self.director.process.handle.wait(10)
        self.check("it ends at once, with its books in order", code == 0 and self.logged("every one accounted for"), f"exit {code}")
        self.check("its socket is gone", not self.director.socket.exists())
        slow.stop()
        self.director.start()
        self.answered("and it can start again")
        code = self.director.stop()
        self.check("millrace ends cleanly when asked", code == 0, f"exit {code}")
