"""The one child process that a node has at a time.

A snapshot for the disk, a copy for replicas, a rewrite of the log: each is written by a fork that sees the
data as it was. Two at once would double the memory that is copied while the parent goes on writing, so, as in
Redis, there is one, and who comes second waits or is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from runtime import Runtime, Tasks
from runtime.background import BackgroundError, Job, StreamingJob


class ChildKind(Enum):
    """What the child is for."""

    SNAPSHOT = "rdb"
    REPLICAS = "replicas"
    REWRITE = "aof"


# Told whether the child succeeded.
Ended = Callable[[bool], None]


class Child:
    """Starts the child, watches it, and says when the place is free again."""

    __slots__ = ("_job", "_runtime", "_tasks", "kind", "when_free")

    def __init__(self, runtime: Runtime, tasks: Tasks) -> None:
        self._runtime = runtime
        self._tasks = tasks
        self._job: Job | None = None
        # What the child that runs is for; None when there is none.
        self.kind: ChildKind | None = None
        # Called, in this order, whenever a child has ended and its own end has been dealt with; one of them
        # may start the next.
        self.when_free: list[Callable[[], None]] = []

    @property
    def busy(self) -> bool:
        return self.kind is not None

    @property
    def pid(self) -> int:
        return self._job.pid if self._job is not None else 0

    def start(self, kind: ChildKind, work: Callable[[], None], ended: Ended) -> None:
        """Run `work` in a child; raises OSError when none can be made."""
        assert not self.busy, "one child at a time"
        self._watch(kind, self._runtime.background.start(work), ended)

    def start_streaming(
        self,
        kind: ChildKind,
        work: Callable[[Callable[[bytes], None]], None],
        receive: Callable[[bytes], None],
        ended: Ended,
    ) -> StreamingJob:
        """Run `work` in a child whose output comes back through `receive`; raises OSError."""
        assert not self.busy, "one child at a time"
        job = self._runtime.background.start_streaming(work, receive)
        self._watch(kind, job, ended)
        return job

    def kill(self) -> None:
        """End the child, if there is one; it counts as failed."""
        if self._job is not None:
            self._job.kill()

    def _watch(self, kind: ChildKind, job: Job, ended: Ended) -> None:
        self.kind = kind
        self._job = job
        self._tasks.start(f"child-{kind.value}", self._wait(job, ended))

    async def _wait(self, job: Job, ended: Ended) -> None:
        succeeded = True
        try:
            await job.wait()
        except BackgroundError as error:
            succeeded = False
            self._runtime.log.warning(f"Background work failed: {error}")
        self._job = None
        self.kind = None
        ended(succeeded)
        for resume in self.when_free:
            if not self.busy:
                resume()
