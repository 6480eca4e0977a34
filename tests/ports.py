"""Free ports for servers that tests start, apart from those of other test runs on this machine.

A lab takes ports at its base, at +100 and at +200, and its nodes' buses at +10000. Bases are handed out in steps, each
held by a lock file for as long as this process lives, so that two test runs never try the same one. All of them lie
below the range from which the kernel takes ports for outgoing connections (32768 and up on Linux): a port that
was free a moment ago stays free.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path

from lab import ports
from lab.topology import Topology, seats

_FIRST, _LAST, _STEP = 11_000, 20_900, 300
_held: list[int] = []


def free_base(topology: Topology | None = None) -> int:
    """A port base on which every port of such a lab (six nodes, unless told otherwise) is free; not given out twice."""
    for base in range(_FIRST, _LAST, _STEP):
        fd = os.open(Path(tempfile.gettempdir()) / f"shardlab-tests-{base}.lock", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            continue
        wanted = (topology or Topology()).model_copy(update={"port_base": base})
        if ports.taken(seats(wanted)):
            os.close(fd)
            continue
        # Kept open: the lock ends with this process, however it ends.
        _held.append(fd)
        return base
    raise AssertionError("no free ports left for tests")
