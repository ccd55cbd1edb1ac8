"""One run of a lab: its prefix, its folder, its network and processes; and that nothing of it is left."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .network import MARK, Network, command, namespaces_of, processes_of
from .report import Report

# The checkout that this lab is part of.
ROOT = Path(__file__).resolve().parents[3]
# A file in the folder of a run that was kept on purpose.
KEPT = "kept"
PROGRAMS = Path(__file__).resolve().parents[1] / "programs"


class Process:
    """A process in a namespace, its output in a file."""

    def __init__(self, name, handle, log):
        self.name = name
        self.handle = handle
        self.log = log

    @property
    def pid(self):
        """The process id."""
        return self.handle.pid

    def output(self):
        """Returns what it has written so far."""
        return self.log.read_text(errors="replace")

    def alive(self):
        """Whether it runs."""
        return self.handle.poll() is None

    def stop(self, patience=10):
        """Asks it to end, waits, ends it the hard way if it does not; returns its exit code."""
        if self.alive():
            self.handle.send_signal(signal.SIGCONT)
            self.handle.terminate()
            try:
                self.handle.wait(patience)
            except subprocess.TimeoutExpired:
                self.handle.kill()
        return self.handle.wait()


class Lab:
    """A run. Use as a context: whatever ends it, `__exit__` leaves nothing behind, and says so if it did not."""

    def __init__(self, name, keep=False):
        self.name = name
        self.keep = keep
        self.prefix = f"mrlab{os.getpid()}"
        self.network = Network(self.prefix)
        self.processes = []
        self.report = Report(name)
        self.folder = None

    def __enter__(self):
        if os.geteuid() != 0:
            sys.exit("lab: needs root (namespaces)")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._interrupted)
        os.environ[MARK] = self.prefix
        remove_abandoned()
        self.folder = Path(tempfile.mkdtemp(prefix=f"{self.prefix}-"))
        self.folder.chmod(0o755)
        return self

    def __exit__(self, kind, error, trace):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        logs = self._logs() if kind is not None and issubclass(kind, Exception) else []
        if self.keep:
            left = None
            (self.folder / KEPT).touch()
            print(f"kept: namespaces {self.prefix}-*, {self.folder}\nto end it: scripts/lab clean {self.prefix}")
        else:
            left = self._remove()  # before anything is printed: nobody may be listening any more
        if kind is not None and issubclass(kind, Exception):
            print(*logs, sep="\n", file=sys.stderr)
            self.report.check("ran to its end", False, f"{kind.__name__}: {error}")
        if left is not None:
            self.report.check("nothing is left behind", not left, ", ".join(left) or "no namespace, process, mount or file")

    def _interrupted(self, number, _frame):
        raise KeyboardInterrupt(signal.Signals(number).name)

    def start(self, namespace, name, *args, **options):
        """Starts a process in a namespace."""
        log = self.folder / f"{name}.log"
        with log.open("ab") as output:
            handle = subprocess.Popen(namespace.inside(*args), stdin=subprocess.DEVNULL, stdout=output,
                                      stderr=subprocess.STDOUT, start_new_session=True, **options)
        process = Process(name, handle, log)
        self.processes.append(process)
        return process

    def program(self, name):
        """Returns the command line of one of the labs' own small programs."""
        return [sys.executable, "-u", str(PROGRAMS / name)]

    def _logs(self):
        lines = []
        for process in self.processes:
            if tail := process.output().splitlines()[-8:]:
                lines += [f"--- {process.name} (process {process.pid}, {process.handle.poll()})", *("    " + line for line in tail)]
        return lines

    def _remove(self):
        for process in reversed(self.processes):
            process.stop()
        end_all(self.prefix)
        self.network.remove()
        shutil.rmtree(self.folder, ignore_errors=True)
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        return (namespaces_of(self.prefix) + [f"process {pid}" for pid in processes_of(self.prefix)]
                + [m for m in mounts if self.prefix + "-" in m]
                + ([str(self.folder)] if self.folder.exists() else []))


def end_all(prefix):
    """Ends every process of a run that still lives."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in processes_of(prefix):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
        deadline = time.monotonic() + 5
        while processes_of(prefix) and time.monotonic() < deadline:
            time.sleep(0.05)


def remove_run(prefix):
    """Removes what a run left: processes, namespaces, folders."""
    end_all(prefix)
    for name in namespaces_of(prefix):
        command("ip", "netns", "del", name, check=False)
    for folder in Path(tempfile.gettempdir()).glob(f"{prefix}-*"):
        shutil.rmtree(folder, ignore_errors=True)


def remove_abandoned():
    """Removes what runs left that were killed: a prefix holds the process id of its lab."""
    listed = command("ip", "netns", "list").stdout.split("\n")
    for prefix in {match[0] for line in listed if (match := re.match(r"mrlab[0-9]+(?=-)", line))}:
        kept = list(Path(tempfile.gettempdir()).glob(f"{prefix}-*/{KEPT}"))
        if not kept and not Path(f"/proc/{prefix[5:]}").exists():
            remove_run(prefix)
