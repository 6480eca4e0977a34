"""Free ports for servers that tests start, apart from those of other test runs on this machine.

A lab takes ports at its base, at +100 and at +200, and its nodes' buses at +10000. A base is held by a lock file for as
long as this process lives, so that two test runs never try the same one; the few that it holds are handed out in turn.
All lie below the range from which the kernel takes ports for outgoing connections (32768 and up on Linux): a port
that was free a moment ago stays free.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path

from lab import ports
from lab.topology import Topology, seats

# 17000 and up belong to the container tests. Labs whose bases are 25 apart interleave without meeting: none in a test
# has more than 25 processes of a kind.
_BASES = [block + shift for block in range(11_000, 16_800, 300) for shift in (0, 25, 50, 75)]
# As many as are in use at once, and some more for ports that stay taken for a while after a test.
_HOLD_MAX = 6
# The bases that this process holds, longest unused first, with their lock file's descriptor (closed at its end).
_held: dict[int, int] = {}


def free_base(topology: Topology | None = None) -> int:
    """A port base on which every port of such a lab (six nodes, unless told otherwise) is free."""
    mine = list(_held)
    others = [base for base in _BASES if base not in _held]
    for base in [*mine, *others] if len(mine) >= _HOLD_MAX else [*others, *mine]:
        wanted = (topology or Topology()).model_copy(update={"port_base": base})
        if _hold(base) and not ports.taken(seats(wanted)):
            _held[base] = _held.pop(base)
            return base
    raise AssertionError("no free ports left for tests")


def _hold(base: int) -> bool:
    if base in _held:
        return True
    fd = os.open(Path(tempfile.gettempdir()) / f"shardlab-tests-{base}.lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return False
    _held[base] = fd
    return True
