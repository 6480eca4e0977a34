"""BGREWRITEAOF: a new base takes the place of the old one and of all increments up to now.

First a new increment is opened and listed, then a child writes the base from the data as they are at that moment, and
when it is done one step of the manifest makes the base count. Up to that step the old files say the same, so nothing
is lost whenever it is cut short. A log that is being switched on has its increment under a temporary name until then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from node.keyspace import Keyspace
from node.persistence.aof.base import BaseForm, write_base
from node.persistence.aof.folder import TEMPORARY_INCREMENT, AofFolder, temporary_base
from node.persistence.aof.log import AofLog
from node.persistence.aof.manifest import Part
from node.persistence.aof.settings import AofSettings
from node.persistence.child import Child, ChildKind
from node.persistence.snapshot import Remarks
from runtime import Disk, Runtime
from runtime.background import BackgroundError

# After so many failures in a row, the next attempt by itself waits longer and longer, up to an hour.
_FAILURES_MAX = 3
_DELAY_MAX_S = 3600
_MINUTE_S = 60


class Rewriter:
    """Makes bases in the background."""

    __slots__ = (
        "_child",
        "_child_pid",
        "_delay_s",
        "_ended_with",
        "_folder",
        "_increment",
        "_keyspace",
        "_log",
        "_not_before_s",
        "_remarks",
        "_runtime",
        "_settings",
        "_started_at_s",
        "failures",
        "last_duration_s",
        "rewrites",
        "size_at_rewrite",
        "size_before",
        "succeeded",
    )

    def __init__(
        self,
        settings: AofSettings,
        runtime: Runtime,
        keyspace: Keyspace,
        child: Child,
        folder: AofFolder,
        log: AofLog,
        remarks: Callable[[], Remarks],
    ) -> None:
        self._settings = settings
        self._runtime = runtime
        self._keyspace = keyspace
        self._child = child
        self._folder = folder
        self._log = log
        # What a file made now says about itself.
        self._remarks = remarks
        # Told whether the rewrite under way has succeeded.
        self._ended_with: Callable[[bool], None] = _nothing
        # The increment that stays when the base is there; None while nothing is logged.
        self._increment: Part | None = None
        self._started_at_s = -1
        # Of the child that writes, or wrote last.
        self._child_pid = 0
        # The next attempt by itself: when (0: at any time), and how long it had to wait.
        self._not_before_s = 0
        self._delay_s = 0
        # For INFO: how the last one ended and how long it took, how many there were, and failures in a row.
        self.succeeded = True
        self.last_duration_s = -1
        self.rewrites = 0
        self.failures = 0
        # Bytes of all files but the one that grows, and of all when the base was made.
        self.size_before = 0
        self.size_at_rewrite = 0

    @property
    def under_way_s(self) -> int:
        """How long the rewrite under way has taken; -1 when there is none."""
        return self._now_s() - self._started_at_s if self._started_at_s >= 0 else -1

    @property
    def size(self) -> int:
        """Bytes of the whole log."""
        return self.size_before + self._log.file_size

    def limited(self) -> bool:
        """Whether the next attempt must wait because the last ones failed."""
        if self.failures < _FAILURES_MAX:
            self._delay_s = self._not_before_s = 0
            return False
        now_s = self._now_s()
        if self._not_before_s:
            if now_s < self._not_before_s:
                return True
            # Its time has come; if it fails, the next one waits twice as long.
            self._not_before_s = 0
            return False
        self._delay_s = min(2 * self._delay_s or _MINUTE_S, _DELAY_MAX_S)
        self._not_before_s = now_s + self._delay_s
        self._runtime.log.warning(
            "Background AOF rewrite has repeatedly failed and triggered the limit, will retry in "
            f"{self._delay_s // _MINUTE_S} minutes"
        )
        return True

    def make_first_base(self) -> None:
        """At a start without files: a base of what is there, which is nothing; raises OSError."""
        disk, form = self._disk(), self._form()
        base = self._folder.manifest.next_base(self._settings.appendfilename, form.suffix)
        self._runtime.log.notice(f"Creating AOF base file {base.name} on server start")
        write_base(disk, base.name, self._keyspace, self._remarks(), form, self._child.progress.pace)
        self._folder.manifest = replace(self._folder.manifest, base=base)

    def measure(self) -> None:
        """Take note of how large the files are that count; raises OSError.

        After a start, growth is counted from the base."""
        disk, manifest = self._disk(), self._folder.manifest
        sizes = {part: disk.size(part.name) for part in manifest.parts}
        self.size_at_rewrite = sizes[manifest.base] if manifest.base is not None else 0
        self.size_before = sum(sizes.values()) - self._log.file_size

    def start(self, *, switching_on: bool, logging: bool, ended: Callable[[bool], None]) -> bool:
        """Begin now; `ended` is told how it went. False when that is not possible; the log says why.

        `logging`: there is an increment under way. `switching_on`: there is none yet, and will be one from now on.
        """
        log, folder = self._runtime.log, self._folder
        self._increment = None
        try:
            disk = self._disk()
            if switching_on:
                log.notice(f"Creating AOF incr file {TEMPORARY_INCREMENT} on background rewrite")
                self._log.open(folder.create(TEMPORARY_INCREMENT))
            elif logging:
                self._next_increment()
            remarks, form = self._remarks(), self._form()
            self._child.start(
                ChildKind.REWRITE, lambda: self._write_in_child(disk, remarks, form), lambda ok: self._ended(ok, form)
            )
        except OSError as error:
            log.warning(f"Can't rewrite append only file in background: {error.strerror}")
            if switching_on:
                self._log.abandon()
            self._note_failure()
            return False
        self._ended_with = ended
        self._started_at_s = self._now_s()
        self._child_pid = self._child.pid
        log.notice(f"Background append only file rewriting started by pid {self._child_pid}")
        return True

    def _next_increment(self) -> None:
        """What is executed from now on goes to a file of its own; raises OSError."""
        folder = self._folder
        self._log.flush(force=True)
        if self._log.buffered:
            raise OSError(0, "the log cannot be written")
        part = folder.manifest.next_increment(self._settings.appendfilename)
        self._runtime.log.notice(f"Creating AOF incr file {part.name} on background rewrite")
        file = folder.create(part.name)
        try:
            folder.persist(folder.manifest.with_increment(part))
        except OSError:
            file.close()
            raise
        self.size_before += self._log.file_size
        self._log.close()
        self._log.open(file)
        self._increment = part

    def _write_in_child(self, disk: Disk, remarks: Remarks, form: BaseForm) -> None:
        name = temporary_base(self._runtime.process.pid())
        try:
            write_base(disk, name, self._keyspace, remarks, form, self._child.progress.advance)
        except OSError as error:
            self._runtime.log.warning(f"Write error writing append only file on disk: {error.strerror}")
            raise BackgroundError from None
        self._runtime.log.notice(f"Successfully created the temporary AOF base file {name}")

    def _ended(self, succeeded: bool, form: BaseForm) -> None:
        log = self._runtime.log
        self.last_duration_s = self._now_s() - self._started_at_s
        self._started_at_s = -1
        ended, self._ended_with = self._ended_with, _nothing
        if succeeded:
            log.notice("Background AOF rewrite terminated with success")
            try:
                self._commit(form)
            except OSError as error:
                log.warning(f"Error trying to put the rewritten AOF in place: {error.strerror}")
                succeeded = False
        else:
            how = f"by signal {self._child.signal}" if self._child.signal else "with error"
            log.warning(f"Background AOF rewrite terminated {how}")
        if succeeded:
            self.succeeded = True
            self.failures = 0
            self.rewrites += 1
            log.notice("Background AOF rewrite finished successfully")
        else:
            self.remove_temporary()
            if not self._child.killed:
                self._note_failure()
        ended(succeeded)
        if succeeded:
            self._folder.delete_history()

    def remove_temporary(self) -> None:
        """A child that was killed could not."""
        self._folder.remove(temporary_base(self._child_pid))

    def remove_increment(self) -> None:
        """It belongs to a base that will not come."""
        self._runtime.log.notice(f"Removing the temp incr aof file {TEMPORARY_INCREMENT}")
        self._folder.remove(TEMPORARY_INCREMENT)

    def _commit(self, form: BaseForm) -> None:
        """The base counts from here on; raises OSError, and then it does not."""
        folder, stem, log = self._folder, self._settings.appendfilename, self._runtime.log
        manifest = folder.manifest
        increment = self._increment
        if increment is None and self._log.is_open:
            increment = manifest.next_increment(stem)
            folder.rename(TEMPORARY_INCREMENT, increment.name)
            log.notice(f"Successfully renamed the temporary AOF incr file {TEMPORARY_INCREMENT} into {increment.name}")
        base = manifest.next_base(stem, form.suffix)
        name = temporary_base(self._child_pid)
        folder.rename(name, base.name)
        log.notice(f"Successfully renamed the temporary AOF base file {name} into {base.name}")
        folder.persist(manifest.rebased(base, increment))
        self.measure()
        self.size_at_rewrite = self.size

    def _note_failure(self) -> None:
        self.succeeded = False
        self.failures += 1

    def _disk(self) -> Disk:
        disk = self._folder.disk
        return disk if disk is not None else self._folder.open()

    def _form(self) -> BaseForm:
        settings = self._settings
        return BaseForm(
            settings.aof_use_rdb_preamble,
            settings.rdbcompression,
            settings.rdbchecksum,
            settings.aof_rewrite_incremental_fsync,
            settings.aof_timestamp_enabled,
        )

    def _now_s(self) -> int:
        return self._runtime.clock.wall_ms() // 1000


def _nothing(_succeeded: bool) -> None:
    pass
