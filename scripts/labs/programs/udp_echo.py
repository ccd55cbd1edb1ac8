"""Sends every datagram back, from the address it was sent to. Arguments: [ADDRESS]:PORT..., of either family."""

import selectors
import socket
import sys

IP_FREEBIND, IPV6_FREEBIND = 15, 78  # <linux/in.h>, <linux/in6.h>: the VIP may come onto this server later

selector = selectors.DefaultSelector()
for argument in sys.argv[1:]:
    address, port = argument.rsplit(":", 1)
    address = address.strip("[]")
    ipv6 = ":" in address
    sock = socket.socket(socket.AF_INET6 if ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(*((socket.IPPROTO_IPV6, IPV6_FREEBIND) if ipv6 else (socket.IPPROTO_IP, IP_FREEBIND)), 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.bind((address, int(port)))
    sock.setblocking(False)
    selector.register(sock, selectors.EVENT_READ)

while True:
    for key, _ in selector.select():
        try:
            while True:
                data, peer = key.fileobj.recvfrom(65535)
                key.fileobj.sendto(data, peer)
        except OSError:  # nothing more, or an ICMP error about an earlier answer
            continue
