"""What the schedulers are compared by: services drawn at random, with clients that come, talk and close, and stages between
which each service's real servers are edited, as an operator would by ipvsadm."""

import json
from dataclasses import dataclass, field, replace

from .frames import Socket

SERVERS = [f"10.0.0.{n}" for n in range(11, 19)]
WEIGHTS = (0, 1, 1, 2, 3, 5, 8, 20, 400)

WITHOUT_THRESHOLDS = ("lblc",)
"""IPVS's lblc does not look at thresholds when it remembers a destination; millrace does."""


@dataclass(frozen=True)
class Member:
    """A real server of one service, reached by direct routing."""

    address: str
    weight: int
    upper: int = 0
    lower: int = 0


@dataclass(frozen=True)
class Shown:
    """A service as millrace's configuration has it in one stage."""

    address: Socket
    text: str

    def toml(self):
        """Returns the text."""
        return self.text


@dataclass
class Balanced:
    """A service, and its clients in the order in which they come."""

    address: Socket
    scheduler: str
    flags: tuple
    stages: list
    """Its real servers in each stage, in the order of their addresses."""
    edits: list = field(default_factory=list)
    """What ipvsadm is told between two stages."""
    clients: dict = field(default_factory=dict)
    """The stage in which each came."""

    def shown(self, stage):
        """Returns it as millrace's configuration has it in that stage."""
        lines = [
            "[[service]]", f'address = "{self.address}"', f'scheduler = "{self.scheduler}"', 'forwarding = "direct"',
        ]  # fmt: skip
        if self.flags:
            lines.append(f"scheduler_flags = {json.dumps(self.flags)}")
        for each in self.stages[stage]:
            lines += ["[[service.real]]", f'address = "{each.address}"', f"weight = {each.weight}"]
            lines += [f"upper = {each.upper}", f"lower = {each.lower}"]
        return Shown(self.address, "\n".join(lines) + "\n")

    def ipvsadm(self):
        """Returns the first stage as ipvsadm restores it. IPVS's list begins with the real server that was added last."""
        flags = f" -b {','.join(self.flags)}" if self.flags else ""
        lines = [f"-A -t {self.address} -s {self.scheduler}{flags}"]
        return "\n".join(lines + [self.order("-a", each) for each in reversed(self.stages[0])]) + "\n"

    def order(self, command, member):
        """Returns ipvsadm's command line about a real server."""
        line = f"{command} -t {self.address} -r {member.address}:{self.address.port}"
        return line if command == "-d" else f"{line} -g -w {member.weight} -x {member.upper} -y {member.lower}"

    def edit(self, chance):
        """Begins another stage, with one edit at random; now and then with none."""
        members = list(self.stages[-1])
        self.stages.append(members)
        kind = chance.choice(("weight", "weight", "weight", "threshold", "remove", "add", "add", "none"))
        order = getattr(self, kind)(chance, members) if kind == "add" or members else None
        self.edits.append(order or "")

    def none(self, _chance, _members):
        """Changes nothing."""

    def weight(self, chance, members):
        """Gives a real server another weight."""
        at = chance.randrange(len(members))
        other = [weight for weight in WEIGHTS if weight != members[at].weight]
        members[at] = replace(members[at], weight=chance.choice(other))
        return self.order("-e", members[at])

    def threshold(self, chance, members):
        """Gives a real server other thresholds, preferably one that has any. An edit that changes nothing is none to
        millrace, and lets IPVS's wrr begin anew."""
        limited = [at for at, member in enumerate(members) if member.upper]
        if self.scheduler not in WITHOUT_THRESHOLDS:
            at = chance.choice(limited or range(len(members)))
            other = replace(members[at], **thresholds(chance))
            if other != members[at]:
                members[at] = other
                return self.order("-e", other)

    def remove(self, chance, members):
        """Removes a real server."""
        return self.order("-d", members.pop(chance.randrange(len(members))))

    def add(self, chance, members):
        """Adds a real server, or one that was there before. IPVS puts it in front, so it is one that has its place there."""
        free = [server for server in SERVERS if not members or server < members[0].address]
        if free:
            limits = thresholds(chance) if self.scheduler not in WITHOUT_THRESHOLDS and chance.random() < 0.3 else {}
            # Of one that was there IPVS's mh remembers the weight for two minutes, if it comes with 0.
            members.insert(0, Member(chance.choice(free), chance.choice(WEIGHTS[1 if self.scheduler == "mh" else 0 :]), **limits))
            return self.order("-a", members[0])


def thresholds(chance):
    """Returns thresholds at random, by their names; now and then none."""
    upper = chance.choice((0, *range(1, 13)))
    return {"upper": upper, "lower": chance.randint(0, upper)}


def draw_service(chance, number, scheduler, flags):
    """Returns a service at random, in its first stage, without clients."""
    members = []
    for server in chance.sample(SERVERS, chance.randint(1, len(SERVERS))):
        upper = chance.randint(1, 6) if chance.random() < 0.2 and scheduler not in WITHOUT_THRESHOLDS else 0
        members.append(Member(server, chance.choice(WEIGHTS), upper, chance.randint(0, upper)))
    vip = Socket(f"203.0.113.{10 + number % 60}", 1_000 + number)
    return Balanced(vip, scheduler, flags, [sorted(members, key=lambda member: member.address)])


def draw_packets(chance, services, stage, clients):
    """Yields client, service and TCP flags, at random: in this stage that many more clients of each service come, and all
    talk and close."""
    left = {number: clients for number in range(len(services))}
    while left:
        service = services[number := chance.choice(list(left))]
        if service.clients and chance.random() < 0.4:
            yield chance.choice(list(service.clients)), service, chance.choice(("A", "A", "FA"))
            continue
        client = Socket(f"198.51.{chance.randint(0, 255)}.{chance.randint(1, 254)}", chance.randint(1024, 65535))
        if client not in service.clients:
            service.clients[client] = stage
            yield client, service, "S"
            left[number] -= 1
            if not left[number]:
                del left[number]
