"""The memory of a large world in huge pages.

A hundred nodes are half a gigabyte of small objects, and each event touches some in a hundred places. A processor
remembers where two thousand pages are: with pages of 4 kB it spends a good part of its time looking others up. Linux
can move what is there into pages of 2 MB (`MADV_COLLAPSE`, from 6.1 on, whatever the settings for huge pages are).
Where it cannot, all goes on as before, only slower; nothing in a world depends on it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

# From <linux/mman.h>.
_MADV_COLLAPSE = 25
_HUGE = 2 * 1024 * 1024
# Smaller processes have nothing to gain; larger ones look again when they have grown by so much.
_WORTH_BYTES = 256 * 1024 * 1024
_GROWTH = 1.25


class HugePages:
    """Looks after the memory of this process."""

    __slots__ = ("_next_bytes", "_possible")

    def __init__(self) -> None:
        self._possible = sys.platform == "linux"
        # The resident size at which there is something to move.
        self._next_bytes = float(_WORTH_BYTES)

    def look(self) -> None:
        """Move what has grown since the last look, if that is worth the time: some milliseconds a megabyte."""
        if not self._possible:
            return
        resident = _resident_bytes()
        if resident >= self._next_bytes:
            self._next_bytes = resident * _GROWTH
            self._possible = _move()


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _move() -> bool:
    """Move all private memory without a file behind it; False where this kernel cannot."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for line in Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines():
        span, access, _, _, _, *name = line.split(maxsplit=5)
        if access != "rw-p" or name not in ([], ["[heap]"]):
            continue
        begin, end = (int(address, 16) for address in span.split("-"))
        first, last = -(-begin // _HUGE) * _HUGE, end // _HUGE * _HUGE
        # Short of memory in one place is no reason not to try the next.
        if first < last and libc.madvise(first, last - first, _MADV_COLLAPSE) and ctypes.get_errno() == errno.EINVAL:
            return False
    return True
