"""A whole machine as a part of a lab: a kernel and an initramfs, qemu around them, a line to give it commands."""
