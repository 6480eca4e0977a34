"""A host's clocks, and how they go wrong.

The monotonic clock steers timers; every host's began at some other moment, and a drifting one runs fast or slow. The
wall clock is what leaves a host as absolute time; it may be wrong by any amount, and may jump.
"""

from __future__ import annotations

# 2026-01-01 00:00:00 UTC: when every simulation begins.
_EPOCH_US = 1_767_225_600_000_000


class HostClock:
    """The clocks of one host, as functions of the world's time."""

    __slots__ = ("_started_s", "base_s", "rate", "since_s", "wall_offset_us")

    def __init__(self, uptime_s: float, wall_offset_us: int = 0) -> None:
        # The monotonic clock showed `base_s` at the world's time `since_s`, and has run at `rate` since then.
        self._started_s = self.base_s = uptime_s
        self.since_s = 0.0
        self.rate = 1.0
        # By how much the wall clock is wrong.
        self.wall_offset_us = wall_offset_us

    def monotonic_s(self, world_s: float) -> float:
        """What the monotonic clock shows."""
        return self.base_s + (world_s - self.since_s) * self.rate

    def world_s(self, monotonic_s: float) -> float:
        """When the monotonic clock will show that, if its rate does not change."""
        return self.since_s + (monotonic_s - self.base_s) / self.rate

    def wall_us(self, world_s: float) -> int:
        """What the wall clock shows. It drifts as the monotonic one does."""
        # With what `monotonic_s` does, for one call less: every event of every bus asks.
        elapsed_s = self.base_s + (world_s - self.since_s) * self.rate - self._started_s
        return _EPOCH_US + round(elapsed_s * 1_000_000) + self.wall_offset_us

    def drift(self, world_s: float, rate: float) -> None:
        """Run at `rate` seconds a second from now on."""
        self.base_s = self.monotonic_s(world_s)
        self.since_s = world_s
        self.rate = rate
