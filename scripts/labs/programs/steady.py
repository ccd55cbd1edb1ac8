"""Downloads that go on: steady.py COUNT PATH VIP:PORT... Fetches the path so often from each until SIGTERM, then prints one JSON list.

Each download is a connection of its own. Of each is told who serves it, and when nothing came for longer than GAP.
"""

import json
import selectors
import signal
import socket
import sys
import time

GAP = 1.5  # nginx hands over what it may send once a second


class Download:
    """One download."""

    def __init__(self, selector, target, path):
        self.selector, self.target = selector, target
        address, port = target.split(":")
        self.socket = socket.create_connection((address, int(port)), timeout=5)
        self.socket.sendall(f"GET {path} HTTP/1.0\r\nhost: lab\r\n\r\n".encode())
        self.socket.setblocking(False)
        self.head, self.octets, self.gaps, self.error = b"", 0, [], ""
        self.heard = time.time()
        selector.register(self.socket, selectors.EVENT_READ, self)

    def take(self):
        """Takes what has come."""
        try:
            part = self.socket.recv(1 << 16)
        except OSError as error:
            self.end(str(error))
            return
        self.note()
        self.octets += len(part)
        if b"\r\n\r\n" not in self.head:
            self.head += part
        if not part:
            self.end("ended")

    def note(self):
        """Notes how long it was silent until now."""
        now = time.time()
        if now - self.heard > GAP:
            self.gaps.append([self.heard, now])
        self.heard = now

    def end(self, error):
        """Closes it."""
        self.error = error
        self.selector.unregister(self.socket)
        self.socket.close()

    def told(self):
        """Returns what there is to tell of it."""
        lines = self.head.decode(errors="replace").lower().split("\r\n")
        server = [line.split(": ")[1] for line in lines if line.startswith("x-real-server: ")]
        return {"target": self.target, "server": server[0] if server else "", "octets": self.octets, "gaps": self.gaps, "error": self.error}


def main():
    count, path, targets = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    selector = selectors.DefaultSelector()
    downloads = [Download(selector, target, path) for _ in range(count) for target in targets]
    print("begun", flush=True)
    while not ended:
        for key, _ in selector.select(0.05):
            key.data.take()
    for download in downloads:
        if not download.error:
            download.note()
    print(json.dumps([download.told() for download in downloads]))


main()
