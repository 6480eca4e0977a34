"""Which program takes which seat.

Nodes come in engines: ours, or the redis-server of this machine. Sentinels and the proxy are ours with both,
because Redis' own sentinels fail a master over by REPLICAOF, which a node in cluster mode refuses.
"""

from __future__ import annotations

import shutil
import sys

from lab.authority import Certificates
from lab.errors import LabError
from lab.topology import Role, Seat, Topology

# What each program's configuration file is called in its folder.
NODE_CONF = "redis.conf"
SENTINEL_CONF = "sentinel.conf"

# The interpreter that runs this command and not whatever `shardlab` the PATH has: they could differ.
_OURS = [sys.executable, "-m", "lab"]


def command(topology: Topology, seat: Seat, places: list[Seat], certs: Certificates | None = None) -> list[str]:
    """What starts the process of `seat`, in its folder; raises LabError when the program is not installed."""
    match seat.role:
        case Role.NODE if topology.engine == "redis":
            return [_installed("redis-server"), NODE_CONF]
        case Role.NODE:
            return [*_OURS, "server", NODE_CONF]
        case Role.SENTINEL:
            return [*_OURS, "sentinel", SENTINEL_CONF]
        case Role.PROXY:
            nodes = ",".join(f"{place.host}:{place.port}" for place in places if place.role is Role.NODE)
            words = ["--bind", seat.host, "--nodes", nodes]
            if certs is None:
                return [*_OURS, "proxy", *words, "--port", str(seat.port)]
            words += ["--port", "0", "--tls-port", str(seat.port), "--tls-cluster", "yes"]
            for line in certs.directives():
                words += f"--{line}".split(" ", 1)
            return [*_OURS, "proxy", *words]


def shardlab_argv(command: list[str]) -> list[str] | None:
    """What such a command gives the program `shardlab`; None when it starts another program."""
    return command[len(_OURS) :] if command[: len(_OURS)] == _OURS else None


def _installed(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise LabError(
            f"the engine redis needs {program}, which is not installed (Debian: apt-get install redis-server)"
        )
    return path
