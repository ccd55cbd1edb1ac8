"""Prometheus's tool that checks metrics: the one that is installed, or the one that `scripts/setup --test` fetched."""

import shutil
import subprocess

from .lab import ROOT


def check(text):
    """Returns what `promtool check metrics` has to say about a page of metrics; nothing if it is content."""
    program = shutil.which("promtool") or ROOT / "target" / "tools" / "promtool"
    done = subprocess.run([program, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip() or (f"exit {done.returncode}" if done.returncode else "")
