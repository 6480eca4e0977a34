"""What a command leaves behind: effects to pass on, clients that it may serve, an error to count, the time it took."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from node.blocking import NOT_YET, BlockedClients, Serve
from node.call import Call
from node.error_codes import ErrorCodes
from node.keyspace import Keyspace
from node.propagation import Propagation
from node.session import NodeSession
from node.slow_commands import SlowCommands
from runtime.clock import Clock
from wire.command import ARBITRARY_KEYS, MAY_REPLICATE, WRITE
from wire.durations import LONG_NS
from wire.encoder import encode_into
from wire.errors import Error
from wire.reply import Reply
from wire.session import LISTENING
from wire.table import Command

# A string of so many bytes may take longer to copy than all that its command does.
LARGE: Final = 1 << 20


class Aftermath:
    """Sees to it, for the executor and its lanes."""

    __slots__ = (
        "_blocked",
        "_errors",
        "_keyspace",
        "_perf_ns",
        "_propagation",
        "_slow",
        "_wall_ms",
        "is_busy",
        "ready",
    )

    def __init__(
        self,
        keyspace: Keyspace,
        propagation: Propagation,
        slow: SlowCommands,
        blocked: BlockedClients,
        errors: ErrorCodes,
        clock: Clock,
    ) -> None:
        self._keyspace = keyspace
        self._propagation = propagation
        self._slow = slow
        self._blocked = blocked
        self._errors = errors
        self._wall_ms = clock.wall_ms
        self._perf_ns = clock.perf_ns
        # Not empty when a change may serve blocked clients.
        self.ready = blocked.ready
        # Whether a script stands in the middle of its work: set where there are scripts.
        self.is_busy: Callable[[], bool] = lambda: False

    def pass_on(self, session: NodeSession, database: int, data: bytes) -> None:
        """Pass on whole commands that ran in `database`, as the client sent them."""
        session.write_offset = self._propagation.feed(database, data)

    def pass_on_effects(self, session: NodeSession, command: Command, argv: list[bytes], *, changed: bool) -> None:
        """Pass on one command's effects: expired keys first, then what it put in its place, or the request."""
        call = session.call
        effects = self._keyspace.effects
        if not call.rewritten and repeats(command, changed=changed):
            effects.append((call.db.index, tuple(argv)))
        if len(effects) == 1:
            database, words = effects[0]
            effects.clear()
            session.write_offset = self._propagation.feed_command(database, words)
        elif effects:
            self._propagation.feed_commands(effects, atomic=not command.flags & ARBITRARY_KEYS)
            effects.clear()
            session.write_offset = self._propagation.stream_offset()
        call.rewritten = False

    def pass_on_by_themselves(self) -> None:
        """Pass on what a timer did (active expiry, eviction): single commands, never wrapped."""
        effects = self._keyspace.effects
        if effects:
            self._propagation.feed_commands(effects, atomic=False)
            effects.clear()
            if self.ready:
                self.serve_blocked()

    def conclude(self, call: Call, command: Command, argv: list[bytes], *, changed: bool) -> None:
        """A command that was parked in the middle of its work has come to its end: pass on what it did."""
        self._slow.note_end(call.session, command, argv, self._perf_ns() - call.session.parked_at_ns)
        self.pass_on_effects(call.session, command, argv, changed=changed)
        if self.ready:
            self.serve_blocked()

    def serve_blocked(self) -> None:
        """Something that blocked clients wait for has come; the command that brought it has been passed on."""
        if self.is_busy():
            # They see what the script has done when it is done.
            return
        # A long transaction may have outlived what it brought: that key expires now, and serves nobody.
        self._keyspace.now_ms = self._wall_ms()
        self._blocked.serve(self._run_blocked)
        # A key that had logically expired may have been met.
        self.pass_on_by_themselves()

    def _run_blocked(self, call: Call, serve: Serve, key: bytes) -> Reply:
        """Run a blocked client's command, which looks at `key`; what it does is passed on by itself."""
        call.rewritten = False
        session = call.session
        if session.mask & LISTENING:
            session.hold()
        started_ns = self._perf_ns()
        try:
            reply = serve(call, key)
        except Error as error:
            # Counted where the client is answered.
            reply = error.with_traceback(None)
        if reply is NOT_YET:
            session.release()
        else:
            took_ns = self._perf_ns() - started_ns
            self._slow.note_served(session, call.command, call.argv, took_ns)
        self.pass_on_effects(call.session, call.command, call.argv, changed=False)
        return reply

    def count(self, error: Error) -> None:
        """For INFO errorstats."""
        self._errors.count(error.text.partition(b" ")[0])

    def notice(self, session: NodeSession, command: Command, argv: list[bytes], took_ns: int, runs: int = 1) -> None:
        """A command took so long that the time of the turn is another one, or is one that is looked at more closely."""
        if took_ns >= LONG_NS:
            self._keyspace.now_ms = self._wall_ms()
        self._slow.notice(session, command, argv, took_ns, runs)

    def ran(self, session: NodeSession, command: Command, argv: list[bytes], took_ns: int) -> None:
        """A command has run by itself, and was timed."""
        command.timed_calls += 1
        command.timed_ns += took_ns
        command.sampled_calls += 1
        command.sampled_ns += took_ns
        if took_ns >= command.notice_ns:
            self.notice(session, command, argv, took_ns)

    def answer_large(self, session: NodeSession, command: Command, argv: list[bytes], reply: bytes | bytearray) -> None:
        """A command that has run by itself is answered with a string so large that this is the most of its work."""
        started_ns = self._perf_ns()
        encode_into(session.out, reply, session.proto)
        took_ns = self._perf_ns() - started_ns
        if took_ns >= LONG_NS:
            self._keyspace.now_ms = self._wall_ms()
        self._slow.note_slow(session, command, argv, took_ns)

    def park(self, session: NodeSession, command: Command, started_ns: int) -> None:
        """A command has made its client wait. Redis logs it once it has come to its end, and not if it never does."""
        command.timed_calls += 1
        command.timed_ns += self._perf_ns() - started_ns
        self._slow.note_start(command)
        session.last_command = command.name
        session.parked_at_ns = started_ns


def repeats(command: Command, *, changed: bool) -> bool:
    """Whether replicas must repeat the request as it came."""
    return changed and bool(command.flags & (WRITE | MAY_REPLICATE))
