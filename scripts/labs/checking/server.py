"""A real server whose nginx can be made to fail in every way."""

import os
import signal
import time
from pathlib import Path

from ..kit.lab import ROOT

PORTS, TLS_PORTS = (80, 81, 8080, 8081), (443,)
WELL = 'return 200 "well\\n";'
PATIENCE = 5
VIP_NET = "203.0.113.0/24"

NGINX = """
daemon off; user root; worker_processes 1; pid {folder}/nginx.pid; error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
    access_log off; default_type text/plain; server_tokens off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        {listen}
        ssl_certificate {certificate}.crt; ssl_certificate_key {certificate}.key;
        add_header X-Real-Server {name} always;
        location / {{ root {documents}; }}
        location /slow/ {{ alias {documents}/; limit_rate 20k; }}
        location = /health {{ {health} }}
    }}
}}
"""


class Server:
    """One real server: nginx on both the VIPs' port and the one that NAT changes it to."""

    def __init__(self, place, name, address):
        self.place = place
        self.name = name
        self.address = address
        self.namespace = place.network.namespace(name)
        self.folder = place.lab.folder / name
        self.folder.mkdir()
        self.process = None
        self.health, self.certificate = WELL, "good"
        self.vips = []

    def setup(self, method, target):
        """Runs scripts/real-server-setup on it, as an operator would."""
        self.namespace.run(ROOT / "scripts" / "real-server-setup", method, target, "--state", self.folder / method)

    def _write(self):
        listen = " ".join([f"listen {port};" for port in PORTS] + [f"listen {port} ssl;" for port in TLS_PORTS])
        (self.folder / "nginx.conf").write_text(NGINX.format(
            folder=self.folder, name=self.name, documents=self.place.documents, listen=listen, health=self.health,
            certificate=self.place.lab.folder / self.certificate))

    def start(self):
        """Starts nginx, and waits until it listens."""
        self._write()
        self.process = self.place.lab.start(self.namespace, f"{self.name}-nginx", "nginx", "-e", "stderr", "-c",
                                            self.folder / "nginx.conf")
        self._until(lambda: self.ask() == "200 well")

    def ask(self):
        """Returns what it says of its health on its own host."""
        done = self.namespace.run("curl", "-sS", "--max-time", 1, "-w", "%{http_code} ", "-o", self.folder / "said",
                                  f"http://{self.address}/health", check=False)
        return done.stdout + (self.folder / "said").read_text().strip() if done.returncode == 0 else ""

    def _until(self, so):
        deadline = time.monotonic() + PATIENCE
        while not so():
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} is not as it should be: {self.process.output()[-500:]}")
            time.sleep(0.02)

    def _pids(self):
        master = self.process.pid
        children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        return [master, *map(int, children)]

    def _signal(self, number):
        for pid in self._pids():
            os.kill(pid, number)

    def say(self, health=WELL, certificate="good"):
        """Has it answer checks otherwise from now on; connections that there are go on."""
        self.health, self.certificate = health, certificate
        self._write()
        before = set(self._pids())
        os.kill(self.process.pid, signal.SIGHUP)
        # The new worker answers once it is there.
        self._until(lambda: set(self._pids()) - before)

    def kill(self):
        """Kills nginx, master and worker."""
        self._signal(signal.SIGKILL)
        self.process.handle.wait()

    def stop(self):
        """Stops nginx in its tracks: the kernel still takes connections."""
        self._signal(signal.SIGSTOP)

    def go_on(self):
        """Lets it go on."""
        self._signal(signal.SIGCONT)

    def drop(self):
        """Has its firewall drop what comes for nginx."""
        self._wall(f"tcp dport {{ {', '.join(map(str, PORTS + TLS_PORTS))} }} drop")

    def deny(self, source, port, verdict):
        """Has its firewall give its verdict on what comes from one host for a port, and on nothing else."""
        self._wall(f"ip saddr {source} tcp dport {port} {verdict}")

    def _wall(self, rule):
        rules = f"table ip wall {{\nchain in {{\ntype filter hook input priority 0;\n{rule}\n}}\n}}\n"
        self.namespace.run("nft", "-f", "-", input=rules)

    def open(self):
        """Takes the firewall away."""
        self.namespace.run("nft", "delete", "table", "ip", "wall")

    def lose_vips(self):
        """Takes the VIPs off it."""
        for line in self.namespace.ip("-o", "-4", "addr", "show", "to", VIP_NET).stdout.splitlines():
            _, device, _, address, *_ = line.split()
            self.vips.append((device, address))
            self.namespace.ip("addr", "del", address, "dev", device)

    def take_vips(self):
        """Puts them back."""
        while self.vips:
            device, address = self.vips.pop()
            self.namespace.ip("addr", "add", address, "dev", device)

    def link(self, state):
        """Plugs its cable in (up) or out (down), at the switch."""
        self.place.switch.ip("link", "set", self.name, state)
