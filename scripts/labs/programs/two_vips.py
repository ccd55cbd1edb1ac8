"""Speaks to two VIPs at a time from one address and port, by TCP and by UDP. Prints one JSON object.

Arguments: VIP VIP HTTP-PORT UDP-PORT ROUNDS. A TCP answer counts if it is a whole HTTP answer on its own connection (the
client's kernel resets what comes from a wrong address); a UDP answer if it carries what was sent to where it comes from.
"""

import json
import socket
import sys

vips, http_port, udp_port, rounds = sys.argv[1:3], *map(int, sys.argv[3:6])
family = socket.AF_INET6 if ":" in vips[0] else socket.AF_INET
result = {"tcp": 0, "udp": 0, "wrong": []}


def tcp_round():
    """Holds one connection to each VIP from the same port, both before the first word is said."""
    held = []
    port = 0
    try:
        for vip in vips:
            sock = socket.socket(family, socket.SOCK_STREAM)
            held.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.settimeout(5)
            sock.bind(("", port))
            port = sock.getsockname()[1]
            sock.connect((vip, http_port))
        for vip, sock in zip(vips, held):
            sock.sendall(f"GET /?{vip} HTTP/1.1\r\nHost: millrace\r\nConnection: close\r\n\r\n".encode())
        for vip, sock in zip(vips, held):
            answer = b"".join(iter(lambda s=sock: s.recv(65536), b""))
            if answer.startswith(b"HTTP/1.1 200") and sock.getpeername()[0] == vip:
                result["tcp"] += 1
            else:
                result["wrong"].append(f"tcp {vip}: {answer[:40]!r}")
    except OSError as error:
        result["wrong"].append(f"tcp: {error}")
    finally:
        for sock in held:
            sock.close()


def udp_round():
    """Sends one datagram to each VIP from one socket and takes two answers."""
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(3)
        try:
            for vip in vips:
                sock.sendto(vip.encode(), (vip, udp_port))
            for _ in vips:
                data, peer = sock.recvfrom(2048)
                if peer[:2] == (data.decode(), udp_port):
                    result["udp"] += 1
                else:
                    result["wrong"].append(f"udp: {data!r} from {peer}")
        except OSError as error:
            result["wrong"].append(f"udp: {error}")


for _ in range(rounds):
    tcp_round()
    udp_round()
print(json.dumps(result))
