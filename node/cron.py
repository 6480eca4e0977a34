"""The node's clockwork: what must happen again and again although no client asks for it.

One timer beats `hz` times a second. Jobs come every beat, or, after those, at their own period, which a beat may be
late for but never catches up: a node that was frozen for a minute does each job once. Which jobs there are is said
where the node is put together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from node.settings import NodeSettings

_NEVER = float("inf")


class _Job:
    """One with a period of its own."""

    __slots__ = ("due_at", "period_s", "work")

    def __init__(self, work: Callable[[], None], period_s: float, due_at: float) -> None:
        self.work = work
        self.period_s = period_s
        self.due_at = due_at


class Cron:
    """The timer and its jobs, which run in the order in which they were added."""

    __slots__ = ("_due_at", "_every_beat", "_jobs", "_loop", "_settings", "_timer", "paused")

    def __init__(self, settings: NodeSettings) -> None:
        self._settings = settings
        self._every_beat: list[Callable[[], None]] = []
        self._jobs: list[_Job] = []
        # When the first of the jobs is due.
        self._due_at = _NEVER
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        # DEBUG PAUSE-CRON: it beats, and nothing is done.
        self.paused = False

    def add(self, work: Callable[[], None], period_s: float = 0.0) -> None:
        """Call `work` every `period_s` seconds, or at every beat."""
        if period_s:
            job = _Job(work, period_s, self._loop.time() + period_s)
            self._jobs.append(job)
            self._due_at = min(self._due_at, job.due_at)
        else:
            self._every_beat.append(work)

    def start(self) -> None:
        self._timer = self._loop.call_later(1 / self._settings.hz, self._beat)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _beat(self) -> None:
        loop = self._loop
        now = loop.time()
        # Read at every beat: CONFIG SET hz takes effect with the next one. The next beat is set first, so that a job
        # may stop the clockwork.
        self._timer = loop.call_at(now + 1 / self._settings.hz, self._beat)
        if self.paused:
            return
        for work in self._every_beat:
            work()
        if now >= self._due_at:
            due_at = _NEVER
            for job in self._jobs:
                if now >= job.due_at:
                    job.due_at = now + job.period_s
                    job.work()
                if job.due_at < due_at:
                    due_at = job.due_at
            self._due_at = due_at
