"""What held the server up: `latency-monitor-threshold`, and the events that LATENCY shows.

Whoever may stop the loop for long (commands, the expiry cycle, eviction, a fork, the append-only file) measures that
with the clock and tells it here by the event's name, which is Redis'. Of each event the worst sample of a second is
kept, the last 160 of them, and the worst of all.
"""

from __future__ import annotations

from collections import deque

from runtime.clock import Clock

_SAMPLES_MAX = 160
_NS_PER_MS = 1_000_000
# A threshold that nothing reaches.
NEVER_NS = 1 << 62


class Series:
    """The samples of one event."""

    __slots__ = ("samples", "worst_ms")

    def __init__(self) -> None:
        # Second and milliseconds, the oldest first.
        self.samples: deque[tuple[int, int]] = deque(maxlen=_SAMPLES_MAX)
        self.worst_ms = 0

    def add(self, at_s: int, took_ms: int) -> None:
        self.worst_ms = max(self.worst_ms, took_ms)
        if self.samples and self.samples[-1][0] == at_s:
            took_ms = max(took_ms, self.samples.pop()[1])
        self.samples.append((at_s, took_ms))


class LatencyMonitor:
    """The events, by name, in the order in which they first happened."""

    __slots__ = ("_clock", "events", "threshold_ms")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # 0: nothing is noted.
        self.threshold_ms = 0
        self.events: dict[str, Series] = {}

    @property
    def threshold_ns(self) -> int:
        return self.threshold_ms * _NS_PER_MS if self.threshold_ms else NEVER_NS

    def note(self, event: str, took_ns: int) -> None:
        """That took so long; it is kept if it reaches the threshold."""
        took_ms = took_ns // _NS_PER_MS
        if self.threshold_ms and took_ms >= self.threshold_ms:
            self.events.setdefault(event, Series()).add(self._clock.wall_ms() // 1000, took_ms)

    def reset(self, event: str) -> int:
        """Forget an event, in whatever case it is written; returns how many were known."""
        known = [name for name in self.events if name.lower() == event.lower()]
        for name in known:
            del self.events[name]
        return len(known)

    def reset_all(self) -> int:
        count = len(self.events)
        self.events.clear()
        return count
