"""The hot path: batches of commands in, replies out.

A batch runs in one loop. A command whose gates meet none of the session's conditions, with a fitting number
of arguments and (in cluster mode) a key in a slot that is ours and stable, is called at once; everything else
takes the slow lane (`_run_slowly`), which performs every check in Redis' order. Consecutive writes that can be
repeated as they came are passed on as one slice of the client's own bytes.

Handlers return Python values; the commonest are encoded inline here, the others by `wire.encoder`.
"""

from __future__ import annotations

from binascii import crc_hqx
from functools import partial

from cluster.slots import SLOTS
from node.blocking import NOT_YET, BlockedClients, Serve
from node.call import Call
from node.gates import ONE_SHOT, Gatekeeper
from node.keyspace import Keyspace
from node.memory.eviction import Eviction
from node.monitor import Monitor
from node.propagation import Propagation
from node.session import NodeSession
from node.slow_commands import SlowCommands
from node.tracking import Tracking
from runtime.clock import Clock
from wire.command import ARBITRARY_KEYS, DENYOOM, MAY_REPLICATE, UNQUEUED, WRITE
from wire.decoder import Batch
from wire.durations import LONG_NS
from wire.encoder import BULK_HEADERS, INTEGERS, NIL_2, NIL_3, encode_into
from wire.errors import Error
from wire.reply import NO_REPLY, OK, PARKED, QUEUED, Reply
from wire.session import CLOSING, IN_MULTI
from wire.table import Command, CommandTable, StretchNotes

_CRLF = b"\r\n"
_OK = b"+OK\r\n"
# With a threshold of the slow log below this, every command is timed by itself.
_BRIEF_NS = 1_000_000
# Commands that may need memory: those that say so, and those that run others.
_NEEDS_MEMORY = DENYOOM | MAY_REPLICATE
# Stretches that are shorter are not run in one go.
_STRETCH_MIN = 4
_REDIRECTIONS = (b"MOVED ", b"ASK ", b"TRYAGAIN ", b"CROSSSLOT ", b"CLUSTERDOWN ")


