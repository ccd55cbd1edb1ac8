"""Sends frames that are wrong in every way to a director: true ones changed, cut, lengthened, and pure noise.

Arguments: DEVICE DIRECTOR_MAC OWN_ADDRESS VIP FRAMES SEED. Prints how many were sent. The sender's address in ARP stays as it
is: a frame that claims another station's would be an attack on the segment, not garbage.
"""

import random
import socket
import struct
import sys

device, director, own, vip = sys.argv[1:5]
frames, seed = map(int, sys.argv[5:7])
rng = random.Random(seed)
DIRECTOR = bytes.fromhex(director.replace(":", ""))
OWN_MAC = bytes.fromhex("020000000014")
OWN, VIP = socket.inet_aton(own), socket.inet_aton(vip)
ARP_SENDER = range(28, 32)
SHORTEST = 15  # what the kernel agrees to send


def checksum(data):
    """Returns the Internet checksum."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(protocol, payload, fragment=0):
    """Returns a frame with an IPv4 packet to the VIP."""
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), rng.randrange(65536), fragment, 64, protocol, 0, OWN, VIP)
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return DIRECTOR + OWN_MAC + b"\x08\x00" + head + payload


def true_frame():
    """Returns a frame that a client could send."""
    kind = rng.randrange(6)
    port = rng.randrange(1024, 65536)
    body = rng.randbytes(rng.randrange(64))
    if kind == 0:
        return ipv4(6, struct.pack("!HHIIBBHHH", port, 80, rng.randrange(1 << 32), 0, 0x50, rng.randrange(256), 8192, 0, 0) + body)
    if kind == 1:
        return ipv4(17, struct.pack("!HHHH", port, 7, 8 + len(body), 0) + body)
    if kind == 2:
        echo = struct.pack("!BBHHH", rng.randrange(20), 0, 0, 1, 1) + body
        return ipv4(1, echo[:2] + struct.pack("!H", checksum(echo)) + echo[4:])
    if kind == 3:
        return ipv4(rng.choice((6, 17)), body, fragment=rng.choice((0x2000, 0x2001, 0x00B9)))
    if kind == 4:
        return DIRECTOR + OWN_MAC + b"\x86\xdd" + b"\x60" + rng.randbytes(60)
    ask = struct.pack("!HHBBH", 1, 0x0800, 6, 4, rng.choice((1, 2))) + OWN_MAC + OWN + bytes(6) + VIP
    return rng.choice((DIRECTOR, b"\xff" * 6)) + OWN_MAC + b"\x08\x06" + ask


def change(frame):
    """Returns the frame with one to four octets replaced."""
    changed = bytearray(frame)
    for _ in range(rng.randrange(1, 5)):
        # The Ethernet addresses mostly stay, so that the frame arrives and is looked at.
        at = rng.randrange(0 if rng.random() < 0.05 else 12, len(changed))
        if frame[12:14] != b"\x08\x06" or at not in ARP_SENDER:
            changed[at] = rng.randrange(256)
    return bytes(changed)


def garbage():
    """Returns the next frame."""
    kind = rng.randrange(10)
    if kind == 0:
        return DIRECTOR + rng.randbytes(rng.randrange(SHORTEST - 6, 1488))
    if kind == 1:
        return rng.randbytes(rng.randrange(SHORTEST, 200))
    frame = true_frame()
    if kind in (2, 3):
        return frame[: rng.randrange(SHORTEST, len(frame) + 1)]
    if kind == 4:
        return frame + rng.randbytes(rng.randrange(1, 300))
    return change(frame) if kind < 9 else frame


raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
raw.bind((device, 0))
for _ in range(frames):
    raw.send(garbage())
print(frames)
