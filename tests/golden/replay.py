"""One case through `millrace replay`: its captures and configuration written, what left and the counters read."""

import json
import subprocess
from dataclasses import dataclass

from capture import read_capture, write_capture
from judge import judge
from network import speaking

TIME_LIMIT = 240


@dataclass
class Verdict:
    """How a case went."""

    scenario: object
    faults: list
    left: dict


def replay(scenario, millrace, folder, workers, seed):
    """Runs one case and judges it. `folder` keeps all its files."""
    folder.mkdir(parents=True, exist_ok=True)
    with speaking(scenario.family):
        command = prepare(scenario, millrace, folder, workers, seed)
    nothing = {port: [] for port in scenario.said}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIME_LIMIT, cwd=folder)
    except subprocess.TimeoutExpired:
        return Verdict(scenario, [f"no end after {TIME_LIMIT} s: {' '.join(command)}"], nothing)
    (folder / "log").write_text(done.stdout + done.stderr)
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip().splitlines()[-5:]
        return Verdict(scenario, [f"exit status {done.returncode}: {' '.join(command)}", *said], nothing)
    left = {port: read_capture(folder / f"{port}.out.pcap") for port in scenario.said}
    faults = judge(scenario, left, workers) + judge_counters(scenario, folder / "stats.json")
    return Verdict(scenario, faults, left)


def prepare(scenario, millrace, folder, workers, seed):
    """Writes the input files and returns the command."""
    (folder / "config.toml").write_text(scenario.config.toml())
    command = [str(millrace), "replay", "-c", "config.toml", "--stats", "stats.json"]
    for lane in scenario.config.lanes():
        heard = [(h.micros, h.octets) for h in scenario.heard if h.port == lane]
        write_capture(folder / f"{lane}.in.pcap", heard)
        command += ["--in", f"{lane}={lane}.in.pcap", "--out", f"{lane}={lane}.out.pcap"]
        (folder / f"{lane}.out.pcap").unlink(missing_ok=True)
    first = min((h.micros for h in scenario.heard), default=0)
    for number, (micros, config) in enumerate(scenario.reloads):
        (folder / f"reload{number}.toml").write_text(config.toml())
        command += ["--reload", f"{(micros - first) / 1e6:.6f}=reload{number}.toml"]
    return command + (["--workers", str(workers), "--seed", str(seed)] if workers > 1 else [])


def judge_counters(scenario, path):
    """Returns what is wrong with the counters: every frame has exactly the outcome that the case names."""
    report = json.loads(path.read_text())
    counted = {name: entry["count"] for name, entry in report["outcomes"].items() if entry["count"]}
    wanted = dict(scenario.outcomes)
    faults = [
        f"counter {name}: {counted.get(name, 0)}, must be {wanted.get(name, 0)}"
        for name in sorted(counted.keys() | wanted.keys())
        if counted.get(name, 0) != wanted.get(name, 0)
    ]
    if sum(counted.values()) != len(scenario.heard):
        faults.append(f"{len(scenario.heard)} frames came, outcomes count {sum(counted.values())}")
    return faults
