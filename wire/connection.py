"""One accepted TCP connection: bytes in, bytes out.

An ordinary asyncio Protocol, so that uvloop, TLS and the simulator can all drive it. It decodes, hands whole
batches to the service, and writes what the session collected once, at the end of the turn (`wire.turn`).
"""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

from runtime.sockets import hang_up
from wire.decoder import Batch, Decoder
from wire.encoder import encode_error
from wire.session import CLOSING, MUTED, Session
from wire.turn import Turn


class Service(Protocol):
    """What a listener serves: a node, a sentinel, a proxy."""

    turn: Turn

    def connect(self) -> Connection:
        """What drives a connection that is coming."""
        ...

    def opened(self, connection: Connection) -> Session | bytes:
        """A session for the new connection, or the error line with which it is turned away."""
        ...

    def execute(self, session: Session, batch: Batch, start: int) -> int:
        """Run commands of `batch` from `start` on, replies into `session.out`; returns the index of the first
        command not run (a command that parked the session stops the batch)."""
        ...

    def closed(self, session: Session) -> None:
        """The connection is gone."""
        ...

    def output_blocked(self, session: Session, pending: int) -> None:
        """The client does not read as fast as it is written to: `pending` bytes wait. May drop the session."""
        ...


class Connection:
    """The socket side of a session: an `asyncio.Protocol` by what it does (a compiled class can inherit from none)."""

    __slots__ = (
        "_closing",
        "_execute",
        "_resuming",
        "_service",
        "_slow",
        "_special",
        "_turn",
        "_unfinished",
        "bytes_in",
        "bytes_out",
        "decoder",
        "output_max",
        "ready",
        "session",
        "transport",
    )

    def __init__(self, service: Service) -> None:
        self._service = service
        # Looked up once.
        self._execute = service.execute
        self._turn = service.turn
        self.decoder = Decoder()
        # Set when the connection is made; nothing is asked of it before.
        self.transport: asyncio.Transport
        self._closing = False
        # Batches behind a parked command, each with the index of its next command.
        self._unfinished: list[tuple[Batch, int]] = []
        self._resuming = False
        # What is more than this at once is held against the limits though the client may read it fast: as in Redis,
        # where replies are collected before any is sent.
        self.output_max = 1 << 62
        # The client reads more slowly than it is written to: the transport has a tail.
        self._slow = False
        # One of the two: all that a flush asks.
        self._special = False
        # Nothing stands in front of the next chunk, not even a reply that has not been collected, and the chunk will be
        # read from its beginning. False may also mean that nobody has looked since.
        self.ready = False
        self.session: Session | None = None
        self.bytes_in = 0
        self.bytes_out = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        # Whatever the kernel does not take at once is a tail.
        self.transport.set_write_buffer_limits(high=0)
        opened = self._service.opened(self)
        if isinstance(opened, bytes):
            self.transport.write(encode_error(opened))
            self.transport.close()
            self._closing = self._special = True
            return
        self.session = opened
        self.look(opened)

    def data_received(self, data: bytes) -> None:
        session = self.session
        if session is None or self._closing:
            return
        self.bytes_in += len(data)
        if not self._turn.begun:
            self._turn.begin()
        self.take(session, self.decoder.feed(data))

    def take(self, session: Session, batch: Batch) -> None:
        """Run what has been read of a chunk, or put it behind what waits."""
        turn = self._turn
        if turn.put_off is not None:
            # This client's last command may be among them.
            turn.put_off()
        if turn.replies or turn.together:
            self._collect()
        decoder = self.decoder
        if session.parked or self._unfinished:
            self._unfinished.append((batch, 0))
        else:
            done = self._execute(session, batch, 0)
            if done < batch.count:
                self._unfinished.append((batch, done))
        # A chunk that was taken whole left nothing behind, and no mistake.
        if not batch.chunk:
            if decoder.error is not None or decoder.overfilled:
                self._give_up(session)
            else:
                session.buffered()
        if session.out:
            turn.reply(self)
        self.look(session)

    def look(self, session: Session) -> None:
        """Find out whether the connection is ready."""
        self.ready = self.decoder.fresh and not (session.parked or self._unfinished or self._closing)

    def limit(self, limited: bool) -> None:
        """Take small requests only, or all."""
        self.decoder.limited = limited
        self.ready = False

    def wake(self) -> None:
        """There is output outside an execution: flush it at the end of the turn."""
        self._collect()
        self._turn.reply(self)

    @property
    def pending_input(self) -> int:
        """Bytes that have come and have not been run; of whole commands that wait, those of their arguments."""
        if not self._unfinished:
            return self.decoder.buffered
        waiting = sum(sum(map(len, argv)) for batch, done in self._unfinished for argv in batch.commands[done:])
        return self.decoder.buffered + waiting

    def resume(self) -> None:
        """The parked command was answered: run what came behind it, in a turn of the loop's own."""
        self._collect()
        self._turn.reply(self)
        if not self._resuming:
            self._resuming = True
            asyncio.get_running_loop().call_soon(self._run_unfinished)

    def flush(self) -> None:
        """Write what the session collected."""
        session = self.session
        if session is None or self._special:
            self._flush_special()
            return
        out = session.out
        if out:
            if len(out) == 1:
                data = out.pop()
            else:
                data = b"".join(out)
                out.clear()
            size = len(data)
            if size <= self.output_max:
                self.bytes_out += size
                self.transport.write(data)
            else:
                self._write_much(session, data)

    def _flush_special(self) -> None:
        """The client is on its way out, or reads slowly."""
        session = self.session
        transport = self.transport
        if session is None or (self._closing and transport.is_closing()):
            return
        out = session.out
        if out:
            data = b"".join(out)
            out.clear()
            self._write_much(session, data)
        if self._closing:
            transport.close()

    def _collect(self) -> None:
        """If there is a reply that has not been collected (`Turn.replies`), put it in front of what has come since."""
        turn = self._turn
        if turn.together:
            turn.spread()
        reply = turn.replies.pop(self, None)
        if reply is not None and self.session is not None:
            self.session.out.insert(0, reply)
            turn.reply(self)

    def _write_much(self, session: Session, data: bytes) -> None:
        """Write what may break a limit of output."""
        if len(data) > self.output_max:
            session.collected(len(data))
        self.write(data)

    def write(self, data: bytes) -> None:
        """Send at once. The replication stream comes here past the turn, in which it has a step of its own."""
        transport = self.transport
        if transport.is_closing():
            return
        self.bytes_out += len(data)
        transport.write(data)
        # Otherwise the limits matter only for a client that reads slowly, and has a tail.
        if self._slow and self.session is not None:
            self._service.output_blocked(self.session, transport.get_write_buffer_size())

    def pause_writing(self) -> None:
        """The transport keeps what the kernel does not take."""
        self._slow = self._special = True

    def resume_writing(self) -> None:
        self._slow = False
        self._special = self._closing

    @property
    def secure(self) -> bool:
        """Whether the client came by TLS."""
        return self.transport.get_extra_info("ssl_object") is not None

    @property
    def fd(self) -> int:
        """The socket's number, for people; -1 where there is no real one."""
        raw = self.transport.get_extra_info("socket")
        return raw.fileno() if raw is not None else -1

    @property
    def pending_output(self) -> int:
        """Bytes written that the kernel has not taken yet."""
        return self.transport.get_write_buffer_size()

    def close_after_replies(self) -> None:
        self._end()
        self._turn.reply(self)

    def abort(self) -> None:
        self._end()
        hang_up(self.transport)

    def _end(self) -> None:
        self._collect()
        self._closing = self._special = True
        self.ready = False

    def eof_received(self) -> bool:
        """The client says no more, and perhaps still listens (``printf ... | nc``): it gets what it asked for."""
        if self._turn.put_off is not None:
            self._turn.put_off()
        session = self.session
        if session is None or self._closing:
            return False
        self._collect()
        if self._unfinished and not session.parked:
            self._run_unfinished()
        if not (session.out or session.parked or session.owed or self._unfinished):
            # There is nothing to be told: whoever publishes next does not find this client among the listeners.
            self.connection_lost(None)
            return False
        session.close()
        # With TLS both directions end together; asyncio would complain.
        return not self.secure

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._end()
        session, self.session = self.session, None
        self._unfinished.clear()
        if session is not None:
            session.mask |= CLOSING
            self._service.closed(session)
            session.connection = None

    def _run_unfinished(self) -> None:
        self._resuming = False
        if not self._turn.begun:
            self._turn.begin()
        self._collect()
        session = self.session
        while self._unfinished and session is not None and not session.parked and not self._closing:
            # What runs does not wait any more.
            batch, start = self._unfinished.pop(0)
            done = self._execute(session, batch, start)
            if done < batch.count:
                self._unfinished.insert(0, (batch, done))
                break
        if session is not None:
            if session.out:
                self._turn.reply(self)
            self.look(session)

    def _give_up(self, session: Session) -> None:
        """The client broke the protocol (it is told) or fills the query buffer without end (it is not)."""
        if self.decoder.error is not None and not self._unfinished and not session.mask & (CLOSING | MUTED):
            session.out.append(encode_error(self.decoder.error.text))
        session.close()
