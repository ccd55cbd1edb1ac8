"""What a guest boots: a kernel, and an initramfs made of this machine's own programs.

The kernel is Debian's, for it has e1000e, vfio and ip_vs as modules; what is needed of its package is kept in a cache
directory, and nothing of it is installed. Everything else comes from this machine, each file at its own path and with
the same links. For DPDK that matters: a driver that is there twice is registered twice, and the EAL stops.
"""

import gzip
import hashlib
import os
import re
import shutil
import stat
import subprocess
import tarfile
from pathlib import Path

KERNEL_PACKAGE = "linux-image-amd64"

KERNEL_MODULES = {
    "crc32c_generic", "e1000e", "ip_vs", "ip_vs_dh", "ip_vs_fo", "ip_vs_lblc", "ip_vs_lblcr", "ip_vs_lc", "ip_vs_mh", "ip_vs_nq",
    "ip_vs_ovf", "ip_vs_rr", "ip_vs_sed", "ip_vs_sh", "ip_vs_wlc", "ip_vs_wrr", "irqbypass", "libcrc32c", "macvlan",
    "nf_conntrack", "nf_defrag_ipv4", "nf_defrag_ipv6", "veth", "vfio", "vfio-pci", "vfio-pci-core", "vfio_iommu_type1", "vfio_virqfd", "virtio",
    "virtio_console", "virtio_pci", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_ring",
}  # fmt: skip

# Part of a kept kernel's name: one that was kept with other modules is not found.
MODULES_MARK = hashlib.sha256(" ".join(sorted(KERNEL_MODULES)).encode()).hexdigest()[:8]

DPDK_DRIVERS = ("bus_pci", "bus_vdev", "mempool_ring", "net_e1000")

# busybox has these too, but its shell prefers its own commands, and its modprobe knows no soft dependencies: vfio
# would come without vfio_iommu_type1.
PROGRAMS = ("bash", "sh", "ip", "kmod", "modprobe", "lsmod")


class Kernel:
    """A kernel and its modules, as kept in the cache."""

    def __init__(self, directory):
        self.image = directory / "vmlinuz"
        self.modules = next(directory.glob("lib/modules/*"))
        self.release = self.modules.name


def kernel():
    """Returns the kernel in the cache; the first time, one of 70 MB is fetched by apt."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "millrace"
    kept = sorted(cache.glob(f"linux-image-*+{MODULES_MARK}"), key=lambda path: path.stat().st_mtime)
    if kept:
        return Kernel(kept[-1])
    # Lists that are older than the archive name older kernels, whose IPVS is another: before 6.1.192, or a little earlier, one
    # with other thresholds took one connection more than they allow.
    subprocess.run(["apt-get", "-qq", "update"], check=True)
    return Kernel(fetch_kernel(cache))


def fetch_kernel(cache):
    """Downloads Debian's newest kernel and keeps what is needed of it; returns where."""
    depends = ["apt-cache", "depends", "--important", KERNEL_PACKAGE]
    said = subprocess.run(depends, capture_output=True, text=True, check=True).stdout
    found = re.search(r"Depends: (linux-image-\S+)", said)
    if not found:
        raise RuntimeError(f"apt knows no package {KERNEL_PACKAGE}")
    unpacking = cache / f".unpacking-{os.getpid()}"
    unpacking.mkdir(parents=True)
    try:
        subprocess.run(
            ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", found[1]], cwd=unpacking, check=True
        )
        (deb,) = unpacking.glob("*.deb")
        unpack_kernel(deb, unpacking)
        deb.unlink()
        return unpacking.rename(cache / f"{found[1]}+{MODULES_MARK}")
    finally:
        shutil.rmtree(unpacking, ignore_errors=True)


