"""The append-only file as the node knows it: whether there is one, and what happens to it when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from enum import Enum

from node.execute import Executor
from node.gates import Conditions
from node.keyspace import Keyspace
from node.latency import LatencyMonitor
from node.persistence.aof.errors import AofError
from node.persistence.aof.folder import AofFolder
from node.persistence.aof.log import AofLog
from node.persistence.aof.replay import Replay
from node.persistence.aof.rewriting import Rewriter
from node.persistence.aof.settings import AofSettings
from node.persistence.child import Child, ChildKind
from node.persistence.loading import Loader
from node.persistence.snapshot import Remarks
from node.propagation import Propagation
from node.session import NodeSession
from runtime import Runtime, Tasks
from wire.errors import Error
from wire.turn import Turn

_IN_PROGRESS = b"ERR Background append only file rewriting already in progress"
_CANNOT_REWRITE = b"ERR Can't execute an AOF background rewriting. Please check the server logs for more information."
_CANNOT_LOAD = b"ERR Error trying to load the AOF files, check server logs"


class AofState(Enum):
    """Whether what is executed is logged."""

    OFF = "off"
    ON = "on"
    # Switched on while the node runs: it begins to count when its first base is there.
    STARTING = "starting"


class AppendOnly:
    """The log of one node."""

    __slots__ = (
        "_child",
        "_folder",
        "_keyspace",
        "_loader",
        "_propagation",
        "_replay",
        "_runtime",
        "_settings",
        "_suspended",
        "log",
        "rewriter",
        "scheduled",
        "state",
    )

    def __init__(
        self,
        settings: AofSettings,
        runtime: Runtime,
        keyspace: Keyspace,
        executor: Executor,
        propagation: Propagation,
        turn: Turn,
        conditions: Conditions,
        loader: Loader,
        child: Child,
        session: NodeSession,
        tasks: Tasks,
        remarks: Callable[[], Remarks],
        latency: LatencyMonitor,
    ) -> None:
        """`session` is the client as which a log is repeated; `remarks` is what a snapshot made now says of itself."""
        self._settings = settings
        self._runtime = runtime
        self._keyspace = keyspace
        self._propagation = propagation
        self._loader = loader
        self._child = child
        self.state = AofState.OFF
        self._folder = AofFolder(settings, runtime)
        self.log = AofLog(settings, runtime, keyspace, conditions, child, tasks, turn.request, latency)
        self.rewriter = Rewriter(settings, runtime, keyspace, child, self._folder, self.log, remarks)
        self._replay = Replay(settings, runtime, self._folder, keyspace, executor, loader, session)
        # A rewrite is to begin as soon as it can.
        self.scheduled = False
        # Switched off only until the data that is being loaded is there.
        self._suspended = False
        turn.steps.append(self.log.end_turn)

    # At the start

    async def load_at_start(self) -> None:
        """Load what there is, and log from here on; raises AofError or OSError, after logging it."""
        try:
            self._folder.open()
            for _ in self._replay.steps():
                await asyncio.sleep(0)
            if self._settings.appendonly:
                self._open_at_start()
        except AofError as error:
            for line in error.lines:
                self._runtime.log.warning(line)
            raise
        except OSError as error:
            self._runtime.log.warning(f"Fatal error loading or opening the append-only file: {error.strerror}")
            raise

    def _open_at_start(self) -> None:
        folder, log = self._folder, self._runtime.log
        folder.tidy()
        if not folder.manifest.parts:
            self.rewriter.make_first_base()
        manifest = folder.manifest
        if manifest.increments:
            part = manifest.increments[-1]
            log.notice(f"Opening AOF incr file {part.name} on server start")
            self.log.open(folder.open_append(part))
        else:
            part = manifest.next_increment(self._settings.appendfilename)
            log.notice(f"Creating AOF incr file {part.name} on server start")
            # Should there be a file of that name, somebody has damaged the manifest: as Redis does, throw nothing away.
            self.log.open(folder.open_append(part))
            folder.persist(manifest.with_increment(part))
        self.rewriter.measure()
        self._attach(AofState.ON)
        folder.delete_history()

    def _attach(self, state: AofState) -> None:
        self.state = state
        self._propagation.set_log(self.log.feed)

    # Switching it on and off

    def switch_on(self, *, now: bool) -> bool:
        """CONFIG SET appendonly yes; False when that is not possible. Where not `now`, its base is begun with later."""
        self._suspended = False
        try:
            self._folder.open()
        except AofError as error:
            for line in error.lines:
                self._runtime.log.warning(line)
            return False
        except OSError as error:
            self._runtime.log.warning(f"Can't open the append-only directory: {error.strerror}")
            return False
        self.state = AofState.STARTING
        if self._child.busy and self._child.kind is not ChildKind.REWRITE:
            self.scheduled = True
            self._runtime.log.warning(
                "AOF was enabled but there is already another background operation. An AOF background was scheduled to "
                "start when possible."
            )
            return True
        if self._child.busy:
            self._runtime.log.warning(
                "AOF was enabled but there is already an AOF rewriting in background. Stopping background AOF and "
                "starting a rewrite now."
            )
            self.scheduled = True
            self._child.kill()
            return True
        if not now:
            self.scheduled = True
            self._runtime.log.warning(
                "AOF was enabled within a transaction. An AOF background was scheduled to start behind it."
            )
            return True
        if self._start():
            return True
        self.state = AofState.OFF
        return False

    def switch_off(self) -> None:
        """CONFIG SET appendonly no; the files stay."""
        self._suspended = False
        if self.state is AofState.OFF:
            return
        self.state = AofState.OFF
        self.scheduled = False
        self._propagation.set_log(None)
        self.log.close()
        self.log.on_sync()
        if self._child.kind is ChildKind.REWRITE:
            self._runtime.log.notice("Killing the AOF child")
            self._child.kill()

    def suspend(self) -> None:
        """Everything is about to be replaced by a copy of our master's data."""
        wanted = self.state is not AofState.OFF
        self.switch_off()
        self._suspended = wanted

    def resume(self) -> None:
        """The data are there: log them from here on, if they are to be logged."""
        if self._suspended and not self.switch_on(now=True):
            self._runtime.log.warning("Can't switch the AOF on again: what is executed is not logged")

    # Who wants to know

    def has_synced(self, position: int) -> bool:
        """Whether everything up to this position in the log (`AofLog.fed`) would survive a power cut."""
        return self.state is AofState.ON and self.log.synced >= position

    @property
    def replicated(self) -> int | None:
        """The replication offset up to which everything would; None when nothing is logged."""
        return self.log.replicated if self.state is AofState.ON else None

    # Rewriting

    def rewrite(self, *, now: bool = True) -> bool:
        """BGREWRITEAOF: True when one was started, False when it was scheduled; raises Error.

        Within a transaction it must not be `now`: the base would hold what has run of it, and the log all of it.
        """
        if self._child.kind is ChildKind.REWRITE:
            raise Error(_IN_PROGRESS)
        if self._child.busy or not now:
            self.scheduled = True
            return False
        if not self._start():
            raise Error(_CANNOT_REWRITE)
        return True

    def _start(self) -> bool:
        switching_on = self.state is AofState.STARTING
        started = self.rewriter.start(
            switching_on=switching_on, logging=self.state is AofState.ON, ended=self._rewritten
        )
        if started:
            self.scheduled = False
            if switching_on:
                self._propagation.set_log(self.log.feed)
        return started

    def _rewritten(self, succeeded: bool) -> None:
        if self.state is not AofState.STARTING:
            return
        if succeeded and self.log.is_open:
            self.state = AofState.ON
            self.log.on_sync()
        else:
            # It was for another state of things, or it failed: from the beginning.
            self._propagation.set_log(None)
            if self.log.is_open:
                self.log.abandon()
                self.rewriter.remove_increment()
            self.scheduled = True

    def cron(self) -> None:
        """At every beat: does the log need a new base?"""
        if (self.state is not AofState.ON and not self.scheduled) or self._child.busy or self._loader.active:
            return
        if self.scheduled:
            if not self.rewriter.limited():
                self._start()
            return
        settings = self._settings
        size = self.rewriter.size
        if not settings.auto_aof_rewrite_percentage or size <= settings.auto_aof_rewrite_min_size:
            return
        growth = size * 100 // (self.rewriter.size_at_rewrite or 1) - 100
        if growth >= settings.auto_aof_rewrite_percentage and not self.rewriter.limited():
            self._runtime.log.notice(f"Starting automatic rewriting of AOF on {growth}% growth")
            self._start()

    # Other ends and beginnings

    def before_shutdown(self) -> None:
        """Everything executed is on the disk when this returns; raises Error when there is no whole log yet."""
        if self.state is AofState.OFF:
            return
        if self._child.kind is ChildKind.REWRITE:
            if self.state is AofState.STARTING:
                self._runtime.log.warning("Writing initial AOF, can't exit.")
                raise Error(b"ERR Errors trying to SHUTDOWN. Check logs.")
            self._runtime.log.warning("There is a child rewriting the AOF. Killing it!")
            self._child.kill()
            self.rewriter.remove_temporary()
        self._runtime.log.notice("Calling fsync() on the AOF file.")
        self.log.flush(force=True)
        self.log.sync_now()

    def stop(self) -> None:
        """The node ends: nothing is logged from here on."""
        self._propagation.set_log(None)
        self.log.close()

    def delete_history(self) -> None:
        """Files that a base has replaced are to be kept no longer, or again."""
        if self._folder.disk is not None:
            self._folder.delete_history()

    def reload(self) -> Iterator[None]:
        """DEBUG LOADAOF: what the log says takes the place of all keys, a slice a step; raises Error."""
        self.log.flush(force=True)
        self._keyspace.clear()
        self._loader.drop_functions()
        try:
            self._folder.open()
            yield from self._replay.steps()
        except AofError as error:
            for line in error.lines:
                self._runtime.log.warning(line)
            raise Error(_CANNOT_LOAD) from None
        except OSError as error:
            self._runtime.log.warning(f"Can't read the append-only file: {error.strerror}")
            raise Error(_CANNOT_LOAD) from None
        self._runtime.log.warning("Append Only File loaded by DEBUG LOADAOF")
