"""Readings of time that are not timers.

Timers and durations that steer behaviour use the running loop's ``time()`` and ``call_at``. What
leaves the process as an absolute time (expiry, stream ids, TIME) is `Clock.wall_ms`, which a
simulation can skew; what is shown to people as a duration (slow log, latency) is `Clock.perf_ns`,
because uvloop's ``time()`` moves in steps of 1 ms.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Wall time and a precise stopwatch."""

    def wall_ms(self) -> int:
        """Unix time in milliseconds."""
        ...

    def wall_us(self) -> int:
        """Unix time in microseconds."""
        ...

    def perf_ns(self) -> int:
        """A monotonic reading in nanoseconds; only differences mean anything."""
        ...


class SystemClock:
    """The machine's own clocks."""

    __slots__ = ()

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def wall_us(self) -> int:
        return time.time_ns() // 1_000

    # Read for every command: bound without a Python function in between.
    perf_ns = staticmethod(time.perf_counter_ns)
