"""Heartbeats between Shardlab nodes, as UDP datagrams on the bus port's number.

Owns the sockets and the queues around them. A datagram is whole or lost, and nobody is told: the rules ask once more
by TCP before they suspect a node. Whatever goes wrong in sending is therefore a loss and no error.

`asyncio_dgram` queues without bound what it receives, and reports the error of one send at a later call.
So each turn of the loop handles a limited number of datagrams and drops the others unread, which keeps that queue
short; and errors that surface late are passed over.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import deque
from collections.abc import Callable
from functools import lru_cache

import asyncio_dgram

from cluster.codec import decode
from cluster.fields import BusProtocolError
from cluster.messages import Message
from runtime import Tasks

# Even in a cluster of 1,000 nodes, the most that the specification has in mind, one turn sees fewer heartbeats.
_PER_TURN_MAX = 256
# What waits while the kernel's buffer is full. Once more is waiting, the oldest are too old to mean anything.
_OUTGOING_MAX = 1024
_WILDCARDS = ("0.0.0.0", "::")

# Told of each message with the sender's ip and port and our own ip ("" when the socket is bound to all).
Receive = Callable[[Message, str, int, str], None]


class Datagrams:
    """The datagram sockets of one node, one for each address it listens on."""

    __slots__ = ("_receive", "_sockets", "_tasks", "dropped", "garbled", "received")

    def __init__(self, receive: Receive, tasks: Tasks) -> None:
        self._receive = receive
        self._tasks = tasks
        self._sockets: list[_Socket] = []
        # Datagrams that were messages, that were none, and that were not looked at because too many came in one turn.
        self.received = 0
        self.garbled = 0
        self.dropped = 0

    async def open(self, address: str, port: int) -> None:
        """Bind a socket to `port` of an address; raises OSError."""
        if address == "::" and any(opened.host == "0.0.0.0" for opened in self._sockets):
            # A datagram socket on "::" takes IPv4 as well, so the two exclude each other; IPv6 peers are served by TCP.
            return
        opened = _Socket(await asyncio_dgram.bind((address, port)))
        self._sockets.append(opened)
        self._tasks.start(f"bus datagrams in, {address}", self._receive_all(opened))
        self._tasks.start(f"bus datagrams out, {address}", opened.send_all())

    def close(self) -> None:
        sockets, self._sockets = self._sockets, []
        for opened in sockets:
            opened.stream.close()

    def send(self, ip: str, port: int, data: bytes) -> None:
        """Send soon, or never."""
        for opened in self._sockets:
            if opened.reaches(ip):
                opened.queue(data, (ip, port))
                return

    async def _receive_all(self, opened: _Socket) -> None:
        loop = asyncio.get_running_loop()
        budget = _Budget()
        while True:
            try:
                data, address = await opened.stream.recv()
            except OSError:
                # An earlier datagram of ours was refused or unroutable.
                continue
            except asyncio_dgram.TransportClosed:
                return
            # While its queue holds something, `recv` returns without giving way: this loop empties it in one turn.
            if not budget.take(loop):
                self.dropped += 1
                continue
            try:
                message = decode(data)
            except BusProtocolError:
                self.garbled += 1
                continue
            self.received += 1
            assert isinstance(address, tuple)
            self._receive(message, address[0], address[1], opened.local_ip)


@lru_cache(1024)
def _kind_of(ip: str) -> tuple[int, bool]:
    """The version of an address, 0 for none, and whether it stays on this machine. Cached: a heartbeat asks it."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return 0, False
    return address.version, address.is_loopback


class _Budget:
    """How many datagrams may still be handled in this turn of the loop."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = _PER_TURN_MAX

    def take(self, loop: asyncio.AbstractEventLoop) -> bool:
        if self._left == 0:
            return False
        if self._left == _PER_TURN_MAX:
            loop.call_soon(self._refill)
        self._left -= 1
        return True

    def _refill(self) -> None:
        self._left = _PER_TURN_MAX


class _Socket:
    """One bound socket, and what waits to be sent from it."""

    __slots__ = ("_loop", "_loopback", "_outgoing", "_something", "_version", "host", "local_ip", "stream")

    def __init__(self, stream: asyncio_dgram.DatagramServer) -> None:
        # The address it is bound to; `bind` may have given a name for it.
        self.host = host = str(stream.sockname[0])
        self.stream = stream
        self.local_ip = "" if host in _WILDCARDS else host
        address = ipaddress.ip_address(host)
        self._version = address.version
        # None: bound to all addresses, so it reaches both this machine and others.
        self._loopback = None if address.is_unspecified else address.is_loopback
        # A full one drops its oldest.
        self._outgoing: deque[tuple[bytes, tuple[str, int]]] = deque(maxlen=_OUTGOING_MAX)
        # What `send_all` waits for while there is nothing to send. An Event would make one, too, but not this cheaply.
        self._something: asyncio.Future[None] | None = None
        self._loop = asyncio.get_running_loop()

    def reaches(self, ip: str) -> bool:
        """Whether the kernel would take a datagram from this socket to `ip`."""
        version, loopback = _kind_of(ip)
        return version == self._version and self._loopback in (None, loopback)

    def queue(self, data: bytes, address: tuple[str, int]) -> None:
        self._outgoing.append((data, address))
        something = self._something
        if something is not None:
            self._something = None
            if not something.done():
                something.set_result(None)

    async def send_all(self) -> None:
        while True:
            if not self._outgoing:
                self._something = self._loop.create_future()
                await self._something
            while self._outgoing:
                data, address = self._outgoing.popleft()
                try:
                    await self.stream.send(data, address)
                except OSError:
                    # What failed is an earlier one, and this one has not been sent either: both are lost.
                    continue
                except asyncio_dgram.TransportClosed:
                    return
