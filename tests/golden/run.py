"""The golden tests: crafted packets through `millrace replay`, compared octet by octet. Call it by `scripts/golden`.

One line a case, and a closing line `golden: N passed, N failed`. Exit status 0 only if every case passed. A failed case's
files (configuration, captures, counters, log) stay in its folder, which is named.
"""

import argparse
import shutil
import sys
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from zlib import crc32

import cases  # noqa: F401
import judge_test
from capture import write_capture
from decoder import second_opinion
from judge import comparable, summary
from packets import arp_request
from replay import Verdict, replay
from scenario import build_all
from seeds import write_seeds

SEEDS = 3
AT_A_TIME = 4  # each waits half of its time: the EAL measures its clock


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/golden", description=__doc__.split("\n\n")[0])
    parser.add_argument("filter", nargs="?", default="", help="only cases whose name contains this")
    parser.add_argument("--workers", type=int, default=1, help="deal the frames to this many workers")
    parser.add_argument("--seed", type=int, default=0, help="how frames are dealt to several workers; else one of three, by the case")
    parser.add_argument("--list", action="store_true", help="name the cases and what they show")
    parser.add_argument("--show", action="store_true", help="print what comes and must leave, and let tshark judge it")
    parser.add_argument("--seeds", action="store_true", help="write what comes as seeds of the fuzz target")
    parser.add_argument("--millrace", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, required=True, help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    options = arguments()
    chosen = [s for s in build_all(options.filter) if options.workers == 1 or not s.single_worker]
    if options.list:
        for scenario in chosen:
            print(f"{scenario.name}\n    {scenario.about}")
        return 0
    if not chosen:
        print(f"no case's name contains {options.filter!r}")
        return 2
    if options.seeds:
        print(f"{write_seeds(chosen, options.folder)} seeds: {options.folder}")
        return 0
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.show:
        return show(chosen, options.folder)
    passed, failed = run(chosen, options)
    print(f"golden: {passed} passed, {failed} failed")
    return 1 if failed else 0


def run(chosen, options):
    """Runs the judge's own test and the chosen cases, and returns how many passed and failed."""
    # One look at the judge is enough where there are several runs.
    own = unittest.TextTestRunner(stream=sys.stderr, verbosity=0, failfast=True)
    tests = unittest.defaultTestLoader.loadTestsFromModule(judge_test)
    sound = options.workers > 1 or own.run(tests).wasSuccessful()
    print(f"{'ok  ' if sound else 'FAIL'} the judge notices every changed octet and every lost frame")

    def one(scenario):
        folder = options.folder / scenario.name.replace("/", ".")
        seed = options.seed or 1 + crc32(scenario.name.encode()) % SEEDS
        return replay(scenario, options.millrace, folder, options.workers, seed)

    verdicts = []
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        for verdict in pool.map(one, chosen):
            verdicts.append(verdict)
            report(verdict)
    opposed = tshark_opposes(verdicts, options.folder)
    for verdict in opposed:
        report(verdict)
    failed = {v.scenario.name for v in verdicts + opposed if v.faults}
    for verdict in verdicts:
        if verdict.scenario.name not in failed:
            shutil.rmtree(options.folder / verdict.scenario.name.replace("/", "."))
    if failed:
        print(f"files of the failed cases: {options.folder}")
    return len(verdicts) - len(failed) + sound, len(failed) + (not sound)


def report(verdict):
    print(f"{'FAIL' if verdict.faults else 'ok  '} {verdict.scenario.name}", flush=True)
    for fault in verdict.faults:
        print(f"     {fault}")


def tshark_opposes(verdicts, folder):
    """Lets tshark judge all frames that left, and returns the verdicts of cases that it has something against."""
    owners, frames = [], []
    for verdict in verdicts:
        must = [said for frames in verdict.scenario.said.values() for said in frames if said.broken_sum]
        broken = {comparable(said.octets, said.free_id) for said in must}
        for octets in (o for port in verdict.left.values() for o in port):
            owners.append((verdict.scenario, not broken.isdisjoint(comparable(octets, free) for free in (False, True))))
            frames.append(octets)
    faults = {}
    seen_broken = set()
    for number, text in opinions(frames, folder / "left.pcap"):
        scenario, is_broken = owners[number]
        if is_broken:
            seen_broken.add(number)
        else:
            faults.setdefault(scenario.name, Verdict(scenario, [], {})).faults.append(f"tshark: {text}: {frames[number].hex()}")
    for number, (scenario, is_broken) in enumerate(owners):
        if is_broken and number not in seen_broken:
            faults.setdefault(scenario.name, Verdict(scenario, [], {})).faults.append("tshark: a wrong sum was mended")
    print(f"tshark decoded {len(frames)} frames that left, and has something against {len(faults)} cases")
    return list(faults.values())


def opinions(frames, capture):
    """Returns tshark's opinions, after proving on one bad frame that tshark was listening."""
    canary = bytearray(arp_request("02:00:00:00:00:09", "192.0.2.9", "192.0.2.8"))
    canary[18] = 200
    write_capture(capture, enumerate([*frames, bytes(canary)]))
    found = second_opinion(capture)
    assert any(number == len(frames) for number, _ in found), "tshark did not notice a malformed frame"
    return [(number, text) for number, text in found if number < len(frames)]


def show(chosen, folder):
    """Prints what comes and what must leave, and tshark's opinion of the expectations."""
    frames = []
    for scenario in chosen:
        print(f"{scenario.name}: {scenario.about}")
        for heard in scenario.heard:
            print(f"  {heard.micros / 1e6:12.6f} {heard.port} <- {summary(heard.octets)}")
        for port, must in scenario.said.items():
            for said in scenario.announcements(port) + must:
                print(f"  {port} -> {summary(said.octets)}{' (id free)' if said.free_id else ''}")
                if not said.broken_sum:
                    frames.append((scenario.name, said.octets))
        print(f"  {dict(scenario.outcomes)}")
    against = opinions([octets for _, octets in frames], folder / "expected.pcap")
    for number, text in against:
        print(f"tshark: {frames[number][0]}: {text}")
    print(f"{len(chosen)} cases, {len(frames)} frames must leave; tshark has something against {len(against)}")
    return 1 if against else 0


if __name__ == "__main__":
    sys.exit(main())
