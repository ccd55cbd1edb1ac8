"""Opens many UDP connections at once: one small datagram from each of many clients that do not exist.

Arguments: DEVICE DIRECTOR_MAC CLIENTS(ADDRESS/LENGTH) VIP PORT DATAGRAMS. No two have the same source. Prints how many were sent.
"""

import ipaddress
import socket
import struct
import sys

device, director, clients, vip = sys.argv[1:5]
port, datagrams = map(int, sys.argv[5:7])
HEADER = bytes.fromhex(director.replace(":", "")) + bytes.fromhex("0200000000140800")
hosts = list(ipaddress.ip_network(clients).hosts())


def frame(number):
    """Returns the datagram of the client with this number."""
    source = hosts[number % len(hosts)].packed
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 32, number & 0xFFFF, 0, 64, 17, 0, source, socket.inet_aton(vip))
    total = sum(struct.unpack("!10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    head = head[:10] + struct.pack("!H", ~total & 0xFFFF) + head[12:]
    return HEADER + head + struct.pack("!HHHH", 1024 + number // len(hosts), port, 12, 0) + b"hoy!"


raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
raw.bind((device, 0))
for each in range(datagrams):
    raw.send(frame(each))
print(datagrams)
