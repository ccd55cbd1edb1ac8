"""A guest: a qemu machine in software emulation, driven over two sockets.

One socket is a virtio port on which the guest's `init` takes commands; the other is qemu's own monitor (QMP), which
pulls and plugs the cables of its network cards, if it has any.
"""

import base64
import json
import socket
import time

# A PC of two cores whose devices are behind an IOMMU.
WITH_IOMMU = (
    "-machine", "q35,kernel-irqchip=off", "-accel", "tcg,thread=multi", "-smp", "2", "-m", "1024", "-device", "intel-iommu",
)  # fmt: skip
# A PC whose clock counts what it computes, a nanosecond an instruction, and leaps to the next timer when it is idle: its
# pauses take no time, and its timers are as exact as they would be on a machine that nobody else uses.
TIMELESS = ("-machine", "q35", "-accel", "tcg,thread=single", "-smp", "1", "-m", "512", "-icount", "shift=0,sleep=off")

# Under software emulation everything takes its time.
BOOT_SECONDS = 180
COMMAND_SECONDS = 60


class GuestError(Exception):
    """The guest did not do what it was told; the message holds what it said."""


class Card:
    """An e1000e card: its name in the lab, its tap in the namespace of qemu, its Ethernet and PCI addresses."""

    def __init__(self, name, tap, mac, slot):
        self.name, self.tap, self.mac, self.slot = name, tap, mac, slot
        self.pci = f"0000:00:{slot:02x}.0"

    def arguments(self):
        """Returns qemu's arguments for it. `vnet_hdr=off`: the frames on the cable are whole, their checksums too."""
        return [
            "-netdev", f"tap,id={self.name},ifname={self.tap},script=no,downscript=no,vnet_hdr=off",
            "-device", f"e1000e,netdev={self.name},mac={self.mac},addr={self.slot:#x},romfile=",
        ]  # fmt: skip


class Lines:
    """A Unix socket on which lines go both ways."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise
        self._received = b""

    def send(self, line):
        """Sends one line."""
        self._socket.sendall(line + b"\n")

    def receive(self, seconds):
        """Returns the next line; TimeoutError if it does not come within `seconds`, ConnectionError at the end."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self._received:
            self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
            received = self._socket.recv(65536)
            if not received:
                raise ConnectionError("qemu has ended")
            self._received += received
        line, self._received = self._received.split(b"\n", 1)
        return line


class Guest:
    """A running guest; it ends with the lab's other processes."""

    def __init__(self, lab, namespace, kernel, initramfs, machine, cards=(), parameters=""):
        """Starts qemu in `namespace`, which has the cards' taps; `parameters` are for the kernel."""
        self._console = lab.folder / "console.log"
        commands, monitor = lab.folder / "commands.sock", lab.folder / "monitor.sock"
        arguments = [
            *machine, "-cpu", "max", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
            "-kernel", kernel, "-initrd", initramfs,
            "-append", f"console=ttyS0 quiet panic=-1 mitigations=off {parameters}",
            "-serial", f"file:{self._console}", "-device", "virtio-serial-pci,addr=0x10",
            "-chardev", f"socket,id=commands,path={commands},server=on,wait=off",
            "-device", "virtserialport,chardev=commands,name=commands", "-qmp", f"unix:{monitor},server=on,wait=off",
        ]  # fmt: skip
        for card in cards:
            arguments += card.arguments()
        self.process = lab.start(namespace, "qemu", "qemu-system-x86_64", *arguments)
        self._commands = self._connect(commands)
        self._monitor = self._connect(monitor)
        self._monitor.receive(COMMAND_SECONDS)  # its greeting
        self._manage("qmp_capabilities")

    def _connect(self, path):
        for _ in range(200):
            if not self.process.alive():
                raise GuestError(f"qemu ended: {self.process.output().strip()}")
            try:
                return Lines(path)
            except OSError:
                time.sleep(0.05)
        raise GuestError(f"qemu opened no socket {path}")

    def _manage(self, command, **arguments):
        self._monitor.send(json.dumps({"execute": command, "arguments": arguments}).encode())
        while True:
            answer = json.loads(self._monitor.receive(COMMAND_SECONDS))
            if "error" in answer:
                raise GuestError(f"qemu refused {command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def set_link(self, card, up):
        """Plugs the cable of `card` in or pulls it out."""
        self._manage("set_link", name=card.name, up=up)

    def wait_for_boot(self):
        """Waits until the guest takes commands, and returns its kernel's release."""
        return self._answer("(boot)", BOOT_SECONDS)[1].strip()

    def attempt(self, command, seconds=COMMAND_SECONDS):
        """Runs a bash command in the guest and returns its exit status and what it printed."""
        self._commands.send(base64.b64encode(command.encode()))
        return self._answer(command, seconds)

    def run(self, command, seconds=COMMAND_SECONDS):
        """Runs a bash command in the guest and returns what it printed; GuestError unless it exits 0."""
        status, said = self.attempt(command, seconds)
        if status != 0:
            raise GuestError(f"in the guest, exit {status}: {command}\n{said}")
        return said

    def write(self, path, text):
        """Writes a file in the guest."""
        encoded = base64.b64encode(text.encode()).decode()
        self.run(f"mkdir -p $(dirname {path}) && base64 -d > {path} <<< {encoded}")

    def _answer(self, command, seconds):
        try:
            status, _, said = self._commands.receive(seconds).partition(b" ")
        except (TimeoutError, ConnectionError) as cause:
            console = self._console.read_text(errors="replace")[-2000:] if self._console.exists() else ""
            raise GuestError(f"no answer from the guest to: {command}\nits console ends:\n{console}") from cause
        return int(status), base64.b64decode(said).decode(errors="replace")
