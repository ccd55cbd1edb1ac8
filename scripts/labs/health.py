"""Real servers that fail leave, and come back: each way to fail, by each method, under load; many servers; bad ones.

    198.51.100.0/24                    192.0.2.0/24        10.0.0.0/24
    client .10 ──── .1 router .1 ─────────── .2 director .1 ──┬─── .11 r1   nginx each, behind three VIPs at once:
                         │                wan0     lan0       ├─── .12 r2   203.0.113.10 by NAT, .11 by tunnel,
                         │                  └─ host ─┘        ├─── .13 r3   .12 by direct routing
                         └─ .254 ─────────────────────────────┼─── .98 sorry server
                                                              └─── .99 farm: every address of 10.64.0.0/16

The host checks the real servers over lan0, the twin of the director's port.
"""

from .checking.bad import Bad
from .checking.faults import Faults
from .checking.many import Many
from .checking.observed import Observed
from .checking.place import Place
from .checking.pools import Connections, Flapping, Maintenance, Quorums, Stopped

PARTS = {"faults": Faults, "connections": Connections, "quorums": Quorums, "maintenance": Maintenance, "flapping": Flapping,
         "observed": Observed, "many": Many, "bad": Bad, "stopped": Stopped}


def arguments(parser):
    """Adds this lab's options."""
    parser.add_argument("--workers", default="1", help="the director's workers, as CPU cores (default: 1)")
    parser.add_argument("--quick", action="store_true", help="shorter measurements")
    parser.add_argument("--only", metavar="PART,...", default=",".join(PARTS), help=f"only these parts: {', '.join(PARTS)}")


def run(lab, options):
    """Runs the lab."""
    Many.quick = Bad.quick = options.quick
    place = Place(lab, [int(core) for core in options.workers.split(",")])
    for name in options.only.split(","):
        part = PARTS[name](place)
        print(f"\n{part.run.__doc__.splitlines()[0]}")
        part.run()
