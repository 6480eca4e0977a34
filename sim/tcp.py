"""The kernel's side of TCP: connections that outlive pauses, hold bytes while the way is cut, and end as Linux' do.

TCP loses no byte and reorders none, so what befalls a packet is a delay here: a lost one costs a retransmission, a
cut or a dead peer a series of them, each after twice the time, until the kernel gives up. A receiver that does not
read fills its window and stops the sender. Kernel buffers survive the process: what it had written is still delivered
after it was killed, then comes the end of the stream, or a reset if it left input unread.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from sim.direction import PIECE_MAX, RECEIVE_BUFFER, Direction
from sim.process import Process, Resource

if TYPE_CHECKING:
    from sim.host import Host
    from sim.network import Network

Address = tuple[str, int]

# What a kernel takes from a process before it has to wait.
SEND_BUFFER = 256 * 1024


class End(Resource):
    """One end of a connection, as its host's kernel has it."""

    __slots__ = (
        "_network",
        "accepting",
        "connected",
        "crowded",
        "ended",
        "error",
        "host",
        "input",
        "local",
        "name",
        "on_arrival",
        "on_readable",
        "on_writable",
        "open",
        "outbound",
        "owner",
        "peer",
        "released",
        "remote",
        "unread_bytes",
    )

    def __init__(self, network: Network, host: Host, local: Address, remote: Address, owner: Process | None) -> None:
        self._network = network
        self.host = host
        self.local = local
        self.remote = remote
        # For the trace.
        self.name = f"{host.name}:{local[1]}"
        # Whose socket it is; None before it is accepted and after its process let go of it.
        self.owner = owner
        if owner is not None:
            owner.resources[self] = None
        # The process let go of it.
        self.released = False
        # The kernel still has it: false after a reset, a power cut, or once both sides are done.
        self.open = True
        host.ends[self] = None
        # The other end and the way there, once the two are connected.
        self.connected = False
        self.peer: End
        self.outbound: Direction
        # The process had more to write than there was room for.
        self.crowded = False
        # Arrived and not read.
        self.input: list[bytes] = []
        self.unread_bytes = 0
        # The other side has sent its end of the stream; and why the connection broke, as an errno.
        self.ended = False
        self.error = 0
        # The listening port that the handshake's last packet will put it in the queue of.
        self.accepting: Callable[[], None] | None = None
        # Told, in no process' context, that there is something to read (data or the end as the last deed of an event,
        # or an error), or room to write.
        self.on_arrival: Callable[[], None] = _nothing
        self.on_readable: Callable[[], None] = _nothing
        self.on_writable: Callable[[], None] = _nothing

    # ---- what the process does

    def write(self, data: bytes) -> int:
        """Buffer what there is room for; returns how much that is. Raises OSError."""
        if self.error:
            raise self.failure()
        if not self.open:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        outbound, size = self.outbound, len(data)
        room = SEND_BUFFER - outbound.unsent_bytes - outbound.flying_bytes - outbound.unheard_bytes
        if size <= room:
            outbound.send(data)
            return size
        self.crowded = True
        if room > 0:
            outbound.send(data[:room])
            return room
        return 0

    def finish(self) -> None:
        """Send nothing more, and go on reading."""
        if self.open:
            self.outbound.finish()

    def take(self, owner: Process) -> None:
        """It is accepted."""
        self.owner = owner
        owner.resources[self] = None

    def read(self, size_max: int) -> bytes:
        """What has arrived; b"" when there is nothing, or nothing more."""
        data = b"".join(self.input) if len(self.input) > 1 else self.input[0] if self.input else b""
        self.input.clear()
        if len(data) > size_max:
            self.input.append(data[size_max:])
            data = data[:size_max]
        was_full = RECEIVE_BUFFER - self.unread_bytes - self.peer.outbound.flying_bytes < PIECE_MAX
        self.unread_bytes -= len(data)
        if was_full and data:
            # The news that there is room again takes its time.
            network = self._network
            arrival = network.fabric.link(self.host.name, self.peer.host.name).arrival(network.loop.now, 0)
            network.loop.at(arrival, self.peer.outbound.pump)
        return data

    def failure(self) -> OSError:
        return OSError(self.error, os.strerror(self.error))

    def close(self) -> None:
        """The process lets go. What it has written is still delivered; input that it left unread makes it a reset."""
        if self.owner is not None:
            self.owner.resources.pop(self, None)
            self.owner = None
        self.released = True
        self.on_arrival = self.on_readable = self.on_writable = _nothing
        if not self.open:
            return
        if not self.connected:
            self._forget()
        elif self.unread_bytes:
            self.outbound.reset()
            self.vanish()
        else:
            self.outbound.finish()
            self._forget_if_done()

    def reclaim(self) -> None:
        self.close()

    def abandon(self) -> None:
        self.on_arrival = self.on_readable = self.on_writable = _nothing

    # ---- what the kernel does

    def received(self, data: bytes) -> None:
        """Data have arrived; the last deed of an event."""
        if self.accepting is not None:
            self._accept()
        if not data:
            return
        if self.released:
            # Nobody will ever read this.
            self.outbound.reset()
            self.vanish()
            return
        self.input.append(data)
        self.unread_bytes += len(data)
        self.on_arrival()

    def finish_received(self) -> None:
        """The end of the stream has arrived; the last deed of an event."""
        if self.accepting is not None:
            self._accept()
        self.ended = True
        self._forget_if_done()
        self.on_arrival()

    def _accept(self) -> None:
        accept, self.accepting = self.accepting, None
        assert accept is not None
        accept()

    def buffer_drained(self) -> None:
        if self.released:
            self._forget_if_done()
        else:
            self.crowded = False
            self.on_writable()

    def _forget_if_done(self) -> None:
        """Both sides have sent all they had, and nobody holds this end."""
        if self.released and self.ended and self.outbound.delivered:
            self._forget()

    def fail(self, error: int) -> None:
        """The connection is broken; whoever reads or writes will hear why."""
        if self.open:
            # To one that has read the end of the stream Linux says that nobody reads what it writes.
            self.error = errno.EPIPE if self.ended and error == errno.ECONNRESET else error
            self.vanish()
            self.on_readable()
            self.on_writable()

    def vanish(self) -> None:
        """The kernel knows nothing of it any more; nobody is told."""
        if self.connected:
            self.outbound.stop()
        self._forget()

    def _forget(self) -> None:
        self.open = False
        self.host.ends.pop(self, None)


def _nothing() -> None:
    pass
