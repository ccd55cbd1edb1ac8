"""What a process's threads cost, by their names."""

import os
from collections import defaultdict
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def seconds(pid):
    """Returns for how long the threads of each name have run so far, in user space and in the kernel together."""
    spent = defaultdict(float)
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            name = (task / "comm").read_text().strip()
            spent[name] += int((task / "schedstat").read_text().split()[0]) / 1e9
        except OSError:
            pass  # it has ended
    return spent


def split(pid, name):
    """Returns user and kernel time of the threads of one name, in seconds: whole ticks."""
    user = kernel = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text().strip() == name:
            fields = (task / "stat").read_text().rsplit(")", 1)[1].split()
            user, kernel = user + int(fields[11]), kernel + int(fields[12])
    return user / TICK, kernel / TICK


def resident(pid):
    """Returns how much memory a process has, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0
