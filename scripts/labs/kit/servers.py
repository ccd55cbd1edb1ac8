"""Real servers: nginx over one document root that all share, iperf3, a UDP echo, FTP; and what makes them real servers."""

from .lab import ROOT

NGINX = """
daemon off; user root; worker_processes 1; pid {folder}/nginx.pid; error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    access_log off; default_type application/octet-stream; server_tokens off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        {listen}
        add_header X-Real-Server {name} always;
        location / {{ root {documents}; }}
        location /slow/ {{ alias {documents}/; limit_rate 20k; }}
        location /upload/ {{ root {documents}; dav_methods PUT; client_max_body_size 0; }}
    }}
}}
"""


class RealServer:
    """One real server. Its services listen wherever an address of its namespace is spoken to."""

    def __init__(self, lab, namespace, address, documents):
        self.lab = lab
        self.namespace = namespace
        self.name = namespace.name
        self.address = address
        self.documents = documents
        self.folder = lab.folder / self.name
        self.folder.mkdir()

    def start_nginx(self, ports, ipv6=False):
        """Serves the shared documents, naming itself in a header; takes uploads."""
        listen = " ".join(f"listen {port};" + (f" listen [::]:{port} ipv6only=on;" if ipv6 else "") for port in ports)
        conf = self.folder / "nginx.conf"
        conf.write_text(NGINX.format(folder=self.folder, name=self.name, documents=self.documents, listen=listen))
        self.lab.start(self.namespace, f"{self.name}-nginx", "nginx", "-e", "stderr", "-c", conf)

    def start_iperf3(self, port):
        """Measures TCP."""
        self.lab.start(self.namespace, f"{self.name}-iperf3", "iperf3", "-s", "-p", port)

    def start_echo(self, sockets):
        """Sends back every datagram to these (address, port), from the address it was sent to."""
        self.lab.start(self.namespace, f"{self.name}-echo", *self.lab.program("udp_echo.py"),
                       *(f"[{address}]:{port}" for address, port in sockets))

    def start_ftp(self, port):
        """Serves the shared documents to anybody, by FTP."""
        # Debian's Python, which has the package.
        self.lab.start(self.namespace, f"{self.name}-ftp", "/usr/bin/python3", "-m", "pyftpdlib", "-p", port, "-d",
                       self.documents)

    def setup(self, *arguments, check=True):
        """Runs scripts/real-server-setup on this server, as an operator would."""
        return self.namespace.run(ROOT / "scripts" / "real-server-setup", *arguments, "--state", self.folder / "state",
                                  check=check)


def make_documents(folder, megabytes):
    """Makes the document root that all real servers share: a page, a large file, a place for uploads."""
    documents = folder / "documents"
    (documents / "upload").mkdir(parents=True)
    (documents / "index.html").write_text("<h1>millrace</h1>\n")
    if megabytes:
        with open("/dev/urandom", "rb") as source, open(documents / "large", "wb") as target:
            for _ in range(megabytes):
                target.write(source.read(1 << 20))
    return documents


