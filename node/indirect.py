"""Commands that no client has just sent: those inside others, of our master's stream, and of a log."""

from __future__ import annotations

from cluster.slots import SLOTS
from node.aftermath import Aftermath, repeats
from node.call import Call
from node.keyspace import Keyspace
from node.monitor import Monitor
from node.propagation import Propagation
from node.session import NodeSession
from node.slow_commands import BRIEF_NS, SlowCommands
from node.tracking import Tracking
from runtime.clock import Clock
from wire.command import MAY_REPLICATE, UNQUEUED, WRITE
from wire.decoder import Batch
from wire.errors import Error
from wire.reply import QUEUED, Reply
from wire.session import IN_MULTI
from wire.table import STRETCH_MIN, Command, CommandTable, StretchNotes

# A stream's commands go to where its master has the keys, whoever owns the slots by what we know.
_EVERYWHERE = bytearray(b"\1") * SLOTS


class Indirect:
    """Runs them: no gates, no redirection, and what they do is passed on by whoever caused them."""

    __slots__ = ("_aftermath", "_keyspace", "_monitor", "_perf_ns", "_propagation", "_slow", "_table", "_tracking")

    def __init__(
        self,
        table: CommandTable,
        keyspace: Keyspace,
        propagation: Propagation,
        monitor: Monitor,
        slow: SlowCommands,
        tracking: Tracking,
        clock: Clock,
        aftermath: Aftermath,
    ) -> None:
        self._table = table
        self._keyspace = keyspace
        self._propagation = propagation
        self._monitor = monitor
        self._slow = slow
        self._tracking = tracking
        self._perf_ns = clock.perf_ns
        self._aftermath = aftermath

    def run(self, call: Call, command: Command, argv: list[bytes]) -> Reply:
        """Run one command inside another (EXEC): the effects stay with the outer one."""
        call.argv = argv
        call.command = command
        keyspace = self._keyspace
        dirty = keyspace.dirty
        before = len(keyspace.effects)
        database = call.db.index
        call.rewritten = False
        started_ns = self._perf_ns()
        try:
            reply = command.handler(call)
        except Error as error:
            reply = error.with_traceback(None)
            command.failed_calls += 1
            self._aftermath.count(error)
        took_ns = self._perf_ns() - started_ns
        command.timed_calls += 1
        command.timed_ns += took_ns
        if took_ns >= command.notice_ns:
            self._slow.notice(call.session, command, argv, took_ns)
        if call.session.tracked is not None:
            self._tracking.read(call.session, call.db, command, argv)
        if self._monitor.watched:
            self._monitor.show(call.session, command, argv)
        if not call.rewritten and repeats(command, changed=keyspace.dirty != dirty):
            keyspace.effects.append((database, tuple(argv)))
        elif keyspace.dirty == dirty and not call.rewritten and len(keyspace.effects) == before:
            return reply
        call.rewritten = True
        return reply

    def changes(self, argv: list[bytes]) -> bool:
        """Whether a pause for writes concerns the command."""
        try:
            command = self._table.find(argv)
        except Error:
            return False
        return bool(command.flags & (WRITE | MAY_REPLICATE))

    def apply(self, session: NodeSession, argv: list[bytes], *, replaying: bool = False) -> Reply:
        """Run one command of our master's stream, or, `replaying`, of a log: no gates, no redirection.

        What a master's does is passed on to our own log, and a log's to nobody; nor is that one counted. The caller has
        set how expired keys are seen. Raises Error for a command that does not exist.
        """
        command = self._table.find(argv)
        command.check_arity(len(argv))
        call = session.call
        if session.mask & IN_MULTI and not command.flags & UNQUEUED:
            assert session.transaction is not None
            session.transaction.add(command, argv, command.flags)
            return QUEUED
        call.argv = argv
        call.command = command
        dirty = self._keyspace.dirty
        started_ns = self._perf_ns()
        try:
            reply = command.handler(call)
        except Error as error:
            reply = error.with_traceback(None)
            command.failed_calls += not replaying
        if not replaying:
            took_ns = self._perf_ns() - started_ns
            command.timed_calls += 1
            command.timed_ns += took_ns
            if took_ns >= command.notice_ns:
                self._slow.notice(session, command, argv, took_ns)
        effects = self._keyspace.effects
        if self._propagation.logging and not replaying:
            if not call.rewritten and repeats(command, changed=self._keyspace.dirty != dirty):
                effects.append((call.db.index, tuple(argv)))
            self._propagation.log_commands(effects, atomic=True)
        effects.clear()
        call.rewritten = False
        if self._aftermath.ready:
            self._aftermath.serve_blocked()
        return reply

    def apply_stretch(self, session: NodeSession, batch: Batch, first: int) -> int:
        """Run as many commands of our master's stream, from `first` on, as can be run in one go (`node.stretches`).

        They are of a batch of the same ones. Returns how many those were; what `apply` says holds for them, too.
        """
        columns = batch.columns
        assert columns is not None
        command = self._table.by_name.get(columns[0][0])
        call = session.call
        keyspace = self._keyspace
        if (
            command is None
            or command.stretch is None
            or command.stretch_argc not in (0, len(columns))
            or len(columns) < command.argc_min
            or batch.count - first < STRETCH_MIN
            or session.mask & IN_MULTI
            or self._slow.threshold_ns < BRIEF_NS
            or call.db.attended
            or keyspace.notifier.flags
            or keyspace.metered
        ):
            return 0
        started_ns = self._perf_ns()
        call.command = command
        dirty = keyspace.dirty
        notes = StretchNotes()
        if first:
            columns = [column[first:] for column in columns]
        done = command.stretch(call, columns, _EVERYWHERE, notes)
        if done:
            took_ns = self._perf_ns() - started_ns
            command.timed_calls += done
            command.timed_ns += took_ns
            if took_ns >= command.notice_ns:
                self._slow.notice(session, command, [column[0] for column in columns], took_ns, done)
            if self._propagation.logging and keyspace.dirty != dirty:
                self._propagation.log(call.db.index, notes.passed_on(batch, first, first + done))
        return done
