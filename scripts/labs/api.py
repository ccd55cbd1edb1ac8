"""The API over HTTP: metrics for Prometheus, who may do what, and clients that mean no good while traffic goes on.

The network is that of the lab `forward`, by NAT. The director also listens on TCP, with a token, inside its namespace.
"""

import json
import subprocess
import time

from .kit import promtool
from .kit.network import command
from .kit.stage import CLIENT, HTTP, VIP, Stage

LISTEN = "127.0.0.1:9180"
TOKEN = "a-token-of-the-lab-0123456789"
REQUESTS = 60
IDLE = 200


def arguments(parser):
    """Adds this lab's options: none."""


def run(lab, _options):
    """Runs the lab."""
    stage = Stage(lab, [1], "adaptive", 0)
    token = lab.folder / "token"
    token.write_text(TOKEN + "\n")
    stage.director.api = [f'listen = "{LISTEN}"', f'token_file = "{token}"']
    stage.setup_servers("nat")
    try:
        stage.director.configure(stage.services("nat"))
        stage.director.start()
        requests(lab, stage, "requests go to the real servers")
        metrics(lab, stage)
        document(lab, stage)
        access(lab, stage)
        strangers(lab, stage)
    finally:
        code = stage.director.stop()
        stage.setup_servers("nat", "--undo")
    lab.report.check("millrace ends cleanly when asked", code == 0, f"exit {code}")


def requests(lab, stage, what):
    """A client's requests to the VIP."""
    done = command(*stage.client.inside(
        "curl", "-sS", "--interface", CLIENT, "-H", "Connection: close", "--max-time", 10, "-w", "%{http_code}\\n",
        *["-o", "/dev/null", f"http://{VIP}:{HTTP}/"] * REQUESTS), check=False)
    answered = done.stdout.split().count("200")
    lab.report.check(what, answered == REQUESTS, f"{answered} of {REQUESTS}")


def metrics(lab, stage):
    """Prometheus's own tool reads them, and they say what `millrace stats` says."""
    stats = stage.director.settled()
    text = told(stage, "/metrics")
    said = promtool.check(text)
    lab.report.check("promtool check metrics is content", not said, said or f"{len(text.splitlines())} lines")
    sums = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, value = line.split("{")[0].split()[0], float(line.rsplit(" ", 1)[1])
            sums[name] = sums.get(name, 0) + value
    real = sum(real["connections"] for service in stats["services"] for real in service["reals"])
    lab.report.check("connections of real servers are counted", sums["millrace_real_connections_total"] == real >= REQUESTS, real)
    received = sum(worker["received"] for worker in stats["workers"])
    ended = sums["millrace_worker_frames_total"] + sums["millrace_worker_waiting_frames"]
    lab.report.check("frames received = frames by outcome + waiting",
                     sums["millrace_worker_receive_frames_total"] == ended >= received, f"{ended:.0f}")


def told(stage, path):
    """Asks on the Unix socket; returns the answer."""
    return command("curl", "-sS", "--fail", "--unix-socket", stage.director.socket, f"http://millrace{path}").stdout


def document(lab, stage):
    """What the director answers has the keys that its own description of the API requires."""
    described = json.loads(told(stage, "/v1/openapi.json"))
    looked, missing = 0, []
    for path, methods in described["paths"].items():
        schema = methods.get("get", {}).get("responses", {}).get("200", {}).get("content", {}).get("application/json", {}).get("schema", {})
        if "$ref" in schema:
            answer, looked = json.loads(told(stage, path)), looked + 1
            required = described["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]["required"]
            missing += [f"{path} {key}" for key in required if key not in answer]
    lab.report.check("answers have what /v1/openapi.json says", looked >= 8 and not missing, missing or f"{looked} paths")


def asked(stage, path, *more):
    """Asks on TCP, inside the director's namespace; returns the status."""
    done = stage.director.namespace.run("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", 20, *more,
                                        f"http://{LISTEN}{path}", check=False)
    return done.stdout


def access(lab, stage):
    """What the token is for."""
    bearer = ("-H", f"Authorization: Bearer {TOKEN}")
    lab.report.check("without the token nothing is told", asked(stage, "/metrics") == "401", asked(stage, "/v1/stats"))
    wrong = asked(stage, "/v1/stats", "-H", f"Authorization: Bearer {TOKEN[:-1]}")
    lab.report.check("nor with a wrong one", wrong == "401", wrong)
    told, reloaded = asked(stage, "/metrics", *bearer), asked(stage, "/v1/reload", *bearer, "-X", "POST")
    lab.report.check("with it everything is", (told, reloaded) == ("200", "200"), f"{told} {reloaded}")


def strangers(lab, stage):
    """Clients that say nothing, talk garbage, send too much or stop in the middle."""
    inside = stage.director.namespace.inside
    crowd = lab.start(stage.director.namespace, "crowd", *lab.program("crowd.py"), *LISTEN.split(":"), IDLE)
    deadline = time.monotonic() + 10
    while "there" not in crowd.output():
        if time.monotonic() > deadline:
            raise RuntimeError(f"the crowd does not come: {crowd.output()}")
        time.sleep(0.05)
    requests(lab, stage, f"requests are answered while {IDLE} strangers stand at the listener")
    stats = json.loads(command(stage.director.program, "stats", "--json", "--socket", stage.director.socket).stdout)
    lab.report.check("the Unix socket answers meanwhile", stats["uptime_seconds"] > 0, f"{stats['uptime_seconds']:.0f} s")
    large = subprocess.run(list(map(str, inside("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", 60, "-H",
                                                f"Authorization: Bearer {TOKEN}", "-H", "Expect:", "-T", "-",
                                                f"http://{LISTEN}/v1/reload", "-X", "POST"))),
                           input=b"x" * (40 << 20), capture_output=True, check=False)
    # Who still sends when the answer is there may be cut off before it has read it.
    told = (large.stdout + b" " + large.stderr).decode()
    lab.report.check("40 MB are too much", large.stdout == b"413" or (large.stdout == b"000" and large.returncode in (55, 56)), told)
    told = asked(stage, "/v1/stats", "-H", f"Authorization: Bearer {TOKEN}")
    lab.report.check("who has the token gets in between them", told == "200", told)
    crowd.stop()
