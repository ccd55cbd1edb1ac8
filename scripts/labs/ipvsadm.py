"""ipvsadm itself, with the Linux kernel's IPVS: what the transcripts say of it, to the letter.

The transcripts in tests/ipvsadm are sessions in a shell: commands, what they read, print and complain of, and their exit
statuses. `tests/ipvsadm.rs` holds millrace to them; this lab holds Debian's ipvsadm to them, in a guest on a kernel of
Debian's. So both are the same. `otherwise.txt` is what millrace does otherwise, and not played here.
"""

import base64
import shutil
from dataclasses import dataclass
from pathlib import Path

from .guest import image, machine
from .kit.lab import ROOT

COMMANDS = ("ipvsadm", "ipvsadm-save", "ipvsadm-restore")
FOLDER = ROOT / "tests" / "ipvsadm"
TRANSCRIPTS = ("services", "restore", "mistakes", "scripts")
SHOWN = 10
"""Differences that a failed check names."""

PLAY = """
export SCRIPTS=/root/scripts
mkdir -p /root/play && cd /root/play
base64 -d >/tmp/input <<< '{input}'
sh -c "$(base64 -d <<< '{command}')" </tmp/input >/tmp/output 2>/tmp/complaints
echo "$? $(base64 -w0 /tmp/output).$(base64 -w0 /tmp/complaints)"
"""


def arguments(_parser):
    """The lab has no options of its own."""


@dataclass
class Step:
    """A command of a transcript, and what is expected of it."""

    name: str
    line: int
    command: str
    input: str = ""
    output: str = ""
    complaints: str = ""
    status: int = 0

    def outcome(self):
        """Returns what is expected."""
        return self.output, self.complaints, self.status


def steps(name):
    """Reads a transcript: tests/ipvsadm.rs says how it is written."""
    found = []
    for number, line in enumerate((FOLDER / f"{name}.txt").read_text().splitlines(), 1):
        if line.startswith("$ "):
            found.append(Step(f"{name}.txt", number, line[2:]))
        elif found and line and not line.startswith("#"):
            step, rest = found[-1], line[2:] + "\n"
            match line[0]:
                case "<":
                    step.input += rest
                case "!":
                    step.complaints += rest
                case "=":
                    step.status = int(rest)
                case _:
                    step.output += line.replace("·", " ") + "\n"
    return found


def run(lab, _options):
    """Runs the lab."""
    missing = [name for name in ("qemu-system-x86_64", "busybox", *COMMANDS) if not shutil.which(name)]
    if missing:
        raise RuntimeError(f"not installed: {', '.join(missing)} (scripts/setup)")
    kernel = image.kernel()
    files = {f"/root/scripts/{path.name}": (path.read_bytes(), 0o755) for path in FOLDER.glob("*.sh")}
    files["/etc/services"] = (Path("/etc/services").read_bytes(), 0o644)
    files["/etc/nsswitch.conf"] = (b"hosts: files\nservices: files\n", 0o644)
    image.build(lab.folder / "initramfs", kernel, {}, files, COMMANDS, drivers=())
    guest = machine.Guest(lab, lab.network.namespace("guest"), kernel.image, lab.folder / "initramfs", machine.TIMELESS)
    release = guest.wait_for_boot()
    guest.run("modprobe ip_vs; ip link set lo up")
    version = guest.run("ipvsadm -v").strip()
    lab.report.check("the guest has ipvsadm", version.startswith("ipvsadm v1.31 "), f"Linux {release}, {version}")
    for name in TRANSCRIPTS:
        played, differences = 0, []
        for step in steps(name):
            said = play(guest, step)
            played += 1
            if said != step.outcome():
                differences.append(f"{step.name}:{step.line}: {step.command}\n          expected {step.outcome()}\n          said     {said}")
        lab.report.row("Played", transcript=name, commands=played, differences=len(differences))
        lab.report.check(f"{name}: to the letter", played and not differences, some(differences))


def play(guest, step):
    """Runs a command in the guest; returns its output, complaints and exit status."""
    command, told = (base64.b64encode(text.encode()).decode() for text in (step.command, step.input))
    said = guest.run(PLAY.format(command=command, input=told))
    status, _, rest = said.strip().partition(" ")
    output, _, complaints = rest.partition(".")
    return base64.b64decode(output).decode(), base64.b64decode(complaints).decode(), int(status)


def some(differences):
    """Returns the first few, each on a line of its own."""
    return "".join(f"\n        {each}" for each in differences[:SHOWN])
