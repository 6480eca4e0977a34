"""The asyncio face of one end of a connection, and of a listening port.

Everything here belongs to one incarnation of a process and asks that one whether it is alive, and not whoever happens
to run: cleanup code of a dead process may be executed at any time, by the garbage collector, and must reach nothing.
Callbacks run in the context in which the transport was made.
"""

from __future__ import annotations

import asyncio
import socket
from asyncio.events import Handle
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, cast

from sim.process import Process, Resource
from sim.tcp import Address, End

if TYPE_CHECKING:
    from sim.loop import SimLoop

# As asyncio's own transports.
_READ_MAX = 256 * 1024
_HIGH_WATER = 64 * 1024


class NoSocket:
    """What third parties ask a transport's socket for; there is none, and options mean nothing."""

    __slots__ = ("_name", "_peer", "type")
    family = socket.AF_UNSPEC
    proto = 0

    def __init__(self, kind: socket.SocketKind, name: Address | None, peer: Address | None) -> None:
        self.type = kind
        self._name = name
        self._peer = peer

    def fileno(self) -> int:
        return -1

    def setsockopt(self, *_: object) -> None:
        """Nothing here has options."""

    def getsockname(self) -> Address | None:
        return self._name

    def getpeername(self) -> Address | None:
        return self._peer


class SimTransport(asyncio.Transport):
    """One connected socket."""

    __slots__ = (
        "_buffer",
        "_buffered_bytes",
        "_closing",
        "_context",
        "_end",
        "_eof_wanted",
        "_high_water",
        "_loop",
        "_lost",
        "_low_water",
        "_process",
        "_protocol",
        "_protocol_paused",
        "_read_handle",
        "_read_scheduled",
        "_reading",
        "_write_handle",
        "_write_scheduled",
    )

    def __init__(self, loop: SimLoop, process: Process, end: End, protocol: asyncio.BaseProtocol) -> None:
        super().__init__(
            {
                "sockname": end.local,
                "peername": end.remote,
                "socket": NoSocket(socket.SOCK_STREAM, end.local, end.remote),
            }
        )
        self._loop = loop
        self._process = process
        self._context: Context = copy_context()
        self._end = end
        self._protocol = protocol
        # Written, and not taken by the kernel yet.
        self._buffer: list[bytes] = []
        self._buffered_bytes = 0
        self._low_water, self._high_water = _HIGH_WATER // 4, _HIGH_WATER
        self._protocol_paused = False
        self._reading = True
        self._read_scheduled = self._write_scheduled = False
        self._closing = self._lost = False
        self._eof_wanted = False
        # Each of them waits for its turn at most once at a time, so one handle serves for ever.
        self._read_handle = Handle(self._read, (), loop, self._context)
        self._write_handle = Handle(self._write_buffered, (), loop, self._context)
        end.on_arrival = self._arrived
        end.on_readable = self._readable
        end.on_writable = self._writable

    def begin(self) -> None:
        """Greet the protocol, and take what has arrived already."""
        self._protocol.connection_made(self)
        self._readable()

    # ---- reading

    def _arrived(self) -> None:
        if self._reading and not self._read_scheduled and not self._lost:
            self._read_scheduled = True
            self._process.interrupt(self._read_handle)

    def _readable(self) -> None:
        if self._reading and not self._read_scheduled and not self._lost:
            end = self._end
            if end.input or end.ended or end.error:
                self._read_scheduled = True
                self._process.enqueue(self._read_handle)

    def _read(self) -> None:
        self._read_scheduled = False
        end = self._end
        if not self._reading or self._lost or self._closing:
            return
        if end.unread_bytes:
            data = end.read(_READ_MAX)
            # By what it does, not by its class: a compiled one inherits from none of asyncio's.
            protocol = cast(asyncio.Protocol, self._protocol)
            assert not isinstance(protocol, asyncio.BufferedProtocol), "buffered protocols are not simulated"
            protocol.data_received(data)
            if end.input or end.ended or end.error:
                self._readable()
        elif end.error:
            self._lose(end.failure())
        elif end.ended:
            # Once: from here on nothing can be read.
            self._reading = False
            protocol = cast(asyncio.Protocol, self._protocol)
            if not protocol.eof_received():
                self.close()

    def is_reading(self) -> bool:
        return self._reading and not self._closing

    def pause_reading(self) -> None:
        if not self._closing:
            self._reading = False

    def resume_reading(self) -> None:
        if not self._closing and not self._end.ended:
            self._reading = True
            self._readable()

    # ---- writing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not isinstance(data, bytes):
            data = bytes(data)
        if self._eof_wanted:
            raise RuntimeError("Cannot call write() after write_eof()")
        if not data or self._lost or not self._process.alive:
            return
        if not self._buffer and not self._process.lag_s:
            taken = self._give(data)
            if taken < 0 or taken == len(data):
                return
            data = data[taken:]
        self._buffer.append(data)
        self._buffered_bytes += len(data)
        if self._process.lag_s:
            # The process' own time is ahead of the world's: its next turn begins when the world has caught up.
            self._writable()
        if self._buffered_bytes > self._high_water and not self._protocol_paused:
            self._protocol_paused = True
            self._protocol.pause_writing()

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def _give(self, data: bytes) -> int:
        """Hand bytes to the kernel; returns how many it took, -1 when the connection is broken."""
        try:
            return self._end.write(data)
        except OSError as error:
            self._lose(error)
            return -1

    def _writable(self) -> None:
        if self._buffer and not self._write_scheduled:
            self._write_scheduled = True
            self._process.enqueue(self._write_handle)

    def _write_buffered(self) -> None:
        self._write_scheduled = False
        waiting, self._buffer = self._buffer, []
        for place, data in enumerate(waiting):
            taken = self._give(data)
            if taken < 0:
                return
            self._buffered_bytes -= taken
            if taken < len(data):
                self._buffer = [data[taken:], *waiting[place + 1 :]]
                break
        if self._protocol_paused and self._buffered_bytes <= self._low_water:
            self._protocol_paused = False
            self._protocol.resume_writing()
        if not self._buffer:
            if self._closing:
                self._lose(None)
            elif self._eof_wanted:
                self._end.finish()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if not self._eof_wanted and not self._closing and self._process.alive:
            self._eof_wanted = True
            if not self._buffer:
                self._end.finish()

    def get_write_buffer_size(self) -> int:
        return self._buffered_bytes

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._low_water, self._high_water

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        if high is None:
            high = _HIGH_WATER if low is None else 4 * low
        self._high_water = high
        self._low_water = high // 4 if low is None else low

    # ---- the end

    def is_closing(self) -> bool:
        return self._closing or not self._process.alive

    def close(self) -> None:
        """Close once everything written is in the kernel's hands."""
        if not self._closing and self._process.alive:
            self._closing = True
            if not self._buffer:
                self._lose(None)

    def abort(self) -> None:
        """Close at once; what the kernel does not have yet is lost."""
        if self._process.alive:
            self._lose(None)

    def _lose(self, why: OSError | None) -> None:
        self._closing = True
        if not self._lost:
            self._lost = True
            self._buffer.clear()
            self._buffered_bytes = 0
            self._loop.call_soon(self._connection_lost, why, context=self._context)

    def _connection_lost(self, why: OSError | None) -> None:
        """As in asyncio, the socket is closed after the protocol was told."""
        try:
            self._protocol.connection_lost(why)
        finally:
            self._end.close()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol


