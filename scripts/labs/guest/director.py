"""millrace in a guest."""

import json

FILE, LOG, PID, EXIT = "/etc/millrace/millrace.toml", "/tmp/log", "/tmp/pid", "/tmp/exit"

START = f"""
(millrace run -c {FILE} >{LOG} 2>&1 & echo $! >{PID}; wait $!; echo $? >{EXIT}) &
for _ in $(seq 200); do
    millrace stats --json >/tmp/stats 2>&1 && exit 0
    [ -e {EXIT} ] && break
    sleep 0.1
done
cat {LOG} /tmp/stats
exit 1
"""

STOP = f"""
kill -TERM $(cat {PID})
for _ in $(seq 300); do
    [ -e {EXIT} ] && exit 0
    sleep 0.1
done
echo "it does not end"
exit 1
"""


class Director:
    """The program, started as an operator would start it, without a service manager."""

    def __init__(self, guest):
        self.guest = guest

    def start(self, configuration):
        """Writes and checks the configuration, starts the program, and waits until it answers."""
        self.guest.write(FILE, configuration)
        self.guest.run(f"millrace check --machine -c {FILE}")
        self.guest.run(START)

    def stop(self):
        """Sends SIGTERM; returns the exit code."""
        self.guest.run(STOP)
        return int(self.guest.run(f"cat {EXIT}"))

    def stats(self):
        """Returns what it has counted."""
        return json.loads(self.guest.run("millrace stats --json"))

    def link(self, card):
        """Returns whether it sees a carrier on the card."""
        return next(port["link_up"] for port in self.stats()["ports"] if port["name"] == card.name)

    def outcome(self, name):
        """Returns how often frames ended in this way."""
        return self.stats()["outcomes"][name]["count"]

    def cores(self):
        """Returns on which cores each of its threads may run."""
        return self.guest.run(f"awk '/^Cpus_allowed_list/ {{ print $2 }}' /proc/$(cat {PID})/task/*/status").split()

    def log(self):
        """Returns what it has logged, line by line."""
        return self.guest.run(f"cat {LOG}").splitlines()

    def free_hugepages(self):
        """Returns how many hugepages of the guest nobody has."""
        return int(self.guest.run("awk '/HugePages_Free/ { print $2 }' /proc/meminfo"))
