"""Python's garbage collector in a server: which objects it looks at, and how long it stops everything else.

Nothing here waits for it: data are free of circles, and so is what belongs to a client once that is gone. It is there
for what others leave behind, and only ever looks at what is new.
"""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass

# New objects before the collector looks at those, and how often it does before it looks at older ones, too. The first
# two looks are at no more than 1,000 and 3,000 objects, which takes less than a millisecond; the third is at all of
# them, which stops the server for as long as it takes to touch every object.
_THRESHOLDS = (1_000, 2, 1_250_000)


@dataclass(frozen=True, slots=True)
class Collections:
    """What the collector has done since the process settled."""

    count: int
    total_ns: int
    longest_ns: int


class _Watch:
    """Called by the interpreter before and after each collection."""

    __slots__ = ("_began_ns", "count", "longest_ns", "total_ns")

    def __init__(self) -> None:
        self._began_ns = 0
        self.count = 0
        self.total_ns = 0
        self.longest_ns = 0

    def __call__(self, phase: str, _: dict[str, int]) -> None:
        now_ns = time.perf_counter_ns()
        if phase == "start":
            self._began_ns = now_ns
            return
        took_ns = now_ns - self._began_ns
        self.count += 1
        self.total_ns += took_ns
        self.longest_ns = max(self.longest_ns, took_ns)


_watch = _Watch()


def settle() -> None:
    """What lives now lives for long: no collection looks at it again."""
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
    if _watch not in gc.callbacks:
        gc.callbacks.append(_watch)


def collections() -> Collections:
    return Collections(_watch.count, _watch.total_ns, _watch.longest_ns)
