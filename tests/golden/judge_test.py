"""The judge must notice every changed octet, and every frame that is lost, doubled or out of place."""

import unittest

import cases  # noqa: F401
from judge import CHECKSUM, IDENTIFICATION, LABEL, comparable, is_four, is_tunnel_six, judge
from packets import ones_complement_sum
from scenario import build_all

CASES = ["nat/tcp/reset-by-client", "tunnel/in-ipv4/udp/df-set", "ttl/nat/tcp/1", "neighbors/announcements"]
CASES += ["ipv6/tunnel/in-ipv4/udp/padded", "ipv6/tunnel/in-ipv6/udp/padded", "ipv6/neighbors/announcements"]
FLOW_LABEL = 0x5A5A5


def perfect(scenario):
    """Returns what a faultless director would send: the expectation, with identifications of its own."""
    left, identification = {}, 1000
    for port, must in scenario.said.items():
        left[port] = []
        for said in scenario.announcements(port) + must:
            octets = bytearray(said.octets)
            if said.free_id and is_four(octets):
                identification += 1
                octets[IDENTIFICATION] = identification.to_bytes(2, "big")
                set_sum(octets)
            elif said.free_id and is_tunnel_six(octets):
                octets[LABEL] = (int.from_bytes(octets[LABEL], "big") | FLOW_LABEL).to_bytes(3, "big")
            left[port].append(bytes(octets))
    return left


def set_sum(octets):
    octets[CHECKSUM] = b"\0\0"
    octets[CHECKSUM] = (~ones_complement_sum(bytes(octets[14:34])) & 0xFFFF).to_bytes(2, "big")


def case(name):
    """Returns the case of that name."""
    (scenario,) = [s for s in build_all(name) if s.name == name]
    return scenario


class Judge(unittest.TestCase):
    def each(self):
        for name in CASES:
            scenario = case(name)
            for workers in (1, 2):
                yield scenario, workers, perfect(scenario)

    def test_perfect(self):
        for scenario, workers, left in self.each():
            self.assertEqual(judge(scenario, left, workers), [], scenario.name)

    def test_every_octet(self):
        for scenario, workers, left in self.each():
            for port, frames in left.items():
                for number, octets in enumerate(frames[-2:], max(0, len(frames) - 2)):
                    for at in range(len(octets)):
                        hurt = bytearray(octets)
                        hurt[at] ^= 0x01
                        if is_tunnel_six(octets) and comparable(bytes(hurt), True) == comparable(octets, True):
                            continue
                        changed = {**left, port: [*frames[:number], bytes(hurt), *frames[number + 1 :]]}
                        self.assertTrue(judge(scenario, changed, workers), (scenario.name, port, number, at))

    def test_every_frame(self):
        for scenario, workers, left in self.each():
            for port, frames in left.items():
                for number, octets in enumerate(frames[:4]):
                    for instead in ([], [octets, octets], [octets[:-1]], [octets + b"\0"]):
                        changed = {**left, port: [*frames[:number], *instead, *frames[number + 1 :]]}
                        self.assertTrue(judge(scenario, changed, workers), (scenario.name, port, number))

    def test_order(self):
        scenario = case("nat/tcp/session")
        left = perfect(scenario)
        left["lan"][-1], left["lan"][-2] = left["lan"][-2], left["lan"][-1]
        self.assertTrue(judge(scenario, left, workers=1))
        self.assertEqual(judge(scenario, left, workers=2), [])

    def test_repeated_identification(self):
        scenario = case("tunnel/in-ipv4/udp/ids-differ")
        left = perfect(scenario)
        octets = bytearray(left["lan"][-1])
        octets[IDENTIFICATION] = left["lan"][-2][IDENTIFICATION]
        set_sum(octets)
        left["lan"][-1] = bytes(octets)
        self.assertTrue(judge(scenario, left))

    def test_changed_label(self):
        scenario = case("ipv6/tunnel/in-ipv6/udp/one-label")
        left = perfect(scenario)
        octets = bytearray(left["lan"][-1])
        octets[LABEL.stop - 1] ^= 1
        left["lan"][-1] = bytes(octets)
        self.assertTrue(judge(scenario, left))


if __name__ == "__main__":
    unittest.main()
