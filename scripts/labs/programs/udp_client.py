"""Sends datagrams of every size to an echo and counts the true answers. Prints one JSON object.

Arguments: ADDRESS PORT DATAGRAMS LARGEST SOCKETS SMALLEST. Each socket has one datagram under way at a time; an answer counts
if it comes from the address that was asked and is the datagram that was sent.
"""

import json
import os
import selectors
import socket
import sys
import time

address, port, datagrams, largest, sockets, smallest = sys.argv[1], *map(int, sys.argv[2:7])
PATIENCE = 3.0

selector = selectors.DefaultSelector()
noise = os.urandom(largest)
result = {"sent": 0, "answered": 0, "wrong": 0, "lost": 0, "octets": 0}
waiting = {}  # socket -> (what was sent, when)


def send(sock):
    """Sends the next datagram, if there is one; sizes go round from the smallest to the largest."""
    if result["sent"] == datagrams:
        waiting.pop(sock, None)
        selector.unregister(sock)
        return
    number = result["sent"]
    size = smallest + number % (largest - smallest + 1)
    data = (number.to_bytes(4, "big") + noise)[:size]
    result["sent"] += 1
    result["octets"] += size
    waiting[sock] = (data, time.monotonic())
    sock.sendto(data, (address, port))


for _ in range(sockets):
    each = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    each.setblocking(False)
    selector.register(each, selectors.EVENT_READ)
    send(each)

while waiting:
    for key, _ in selector.select(0.2):
        try:
            data, peer = key.fileobj.recvfrom(65535)
        except OSError:
            continue
        if key.fileobj in waiting:
            good = peer[:2] == (address, port) and data == waiting[key.fileobj][0]
            result["answered" if good else "wrong"] += 1
            send(key.fileobj)
    now = time.monotonic()
    for sock, (_, since) in list(waiting.items()):
        if now - since > PATIENCE:
            result["lost"] += 1
            send(sock)

print(json.dumps(result))