class Executor:
    """Runs commands for clients, for transactions and for the stream of our master."""

    __slots__ = (
        "_blocked",
        "_by_name",
        "_clustered",
        "_gatekeeper",
        "_keyspace",
        "_monitor",
        "_owned",
        "_perf_ns",
        "_propagation",
        "_ready",
        "_slow",
        "_table",
        "_wall_ms",
        "errors",
        "eviction",
        "tracking",
    )

    def __init__(
        self,
        table: CommandTable,
        keyspace: Keyspace,
        propagation: Propagation,
        gatekeeper: Gatekeeper,
        monitor: Monitor,
        slow: SlowCommands,
        blocked: BlockedClients,
        tracking: Tracking,
        clock: Clock,
    ) -> None:
        self._table = table
        self._by_name = table.by_name
        self._keyspace = keyspace
        self._propagation = propagation
        self._gatekeeper = gatekeeper
        self._monitor = monitor
        self._slow = slow
        self._blocked = blocked
        # Not empty when a change may serve blocked clients.
        self._ready = blocked.ready
        # The clock's readings, without the way through the clock.
        self._wall_ms = clock.wall_ms
        self._perf_ns = clock.perf_ns
        # One byte a slot: 0 where a key needs a closer look, in cluster mode because the slot is not ours, or moving.
        self._owned = bytearray(b"\1") * SLOTS
        self._clustered = False
        # Who must know which keys a command has read (CLIENT TRACKING).
        self.tracking = tracking
        # `maxmemory`, set by the node.
        self.eviction: Eviction
        # For INFO: error replies by their code.
        self.errors: dict[bytes, int] = {}

    @property
    def processed(self) -> int:
        """For INFO: commands run since the start, those within transactions and scripts included."""
        return sum([command.calls for command in self._table.every()])

    def use_slots(self, owned: bytearray) -> None:
        """Cluster mode: check keys against this table from now on; it may be changed in place, never replaced."""
        self._owned = owned
        self._clustered = True

    def open_turn(self) -> None:
        """The first command of a turn is about to run: all of them share one time."""
        self._keyspace.now_ms = self._wall_ms()

    def execute_one(self, session: NodeSession, argv: list[bytes], chunk: bytes) -> bool:
        """Run the command of a client that waits for each reply; see `wire.connection.Service`.

        What stands in front of the loop in `execute` would cost more than such a command.
        """
        keyspace = self._keyspace
        command = self._by_name.get(argv[0])
        if (
            command is None
            or command.gates & session.mask
            or not command.argc_min <= len(argv) <= command.argc_max
            or keyspace.metered
        ):
            return False
        place = command.key_index
        if place > 0:
            key = argv[place]
            slot = crc_hqx(key, 0) & 16383 if 123 not in key else keyspace.slot_of(key)
            if not self._owned[slot]:
                return False
            keyspace.key = key
            keyspace.slot = slot
        elif place and self._clustered and not self.serves(command, argv):
            return False
        call = session.call
        call.argv = argv
        call.command = command
        call.rewritten = False
        dirty = keyspace.dirty
        session.last_seen_ms = keyspace.now_ms
        perf_ns = self._perf_ns
        started_ns = perf_ns()
        try:
            reply = command.handler(call)
        except Error as error:
            reply = error
            command.failed_calls += 1
            self.count(error)
        took_ns = perf_ns() - started_ns
        if keyspace.dirty != dirty or keyspace.effects:
            propagation = self._propagation
            if not propagation.active:
                keyspace.effects.clear()
            elif not keyspace.effects and not call.rewritten and command.flags & WRITE:
                session.write_offset = propagation.feed(call.db.index, chunk)
            else:
                self._pass_on_effects(session, command, argv, changed=keyspace.dirty != dirty)
            if self._ready:
                self._serve_blocked()
        if reply is OK:
            session.out.append(_OK)
        elif reply is PARKED:
            self._park(session, command, started_ns)
            return True
        else:
            encode_into(session.out, reply, session.proto)
        command.calls += 1
        command.nanoseconds += took_ns
        session.last_command = command.name
        if took_ns >= command.notice_ns:
            self._notice(session, command, argv, took_ns)
        return True

    def _notice(self, session: NodeSession, command: Command, argv: list[bytes], took_ns: int, runs: int = 1) -> None:
        """A command took so long that the time of the turn is another one, or is one that is looked at more closely."""
        if took_ns >= LONG_NS:
            self._keyspace.now_ms = self._wall_ms()
        self._slow.notice(session, command, argv, took_ns, runs)

    def execute(self, session: NodeSession, batch: Batch, start: int) -> int:
        """Run the commands of `batch` from `start` on; see `wire.connection.Service`."""
        commands = batch.commands
        alike = batch.alike
        call = session.call
        out = session.out
        keyspace = self._keyspace
        effects = keyspace.effects
        by_name = self._by_name
        owned = self._owned
        ready = self._ready
        perf_ns = self._perf_ns
        session.last_seen_ms = keyspace.now_ms
        dirty = keyspace.dirty
        call.rewritten = False
        # Where the run of writes begins that will be passed on as one slice (-1: none under way), and its database.
        run = -1
        run_database = 0
        index = start
        stop = len(commands)
        eviction = self.eviction
        limited = eviction.limit > 0
        if keyspace.uses is not None:
            keyspace.uses.quiet = session.no_touch
        started_ns = perf_ns()
        while index < stop:
            argv = commands[index]
            command = by_name.get(argv[0])
            mask = session.mask
            misplaced = False
            if (
                command is not None
                and not command.gates & mask
                and command.argc_min <= len(argv) <= command.argc_max
                and not (limited and command.flags & _NEEDS_MEMORY and not eviction.fits())
            ):
                # A stretch: neighbours alike, for which all that was just looked up holds. It is timed as a whole
                # (a reading of the clock costs as much as all the checks), unless one of them could be slow.
                handler = command.handler
                place = command.key_index
                propagating = self._propagation.active
                nil = NIL_2 if session.proto == 2 else NIL_3
                slow_ns = self._slow.threshold_ns
                ends = not alike or not command.brief or slow_ns < _BRIEF_NS or limited
                first = index
                call.command = command
                if (
                    not ends
                    and command.stretch is not None
                    and command.stretch_argc in (0, len(argv))
                    and stop - index >= _STRETCH_MIN
                    and not call.db.attended
                    and not keyspace.notifier.flags
                ):
                    notes = StretchNotes()
                    index += command.stretch(call, commands[index:] if index else commands, owned, notes)
                    if keyspace.dirty != dirty:
                        dirty = keyspace.dirty
                        if propagating and notes.effects:
                            if run >= 0:
                                self._pass_on(session, run_database, batch.encoded(run, first))
                                run = -1
                            self._pass_on(session, call.db.index, notes.effects)
                        elif propagating:
                            if run < 0:
                                run = first
                                run_database = call.db.index
                            if notes.unchanged:
                                data = batch.encoded_without(run, index, [first + at for at in notes.unchanged])
                                self._pass_on(session, run_database, data)
                                run = -1
                    elif run >= 0:
                        self._pass_on(session, run_database, batch.encoded(run, first))
                        run = -1
                while index < stop:
                    argv = commands[index]
                    if place > 0:
                        key = argv[place]
                        slot = crc_hqx(key, 0) & 16383 if 123 not in key else keyspace.slot_of(key)
                        if not owned[slot]:
                            misplaced = True
                            break
                        keyspace.key = key
                        keyspace.slot = slot
                    elif place and self._clustered and not self.serves(command, argv):
                        misplaced = True
                        break
                    call.argv = argv
                    try:
                        reply = handler(call)
                    except Error as error:
                        reply = error
                        command.failed_calls += 1
                        self.count(error)
                    if keyspace.dirty != dirty or effects:
                        if not propagating:
                            effects.clear()
                            call.rewritten = False
                        elif not effects and not call.rewritten and command.flags & WRITE:
                            if run < 0:
                                run = index
                                run_database = call.db.index
                        else:
                            if run >= 0:
                                self._pass_on(session, run_database, batch.encoded(run, index))
                                run = -1
                            self._pass_on_effects(session, command, argv, changed=keyspace.dirty != dirty)
                        if ready:
                            if run >= 0:
                                self._pass_on(session, run_database, batch.encoded(run, index + 1))
                                run = -1
                            self._serve_blocked()
                        dirty = keyspace.dirty
                    elif run >= 0:
                        self._pass_on(session, run_database, batch.encoded(run, index))
                        run = -1
                    kind = type(reply)
                    if kind is bytes:
                        length = len(reply)
                        if length < 1024:
                            out += (BULK_HEADERS[length], reply, _CRLF)
                        else:
                            out.append(b"$%d\r\n%b\r\n" % (length, reply))
                    elif reply is OK:
                        out.append(_OK)
                    elif reply is None:
                        out.append(nil)
                    elif kind is int:
                        out.append(INTEGERS[reply] if 0 <= reply < 1024 else b":%d\r\n" % reply)
                    elif reply is PARKED:
                        self._park(session, command, started_ns)
                        index += 1
                        first = index
                        break
                    else:
                        encode_into(out, reply, session.proto)
                    index += 1
                    if ends or session.mask != mask:
                        break
                ended_ns = perf_ns()
                if index > first:
                    command.calls += index - first
                    command.nanoseconds += ended_ns - started_ns
                    session.last_command = command.name
                    if ended_ns - started_ns >= command.notice_ns:
                        self._notice(session, command, commands[first], ended_ns - started_ns, index - first)
                started_ns = ended_ns
                if not misplaced:
                    if session.parked:
                        break
                    continue
            if run >= 0:
                self._pass_on(session, run_database, batch.encoded(run, index))
                run = -1
            if not self._run_slowly(session, argv):
                break
            index += 1
            if session.parked:
                break
            dirty = keyspace.dirty
            limited = eviction.limit > 0
            if keyspace.uses is not None:
                keyspace.uses.quiet = session.no_touch
            started_ns = perf_ns()
        if keyspace.uses is not None:
            keyspace.uses.quiet = False
        if run >= 0:
            self._pass_on(session, run_database, batch.encoded(run, index))
        return index

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
            reply = error
            command.failed_calls += 1
            self.count(error)
        took_ns = self._perf_ns() - started_ns
        command.calls += 1
        command.nanoseconds += took_ns
        if took_ns >= command.notice_ns:
            self._slow.notice(call.session, command, argv, took_ns)
        if call.session.tracked is not None:
            self.tracking.read(call.session, call.db, command, argv)
        if self._monitor.watched:
            self._monitor.show(call.session, command, argv)
        if not call.rewritten and _repeats(command, changed=keyspace.dirty != dirty):
            keyspace.effects.append((database, tuple(argv)))
        elif keyspace.dirty == dirty and not call.rewritten and len(keyspace.effects) == before:
            return reply
        call.rewritten = True
        return reply

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
            session.transaction.queue.append((command, argv))
            return QUEUED
        call.argv = argv
        call.command = command
        dirty = self._keyspace.dirty
        started_ns = self._perf_ns()
        try:
            reply = command.handler(call)
        except Error as error:
            reply = error
            command.failed_calls += not replaying
        if not replaying:
            took_ns = self._perf_ns() - started_ns
            command.calls += 1
            command.nanoseconds += took_ns
            if took_ns >= command.notice_ns:
                self._slow.notice(session, command, argv, took_ns)
        effects = self._keyspace.effects
        if self._propagation.logging and not replaying:
            if not call.rewritten and _repeats(command, changed=self._keyspace.dirty != dirty):
                effects.append((call.db.index, tuple(argv)))
            self._propagation.log_commands(effects, atomic=True)
        effects.clear()
        call.rewritten = False
        if self._ready:
            self._serve_blocked()
        return reply

    def pass_on_effects(self) -> None:
        """Pass on what a timer did (active expiry, eviction): single commands, never wrapped."""
        effects = self._keyspace.effects
        if effects:
            self._propagation.feed_commands(effects, atomic=False)
            effects.clear()
            if self._ready:
                self._serve_blocked()

    def conclude(self, call: Call, command: Command, argv: list[bytes], *, changed: bool) -> None:
        """A command that was parked in the middle of its work has come to its end: pass on what it did."""
        self._slow.note_end(call.session, command, argv, self._perf_ns() - call.session.parked_at_ns)
        self._pass_on_effects(call.session, command, argv, changed=changed)
        if self._ready:
            self._serve_blocked()

    def _park(self, session: NodeSession, command: Command, started_ns: int) -> None:
        """A command has made its client wait. Redis logs it once it has come to its end, and not if it never does."""
        command.calls += 1
        command.nanoseconds += self._perf_ns() - started_ns
        command.durations.omitted += 1
        session.last_command = command.name
        session.parked_at_ns = started_ns

    def _serve_blocked(self) -> None:
        """Something that blocked clients wait for has come; the command that brought it has been passed on."""
        # A long transaction may have outlived what it brought: that key expires now, and serves nobody.
        self._keyspace.now_ms = self._wall_ms()
        self._blocked.serve(self._run_blocked)
        # A key that had logically expired may have been met.
        self.pass_on_effects()

    def _run_blocked(self, call: Call, serve: Serve, key: bytes) -> Reply:
        """Run a blocked client's command, which looks at `key`; what it does is passed on by itself."""
        call.rewritten = False
        started_ns = self._perf_ns()
        try:
            reply = serve(call, key)
        except Error as error:
            # Counted where the client is answered.
            reply = error
        if reply is not NOT_YET:
            took_ns = self._perf_ns() - started_ns
            self._slow.note_served(call.session, call.command, call.argv, took_ns)
        self._pass_on_effects(call.session, call.command, call.argv, changed=False)
        return reply

    def serves(self, command: Command, argv: list[bytes]) -> bool:
        """Whether all keys of a command are in one slot that is ours and stable."""
        slot_of = self._keyspace.slot_of
        slots = [slot_of(argv[at]) for at in command.spec.keys_in(argv)]
        if not slots:
            return True
        first = slots[0]
        return bool(self._owned[first]) and slots.count(first) == len(slots)

    def _run_slowly(self, session: NodeSession, argv: list[bytes]) -> bool:
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
        try:
            command = self._table.find(argv)
            command.check_arity(len(argv))
            if self.eviction.limit:
                self.eviction.make_room()
            refusal = self._gatekeeper.refuse(session, command, argv)
            if refusal is not None:
                raise refusal
        except Error as error:
            reply = error
            if command is not None:
                command.rejected_calls += 1
            self.count(error)
            if session.transaction is not None:
                session.transaction.aborted = True
                if command is not None and command.name == "exec":
                    reply = _refused_exec(session, error)
        else:
            if self._gatekeeper.postpones(session, command):
                session.parked = session.postponed = True
                return False
            if session.mask & IN_MULTI and not command.flags & UNQUEUED:
                assert session.transaction is not None
                session.transaction.queue.append((command, argv))
                reply = QUEUED
            else:
                dirty = keyspace.dirty
                call = session.call
                call.argv = argv
                call.command = command
                session.last_command = command.name
                call.rewritten = False
                started_ns = self._perf_ns()
                try:
                    if session.tracked is None:
                        reply = command.handler(call)
                    else:
                        reply = self.tracking.run(session, partial(command.handler, call), command, argv)
                except Error as error:
                    reply = error
                    command.failed_calls += 1
                    self.count(error)
                if reply is PARKED:
                    self._park(session, command, started_ns)
                else:
                    took_ns = self._perf_ns() - started_ns
                    command.calls += 1
                    command.nanoseconds += took_ns
                    if took_ns >= command.notice_ns:
                        self._notice(session, command, argv, took_ns)
                if self._monitor.watched:
                    # As in Redis, after the run: EXEC behind what it ran, SELECT with the database it chose.
                    self._monitor.show(session, command, argv)
                self._pass_on_effects(session, command, argv, changed=keyspace.dirty != dirty)
                if self._ready:
                    self._serve_blocked()
        if session.mask & ONE_SHOT and not session.mask & IN_MULTI and (command is None or command.name != "asking"):
            # ASKING holds for one command, refused or not; before MULTI, for all up to EXEC (Redis: resetClient).
            session.mask &= ~ONE_SHOT
            session.asking = False
        if reply is not NO_REPLY and reply is not PARKED:
            session.put_reply(reply)
        return not session.mask & CLOSING

    def count(self, error: Error) -> None:
        """For INFO errorstats. Redis keeps no more than 128 codes, because scripts can make up their own."""
        code = error.text.partition(b" ")[0]
        if code in self.errors or len(self.errors) < 128:
            self.errors[code] = self.errors.get(code, 0) + 1

    def _pass_on(self, session: NodeSession, database: int, data: bytes) -> None:
        """Pass on whole commands that ran in `database`, as the client sent them."""
        session.write_offset = self._propagation.feed(database, data)

    def _pass_on_effects(self, session: NodeSession, command: Command, argv: list[bytes], *, changed: bool) -> None:
        """Pass on one command's effects: expired keys first, then what it put in its place, or the request."""
        call = session.call
        effects = self._keyspace.effects
        if not call.rewritten and _repeats(command, changed=changed):
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


def _refused_exec(session: NodeSession, error: Error) -> Error:
    """EXEC itself was refused, which ends the transaction; a redirection keeps its own words."""
    session.end_transaction()
    if error.text.startswith(_REDIRECTIONS):
        return error
    return Error(b"EXECABORT Transaction discarded because of: " + error.text.removeprefix(b"ERR "))


def _repeats(command: Command, *, changed: bool) -> bool:
    """Whether replicas must repeat the request as it came."""
    return changed and bool(command.flags & (WRITE | MAY_REPLICATE))