def unpack_kernel(deb, directory):
    """Takes the kernel, the wanted modules and what depmod reads out of a package, and lets depmod index them."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as dpkg:
        with tarfile.open(fileobj=dpkg.stdout, mode="r|") as files:
            for entry in filter(tarfile.TarInfo.isfile, files):
                name = Path(entry.name.removeprefix("./"))
                if name.match("boot/vmlinuz-*"):
                    target = directory / "vmlinuz"
                elif name.match("modules.*") or name.name.partition(".ko")[0] in KERNEL_MODULES:
                    target = directory / name
                else:
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(files.extractfile(entry).read())
    (modules,) = directory.glob("lib/modules/*")
    subprocess.run(["depmod", "-b", directory, modules.name], check=True)


class Image:
    """An initramfs in the making: what is at each path of the guest."""

    def __init__(self):
        self.entries = {}  # path without its leading "/" -> mode, content, device numbers
        for path in ("/bin", "/sbin", "/lib", "/lib64"):
            if os.path.islink(path):
                self.add_link(path, os.readlink(path))
        self.add_directory("/dev")
        self.entries["dev/console"] = (stat.S_IFCHR | 0o600, b"", (5, 1))

    def add_directory(self, path):
        """Adds a directory and those above it."""
        parts = path.strip("/").split("/")
        for depth in range(1, len(parts) + 1):
            self.entries.setdefault("/".join(parts[:depth]), (stat.S_IFDIR | 0o755, b"", (0, 0)))

    def add_link(self, path, target):
        """Adds a symbolic link."""
        self._add(path, (stat.S_IFLNK | 0o777, os.fsencode(target), (0, 0)))

    def add_file(self, path, content, mode=0o644):
        """Adds a file."""
        self._add(path, (stat.S_IFREG | mode, content, (0, 0)))

    def _add(self, path, entry):
        # The directory by its real name: /bin is usually a link to /usr/bin.
        directory = os.path.realpath(os.path.dirname(path))
        if directory != "/":
            self.add_directory(directory)
        self.entries[os.path.join(directory, os.path.basename(path)).strip("/")] = entry

    def add_host(self, path):
        """Adds a file of this machine at its own path; a link as a link, and the file that it leads to."""
        while os.path.islink(path):
            target = os.readlink(path)
            self.add_link(path, target)
            path = os.path.join(os.path.realpath(os.path.dirname(path)), target)
        path = os.path.realpath(path)
        if path.strip("/") not in self.entries:
            self.add_file(path, Path(path).read_bytes(), 0o755 if os.access(path, os.X_OK) else 0o644)

    def add_program(self, path, installed=None):
        """Adds a program or library of this machine and the libraries it loads; at another path if `installed`."""
        if installed:
            self.add_file(installed, Path(path).read_bytes(), 0o755)
        else:
            self.add_host(path)
        said = subprocess.run(["ldd", path], capture_output=True, text=True).stdout
        for library in re.findall(r"(/\S+) \(0x", said):
            self.add_host(library)

    def add_busybox(self):
        """Adds busybox, and each of its commands that is not there yet."""
        image = self.entries
        self.add_host("/bin/busybox")
        said = subprocess.run(["/bin/busybox", "--list"], capture_output=True, text=True, check=True).stdout
        for name in said.split():
            if not {f"{place}/{name}" for place in ("bin", "sbin", "usr/bin", "usr/sbin")} & image.keys():
                self.add_link(f"/usr/bin/{name}", "/bin/busybox")

    def write(self, path):
        """Writes the archive as the kernel reads it (its documentation: "initramfs buffer format"), compressed."""
        with gzip.open(path, "wb", compresslevel=1) as out:
            for number, (name, (mode, content, device)) in enumerate(self.entries.items(), start=1):
                out.write(archive_entry(name, number, mode, content, device))
            out.write(archive_entry("TRAILER!!!", 0, 0, b"", (0, 0)))


def archive_entry(name, number, mode, content, device):
    """Returns one entry of an archive: 13 numbers, the path and the content, each padded to four octets."""
    path = os.fsencode(name) + b"\0"
    numbers = (number, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(path), 0)
    head = b"070701" + b"".join(b"%08X" % each for each in numbers) + path
    return head + bytes(-len(head) % 4) + content + bytes(-len(content) % 4)


def driver_directory():
    """Returns the directory from which the EAL loads its drivers."""
    ask = ["pkg-config", "--variable=libdir", "libdpdk"]
    libraries = Path(subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip())
    return max(libraries.glob("dpdk/pmds-*"))


def build(path, kernel, programs, files, commands=(), drivers=DPDK_DRIVERS):
    """Writes an initramfs: `programs` of this machine by their paths in the guest, `files` (content, mode), more commands
    of this machine, and DPDK's drivers."""
    image = Image()
    for directory in ("/proc", "/sys", "/tmp", "/run", "/root"):
        image.add_directory(directory)
    image.add_link("/var/run", "/run")
    for program in (*PROGRAMS, *commands):
        image.add_program(shutil.which(program))
    for driver in drivers:
        for name in sorted(driver_directory().glob(f"librte_{driver}.so*")):
            image.add_program(str(name))
    for there, here in programs.items():
        image.add_program(str(here), there)
    for name in filter(Path.is_file, kernel.modules.rglob("*")):
        image.add_file(f"/lib/modules/{kernel.release}/{name.relative_to(kernel.modules)}", name.read_bytes())
    image.add_file("/init", (Path(__file__).parent / "init").read_bytes(), 0o755)
    for there, (content, mode) in files.items():
        image.add_file(there, content, mode)
    image.add_busybox()
    image.write(path)
