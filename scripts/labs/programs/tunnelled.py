"""Sends echo requests inside a tunnel, as a director would: tunnelled.py LOCAL REMOTE SOURCE DESTINATION COUNT.

The first two are the outer addresses, the others the inner ones; each pair may be of either family.
"""

import ipaddress
import socket
import struct
import sys

local, remote, source, destination = map(ipaddress.ip_address, sys.argv[1:5])


def summed(data):
    """Returns the Internet checksum (RFC 1071)."""
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def echo(number):
    """Returns an echo request, with its header."""
    ends = source.packed + destination.packed
    request = struct.pack(">HHH", 7, number, 0x6D72)
    if source.version == 6:
        over = ends + struct.pack(">II", 10, 58)
        message = struct.pack(">HH", 0x8000, summed(over + b"\x80\0\0\0" + request)) + request
        return struct.pack(">IHBB", 6 << 28, len(message), 58, 64) + ends + message
    message = struct.pack(">HH", 0x0800, summed(b"\x08\0\0\0" + request)) + request
    head = [0x45, 0, 20 + len(message), number, 0x4000, 64, 1, 0]
    head[7] = summed(struct.pack(">BBHHHBBH", *head) + ends)
    return struct.pack(">BBHHHBBH", *head) + ends + message


with socket.socket(socket.AF_INET6 if local.version == 6 else socket.AF_INET, socket.SOCK_RAW, 41 if source.version == 6 else 4) as tunnel:
    tunnel.bind((str(local), 0))
    for each in range(int(sys.argv[5])):
        tunnel.sendto(echo(each), (str(remote), 0))
