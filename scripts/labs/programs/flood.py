"""Opens many connections at once: one small datagram, or one SYN, from each of many clients that do not exist.

Arguments: DEVICE DIRECTOR_MAC CLIENTS(ADDRESS/LENGTH) VIP PORT PACKETS [udp|tcp]. No two have the same source. Prints how many were sent.
"""

import ipaddress
import socket
import struct
import sys

device, director, clients, vip = sys.argv[1:5]
port, packets = map(int, sys.argv[5:7])
tcp = sys.argv[7:] == ["tcp"]
HEADER = bytes.fromhex(director.replace(":", "")) + bytes.fromhex("0200000000140800")
hosts = list(ipaddress.ip_network(clients).hosts())


def checksum(octets):
    """Returns the Internet checksum (RFC 1071) of an even number of octets."""
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def frame(number):
    """Returns the packet of the client with this number."""
    source = hosts[number % len(hosts)].packed
    addresses, source_port = source + socket.inet_aton(vip), 1024 + number // len(hosts)
    if tcp:
        body = struct.pack("!HHIIBBHHH", source_port, port, number, 0, 0x50, 2, 64240, 0, 0)
        pseudo = addresses + struct.pack("!HH", 6, len(body))
        body = body[:16] + struct.pack("!H", checksum(pseudo + body)) + body[18:]
    else:
        body = struct.pack("!HHHH", source_port, port, 12, 0) + b"hoy!"
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), number & 0xFFFF, 0, 64, 6 if tcp else 17, 0) + addresses
    return HEADER + head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body


raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
raw.bind((device, 0))
for each in range(packets):
    raw.send(frame(each))
print(packets)
