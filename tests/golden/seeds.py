"""What the cases hear, as seeds of the fuzz target, whose `input.rs` says what a seed looks like."""

import struct

DIRECTORS = ("nat", "direct", "tunnel", "fullnat", "rules")
"""The fuzz target's, by their numbers."""

PORTS = ("wan", "lan")
LONGEST = 4096
"""Octets of a seed: longer cases hear the same again and again."""


def write_seeds(scenarios, folder):
    """Writes a file for each case, and returns how many there are."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    count = 0
    for scenario in scenarios:
        seed = bytes([DIRECTORS.index(director(scenario))])
        before = None
        for heard in scenario.heard:
            if heard.port in PORTS:
                millis = min((heard.micros - (before or heard.micros)) // 1000, 0xFFFF)
                passes = struct.pack(">BH", 0x80, millis) if millis > 1 else b""
                # As it is: what has a wrong sum is to keep it.
                more = passes + struct.pack(">BH", 4 | PORTS.index(heard.port), len(heard.octets)) + heard.octets
                if len(seed) + len(more) > LONGEST:
                    break
                seed, before = seed + more, heard.micros
        if before is not None:
            (folder / scenario.name.replace("/", ".")).write_bytes(seed)
            count += 1
    return count


def director(scenario):
    """Returns the name of the fuzz target's director whose services are most like a case's."""
    services = scenario.config.services
    if scenario.config.marks or any(not hasattr(service.address, "address") or service.address.port == 0 for service in services):
        return "rules"
    method = services[0].forwarding if services else "nat"
    return method if method in DIRECTORS else "nat"
