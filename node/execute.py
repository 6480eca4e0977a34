"""The hot path: batches of commands in, replies out.

A batch runs in one loop. A command whose gates meet none of the session's conditions, with a fitting number
of arguments and (in cluster mode) a key in a slot that is ours and stable, is called at once; everything else
takes the slow lane (`node.slow_lane`), which performs every check in Redis' order. Consecutive writes that can be
repeated as they came are passed on as one slice of the client's own bytes. Three roads are shorter: one command alone
(`node.connection`), one command over and over (`node.stretches`), and one from many clients (`node.crowds`).

Handlers return Python values; the commonest are encoded inline here, the others by `wire.encoder`.
"""

from __future__ import annotations

from binascii import crc_hqx

from cluster.slots import SLOTS
from node.aftermath import Aftermath
from node.blocking import BlockedClients
from node.error_codes import ErrorCodes
from node.gates import Gatekeeper
from node.indirect import Indirect
from node.keyspace import Keyspace
from node.memory.eviction import Eviction
from node.monitor import Monitor
from node.propagation import Propagation
from node.session import NodeSession
from node.slow_commands import BRIEF_NS, SlowCommands
from node.slow_lane import SlowLane
from node.tracking import Tracking
from runtime.clock import Clock
from wire.command import DENYOOM, MAY_REPLICATE
from wire.decoder import Batch
from wire.encoder import BULK_HEADERS, INTEGERS, NIL_2, NIL_3, encode_into
from wire.errors import Error
from wire.reply import OK, PARKED
from wire.singles import Singles
from wire.table import STRETCH_MIN, STRETCHES_MAX, Command, CommandTable, StretchNotes

_CRLF = b"\r\n"
_OK = b"+OK\r\n"
# Commands that may need memory: those that say so, and those that run others.
_NEEDS_MEMORY = DENYOOM | MAY_REPLICATE


