"""Many HTTP fetches at once, from one process; and short ones, one begun after the other.

    fetches.py long ADDRESS PORT PATH COUNT SHA256    prints "begun" when each has begun to arrive, and at the end one JSON object
    fetches.py probe ADDRESS PORT PATH                begins one each 20 ms until SIGTERM, then prints one JSON object

Each is a connection of its own and is not tried again. Times are of the machine's clock.
"""

import errno
import hashlib
import json
import os
import selectors
import signal
import socket
import sys
import time
from collections import Counter

SILENCE = 30  # seconds in which nothing comes: it has failed
PROBES = 0.02
SLOW = 0.9  # less than a lost SYN takes, which is sent again after a second


class Fetch:
    """One fetch. `outcome` is none while it lasts, then empty or what went wrong."""

    def __init__(self, selector, target, path):
        self.selector = selector
        self.request = f"GET {path} HTTP/1.0\r\nhost: lab\r\n\r\n".encode()
        self.began = self.heard = time.time()
        self.silence = 0.0
        self.head, self.length, self.octets = b"", None, 0
        self.digest = hashlib.sha256()
        self.outcome = None
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.connect_ex(target)
        selector.register(self.socket, selectors.EVENT_WRITE, self)

    def end(self, outcome):
        """Closes it."""
        self.outcome = outcome
        self.selector.unregister(self.socket)
        self.socket.close()

    def go_on(self):
        """Does what can be done now."""
        try:
            if self.request:
                if error := self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    raise OSError(error, os.strerror(error))
                self.socket.sendall(self.request)
                self.request = b""
                self.selector.modify(self.socket, selectors.EVENT_READ, self)
            else:
                self.take(self.socket.recv(1 << 16))
        except OSError as error:
            self.end(errno.errorcode.get(error.errno, str(error)))

    def take(self, part):
        """Takes what has come; nothing is the end."""
        now = time.time()
        self.silence, self.heard = max(self.silence, now - self.heard), now
        if not part:
            whole = self.length is not None and self.octets == self.length
            self.end("" if whole else f"{self.octets} of {self.length} octets")
            return
        if self.length is None:
            self.head += part
            head, blank, part = self.head.partition(b"\r\n\r\n")
            if not blank:
                return
            status, *lines = head.decode().lower().split("\r\n")
            if status.split()[1] != "200":
                self.end(status)
                return
            self.length = int(dict(line.split(": ", 1) for line in lines)["content-length"])
        self.octets += len(part)
        self.digest.update(part)


def turn(selector, fetches, patience):
    """Goes on with what is ready, and ends what is silent for too long."""
    for key, _ in selector.select(0.01):
        key.data.go_on()
    now = time.time()
    for fetch in fetches:
        if fetch.outcome is None and now - fetch.heard > patience:
            fetch.end("silent")


def fetch_long(target, path, count, checksum):
    """Fetches them all at the same time."""
    selector, fetches, begun = selectors.DefaultSelector(), [], False
    while len(fetches) < count or any(fetch.outcome is None for fetch in fetches):
        for _ in range(min(10, count - len(fetches))):
            fetches.append(Fetch(selector, target, path))
        turn(selector, fetches, SILENCE)
        if not begun and len(fetches) == count and all(fetch.octets or fetch.outcome is not None for fetch in fetches):
            begun = True
            print("begun", flush=True)
    for fetch in fetches:
        if not fetch.outcome and fetch.digest.hexdigest() != checksum:
            fetch.outcome = "wrong checksum"
    print(json.dumps({
        "begun": count, "finished": sum(not fetch.outcome for fetch in fetches),
        "failed": Counter(fetch.outcome for fetch in fetches if fetch.outcome),
        "octets": sum(fetch.octets for fetch in fetches),
        "seconds": time.time() - fetches[0].began, "silence": max(fetch.silence for fetch in fetches),
    }))


def probe(target, path):
    """Begins one after the other, whether the others have ended or not."""
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    selector, last, live, told = selectors.DefaultSelector(), 0.0, [], []
    while not ended or live:
        if not ended and time.time() - last >= PROBES:
            live.append(Fetch(selector, target, path))
            last = time.time()
        turn(selector, live, SILENCE if not ended else 5)
        for fetch in [fetch for fetch in live if fetch.outcome is not None]:
            live.remove(fetch)
            took = fetch.heard - fetch.began
            told.append({"began": fetch.began, "took": took, "failed": fetch.outcome, "slow": took > SLOW})
    print(json.dumps(sorted(told, key=lambda each: each["began"])))


if __name__ == "__main__":
    what, address, port, wanted, *more = sys.argv[1:]
    if what == "long":
        fetch_long((address, int(port)), wanted, int(more[0]), more[1])
    else:
        probe((address, int(port)), wanted)
