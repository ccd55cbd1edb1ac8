"""Namespaces, cables and bridges of one run. Everything carries the run's prefix and goes with `remove`."""

import os
import subprocess
from pathlib import Path

# Every process that a run starts carries the run's prefix in this variable, so that no stray is missed.
MARK = "MILLRACE_LAB"

# The ports that programs choose when they may choose; those beyond are left to who wants a certain one.
CLIENT_PORTS = range(10000, 40000)


def command(*args, check=True, **options):
    """Runs a command, its output as text. A failure shows what the command said."""
    if "input" not in options:
        options.setdefault("stdin", subprocess.DEVNULL)
    done = subprocess.run([str(a) for a in args], text=True, capture_output=True, **options)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, args))}: exit {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return done


class Namespace:
    """One machine of the lab: a network namespace."""

    def __init__(self, name, full_name):
        self.name = name
        self.full_name = full_name
        command("ip", "netns", "add", full_name)
        self.ip("link", "set", "lo", "up")
        # A namespace starts with what the machine's own settings happen to be; a lab must not depend on them.
        self.sysctl("net.ipv4.ip_forward", 0)
        self.sysctl("net.ipv6.conf.all.disable_ipv6", 1)
        self.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
        self.sysctl("net.ipv4.ip_local_port_range", f"{CLIENT_PORTS.start} {CLIENT_PORTS.stop - 1}")
        for scope in ("all", "default"):
            self.sysctl(f"net.ipv4.conf.{scope}.rp_filter", 0)

    def inside(self, *args):
        """Returns the command line that runs `args` in this namespace; the process keeps its id."""
        return ["ip", "netns", "exec", self.full_name, *map(str, args)]

    def run(self, *args, **options):
        """Runs a command in this namespace."""
        return command(*self.inside(*args), **options)

    def ip(self, *args, **options):
        """Runs ip(8) on this namespace."""
        return command("ip", "-n", self.full_name, *args, **options)

    def sysctl(self, key, value=None):
        """Sets a kernel setting of this namespace, or reads it."""
        if value is None:
            return self.run("cat", f"/proc/sys/{key.replace('.', '/')}").stdout.strip()
        return self.run("sysctl", "-qw", f"{key}={value}")

    def enable_ipv6(self):
        """Switches IPv6 on, for the devices there are and those to come: no address waits for duplicates to be heard of,
        and nothing is learnt from routers."""
        for scope in ("default", "all"):
            self.sysctl(f"net.ipv6.conf.{scope}.accept_dad", 0)
            self.sysctl(f"net.ipv6.conf.{scope}.accept_ra", 0)
            self.sysctl(f"net.ipv6.conf.{scope}.disable_ipv6", 0)

    def add_address(self, address, device):
        """Gives a device an address of either family, at once."""
        self.ip("addr", "add", address, "dev", device, *(["nodad"] if ":" in address else []))

    def addresses(self, device):
        """Returns the addresses of a device, of both families."""
        lines = self.ip("-o", "addr", "show", "dev", device).stdout.splitlines()
        return [line.split()[3] for line in lines]

    def statistic(self, device, name):
        """Reads one of the kernel's interface counters."""
        return int(self.run("cat", f"/sys/class/net/{device}/statistics/{name}").stdout)

    def bridge(self, name):
        """Makes a switch."""
        self.ip("link", "add", name, "type", "bridge", "mcast_snooping", 0)
        self.ip("link", "set", name, "up")
        # With br_netfilter a bridge reads IP: it would keep back malformed packets and put fragments together.
        if Path("/proc/sys/net/bridge").exists():
            self.sysctl("net.bridge.bridge-nf-call-iptables", 0)

    def count(self, device, chain, *before, **rules):
        """Counts arriving frames that match nftables expressions, one counter for each: see `counted`. Rules may go before them."""
        body = [f'{rule} counter comment "{name}"' for name, rule in rules.items()]
        self.nft(device, chain, "priority -450; policy accept;", *before, *body)

    def nft(self, device, chain, *lines):
        """Adds a chain at the place where frames arrive from a device."""
        text = "\n".join((f"table netdev lab {{\nchain {chain} {{", f"type filter hook ingress device {device} {lines[0]}",
                          *lines[1:], "}\n}\n"))
        self.run("nft", "-f", "-", input=text)

    def counted(self):
        """Returns the packets that each counter of this namespace has seen, by name."""
        listing = self.run("nft", "list", "table", "netdev", "lab").stdout
        counts = {}
        for line in listing.splitlines():
            if "counter packets" in line and 'comment "' in line:
                packets = int(line.split("counter packets ")[1].split()[0])
                counts[line.split('comment "')[1].split('"')[0]] = packets
        return counts


class Network:
    """All namespaces of a run."""

    def __init__(self, prefix):
        self.prefix = prefix
        self.namespaces = {}

    def namespace(self, name):
        """Makes a namespace."""
        made = Namespace(name, f"{self.prefix}-{name}")
        self.namespaces[name] = made
        return made

    def cable(self, one, one_device, other, other_device, address=None, master=None):
        """Connects two namespaces. `address` is for the first end; the second may go into the bridge `master`."""
        command("ip", "link", "add", one_device, "netns", one.full_name, "type", "veth",
                "peer", "name", other_device, "netns", other.full_name)
        if address:
            one.add_address(address, one_device)
        if master:
            other.ip("link", "set", other_device, "master", master)
        for end, device in ((one, one_device), (other, other_device)):
            # A veth hands over frames whose checksums are half done; behind a DPDK port nobody finishes them.
            end.run("ethtool", "-K", device, "tx", "off")
            end.ip("link", "set", device, "up")

    def remove(self):
        """Removes every namespace, with all that is in it."""
        for namespace in reversed(self.namespaces.values()):
            command("ip", "netns", "del", namespace.full_name, check=False)
        self.namespaces.clear()


def processes_of(prefix):
    """Returns the ids of all processes of a run: those that carry its mark, and those that are in its namespaces.

    nginx writes its title over the mark; a process outside of every namespace has only the mark.
    """
    mark = f"{MARK}={prefix}".encode()
    found = set()
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in path.read_bytes().split(b"\0"):
                found.add(int(path.parent.name))
        except OSError:
            pass  # gone in the meantime
    for name in namespaces_of(prefix):
        found |= set(map(int, command("ip", "netns", "pids", name, check=False).stdout.split()))
    return found - {os.getpid()}


def namespaces_of(prefix):
    """Returns the namespaces of a run that are still there."""
    listed = command("ip", "netns", "list").stdout.split("\n")
    return [line.split()[0] for line in listed if line.startswith(prefix + "-")]
