"""SAVE, BGSAVE and save points: when snapshots are made, and what became of them.

How one is written is `snapshot`'s business; that only one child runs at a time is `child`'s.
"""

from __future__ import annotations

from collections.abc import Callable

from node.gates import Conditions
from node.keyspace import Keyspace
from node.persistence.child import Child, ChildKind, Ended
from node.persistence.settings import SnapshotSettings
from node.persistence.snapshot import Advance, FileForm, Remarks, ReplicationMark, write_snapshot_file
from runtime import Disk, Runtime
from runtime.background import BackgroundError
from wire.errors import Error

_MISCONF = (
    b"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. "
    b"Commands that may modify the data set are disabled, because this instance is configured to report errors "
    b"during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). "
    b"Please check the Redis logs for details about the RDB error."
)
_IN_PROGRESS = b"ERR Background save already in progress"
_OTHER_CHILD = (
    b"ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to "
    b"schedule a BGSAVE whenever possible."
)
# A child that writes a snapshot, whoever it is for.
_SNAPSHOTS = (ChildKind.SNAPSHOT, ChildKind.REPLICAS)
# After a failure a save point waits this long before it tries again.
_RETRY_AFTER_S = 5


class Saver:
    """Makes snapshots on disk."""

    __slots__ = (
        "_attempted_at_s",
        "_child",
        "_child_pid",
        "_conditions",
        "_dirty_at_start",
        "_keyspace",
        "_runtime",
        "_settings",
        "_started_at_s",
        "dirty_at_save",
        "last_duration_s",
        "last_save_at_s",
        "mark",
        "saves",
        "scheduled",
        "succeeded",
        "used_memory",
    )

    def __init__(
        self, settings: SnapshotSettings, runtime: Runtime, keyspace: Keyspace, conditions: Conditions, child: Child
    ) -> None:
        self._settings = settings
        self._runtime = runtime
        self._keyspace = keyspace
        self._conditions = conditions
        self._child = child
        # What replication wants written into every file; it puts its own function here.
        self.mark: Callable[[], ReplicationMark | None] = lambda: None
        # What the file says was in use; shown by redis-check-rdb, used by nobody.
        self.used_memory: Callable[[], int] = lambda: 0
        # The keyspace's count of changes when the last snapshot was made, and when the one under way was begun.
        self.dirty_at_save = keyspace.dirty
        self._dirty_at_start = 0
        # Unix seconds: the last success (the start counts as one), the last attempt, the start of the one under way.
        self.last_save_at_s = self._now_s()
        self._attempted_at_s = 0
        self._started_at_s = -1
        # Of the child that writes, or wrote last.
        self._child_pid = 0
        # For INFO: how the last background save ended and how long it took, and how many snapshots were made.
        self.succeeded = True
        self.last_duration_s = -1
        self.saves = 0
        # BGSAVE SCHEDULE found another child at work: save when the place is free.
        self.scheduled = False
        child.when_free.append(self._run_scheduled)

    @property
    def changes(self) -> int:
        """Changes that no snapshot has yet."""
        return self._keyspace.dirty - self.dirty_at_save

    @property
    def under_way_s(self) -> int:
        """How long the background save under way has taken; -1 when there is none."""
        return self._now_s() - self._started_at_s if self._started_at_s >= 0 else -1

    def disk(self) -> Disk:
        """The folder of the snapshot; raises OSError when it is not there."""
        return self._runtime.files.folder(self._settings.dir)

    def save(self) -> None:
        """SAVE: stop everything and write; raises Error."""
        if self._child.kind in _SNAPSHOTS:
            raise Error(_IN_PROGRESS)
        if not self._saved_now():
            raise Error(b"ERR")
        self._note_success()

    def forget_changes(self) -> None:
        """What is here counts as saved: it has just been loaded."""
        self.dirty_at_save = self._keyspace.dirty

    def _saved_now(self) -> bool:
        """Write the file in this process; False when that is not possible."""
        try:
            self._write(self.disk(), self._child.progress.pace)
        except OSError as error:
            self._runtime.log.warning(f"Error saving DB on disk: {error.strerror}")
            return False
        self.dirty_at_save = self._keyspace.dirty
        return True

    def emptied(self) -> None:
        """FLUSHALL: what a child still writes is old, and where there are save points the file is to be empty, too.

        The child may be at work for another moment, under a name of its own. When the file cannot be written, the log
        says why, and the save points bring up the next attempt.
        """
        if self._child.kind in _SNAPSHOTS:
            self._child.kill()
        if self._settings.save and self._saved_now():
            self._note_success()

    def save_in_background(self, *, schedule: bool, now: bool = True) -> bool:
        """BGSAVE: True when one was started, False when it was scheduled; raises Error.

        Within a transaction it must not be `now`: half of that would be in the file.
        """
        if self._child.kind in _SNAPSHOTS:
            raise Error(_IN_PROGRESS)
        if self._child.busy or not now:
            if not schedule and now:
                raise Error(_OTHER_CHILD)
            self.scheduled = True
            return False
        if not self.start(_nothing):
            raise Error(b"ERR")
        return True

    def start(self, ended: Ended) -> bool:
        """Begin a background save now; `ended` is told how it went. False when no child could be made."""
        self._attempted_at_s = self._now_s()
        self._dirty_at_start = self._keyspace.dirty
        try:
            disk = self.disk()
            self._child.start(ChildKind.SNAPSHOT, lambda: self._write_in_child(disk), lambda ok: self._ended(ok, ended))
        except OSError as error:
            self._runtime.log.warning(f"Can't save in background: {error.strerror}")
            self._note_failure()
            return False
        self._started_at_s = self._attempted_at_s
        self._child_pid = self._child.pid
        self._runtime.log.notice(f"Background saving started by pid {self._child_pid}")
        return True

    def cron(self) -> None:
        """Once a second: is a save point reached?"""
        if self._child.busy:
            return
        if self.scheduled:
            self._run_scheduled()
            return
        now_s = self._now_s()
        if not self.succeeded and now_s - self._attempted_at_s <= _RETRY_AFTER_S:
            return
        for seconds, changes in self._settings.save:
            if self.changes >= changes and now_s - self.last_save_at_s > seconds:
                self._runtime.log.notice(f"{changes} changes in {seconds} seconds. Saving...")
                self.start(_nothing)
                return

    def before_shutdown(self, *, save: bool | None) -> None:
        """SHUTDOWN: save if told to, or if not told and there are save points. Raises Error when that fails."""
        if save is None:
            save = bool(self._settings.save)
        if self._child.busy:
            if self._child.kind is ChildKind.SNAPSHOT:
                self._runtime.log.warning("There is a child saving an .rdb. Killing it!")
                self._remove_temporary()
            self._child.kill()
        if not save:
            return
        self._runtime.log.notice("Saving the final RDB snapshot before exiting.")
        if not self._saved_now():
            raise Error(b"ERR Errors trying to SHUTDOWN. Check logs.")

    def update_condition(self) -> None:
        """Writes are refused while snapshots fail; asked again after CONFIG SET."""
        refuse = self._settings.stop_writes_on_bgsave_error and bool(self._settings.save) and not self.succeeded
        self._conditions.set_disk_error("rdb", _MISCONF if refuse else b"")

    def _write(self, disk: Disk, advance: Advance) -> None:
        settings = self._settings
        form = FileForm(settings.rdbcompression, settings.rdbchecksum, settings.rdb_save_incremental_fsync)
        temporary = _temporary(self._runtime.process.pid())
        write_snapshot_file(disk, settings.dbfilename, temporary, self._keyspace, self.remarks(), form, advance)
        self._runtime.log.notice("DB saved on disk")

    def _write_in_child(self, disk: Disk) -> None:
        try:
            self._write(disk, self._child.progress.advance)
        except OSError as error:
            self._runtime.log.warning(f"Write error saving DB on disk: {error.strerror}")
            raise BackgroundError from None

    def remarks(self) -> Remarks:
        """What a file made now says about itself."""
        return Remarks(self._now_s(), self.used_memory(), self.mark())

    def _ended(self, succeeded: bool, ended: Ended) -> None:
        self.last_duration_s = self._now_s() - self._started_at_s
        self._started_at_s = -1
        if succeeded:
            self._runtime.log.notice("Background saving terminated with success")
            self.dirty_at_save = self._dirty_at_start
            self._note_success()
        else:
            self._runtime.log.warning(f"Background saving {self._child.how_it_ended()}")
            if self._child.signal:
                self._remove_temporary()
            if not self._child.killed:
                self._note_failure()
        ended(succeeded)

    def _note_success(self) -> None:
        self.last_save_at_s = self._now_s()
        self.saves += 1
        self.succeeded = True
        self.update_condition()

    def _note_failure(self) -> None:
        self.succeeded = False
        self.update_condition()

    def _remove_temporary(self) -> None:
        """A child that was killed could not."""
        try:
            self.disk().unlink(_temporary(self._child_pid))
        except OSError:
            return  # it was never made, or the folder is gone

    def _run_scheduled(self) -> None:
        if self.scheduled:
            self.scheduled = False
            self.start(_nothing)

    def _now_s(self) -> int:
        return self._runtime.clock.wall_ms() // 1000


def _temporary(pid: int) -> str:
    """What a snapshot is called while the process with this id writes it.

    Each has a name of its own: killed at SHUTDOWN, a child may still be at work while the last snapshot is being
    written, and it outlives a node that is killed.
    """
    return f"temp-{pid}.rdb"


def _nothing(_succeeded: bool) -> None:
    pass