class Executor:
    """Runs commands for clients; its parts run those for others."""

    __slots__ = (
        "_by_name",
        "_clustered",
        "_ready",
        "_slow",
        "_table",
        "_wall_ms",
        "aftermath",
        "eviction",
        "indirect",
        "keyspace",
        "owned",
        "perf_ns",
        "propagation",
        "singles",
        "slow_lane",
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
        errors: ErrorCodes,
        clock: Clock,
    ) -> None:
        self._table = table
        self._by_name = table.by_name
        self.singles = Singles(table.by_name)
        self.keyspace = keyspace
        self.propagation = propagation
        self._slow = slow
        # Not empty when a change may serve blocked clients.
        self._ready = blocked.ready
        # The clock's readings, without the way through the clock.
        self._wall_ms = clock.wall_ms
        self.perf_ns = clock.perf_ns
        # One byte a slot: 0 where a key needs a closer look, in cluster mode because the slot is not ours, or moving.
        self.owned = bytearray(b"\1") * SLOTS
        self._clustered = False
        # Who must know which keys a command has read (CLIENT TRACKING).
        self.tracking = tracking
        self.aftermath = Aftermath(keyspace, propagation, slow, blocked, errors, clock)
        self.slow_lane = SlowLane(table, keyspace, gatekeeper, monitor, tracking, clock, self.aftermath)
        self.indirect = Indirect(table, keyspace, propagation, monitor, slow, tracking, clock, self.aftermath)
        # `maxmemory`.
        self.eviction: Eviction

    def limit_memory(self, eviction: Eviction) -> None:
        """What keeps to `maxmemory`; it needs the executor itself, and so comes later."""
        self.eviction = self.slow_lane.eviction = eviction

    def use_slots(self, owned: bytearray) -> None:
        """Cluster mode: check keys against this table from now on; it may be changed in place, never replaced."""
        self.owned = owned
        self._clustered = True

    def open_turn(self) -> None:
        """The first command of a turn is about to run: all of them share one time."""
        keyspace = self.keyspace
        keyspace.turn_before_ms = keyspace.turn_ms
        keyspace.turn_ms = keyspace.now_ms = self._wall_ms()

    def fits(self, session: NodeSession, command: Command) -> bool:
        """With `maxmemory`, or where uses are noted: whether the command may run at once.

        Room is made, and a client that wants to leave no trace is served, on the usual way.
        """
        eviction = self.eviction
        needs_room = eviction.limit > 0 and command.flags & _NEEDS_MEMORY
        return not session.no_touch and (not needs_room or eviction.fits())

    def execute(self, session: NodeSession, batch: Batch, start: int) -> int:
        """Run the commands of `batch` from `start` on; see `wire.connection.Service`."""
        session.last_seen_ms = self.keyspace.now_ms
        index = start
        if batch.columns is not None:
            for _ in range(STRETCHES_MAX):
                done = self._run_stretch(session, batch, index)
                if done < 0:
                    break
                index += done
                if index == batch.count:
                    return index
                # The next one is not ordinary; those behind it may be.
                if self._run_each(session, batch, index, index + 1) == index:
                    return index
                index += 1
                if session.parked or index == batch.count:
                    return index
        return self._run_each(session, batch, index, batch.count)

    def _run_stretch(self, session: NodeSession, batch: Batch, first: int) -> int:
        """Run as many commands of a batch of the same ones as can be run in one go from `first` on.

        Returns how many those were; -1 when none of them can.
        """
        columns = batch.columns
        assert columns is not None
        command = self._by_name.get(columns[0][0])
        if (
            command is None
            or command.stretch is None
            or command.gates & session.mask
            or command.stretch_argc not in (0, len(columns))
            or len(columns) < command.argc_min
            or batch.count - first < STRETCH_MIN
        ):
            return -1
        keyspace = self.keyspace
        dirty = keyspace.dirty
        notes = StretchNotes()
        done = self.run_alike(session, command, [column[first:] for column in columns] if first else columns, notes)
        if keyspace.dirty != dirty and self.propagation.active:
            data = notes.passed_on(batch, first, first + done)
            session.write_offset = self.propagation.feed(session.call.db.index, data)
        return done

    def run_alike(self, session: NodeSession, command: Command, columns: list[list[bytes]], notes: StretchNotes) -> int:
        """Run as many of these commands as can be run in one go, which nothing stands in the way of (`node.gates`).

        Returns how many those were; -1 when somebody wants to know more of each than `node.stretches` does.
        """
        call = session.call
        if call.db.attended or self._slow.threshold_ns < BRIEF_NS:
            return -1
        started_ns = self.perf_ns()
        call.command = command
        assert command.stretch is not None
        done = command.stretch(call, columns, self.owned, notes)
        if done:
            took_ns = self.perf_ns() - started_ns
            command.timed_calls += done
            command.timed_ns += took_ns
            session.last_command = command.name
            if took_ns >= command.notice_ns:
                self.aftermath.notice(session, command, [column[0] for column in columns], took_ns, done)
        return done

    def _run_each(self, session: NodeSession, batch: Batch, start: int, stop: int) -> int:
        """Run commands one by one; returns the index of the first one not run."""
        commands = batch.commands
        alike = batch.columns is not None
        call = session.call
        out = session.out
        keyspace = self.keyspace
        aftermath = self.aftermath
        effects = keyspace.effects
        by_name = self._by_name
        owned = self.owned
        ready = self._ready
        perf_ns = self.perf_ns
        dirty = keyspace.dirty
        call.rewritten = False
        # Where the run of writes begins that will be passed on as one slice (-1: none under way), and its database.
        run = -1
        run_database = 0
        index = start
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
                # Of neighbours alike all that was just looked up holds. They are timed as a whole (a reading of the
                # clock costs as much as all the checks), unless one of them could be slow.
                handler = command.handler
                place = command.key_index
                propagating = self.propagation.active
                nil = NIL_2 if session.proto == 2 else NIL_3
                slow_ns = self._slow.threshold_ns
                ends = not alike or len(argv) > command.brief_words or slow_ns < BRIEF_NS or limited
                first = index
                call.command = command
                while index < stop:
                    argv = commands[index]
                    if place > 0:
                        key = argv[place]
                        if key != keyspace.key:
                            keyspace.slot = crc_hqx(key, 0) & 16383 if 123 not in key else keyspace.slot_of(key)
                        keyspace.key = key
                        if not owned[keyspace.slot]:
                            misplaced = True
                            break
                    elif place and not self.serves(command, argv):
                        misplaced = True
                        break
                    call.argv = argv
                    try:
                        reply = handler(call)
                    except Error as error:
                        reply = error.with_traceback(None)
                        command.failed_calls += 1
                        aftermath.count(error)
                    if keyspace.dirty != dirty or effects:
                        if not propagating:
                            effects.clear()
                            call.rewritten = False
                        elif not effects and not call.rewritten and command.writes:
                            if run < 0:
                                run = index
                                run_database = call.db.index
                        else:
                            if run >= 0:
                                aftermath.pass_on(session, run_database, batch.encoded(run, index))
                                run = -1
                            aftermath.pass_on_effects(session, command, argv, changed=keyspace.dirty != dirty)
                        if ready:
                            if run >= 0:
                                aftermath.pass_on(session, run_database, batch.encoded(run, index + 1))
                                run = -1
                            # Who waits is served behind it, and logged behind it.
                            ends = True
                        dirty = keyspace.dirty
                    else:
                        if run >= 0:
                            aftermath.pass_on(session, run_database, batch.encoded(run, index))
                            run = -1
                        # What had said how it is to be repeated has changed nothing; the next one is another matter.
                        call.rewritten = False
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
                        aftermath.park(session, command, started_ns)
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
                    command.timed_calls += index - first
                    command.timed_ns += ended_ns - started_ns
                    session.last_command = command.name
                    if ended_ns - started_ns >= command.notice_ns:
                        aftermath.notice(session, command, commands[first], ended_ns - started_ns, index - first)
                if ready:
                    aftermath.serve_blocked()
                    dirty = keyspace.dirty
                started_ns = ended_ns
                if not misplaced:
                    if session.parked:
                        break
                    continue
            if run >= 0:
                aftermath.pass_on(session, run_database, batch.encoded(run, index))
                run = -1
            if not self.slow_lane.run(session, argv):
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
            aftermath.pass_on(session, run_database, batch.encoded(run, index))
        return index

    def serves(self, command: Command, argv: list[bytes]) -> bool:
        """Whether all keys of a command are in one slot that is ours and stable, or nobody minds."""
        if not self._clustered:
            return True
        slot_of = self.keyspace.slot_of
        slots = [slot_of(argv[at]) for at in command.spec.keys_in(argv)]
        if not slots:
            return True
        first = slots[0]
        return bool(self.owned[first]) and slots.count(first) == len(slots)
