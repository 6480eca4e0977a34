"""The slow lane: one command with every check, in the order in which Redis makes them.

Here goes whatever the executor cannot call at once: a command whose gates meet a condition of its session, with a wrong
number of arguments, for a slot that is not ours, that nobody knows, or in a transaction.
"""

from __future__ import annotations

from functools import partial

from node.aftermath import Aftermath
from node.gates import MEASURED, ONE_SHOT, OWN_PUSHES, Gatekeeper
from node.keyspace import Keyspace
from node.memory.eviction import Eviction
from node.monitor import Monitor
from node.session import NodeSession
from node.tracking import Tracking
from runtime.clock import Clock
from wire.command import UNQUEUED
from wire.errors import Error
from wire.reply import NO_REPLY, PARKED, QUEUED, Reply
from wire.session import CLOSING, IN_MULTI
from wire.table import Command, CommandTable

_REDIRECTIONS = (b"MOVED ", b"ASK ", b"TRYAGAIN ", b"CROSSSLOT ", b"CLUSTERDOWN ")


class SlowLane:
    """Runs commands one by one."""

    __slots__ = (
        "_aftermath",
        "_gatekeeper",
        "_keyspace",
        "_monitor",
        "_perf_ns",
        "_table",
        "_tracking",
        "eviction",
    )

    def __init__(
        self,
        table: CommandTable,
        keyspace: Keyspace,
        gatekeeper: Gatekeeper,
        monitor: Monitor,
        tracking: Tracking,
        clock: Clock,
        aftermath: Aftermath,
    ) -> None:
        self._table = table
        self._keyspace = keyspace
        self._gatekeeper = gatekeeper
        self._monitor = monitor
        self._tracking = tracking
        self._perf_ns = clock.perf_ns
        self._aftermath = aftermath
        # `maxmemory`, set by the node.
        self.eviction: Eviction

    def run(self, session: NodeSession, argv: list[bytes]) -> bool:
        """Run one command with every check; False when it must wait (a pause) or nothing more may run."""
        if session.mask & CLOSING:
            return False
        if argv[0].lower() in (b"post", b"host:"):
            # Somebody makes a browser talk to us: Redis answers nothing and hangs up.
            session.drop()
            return False
        command: Command | None = None
        reply: Reply
        keyspace = self._keyspace
        # What is refused counts, too; what is no command leaves none.
        session.last_command = ""
        try:
            command = self._table.find(argv)
            session.last_command = command.name
            command.check_arity(len(argv))
            if self.eviction.limit:
                self.eviction.make_room()
                self._tracking.send_outdated()
            refusal = self._gatekeeper.refuse(session, command, argv)
            if refusal is not None:
                raise refusal
        except Error as error:
            reply = error.with_traceback(None)
            if command is not None:
                command.rejected_calls += 1
            elif len(argv) == 1 and argv[0].lower() in self._table.by_name:
                # It has only subcommands.
                session.last_command = argv[0].lower().decode()
            self._aftermath.count(error)
            if session.transaction is not None:
                session.transaction.aborted = True
            if command is not None and command.name == "exec":
                reply = _refused_exec(session, error)
        else:
            if self._gatekeeper.postpones(session, command, argv):
                session.parked = session.postponed = True
                return False
            if command.name == "client|list" and self._lets_others_be_heard(session):
                return False
            if session.mask & IN_MULTI and not command.flags & UNQUEUED:
                assert session.transaction is not None
                session.transaction.add(command, argv, self._gatekeeper.flags_of(command, argv))
                reply = QUEUED
            else:
                dirty = keyspace.dirty
                call = session.call
                call.argv = argv
                call.command = command
                call.rewritten = False
                if session.mask & OWN_PUSHES:
                    session.hold()
                started_ns = self._perf_ns()
                try:
                    if session.tracked is None:
                        reply = command.handler(call)
                    else:
                        reply = self._tracking.run(session, partial(command.handler, call), command, argv)
                except Error as error:
                    reply = error.with_traceback(None)
                    command.failed_calls += 1
                    self._aftermath.count(error)
                if reply is PARKED:
                    self._aftermath.park(session, command, started_ns)
                else:
                    if isinstance(reply, list):
                        # To encode a long one is a part of the work.
                        session.put_reply(reply)
                        reply = NO_REPLY
                    took_ns = self._perf_ns() - started_ns
                    command.timed_calls += 1
                    command.timed_ns += took_ns
                    if took_ns >= command.notice_ns:
                        self._aftermath.notice(session, command, argv, took_ns)
                if self._monitor.watched:
                    # As in Redis, after the run: EXEC behind what it ran, SELECT with the database it chose.
                    self._monitor.show(session, command, argv)
                self._aftermath.pass_on_effects(session, command, argv, changed=keyspace.dirty != dirty)
                if self._aftermath.ready:
                    self._aftermath.serve_blocked()
        if session.mask & ONE_SHOT and not session.mask & IN_MULTI and (command is None or command.name != "asking"):
            # ASKING holds for one command, refused or not; before MULTI, for all up to EXEC (Redis: resetClient).
            session.mask &= ~ONE_SHOT
            session.asking = False
        if reply is not NO_REPLY and reply is not PARKED:
            session.put_reply(reply)
        if session.pushes is not None and not (reply is PARKED and self._aftermath.is_busy()):
            # A client that waits is told at once of what others do; while a script is at work, there are no others.
            session.release()
        if session.mask & MEASURED and not session.in_limit():
            # Before what comes behind it is run.
            session.call.node.service.output_limits.drop(session)
        return not session.mask & CLOSING

    @staticmethod
    def _lets_others_be_heard(session: NodeSession) -> bool:
        """Whether a command that shows what others have sent is put behind what has been received with it.

        The kernel may name the connection on which it came before one on which something came earlier.
        """
        session.has_let_others = not session.has_let_others
        if not session.has_let_others or session.connection is None or session.mask & IN_MULTI:
            session.has_let_others = False
            return False
        session.connection.resume()
        return True


def _refused_exec(session: NodeSession, error: Error) -> Error:
    """EXEC itself was refused, which ends the transaction; a redirection keeps its own words."""
    session.end_transaction()
    if error.text.startswith(_REDIRECTIONS):
        return error
    return Error(b"EXECABORT Transaction discarded because of: " + error.text.removeprefix(b"ERR "))
