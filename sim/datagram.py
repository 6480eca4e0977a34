"""Datagrams: each arrives whole, or not, or twice, in any order, and nobody is told.

A socket's receive buffer is as small as Linux'; what comes while it is full is lost, as it is for a process that is
paused. As in Linux, only a connected socket hears that nobody listens at the other end.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from asyncio.events import Handle
from collections import deque
from contextvars import copy_context
from typing import TYPE_CHECKING
from zlib import crc32

from sim.process import Process, Resource
from sim.tcp import Address
from sim.transport import NoSocket

if TYPE_CHECKING:
    from sim.network import Network

# net.core.rmem_default. Of this each datagram takes the block of memory that it and Linux' bookkeeping lie in, which
# is small, or a power of two, and the buffer's head (measured on Linux 6.18).
_RECEIVE_BUFFER = 212_992
_BOOKKEEPING = 380
_SMALL_BLOCK = 576
_HEAD = 256
_SIZE_MAX = 65_507
# For the trace: to whom, how much, what.
_SENT = "~ %s:%d %d bytes %08x"
_ARRIVES = _SENT + " arrives %.9f"


# The protocol of a dead process' socket.
_NOBODY = asyncio.DatagramProtocol()


def room_taken(size: int) -> int:
    """What a datagram of `size` bytes takes of the receive buffer."""
    needed = size + _BOOKKEEPING
    return _HEAD + (_SMALL_BLOCK if needed <= _SMALL_BLOCK else 1 << (needed - 1).bit_length())


class SimDatagrams(asyncio.DatagramTransport, Resource):
    """One datagram socket."""

    def __init__(
        self,
        network: Network,
        process: Process,
        local: Address,
        remote: Address | None,
        protocol: asyncio.DatagramProtocol,
    ) -> None:
        super().__init__({"sockname": local, "peername": remote, "socket": NoSocket(socket.SOCK_DGRAM, local, remote)})
        self._network = network
        self._loop = network.loop
        self._process = process
        self._context = copy_context()
        self.address = local
        # For the trace.
        self._name = f"{process.host.name}:{local[1]}"
        # None: it sends to, and hears from, anybody.
        self._remote = remote
        self._protocol = protocol
        # Arrived and not taken, with the sender's address.
        self._input: deque[tuple[bytes, Address]] = deque()
        self._input_bytes = 0
        self._read_scheduled = False
        # It waits for its turn at most once at a time, so one handle serves for ever.
        self._read_handle = Handle(self._read, (), self._loop, self._context)
        self._closing = False
        process.resources[self] = None

    def begin(self) -> None:
        self._protocol.connection_made(self)

    # ---- sending

    def sendto(self, data: bytes, addr: Address | None = None) -> None:  # type: ignore[override]
        if self._closing or not self._process.alive:
            return
        data = bytes(data)
        if len(data) > _SIZE_MAX:
            self._protocol.error_received(OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE)))
            return
        to = self._remote or addr
        assert to is not None, "a datagram for nobody"
        if self._process.lag_s:
            # The process' own time is ahead of the world's: its next turn begins when the world has caught up.
            self._loop.call_soon(self._send, data, to, context=self._context)
        else:
            self._send(data, to)

    def _send(self, data: bytes, to: Address) -> None:
        network, host = self._network, self._process.host
        receiver = network.host_at(to[0], host)
        event = network.trace.event
        if receiver is None:
            event(self._name, _SENT + " to nowhere", *to, len(data), crc32(data))
            return
        link = network.fabric.link(host.name, receiver.name)
        if link.cuts or (link.loss and link.loses()):
            event(self._name, _SENT + " lost", *to, len(data), crc32(data))
            return
        sender = (
            host.ip if self.address[0] == "0.0.0.0" and receiver is not host else self.address[0],
            self.address[1],
        )
        arrival = link.arrival(self._loop.now, len(data))
        event(self._name, _ARRIVES, *to, len(data), crc32(data), arrival)
        self._loop.at(arrival, self._arrive, data, sender, to)
        if link.duplication and link.duplicates():
            self._loop.at(link.arrival(self._loop.now, len(data)), self._arrive, data, sender, to)

    def _arrive(self, data: bytes, sender: Address, to: Address) -> None:
        network, own_host = self._network, self._process.host
        receiver = network.host_at(to[0], own_host)
        if receiver is None or not receiver.up:
            return
        found = receiver.datagram_socket(to)
        if found is not None:
            found.received(data, sender)
        elif self._remote is not None and own_host.up and not self._closing:
            link = network.fabric.link(receiver.name, own_host.name)
            if not link.cuts:
                self._loop.at(link.arrival(self._loop.now, 0), self._refused)

    def _refused(self) -> None:
        if not self._closing:
            error = ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
            self._loop.call_soon(self._protocol.error_received, error, context=self._context)

    # ---- receiving

    def received(self, data: bytes, sender: Address) -> None:
        """A datagram has arrived at the host; the last deed of an event."""
        size = room_taken(len(data))
        if self._input_bytes + size > _RECEIVE_BUFFER or (self._remote is not None and sender != self._remote):
            return
        self._input.append((data, sender))
        self._input_bytes += size
        if not self._read_scheduled:
            self._read_scheduled = True
            self._process.interrupt(self._read_handle)

    def _read(self) -> None:
        self._read_scheduled = False
        while self._input and not self._closing:
            data, sender = self._input.popleft()
            self._input_bytes -= room_taken(len(data))
            self._protocol.datagram_received(data, sender)

    # ---- the end

    def is_closing(self) -> bool:
        return self._closing or not self._process.alive

    def get_write_buffer_size(self) -> int:
        return 0

    def close(self) -> None:
        if not self._closing and self._process.alive:
            self.reclaim()
            self._loop.call_soon(self._protocol.connection_lost, None, context=self._context)

    def abort(self) -> None:
        self.close()

    def abandon(self) -> None:
        # What it has sent may still be underway, and holds it.
        self._protocol = _NOBODY

    def reclaim(self) -> None:
        if not self._process.alive:
            self.abandon()
        self._closing = True
        self._process.host.datagram_sockets.pop(self.address, None)
        self._process.resources.pop(self, None)
