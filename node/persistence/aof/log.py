"""The end of the log that grows: commands in, bytes on the disk, at the latest at the end of the turn.

Commands are collected during a turn of the loop and written at once before anybody is answered (`end_turn` is the
turn's first step). With `appendfsync always` they are synced there, too, once for all clients of the turn. With
`everysec` a sync runs beside the loop, at most once a second; a write would have to wait for it and is put off, for two
seconds at most. What cannot be written stays here and is tried again, and clients are refused writes; under `always`
they have been promised too much for that, and the process ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from node.gates import Conditions
from node.keyspace import Keyspace
from node.latency import LatencyMonitor
from node.persistence.aof.settings import AofSettings
from node.persistence.child import Child
from runtime import Runtime, Tasks
from runtime.disk import DiskFile
from wire.encoder import encode_command

_SYNC_PERIOD_S = 1.0
_POSTPONED_MAX_S = 2.0


class AofLog:
    """The current increment."""

    __slots__ = (
        "_annotated_s",
        "_child",
        "_close_after_sync",
        "_conditions",
        "_database",
        "_error",
        "_file",
        "_keyspace",
        "_latency",
        "_pieces",
        "_postponed_since",
        "_request",
        "_runtime",
        "_settings",
        "_sync_began_at",
        "_sync_error",
        "_syncing",
        "_tasks",
        "_timer",
        "_written_offset",
        "delayed_syncs",
        "fed",
        "on_sync",
        "stream_offset",
        "synced",
        "synced_offset",
        "written",
    )

    def __init__(
        self,
        settings: AofSettings,
        runtime: Runtime,
        keyspace: Keyspace,
        conditions: Conditions,
        child: Child,
        tasks: Tasks,
        request: Callable[[], None],
        latency: LatencyMonitor,
    ) -> None:
        self._settings = settings
        self._runtime = runtime
        self._keyspace = keyspace
        self._conditions = conditions
        self._child = child
        self._tasks = tasks
        self._latency = latency
        # Asks for `end_turn` to be called at the end of this turn.
        self._request = request
        # None while nothing is logged.
        self._file: DiskFile | None = None
        # What has been fed and not been written.
        self._pieces: list[bytes] = []
        # The database the log is in; None forces a SELECT before the next command.
        self._database: int | None = None
        # The second of the last annotation (`aof-timestamp-enabled`).
        self._annotated_s = 0
        # Bytes so far, of all files: fed, written, and synced as far as is known.
        self.fed = 0
        self.written = 0
        self.synced = 0
        # The replication offset, asked when something is written; what of it was written; what is known to be synced.
        self.stream_offset: Callable[[], int] = lambda: 0
        self._written_offset = 0
        self.synced_offset = 0
        # The sync that runs beside the loop, when it began (or the last one did), and the timer for the next.
        self._syncing: asyncio.Task[None] | None = None
        self._sync_began_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        # A file that is done with and must stay open until that sync has ended.
        self._close_after_sync: DiskFile | None = None
        # Since when a write has been put off for a sync, and how often one was not put off any longer.
        self._postponed_since: float | None = None
        self.delayed_syncs = 0
        # Why the last write, and the last sync beside the loop, failed; empty when they did not.
        self._error = ""
        self._sync_error = ""
        # Called when something more is known to be synced.
        self.on_sync: Callable[[], None] = _nothing

    @property
    def is_open(self) -> bool:
        """Something is logged."""
        return self._file is not None

    @property
    def ok(self) -> bool:
        """Whether all could be written and synced."""
        return not self._error and not self._sync_error

    @property
    def file_size(self) -> int:
        return self._file.size if self._file is not None else 0

    @property
    def buffered(self) -> int:
        """Bytes fed and not written."""
        return sum(map(len, self._pieces))

    @property
    def replicated(self) -> int:
        """The replication offset up to which everything is known to be synced."""
        return self.stream_offset() if self.synced >= self.fed else self.synced_offset

    @property
    def syncing(self) -> bool:
        return self._syncing is not None

    # Feeding

    def feed(self, database: int, data: bytes) -> None:
        """Whole commands that ran in `database` (a `node.propagation.Sink`)."""
        if not self._pieces:
            self._request()
        if self._settings.aof_timestamp_enabled:
            now_s = self._keyspace.now_ms // 1000
            if now_s > self._annotated_s:
                self._annotated_s = now_s
                self._append(b"#TS:%d\r\n" % now_s)
        if database != self._database:
            self._database = database
            self._append(encode_command([b"SELECT", b"%d" % database]))
        self._pieces.append(data)
        self.fed += len(data)

    def _append(self, data: bytes) -> None:
        self._pieces.append(data)
        self.fed += len(data)

    # Files

    def open(self, file: DiskFile) -> None:
        """Write to `file` from now on; what was fed before must have been flushed."""
        assert self._file is None, "the old file must be closed first"
        self._file = file
        self._database = None
        self._annotated_s = 0

    def close(self) -> None:
        """Write and sync what there is, and let go of the file."""
        file = self._file
        if file is None:
            return
        self.flush(force=True)
        self.sync_now()
        self._forget_pieces()
        self._file = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._syncing is None:
            file.close()
        else:
            self._close_after_sync = file

    def abandon(self) -> None:
        """Let go of a file that will not be kept."""
        self._pieces.clear()
        self.close()

    def _forget_pieces(self) -> None:
        """What could not be written by now goes down with the file; refusing writes for it has no point any more."""
        self._pieces.clear()
        self.written = self.fed
        self._postponed_since = None
        self._set_error("")
        self._set_sync_error("")

    # Writing

    def end_turn(self) -> None:
        """A step of the turn: what was fed is on the disk, or at least on its way, before anybody is answered."""
        if self._pieces:
            self.flush()

    def cron(self) -> None:
        """Once a second: try again what was put off or has failed."""
        if self._pieces and self._file is not None:
            self.flush()

    def flush(self, *, force: bool = False) -> None:
        """Write what there is, and see to it that it is synced; `force` waits for no sync that is under way."""
        if not self._pieces or self._file is None:
            return
        policy = self._settings.appendfsync
        if policy == "everysec" and not force and self._postpones():
            return
        if not self._write(self._file):
            return
        if policy == "always":
            if not self._spared:
                self._sync_or_end(self._file)
        elif policy == "everysec":
            self._sync_soon()

    def _postpones(self) -> bool:
        """Whether a write waits for the sync that is under way."""
        if self._syncing is None:
            self._postponed_since = None
            return False
        now = asyncio.get_running_loop().time()
        if self._postponed_since is None:
            self._postponed_since = now
            return True
        if now - self._postponed_since < _POSTPONED_MAX_S:
            return True
        self._postponed_since = None
        self.delayed_syncs += 1
        self._runtime.log.notice(
            "Asynchronous AOF fsync is taking too long (disk is busy?). Writing the AOF buffer without waiting for "
            "fsync to complete, this may slow down Redis."
        )
        return False

    def _write(self, file: DiskFile) -> bool:
        data = b"".join(self._pieces) if len(self._pieces) > 1 else self._pieces[0]
        before = file.size
        began_ns = self._runtime.clock.perf_ns()
        try:
            file.write(data)
        except OSError as error:
            self._write_failed(file, data, before, error.strerror or str(error))
            return False
        self._note_write(self._runtime.clock.perf_ns() - began_ns)
        self._pieces.clear()
        self.written += len(data)
        self._written_offset = self.stream_offset()
        if self._error:
            self._runtime.log.warning("AOF write error looks solved, Redis can write again.")
            self._set_error("")
        return True

    def _note_write(self, took_ns: int) -> None:
        """Redis tells writes apart by what else may keep the disk busy."""
        what = "pending-fsync" if self._syncing is not None else "active-child" if self._child.busy else "alone"
        self._latency.note(f"aof-write-{what}", took_ns)
        self._latency.note("aof-write", took_ns)

    def _write_failed(self, file: DiskFile, data: bytes, before: int, reason: str) -> None:
        log = self._runtime.log
        if not self._error:
            log.warning(f"Error writing to the AOF file: {reason}")
        try:
            # Half a command in the middle would be the end of the log.
            file.truncate(before)
        except OSError as error:
            log.warning(f"Could not remove short write from the append-only file: {error.strerror}")
            # It stays, then, and the rest is written behind it.
            data = data[file.size - before :]
            self.written += file.size - before
        if self._settings.appendfsync == "always":
            log.warning("Can't recover from AOF write error when the AOF fsync policy is 'always'. Exiting...")
            self._runtime.process.exit(1)
        self._pieces[:] = [data]
        self._set_error(reason)

    def _set_error(self, reason: str) -> None:
        self._error = reason
        self._tell()

    def _set_sync_error(self, reason: str) -> None:
        self._sync_error = reason
        self._tell()

    def _tell(self) -> None:
        reason = (self._error or self._sync_error).encode()
        self._conditions.set_disk_error("aof", b"MISCONF Errors writing to the AOF file: " + reason if reason else b"")

    # Syncing

    @property
    def _spared(self) -> bool:
        """`no-appendfsync-on-rewrite`: the disk is left to the child."""
        return self._settings.no_appendfsync_on_rewrite and self._child.busy

    def sync_now(self) -> None:
        """Sync before anything else happens: the log is about to be closed, or the process to end."""
        file = self._file
        if file is None:
            return
        try:
            file.sync_now()
        except OSError as error:
            self._runtime.log.warning(f"Fail to fsync the AOF file: {error.strerror}")
            return
        self._note_synced(self.written, self._written_offset)

    def _sync_or_end(self, file: DiskFile) -> None:
        began_ns = self._runtime.clock.perf_ns()
        try:
            file.sync_now()
        except OSError as error:
            self._runtime.log.warning(
                f"Can't persist AOF for fsync error when the AOF fsync policy is 'always': {error.strerror}. Exiting..."
            )
            self._runtime.process.exit(1)
        self._latency.note("aof-fsync-always", self._runtime.clock.perf_ns() - began_ns)
        self._note_synced(self.written, self._written_offset)

    def _sync_soon(self) -> None:
        """Sync beside the loop, a second after the last time."""
        if self._syncing is not None or self._timer is not None:
            return
        loop = asyncio.get_running_loop()
        due_at = self._sync_began_at + _SYNC_PERIOD_S
        if loop.time() < due_at or self._spared:
            self._timer = loop.call_at(max(due_at, loop.time() + _SYNC_PERIOD_S / 10), self._sync_when_due)
        else:
            self._begin_sync()

    def _sync_when_due(self) -> None:
        self._timer = None
        if self._file is None or self.synced >= self.written or self._settings.appendfsync == "no":
            return
        self._sync_soon()

    def _begin_sync(self) -> None:
        assert self._file is not None
        self._sync_began_at = asyncio.get_running_loop().time()
        self._syncing = self._tasks.start("aof-sync", self._sync(self._file))

    async def _sync(self, file: DiskFile) -> None:
        written, offset = self.written, self._written_offset
        failure = ""
        try:
            await file.sync()
        except OSError as error:
            failure = error.strerror or str(error)
            self._runtime.log.warning(f"Fail to fsync the AOF file: {failure}")
        self._syncing = None
        if self._close_after_sync is not None:
            self._close_after_sync.close()
            self._close_after_sync = None
        if self._file is not file:
            # It was synced when it was closed.
            if self._pieces:
                self.flush()
            return
        if failure != self._sync_error:
            self._set_sync_error(failure)
        if not failure:
            self._note_synced(written, offset)
        if self._pieces:
            self.flush()
        if self.written > self.synced:
            self._sync_soon()

    def _note_synced(self, written: int, offset: int) -> None:
        if written > self.synced or offset > self.synced_offset:
            self.synced = max(written, self.synced)
            self.synced_offset = offset
            self.on_sync()


def _nothing() -> None:
    pass