class Port(Resource):
    """A listening port: connections that are complete wait in its queue until their process accepts them."""

    __slots__ = ("_accept", "_backlog", "_context", "_loop", "_process", "_queue", "_scheduled", "address")

    def __init__(
        self, loop: SimLoop, process: Process, address: Address, backlog: int, accept: Callable[[End], None]
    ) -> None:
        self._loop = loop
        self._process = process
        self._context = copy_context()
        # The address it is bound to; 0.0.0.0 is all of the host's.
        self.address = address
        self._backlog = backlog
        self._accept = accept
        self._queue: deque[End] = deque()
        self._scheduled = False
        process.resources[self] = None

    @property
    def full(self) -> bool:
        return len(self._queue) > self._backlog

    def enter(self, end: End) -> None:
        """A handshake is complete."""
        self._queue.append(end)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._accept_all, context=self._context)

    def _accept_all(self) -> None:
        self._scheduled = False
        while self._queue:
            end = self._queue.popleft()
            if end.open:
                end.take(self._process)
                self._accept(end)

    def abandon(self) -> None:
        self._accept = _nobody

    def reclaim(self) -> None:
        """Nobody listens any more; who waits is turned away."""
        self._process.host.ports.pop(self.address, None)
        self._process.resources.pop(self, None)
        while self._queue:
            end = self._queue.popleft()
            end.outbound.reset()
            end.vanish()


class SimServer(asyncio.AbstractServer):
    """What `create_server` returns."""

    def __init__(self, loop: SimLoop, process: Process, ports: list[Port]) -> None:
        self._loop = loop
        self._process = process
        self._ports = ports

    @property
    def sockets(self) -> tuple[NoSocket, ...]:
        return tuple(NoSocket(socket.SOCK_STREAM, port.address, None) for port in self._ports)

    def get_loop(self) -> SimLoop:
        return self._loop

    def is_serving(self) -> bool:
        return bool(self._ports)

    async def start_serving(self) -> None:
        """It does from the start."""

    async def serve_forever(self) -> None:
        await self._loop.create_future()

    def close(self) -> None:
        if self._process.alive:
            ports, self._ports = self._ports, []
            for port in ports:
                port.reclaim()

    async def wait_closed(self) -> None:
        """Closing takes no time."""


def _nobody(_: End) -> None:
    """Accepts for a process that is no more."""
