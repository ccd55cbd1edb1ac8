"""curl again and again: curls.py RATE FIRST_PORT VIP... Asks each VIP so often a second until SIGTERM, then prints one JSON list.

Each request is a curl of its own, from a port of its own, and begins whether the others have ended or not. curl tries nothing again.
"""

import itertools
import json
import signal
import subprocess
import sys
import time

PATIENCE = 2
LOWEST, HIGHEST = 40000, 65535  # beyond those that other programs choose by themselves
SAID = "%{http_code} %{time_total} %header{x-real-server}"


def main():
    rate, port, vips = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    running, told = [], []
    due, turn = time.monotonic(), itertools.cycle(vips)
    while not ended or running:
        if not ended and time.monotonic() >= due:
            due = max(due + 1 / (rate * len(vips)), time.monotonic() - 0.2)
            vip, port = next(turn), port + 1 if port < HIGHEST else LOWEST
            line = ["curl", "-sS", "--retry", "0", "--max-time", str(PATIENCE), "--local-port", str(port), "-H", "Connection: close",
                    "-o", "/dev/null", "-w", SAID, f"http://{vip}/index.html"]
            child = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            running.append((child, {"began": time.time(), "vip": vip, "port": port}))
        for child, request in [each for each in running if each[0].poll() is not None]:
            running.remove((child, request))
            said, error = child.communicate()
            status, took, server = (said + "  ").split(" ", 2)
            ok = child.returncode == 0 and status == "200"
            request |= {"ok": ok, "took": float(took or 0), "server": server.strip(),
                        "error": "" if ok else f"{status} {error.strip()}"}
            told.append(request)
        time.sleep(0.002)
    print(json.dumps(told))


main()
