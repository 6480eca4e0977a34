"""The node's clockwork: what must happen again and again although no client asks for it.

One timer beats `hz` times a second. Jobs come every beat or at their own period, which a beat may be late for but never
catches up: a node that was frozen for a minute does each job once. Which jobs there are is said where the node is
put together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from node.settings import NodeSettings


class _Job:
    __slots__ = ("due_at", "period_s", "work")

    def __init__(self, work: Callable[[], None], period_s: float, due_at: float) -> None:
        self.work = work
        # 0: at every beat.
        self.period_s = period_s
        self.due_at = due_at


class Cron:
    """The timer and its jobs, which run in the order in which they were added."""

    __slots__ = ("_jobs", "_loop", "_settings", "_timer", "paused")

    def __init__(self, settings: NodeSettings) -> None:
        self._settings = settings
        self._jobs: list[_Job] = []
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        # DEBUG PAUSE-CRON: it beats, and nothing is done.
        self.paused = False

    def add(self, work: Callable[[], None], period_s: float = 0.0) -> None:
        """Call `work` every `period_s` seconds, or at every beat."""
        self._jobs.append(_Job(work, period_s, self._loop.time() + period_s))

    def start(self) -> None:
        self._timer = self._loop.call_later(1 / self._settings.hz, self._beat)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _beat(self) -> None:
        loop = self._loop
        # Read at every beat: CONFIG SET hz takes effect with the next one. The next beat is set first, so that a job
        # may stop the clockwork.
        self._timer = loop.call_later(1 / self._settings.hz, self._beat)
        now = loop.time()
        for job in () if self.paused else self._jobs:
            if job.period_s:
                if now < job.due_at:
                    continue
                job.due_at = now + job.period_s
            job.work()
