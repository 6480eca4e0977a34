"""One accepted TCP connection: bytes in, bytes out.

An ordinary asyncio Protocol, so that uvloop, TLS and the simulator can all drive it. It decodes, hands whole
batches to the service, and writes what the session collected once, at the end of the turn (`wire.turn`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, cast

from runtime.sockets import tune_stream
from wire.decoder import Batch, Decoder
from wire.encoder import encode_error
from wire.session import CLOSING, Session
from wire.turn import Turn


class Service(Protocol):
    """What a listener serves: a node, a sentinel, a proxy."""

    turn: Turn

    @property
    def execute_one(self) -> Callable[[Any, list[bytes], bytes], bool] | None:
        """Runs the only command that a client has sent, given with the bytes it came in, if nothing stands in its way.

        False when `execute` must look at it. None where every command takes the same way.
        """
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
        "_execute_one",
        "_read",
        "_resuming",
        "_service",
        "_slow",
        "_transport",
        "_turn",
        "_unfinished",
        "bytes_in",
        "bytes_out",
        "decoder",
        "keepalive_s",
        "output_max",
        "session",
    )

    def __init__(self, service: Service, keepalive_s: int = 300) -> None:
        self._service = service
        # Looked up once.
        self._execute = service.execute
        self._execute_one = service.execute_one
        self.decoder = Decoder()
        self._read = self.decoder.read
        self._turn = service.turn
        self._transport: asyncio.Transport | None = None
        self._closing = False
        # Batches behind a parked command, each with the index of its next command.
        self._unfinished: list[tuple[Batch, int]] = []
        self._resuming = False
        # What is more than this at once is held against the limits though the client may read it fast: as in Redis,
        # where replies are collected before any is sent.
        self.output_max = 1 << 62
        # The client reads more slowly than it is written to: the transport has a tail.
        self._slow = False
        self.keepalive_s = keepalive_s
        self.session: Session | None = None
        self.bytes_in = 0
        self.bytes_out = 0

    @property
    def transport(self) -> asyncio.Transport:
        assert self._transport is not None
        return self._transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        tune_stream(self._transport, self.keepalive_s)
        # Whatever the kernel does not take at once is a tail.
        self._transport.set_write_buffer_limits(high=0)
        opened = self._service.opened(self)
        if isinstance(opened, bytes):
            self._transport.write(encode_error(opened))
            self._transport.close()
            self._closing = True
            return
        self.session = opened

    def data_received(self, data: bytes) -> None:
        session = self.session
        if session is None or self._closing:
            return
        self.bytes_in += len(data)
        turn = self._turn
        if not turn.begun:
            turn.begin()
        batch = self._read(data)
        waits = session.parked or self._unfinished
        if isinstance(batch, list):
            # A client that waits for each reply.
            if not waits and self._execute_one is not None and self._execute_one(session, batch, data):
                turn.waiting[self] = None
                return
            batch = Batch([batch], data)
        if waits:
            self._unfinished.append((batch, 0))
        else:
            done = self._execute(session, batch, 0)
            if done < batch.count:
                self._unfinished.append((batch, done))
        decoder = self.decoder
        # A chunk that was taken whole left nothing behind, and no mistake.
        if not batch.chunk:
            if decoder.error is not None or decoder.buffered > decoder.buffer_max:
                self._give_up(session)
            else:
                session.buffered()
        if session.out:
            turn.reply(self)

    def wake(self) -> None:
        """There is output outside an execution: flush it at the end of the turn."""
        self._turn.reply(self)

    @property
    def pending_input(self) -> int:
        """Bytes that have come and have not been run; of whole commands that wait, those of their arguments."""
        waiting = sum(sum(map(len, argv)) for batch, done in self._unfinished for argv in batch.commands[done:])
        return self.decoder.buffered + waiting

    def resume(self) -> None:
        """The parked command was answered: run what came behind it, in a turn of the loop's own."""
        self._turn.reply(self)
        if not self._resuming:
            self._resuming = True
            asyncio.get_running_loop().call_soon(self._run_unfinished)

    def flush(self) -> None:
        """Write what the session collected."""
        session = self.session
        transport = self._transport
        if session is None or transport is None or (self._closing and transport.is_closing()):
            return
        out = session.out
        if out:
            data = b"".join(out) if len(out) > 1 else out[0]
            out.clear()
            size = len(data)
            if size > self.output_max:
                session.collected(size)
                if transport.is_closing():
                    return
            self.bytes_out += size
            transport.write(data)
            # Otherwise the limits matter only for a client that reads slowly, and has a tail.
            if self._slow:
                self._service.output_blocked(session, transport.get_write_buffer_size())
        if self._closing:
            transport.close()

    def write(self, data: bytes) -> None:
        """Send at once, past the turn: the replication stream, which has its own step in the turn."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self.bytes_out += len(data)
        transport.write(data)
        if self._slow and self.session is not None:
            self._service.output_blocked(self.session, transport.get_write_buffer_size())

    def pause_writing(self) -> None:
        """The transport keeps what the kernel does not take."""
        self._slow = True

    def resume_writing(self) -> None:
        self._slow = False

    @property
    def secure(self) -> bool:
        """Whether the client came by TLS."""
        return self._transport is not None and self._transport.get_extra_info("ssl_object") is not None

    @property
    def fd(self) -> int:
        """The socket's number, for people; -1 where there is no real one."""
        raw = self._transport.get_extra_info("socket") if self._transport is not None else None
        return raw.fileno() if raw is not None else -1

    @property
    def pending_output(self) -> int:
        """Bytes written that the kernel has not taken yet."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def close_after_replies(self) -> None:
        self._closing = True
        self._turn.reply(self)

    def abort(self) -> None:
        self._closing = True
        if self._transport is not None:
            self._transport.abort()

    def eof_received(self) -> bool:
        """The client says no more, and perhaps still listens (``printf ... | nc``): it gets what it asked for."""
        if self.session is None or self._closing:
            return False
        self.session.close()
        # With TLS both directions end together; asyncio would complain.
        return not self.secure

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._closing = True
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
        session = self.session
        while self._unfinished and session is not None and not session.parked and not self._closing:
            batch, start = self._unfinished[0]
            done = self._execute(session, batch, start)
            if done < batch.count:
                self._unfinished[0] = (batch, done)
                break
            del self._unfinished[0]
        if session is not None and session.out:
            self._turn.reply(self)

    def _give_up(self, session: Session) -> None:
        """The client broke the protocol (it is told) or fills the query buffer without end (it is not)."""
        if self.decoder.error is not None and not self._unfinished:
            session.out.append(encode_error(self.decoder.error.text))
        session.close()
