"""Captures: pcap files, written and read."""

import struct

MAGIC_MICROSECONDS = 0xA1B2C3D4
ETHERNET = 1
SNAP = 262_144
EPOCH = 1_700_000_000
"""The second since 1970 at which the captures begin."""


def write_capture(path, frames):
    """Writes (microseconds, octets) pairs as a pcap file."""
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", MAGIC_MICROSECONDS, 2, 4, 0, 0, SNAP, ETHERNET))
        for micros, octets in frames:
            seconds, rest = divmod(micros, 1_000_000)
            file.write(struct.pack("<IIII", EPOCH + seconds, rest, len(octets), len(octets)) + octets)


def read_capture(path):
    """Returns the frames of a pcap file of either byte order, microseconds or nanoseconds."""
    content = path.read_bytes()
    order = "<" if content[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    frames, at = [], 24
    while at < len(content):
        kept, length = struct.unpack(order + "II", content[at + 8 : at + 16])
        assert kept == length, f"{path}: a frame was cut short"
        frames.append(content[at + 16 : at + 16 + kept])
        at += 16 + kept
    return frames
