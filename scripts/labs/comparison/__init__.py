"""Packet sequences played into millrace and into the Linux kernel's IPVS: what is played, by whom, and what differs."""
