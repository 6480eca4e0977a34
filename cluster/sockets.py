"""TCP links of the bus: one socket each, bytes in and messages out.

A link knows how to cut its stream into messages, and when to give up on it; what a message means and when to dial
again is others' business. Whoever owns links hears of them through `LinkOwner`.
"""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

from cluster.codec import FrameReader, decode
from cluster.events import LinkId
from cluster.fields import BrokenFrameError, MalformedMessageError
from cluster.messages import Message
from runtime.sockets import tune_stream

# Redis probes bus links at twice the node timeout; what finds dead peers here are heartbeats, and probes only
# clear away sockets of peers that vanished and were forgotten.
_KEEPALIVE_S = 60


class LinkOwner(Protocol):
    """Who is told what happens on links."""

    def link_opened(self, link: BusLink) -> None: ...

    def link_heard(self, link: BusLink) -> None:
        """Bytes arrived that complete no message yet."""
        ...

    def link_received(self, link: BusLink, message: Message) -> None: ...

    def link_garbled(self, link: BusLink, reason: str) -> None:
        """Something arrived that is not a message; when the stream cannot go on, `link_ended` follows."""
        ...

    def link_ended(self, link: BusLink) -> None:
        """The link is gone, not by our own closing it."""
        ...


class BusLink(asyncio.Protocol):
    """One TCP connection to or from another node."""

    __slots__ = (
        "_closed",
        "_dialling",
        "_owner",
        "_reader",
        "_transport",
        "created_at_ms",
        "local_ip",
        "number",
        "peer_ip",
    )

    def __init__(self, owner: LinkOwner, number: LinkId, now_ms: int) -> None:
        self._owner = owner
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        # The attempt to connect, while it lasts: a peer that is cut off would keep it going for minutes.
        self._dialling: asyncio.Task[None] | None = None
        # We closed it: whatever still arrives is dropped.
        self._closed = False
        # Above zero: dialled by us, and the machine gave the number; below: accepted.
        self.number = number
        # Unix time, for CLUSTER LINKS.
        self.created_at_ms = now_ms
        # Both ends' addresses, "" until it is connected.
        self.peer_ip = ""
        self.local_ip = ""

    @property
    def is_inbound(self) -> bool:
        return self.number < 0

    @property
    def unsent_bytes(self) -> int:
        """What waits in our buffer because the peer does not read as fast as we write."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def dialled_by(self, task: asyncio.Task[None]) -> None:
        """`task` connects this link; closing the link cancels it."""
        self._dialling = task

    def send(self, data: bytes) -> None:
        """Queue `data`; lost when the link is down."""
        if self._transport is not None and not self._closed:
            self._transport.write(data)

    def close(self) -> None:
        """Close at once, dropping what was not sent; the owner is not told."""
        self._closed = True
        if self._dialling is not None:
            self._dialling.cancel()
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._dialling = None
        if self._closed:
            self._transport.abort()
            return
        tune_stream(transport, _KEEPALIVE_S)
        self.peer_ip = _ip(transport.get_extra_info("peername"))
        self.local_ip = _ip(transport.get_extra_info("sockname"))
        self._owner.link_opened(self)

    def data_received(self, data: bytes) -> None:
        if self._closed:
            return
        try:
            frames = self._reader.feed(data)
        except BrokenFrameError as error:
            self._owner.link_garbled(self, str(error))
            self.close()
            self._owner.link_ended(self)
            return
        if not frames:
            self._owner.link_heard(self)
        for frame in frames:
            try:
                message = decode(frame)
            except MalformedMessageError as error:
                self._owner.link_garbled(self, str(error))
                continue
            self._owner.link_received(self, message)
            if self._closed_meanwhile():
                return

    def _closed_meanwhile(self) -> bool:
        """A message can make the rules close the very link it came on."""
        return self._closed

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if not self._closed:
            self._closed = True
            self._owner.link_ended(self)


def _ip(address: object) -> str:
    """The host of a socket's address."""
    return str(address[0]) if isinstance(address, tuple) and address else ""
