"""An authority and two certificates of it for the name `lab`, one of which has expired: made by openssl."""

from ..kit.network import command

CA = """
[ca]
default_ca = authority
[authority]
dir = {folder}/authority
database = {folder}/authority/index
serial = {folder}/authority/serial
new_certs_dir = {folder}/authority
certificate = {folder}/ca.crt
private_key = {folder}/ca.key
default_md = sha256
policy = any
x509_extensions = server
[any]
commonName = supplied
[server]
subjectAltName = DNS:lab
[req]
distinguished_name = name
[name]
"""


def make_certificates(folder):
    """Writes ca.crt, good.crt and expired.crt, with their keys, into a folder."""
    authority = folder / "authority"
    authority.mkdir()
    (authority / "index").touch()
    (authority / "serial").write_text("01\n")
    config = authority / "openssl.cnf"
    config.write_text(CA.format(folder=folder))
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config", config)
    command("openssl", "req", "-x509", *key, "-keyout", folder / "ca.key", "-out", folder / "ca.crt", "-subj", "/CN=authority",
            "-addext", "basicConstraints=critical,CA:TRUE", "-days", 2)
    for name, dates in (("good", ("-days", "2")), ("expired", ("-startdate", "20240101000000Z", "-enddate", "20240201000000Z"))):
        command("openssl", "req", "-new", *key, "-keyout", folder / f"{name}.key", "-out", authority / f"{name}.csr", "-subj", f"/CN={name}")
        command("openssl", "ca", "-config", config, "-batch", "-notext", "-in", authority / f"{name}.csr", "-out", folder / f"{name}.crt", *dates)
