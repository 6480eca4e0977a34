"""A node's connection: a command that comes by itself is run where it arrives.

A client that waits for each reply sends one command at a time, and then what stands around a command costs more than
the command: every call, every attribute looked up. So reading it (by its shape, `wire.singles`), running it, passing it
on and answering are one function here. It does what `wire.connection` and `node.execute` do for a batch, and leaves to
them whatever is not ordinary. When many clients do so, their commands are put off, to be run together (`node.crowds`).

A client that sends without waiting has a quarter of a megabyte read at a time, and uvloop reads on while there is more.
That is taken in pieces, a turn of the loop each, so that the others do not wait until all of it has been run.
"""

from __future__ import annotations

import asyncio
from binascii import crc_hqx
from typing import Final, cast

from node.aftermath import LARGE
from node.crowds import Crowds
from node.execute import Executor
from node.session import NodeSession
from wire.connection import Connection, Service
from wire.decoder import Batch
from wire.encoder import BULK_HEADERS, INTEGERS, NIL_2, NIL_3, encode_into
from wire.errors import Error
from wire.reply import NO_REPLY, OK, PARKED, PONG
from wire.singles import SINGLE_END

# So much of what has come from one client is taken in one turn of the loop. (Redis reads 16 kB at a time, but a turn of
# our loop costs more.)
_PIECE: Final = 1 << 16
_CRLF = b"\r\n"
_OK = b"+OK\r\n"
_PONG = b"+PONG\r\n"


