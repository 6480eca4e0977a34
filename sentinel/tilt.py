"""Distrust of our own clock: TILT after a long pause, a moment of grace after a short one.

A process that was stopped, or starved of CPU, finds that everyone has been silent for a long time,
because it has not read what they said. After more than TILT-TRIGGER nothing is concluded for
TILT-PERIOD (Redis documentation, "Sentinel: TILT mode"). Redis has only that; where down-after is half a
second, a pause of half a second is enough to call every instance down, so after any noticeable delay of a
tick the silent get a moment in which what lies in our own socket buffers is read first.
"""

from __future__ import annotations

from runtime import Level
from sentinel.step import Step

# The longest time between two ticks (10 Hz, as Redis at its slowest).
TICK_MS = 100
# A tick that comes later than this was held up, and so was the reading of replies.
LATE_MS = 50
# How long the replies get to be read.
GRACE_MS = 50


class Tilt:
    """Watches the time between the machine's steps."""

    __slots__ = ("_blind_until", "_seen_at", "_since")

    def __init__(self, now: int) -> None:
        # When the machine last did anything.
        self._seen_at = now
        # Since when TILT lasts.
        self._since: int | None = None
        # Until when silence is not taken for death.
        self._blind_until = now

    @property
    def active(self) -> bool:
        return self._since is not None

    def since_seconds(self, now: int) -> int:
        """INFO's ``sentinel_tilt_since_seconds``."""
        return -1 if self._since is None else (now - self._since) // 1_000

    def observe(self, step: Step) -> None:
        """To be called first in every step."""
        gap = step.now - self._seen_at
        self._seen_at = step.now
        if gap < 0 or gap > step.periods.tilt_trigger:
            self._since = step.now
            step.announce(Level.WARNING, "+tilt", "#tilt mode entered")
        elif self._since is not None and step.now - self._since > step.periods.tilt:
            self._since = None
            step.announce(Level.WARNING, "-tilt", "#tilt mode exited")
        if gap > TICK_MS + LATE_MS:
            self._blind_until = step.now + GRACE_MS

    def may_judge(self, step: Step) -> bool:
        """Whether what we do not hear may count as silence."""
        return not self.active and step.due(self._blind_until)

    def next_tick_at(self) -> int:
        return self._seen_at + TICK_MS
