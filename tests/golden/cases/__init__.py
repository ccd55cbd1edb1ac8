"""The cases, one file a subject. Importing this package registers them all."""

from . import (  # noqa: F401
    arp,
    connections,
    direct,
    echo,
    every_port,
    expiry,
    host,
    kinds,
    limits,
    malformed_ip,
    malformed_link,
    malformed_transport,
    nat,
    one_packet,
    schedule,
    sctp,
    transit,
    tunnel,
    weights,
)
