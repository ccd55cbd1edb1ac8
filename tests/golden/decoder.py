"""A second opinion: tshark decodes every frame that left, and verifies every checksum that it finds."""

import subprocess

FIELDS = {
    "frame.number": "",
    "ip.len": "",
    "ipv6.plen": "",
    "ip.checksum.status": "IPv4 header",
    "tcp.checksum.status": "TCP",
    "udp.checksum.status": "UDP",
    "sctp.checksum.status": "SCTP",
    "icmp.checksum.status": "ICMP",
    "icmpv6.checksum.status": "ICMPv6",
    "_ws.malformed": "",
    "_ws.expert.severity": "",
    "_ws.expert.message": "",
}
BAD = "0"
ERROR = 0x00800000
VERIFY = ["ip.check_checksum:TRUE", "tcp.check_checksum:TRUE", "udp.check_checksum:TRUE", "sctp.checksum:CRC 32c"]
QUIET = ["tcp.analyze_sequence_numbers", "ip.defragment", "tcp.desegment_tcp_streams"]
PAYLOAD_IS_DATA = ["tcp.port==1-65535,data", "udp.port==1-65535,data", "sctp.port==1-65535,data"]


def second_opinion(capture):
    """Returns what tshark has against the capture's frames: a list of (frame number from 0, text)."""
    command = ["tshark", "-n", "-r", str(capture), "-T", "fields", "-E", "separator=|"]
    command += [part for rule in PAYLOAD_IS_DATA for part in ("-d", rule)]
    command += [part for option in VERIFY for part in ("-o", option)]
    command += [part for option in QUIET for part in ("-o", f"{option}:FALSE")]
    command += [part for field in FIELDS for part in ("-e", field)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return [opinion for line in done.stdout.splitlines() for opinion in about(line)]


def about(line):
    """Yields what one line of tshark's answer says against its frame."""
    values = dict(zip(FIELDS, line.split("|")))
    number = int(values["frame.number"]) - 1
    if values["_ws.malformed"]:
        yield number, "malformed"
    if quote_is_cut(values):
        for unknown in ("tcp.checksum.status", "udp.checksum.status", "sctp.checksum.status", "_ws.expert.severity"):
            values[unknown] = ""
    for field, protocol in FIELDS.items():
        if protocol and BAD in values[field].split(","):
            yield number, f"{protocol} checksum is wrong"
    severe = [int(s) for s in values["_ws.expert.severity"].split(",") if s]
    if any(s >= ERROR for s in severe):
        yield number, values["_ws.expert.message"]


def quote_is_cut(values):
    """Tells whether an ICMP error quotes a packet in part, so that nobody can verify the quoted transport's sum."""
    for message, field, headers, less in (
        ("icmp.checksum.status", "ip.len", 20 + 8, 0),
        ("icmpv6.checksum.status", "ipv6.plen", 8, 40),
    ):
        lengths = [int(length) for length in values[field].split(",") if length]
        if values[message] and len(lengths) > 1 and lengths[1] + less > lengths[0] - headers:
            return True
    return False
