"""The one child process that a node has at a time.

A snapshot for the disk, a copy for replicas, a rewrite of the log: each is written by a fork that sees the
data as it was. Two at once would double the memory that is copied while the parent goes on writing, so, as in
Redis, there is one, and who comes second waits or is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from node.keyspace import Keyspace
from node.latency import LatencyMonitor
from node.persistence.progress import Progress
from node.persistence.settings import SnapshotSettings
from node.process_title import ProcessTitle
from runtime import Runtime, Tasks
from runtime.background import BackgroundError, BackgroundKilledError, Job, StreamingJob


class ChildKind(Enum):
    """What the child is for."""

    SNAPSHOT = "rdb"
    REPLICAS = "replicas"
    REWRITE = "aof"


# What Redis' log calls them.
_NAMES = {ChildKind.SNAPSHOT: "RDB", ChildKind.REPLICAS: "RDB", ChildKind.REWRITE: "AOF rewrite"}
# What `ps` shows for them.
_TITLES = {
    ChildKind.SNAPSHOT: "shardlab rdb-bgsave",
    ChildKind.REPLICAS: "shardlab rdb-to-replicas",
    ChildKind.REWRITE: "shardlab aof-rewrite",
}
# Told whether the child succeeded.
Ended = Callable[[bool], None]


class Child:
    """Starts the child, watches it, and says when the place is free again."""

    __slots__ = (
        "_job",
        "_keyspace",
        "_latency",
        "_runtime",
        "_tasks",
        "_title",
        "base_copied_bytes",
        "began",
        "forks",
        "killed",
        "kind",
        "last_fork_ns",
        "progress",
        "signal",
        "snapshot_copied_bytes",
        "when_free",
    )

    def __init__(
        self,
        settings: SnapshotSettings,
        runtime: Runtime,
        keyspace: Keyspace,
        tasks: Tasks,
        latency: LatencyMonitor,
        title: ProcessTitle,
    ) -> None:
        self._runtime = runtime
        self._tasks = tasks
        self._latency = latency
        self._title = title
        # For INFO: how many children there were, and how long it took to make the last one.
        self.forks = 0
        self.last_fork_ns = 0
        self._job: Job | None = None
        # What the child that runs is for; None when there is none.
        self.kind: ChildKind | None = None
        # The signal that ended the last child; 0 when it ended by itself.
        self.signal = 0
        # Whether somebody ended it on purpose.
        self.killed = False
        # Called, in this order, whenever a child has ended and its own end has been dealt with; one of them
        # may start the next.
        self.when_free: list[Callable[[], None]] = []
        # Called with the process id of a child that has begun.
        self.began: Callable[[int], None] = lambda pid: None
        self._keyspace = keyspace
        # What the child tells meanwhile.
        self.progress = Progress(settings, runtime)
        # How much memory was copied for the last child that wrote a snapshot, and that wrote a base.
        self.snapshot_copied_bytes = self.base_copied_bytes = 0

    @property
    def busy(self) -> bool:
        return self.kind is not None

    @property
    def pid(self) -> int:
        return self._job.pid if self._job is not None else 0

    def start(self, kind: ChildKind, work: Callable[[], None], ended: Ended) -> None:
        """Run `work` in a child; raises OSError when none can be made."""
        assert not self.busy, "one child at a time"
        self._begin()
        began_ns = self._runtime.clock.perf_ns()
        self._watch(kind, self._runtime.background.start(lambda: self._work(kind, work)), ended, began_ns)

    def start_streaming(
        self,
        kind: ChildKind,
        work: Callable[[Callable[[bytes], None]], None],
        receive: Callable[[bytes], None],
        ended: Ended,
    ) -> StreamingJob:
        """Run `work` in a child whose output comes back through `receive`; raises OSError."""
        assert not self.busy, "one child at a time"
        self._begin()
        began_ns = self._runtime.clock.perf_ns()
        job = self._runtime.background.start_streaming(lambda write: self._work(kind, lambda: work(write)), receive)
        self._watch(kind, job, ended, began_ns)
        return job

    def how_it_ended(self) -> str:
        """How a child ended that has not succeeded, in Redis' words."""
        return f"terminated by signal {self.signal}" if self.signal else "error"

    def kill(self) -> None:
        """End the child, if there is one: it has not succeeded, and has not failed either (`killed`)."""
        if self._job is not None:
            self._job.kill()

    def _begin(self) -> None:
        self.progress.begin(sum(database.size for database in self._keyspace.databases()))

    def _work(self, kind: ChildKind, work: Callable[[], None]) -> None:
        """The child's whole life."""
        log, progress = self._runtime.log, self.progress
        log.role, log.pid = "C", self._runtime.process.pid()
        self._title.show(_TITLES[kind])
        work()
        progress.look()
        now_mb, peak_mb = progress.copied_bytes >> 20, progress.copied_peak_bytes >> 20
        log.notice(f"Fork CoW for {_NAMES[kind]}: current {now_mb} MB, peak {peak_mb} MB")

    def _watch(self, kind: ChildKind, job: Job, ended: Ended, began_ns: int) -> None:
        self.forks += 1
        self.last_fork_ns = self._runtime.clock.perf_ns() - began_ns
        self._latency.note("fork", self.last_fork_ns)
        self.kind = kind
        self._job = job
        self.began(job.pid)
        self._tasks.start(f"child-{kind.value}", self._wait(kind, job, ended))

    async def _wait(self, kind: ChildKind, job: Job, ended: Ended) -> None:
        succeeded = True
        self.signal = 0
        self.killed = False
        try:
            await job.wait()
        except BackgroundError as error:
            succeeded = False
            self.signal = error.number
            self.killed = isinstance(error, BackgroundKilledError)
        self._job = None
        self.kind = None
        if kind is ChildKind.REWRITE:
            self.base_copied_bytes = self.progress.copied_bytes
        else:
            self.snapshot_copied_bytes = self.progress.copied_bytes
        ended(succeeded)
        for resume in self.when_free:
            if not self.busy:
                resume()