class NodeConnection(Connection):
    """A `Connection` whose commands an executor runs."""

    __slots__ = (
        "_aftermath",
        "_blocked",
        "_client",
        "_crowds",
        "_executor",
        "_gathering",
        "_held",
        "_keyspace",
        "_owned",
        "_perf_ns",
        "_propagation",
        "_shapes",
    )

    # For the compiler: `connection_lost` takes it away.
    __deletable__ = ("_client",)

    # The session, while there is one.
    _client: NodeSession

    def __init__(self, service: Service, executor: Executor, crowds: Crowds) -> None:
        super().__init__(service)
        self._executor = executor
        self._crowds = crowds
        # Its parts, looked up once.
        self._aftermath = executor.aftermath
        self._keyspace = executor.keyspace
        self._owned = executor.owned
        self._perf_ns = executor.perf_ns
        self._propagation = executor.propagation
        self._shapes = executor.singles.by_size
        self._gathering = executor.singles.crowds
        # Not empty when a change may serve blocked clients.
        self._blocked = executor.aftermath.ready
        # What has come and is taken in the next turns; meanwhile nothing is read. No limit counts it, because Redis
        # would have left it in the socket.
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self.session is not None:
            self._client = cast(NodeSession, self.session)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.session is not None:
            del self._client
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        size = len(data)
        if not self.ready or size > _PIECE:
            self._take_in_pieces(data)
            return
        turn = self._turn
        if size < SINGLE_END:
            if turn.crowded:
                crowd = self._gathering[size]
                if crowd is not None:
                    self.ready = False
                    senders = crowd.senders
                    if not senders:
                        self._crowds.gather(crowd)
                    senders.append(self)
                    crowd.chunks.append(data)
                    return
            single = self._shapes[size]
        else:
            single = None
        if not turn.begun:
            turn.begin()

        # Read. What is called is loaded first, here and below: the interpreter looks an attribute up more quickly than
        # a method of that name.
        self.bytes_in += size
        session = self._client
        keyspace = self._keyspace
        if single is not None:
            unpack = single.unpack
            words = unpack(data)
            if single.template % words == data:
                command = single.command
                argv = [single.name, *words]
            else:
                single = None
        if single is None:
            batch = self.decoder.read(data)
            found = self._executor.singles.find(batch, size) if isinstance(batch, list) else None
            if found is None:
                self.take(session, Batch([batch], data) if isinstance(batch, list) else batch)
                return
            command = found
            argv = cast(list[bytes], batch)

        # What would send it the usual way.
        if command.gates & session.mask or (keyspace.metered and not self._executor.fits(session, command)):
            self.take(session, Batch([argv], data))
            return
        place = command.key_index
        if place > 0:
            key = argv[place]
            # Clients that push to a queue, or count, use one key over and over.
            if key != keyspace.key:
                keyspace.slot = crc_hqx(key, 0) & 16383 if 123 not in key else keyspace.slot_of(key)
            keyspace.key = key
            if not self._owned[keyspace.slot]:
                self.take(session, Batch([argv], data))
                return
        elif place and not self._executor.serves(command, argv):
            self.take(session, Batch([argv], data))
            return

        # Run.
        call = session.call
        call.argv = argv
        call.command = command
        call.rewritten = False
        dirty = keyspace.dirty
        session.last_seen_ms = keyspace.now_ms
        session.last_command = command.name
        timed = command.timed
        started_ns = self._perf_ns() if timed else 0
        handler = command.handler
        try:
            reply = handler(call)
        except Error as error:
            reply = error.with_traceback(None)
            command.failed_calls += 1
            self._aftermath.count(error)
        if not timed:
            command.untimed_calls += 1
        elif reply is not PARKED:
            if isinstance(reply, list):
                # To encode a long one is a part of the work.
                encode_into(session.out, reply, session.proto)
                reply = NO_REPLY
            self._aftermath.ran(session, command, argv, self._perf_ns() - started_ns)

        # Pass on.
        if keyspace.dirty != dirty or keyspace.effects:
            propagation = self._propagation
            if command.writes and propagation.active and not keyspace.effects and not call.rewritten:
                stream = propagation.direct
                if stream is not None and stream.pieces and stream.selected == call.db.index:
                    # The body of `Feed.feed`, written out, where it has been called before in this turn.
                    stream.pieces.append(data)
                    history = stream.history
                    history.offset = session.write_offset = history.offset + size
                else:
                    session.write_offset = propagation.feed(call.db.index, data)
            elif propagation.active:
                self._aftermath.pass_on_effects(session, command, argv, changed=keyspace.dirty != dirty)
            else:
                keyspace.effects.clear()
            if self._blocked and reply is not PARKED:
                # It is answered before those are served who have waited for what it brought.
                if reply is not NO_REPLY:
                    encode_into(session.out, reply, session.proto)
                turn.waiting[self] = None
                self._aftermath.serve_blocked()
                return

        # Answer.
        kind = type(reply)
        if kind is bytes and len(reply) < 1024:
            answer = BULK_HEADERS[len(reply)] + reply + _CRLF
        elif kind is int:
            answer = INTEGERS[reply] if 0 <= reply < 1024 else b":%d\r\n" % reply
        elif reply is OK:
            answer = _OK
        elif reply is None:
            answer = NIL_2 if session.proto == 2 else NIL_3
        elif reply is PONG:
            answer = _PONG
        elif reply is PARKED:
            assert timed, "what parks is never brief"
            self.ready = False
            self._aftermath.park(session, command, started_ns)
            return
        else:
            if (kind is bytes or kind is bytearray) and len(reply) >= LARGE:
                self._aftermath.answer_large(session, command, argv, reply)
            elif reply is not NO_REPLY:
                encode_into(session.out, reply, session.proto)
            turn.waiting[self] = None
            return
        if self.ready and not session.out:
            self.ready = False
            turn.replies[self] = answer
        else:
            session.out.append(answer)
            turn.waiting[self] = None

    def _take_in_pieces(self, data: bytes) -> None:
        """Take what does not come by itself: no more than a piece now."""
        if self._held:
            self._held += data
            return
        # A value that has not come to its end is not run yet, however long it is.
        if len(data) <= _PIECE or self.decoder.reserved >= len(data):
            super().data_received(data)
            return
        self.transport.pause_reading()
        self._held = data
        self._take_on()

    def _take_on(self) -> None:
        """Take the next piece, and read again if it is the last."""
        held = self._held
        self._held = b""
        if self._closing or self.transport.is_closing():
            return
        end = max(_PIECE, self.decoder.reserved)
        self._held = held[end:]
        super().data_received(held[:end])
        if not self._held:
            if not self.transport.is_closing():
                self.transport.resume_reading()
            return
        self.ready = False
        asyncio.get_running_loop().call_soon(self._take_on)
