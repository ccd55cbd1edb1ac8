"""Stands at a listener: crowd.py ADDRESS PORT COUNT. Connects that often, and says something useless on each, or nothing."""

import socket
import sys
import time

SAYINGS = [b"", b"GET /v1/sta", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"POST /v1/reload HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n",
           b"\x00" * 3000, b"GET / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n"]


def main():
    address, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    held = []
    for number in range(count):
        stream = socket.create_connection((address, port), timeout=5)
        try:
            stream.sendall(SAYINGS[number % len(SAYINGS)])
            if number % 7 == 0:
                stream.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # shown out already
        held.append(stream)
    print("there", flush=True)
    time.sleep(600)


main()
