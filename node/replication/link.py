"""One connection from a replica to its master, from the first PING to the end of the stream.

A Protocol that walks the phases handshake, copy, stream, and reports to its owner what happened (`upstream`
decides what to do about it). Each connection attempt has its own link: whatever a dead one still holds is
dropped with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum, auto
from typing import Protocol, cast

from node.replication.handshake import Failed, Handshake, Introduction, Request, Resumed, Resync
from node.replication.transfer import Transfer, TransferError
from runtime.sockets import tune_stream

# A reply of the handshake is short; a peer that sends more without an end of line is no master.
_LINE_MAX = 64 * 1024


class LinkPhase(Enum):
    """What the link is at."""

    HANDSHAKE = auto()
    COPY = auto()
    # The copy is here and being loaded; what arrives meanwhile is the stream and is kept.
    LOADING = auto()
    STREAM = auto()
    CLOSED = auto()


class LinkOwner(Protocol):
    """Who is told."""

    def copy_announced(self, link: MasterLink, replid: bytes, offset: int) -> Callable[[bytes], None] | None:
        """A full copy follows, of the history `replid` at `offset` (b"" and -1 when the master did not say).

        Returns who gets it as it comes; None if it is to be kept until it is whole.
        """
        ...

    def copy_received(self, link: MasterLink, copy: bytes, *, acknowledge: bool) -> None:
        """The whole copy is here, or has been passed on: then `copy` is empty.

        Call `link.begin_stream` once it is loaded; `acknowledge` says that the master sends nothing until it hears
        from us.
        """
        ...

    def resumed(self, replid: bytes) -> None:
        """The stream goes on; `replid` is the history's new name, or empty."""
        ...

    def streamed(self, link: MasterLink, data: bytes) -> None:
        """The next bytes of the stream."""
        ...

    def failed(self, link: MasterLink, reason: str, *, psync_refused: bool) -> None:
        """The master refuses (PSYNC, or to be talked to), or does not speak the protocol. The link is closed."""
        ...

    def lost(self, link: MasterLink) -> None:
        """The connection broke. Not called after `failed` or `close`."""
        ...


class MasterLink(asyncio.Protocol):
    """The socket side of a replica's bond with its master."""

    __slots__ = (
        "_buffer",
        "_handshake",
        "_keepalive_s",
        "_kept",
        "_owner",
        "_transport",
        "last_io_at",
        "phase",
        "transfer",
    )

    def __init__(self, introduction: Introduction, owner: LinkOwner, keepalive_s: int) -> None:
        self._handshake = Handshake(introduction)
        self._keepalive_s = keepalive_s
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        # A reply line that has not come to its end.
        self._buffer = b""
        # Stream bytes that came while the copy was being loaded.
        self._kept: list[bytes] = []
        self.phase = LinkPhase.HANDSHAKE
        # The copy as far as it has come; None before and after.
        self.transfer: Transfer | None = None
        # Loop time at which the master was last heard of.
        self.last_io_at = asyncio.get_running_loop().time()

    def send(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    @property
    def local_address(self) -> str:
        """Our end of it, for people; "" while it is not open."""
        name = self._transport.get_extra_info("sockname") if self._transport is not None else None
        if not isinstance(name, tuple):
            return ""
        host, port = str(name[0]), name[1]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def close(self) -> None:
        """Hang up; nothing is reported any more."""
        self.phase = LinkPhase.CLOSED
        if self._transport is not None:
            self._transport.abort()

    def hold(self, wanted: bool) -> None:
        """Take no more from the master for now, or go on."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if wanted:
            transport.pause_reading()
        else:
            # That nothing was heard meanwhile was not the master's doing.
            self.last_io_at = asyncio.get_running_loop().time()
            transport.resume_reading()

    def begin_stream(self) -> None:
        """The copy is loaded: hand over what came meanwhile, and go on."""
        assert self.phase is LinkPhase.LOADING, f"a stream cannot begin in {self.phase}"
        self.phase = LinkPhase.STREAM
        kept = b"".join(self._kept)
        self._kept.clear()
        if kept:
            self._owner.streamed(self, kept)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self.phase is LinkPhase.CLOSED:
            transport.close()  # given up while it was being opened
            return
        tune_stream(self._transport, self._keepalive_s)
        self.last_io_at = asyncio.get_running_loop().time()
        self.send(self._handshake.begin().data)

    def data_received(self, data: bytes) -> None:
        self.last_io_at = asyncio.get_running_loop().time()
        if self.phase is LinkPhase.STREAM:
            self._owner.streamed(self, data)
        elif self.phase is LinkPhase.HANDSHAKE:
            self._read_lines(data)
        elif self.phase is LinkPhase.COPY:
            self._read_copy(data)
        elif self.phase is LinkPhase.LOADING:
            self._kept.append(data)

    def connection_lost(self, _exc: Exception | None) -> None:
        if self.phase is not LinkPhase.CLOSED:
            self.phase = LinkPhase.CLOSED
            self._owner.lost(self)

    def _read_lines(self, data: bytes) -> None:
        """Take reply lines until the handshake is over; what follows belongs to the next phase."""
        data = self._buffer + data
        self._buffer = b""
        while self.phase is LinkPhase.HANDSHAKE:
            line, found, rest = data.partition(b"\n")
            if not found:
                self._buffer = data
                if len(data) > _LINE_MAX:
                    self._fail("The master sends a line without end")
                return
            data = rest
            for step in self._handshake.receive(line.rstrip(b"\r")):
                if isinstance(step, Request):
                    self.send(step.data)
                elif isinstance(step, Failed):
                    self._fail(step.reason, psync_refused=step.psync_refused)
                elif isinstance(step, Resync):
                    self.phase = LinkPhase.COPY
                    self.transfer = Transfer(self._owner.copy_announced(self, step.replid, step.offset))
                elif isinstance(step, Resumed):
                    self.phase = LinkPhase.STREAM
                    self._owner.resumed(step.replid)
        if data:
            self.data_received(data)

    def _read_copy(self, data: bytes) -> None:
        assert self.transfer is not None
        try:
            whole = self.transfer.receive(data)
        except TransferError as error:
            self._fail(str(error))
            return
        if whole is None:
            return
        copy, rest = whole
        acknowledge = self.transfer.marked
        self.transfer = None
        self.phase = LinkPhase.LOADING
        if rest:
            self._kept.append(rest)
        self._owner.copy_received(self, copy, acknowledge=acknowledge)

    def _fail(self, reason: str, *, psync_refused: bool = False) -> None:
        self.close()
        self._owner.failed(self, reason, psync_refused=psync_refused)
