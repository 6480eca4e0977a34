"""The asyncio face of one end of a connection, and of a listening port.

Everything here belongs to one incarnation of a process and asks that one whether it is alive, and not whoever happens to
run: cleanup code of a dead process may be executed at any time, by the garbage collector, and must reach nothing.
Callbacks run in the context in which the transport was made.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

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
        self._buffer: deque[bytes] = deque()
        self._buffered_bytes = 0
        self._low_water, self._high_water = _HIGH_WATER // 4, _HIGH_WATER
        self._protocol_paused = False
        # Bytes leave later: the process' own time is ahead of the world's.
        self._held = False
        self._reading = True
        self._read_scheduled = self._write_scheduled = False
        self._closing = self._lost = False
        self._eof_wanted = False
        end.on_readable = self._readable
        end.on_writable = self._writable

    def begin(self) -> None:
        """Greet the protocol, and take what has arrived already."""
        self._protocol.connection_made(self)
        self._readable()

    # ---- reading

    def _readable(self) -> None:
        if self._reading and not self._read_scheduled and not self._lost:
            end = self._end
            if end.input or end.ended or end.error:
                self._read_scheduled = True
                self._loop.call_soon(self._read, context=self._context)

    def _read(self) -> None:
        self._read_scheduled = False
        end = self._end
        if not self._reading or self._lost or self._closing:
            return
        if end.unread_bytes:
            data = end.read(_READ_MAX)
            protocol = self._protocol
            assert isinstance(protocol, asyncio.Protocol), "buffered protocols are not simulated"
            protocol.data_received(data)
            self._readable()
        elif end.error:
            self._fail(end.failure())
        elif end.ended:
            # Once: from here on nothing can be read.
            self._reading = False
            protocol = self._protocol
            assert isinstance(protocol, asyncio.Protocol)
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
            try:
                taken = self._end.write(data)
            except OSError as error:
                self._fail(error)
                return
            if taken == len(data):
                return
            data = data[taken:]
        self._buffer.append(data)
        self._buffered_bytes += len(data)
        if self._process.lag_s and not self._held:
            self._held = True
            self._loop.at(self._loop.now + self._process.lag_s, self._unheld)
        self._pause_protocol()

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def _unheld(self) -> None:
        self._held = False
        self._writable()

    def _writable(self) -> None:
        if (self._buffer or self._eof_wanted or self._closing) and not (self._write_scheduled or self._held):
            if self._process.paused or not self._process.alive:
                # What a paused process had written before it was stopped is in the kernel's hands only if it was
                # taken; the rest waits with it.
                self._schedule_write()
            else:
                self._write_buffered()

    def _schedule_write(self) -> None:
        self._write_scheduled = True
        self._loop.call_soon(self._write_later, context=self._context)

    def _write_later(self) -> None:
        self._write_scheduled = False
        self._write_buffered()
