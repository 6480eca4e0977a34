"""The kernel's side of TCP: connections that outlive pauses, hold bytes while the way is cut, and end as Linux' do.

TCP loses no byte and reorders none, so what befalls a packet is a delay here: a lost one costs a retransmission, a
cut or a dead peer a series of them, each after twice the time, until the kernel gives up. A receiver that does not
read fills its window and stops the sender. Kernel buffers survive the process: what it had written is still delivered
after it was killed, then comes the end of the stream, or a reset if it left input unread.

Simplifications: there is no congestion control, and an acknowledgement gets lost only where the way back is cut. Then
the sender may have a few packets underway that it has not heard of, sends one of them again and again, and gives up as
if nothing had arrived.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING
from zlib import crc32

from sim.process import Process, Resource

if TYPE_CHECKING:
    from sim.host import Host
    from sim.network import Network

Address = tuple[str, int]

# Linux sends again after 200 ms (the probe for a lost tail), after as much again, then after twice as long each time,
# up to two minutes. It gives up after 15 besides the probe (tcp_retries2), and sooner, after 8, when the process has
# let go of the connection (tcp_orphan_retries).
_RETRANSMIT_FIRST_S = 0.2
_RETRANSMIT_MAX_S = 120.0
_RETRANSMISSIONS_MAX = 1 + 15
_ORPHAN_RETRANSMISSIONS_MAX = 1 + 8
# Packets that may be underway unacknowledged: what Linux' congestion window has at first, and the probe, which is a new
# one where there is more to send. And the data in one.
_UNHEARD_MAX = 10 + 1
_SEGMENT = 1448
# What a kernel takes from a process before it has to wait, and what it keeps for one that does not read.
SEND_BUFFER = 256 * 1024
RECEIVE_BUFFER = 256 * 1024
# The most that travels as one piece.
_PIECE_MAX = 64 * 1024


class Direction:
    """The bytes on their way from one end to the other."""

    __slots__ = (
        "_attempts",
        "_fin_wanted",
        "_flying",
        "_last_arrival",
        "_link",
        "_network",
        "_receiver",
        "_round",
        "_sender",
        "_unheard",
        "_unheard_bytes",
        "_unsent",
        "_waiting",
        "_way_back",
        "flying_bytes",
        "unsent_bytes",
    )

    def __init__(self, network: Network, sender: End, receiver: End) -> None:
        self._network = network
        self._sender = sender
        self._receiver = receiver
        self._link = network.fabric.link(sender.host.name, receiver.host.name)
        self._way_back = network.fabric.link(receiver.host.name, sender.host.name)
        # In the kernel's buffer, and on the way; None stands for the end of the stream.
        self._unsent: deque[bytes] = deque()
        self._flying: deque[bytes | None] = deque()
        self.unsent_bytes = 0
        self.flying_bytes = 0
        # Arrived, which the sender does not know because the way back is cut: packets, and their bytes.
        self._unheard = 0
        self._unheard_bytes = 0
        self._fin_wanted = False
        self._last_arrival = 0.0
        # A retransmission is due, after so many in vain.
        self._waiting = False
        self._attempts = 0
        # Pieces of an earlier round were lost with the receiver's host, and sent again.
        self._round = 0

    @property
    def buffered(self) -> int:
        return self.unsent_bytes + self.flying_bytes + self._unheard_bytes

    @property
    def delivered(self) -> bool:
        """All that was sent, and the end if it was, has arrived, and the sender knows."""
        return not (self._unsent or self._flying or self._unheard or self._fin_wanted)

    def send(self, data: bytes) -> None:
        self._unsent.append(data)
        self.unsent_bytes += len(data)
        self.pump()

    def finish(self) -> None:
        """The stream ends behind what is buffered."""
        self._fin_wanted = True
        self.pump()

    def stop(self) -> None:
        """Nothing more is sent; what is on the way already goes on."""
        self._unsent.clear()
        self.unsent_bytes = 0
        self._fin_wanted = False

    def reset(self) -> None:
        """Tell the receiver that the connection is no more. The packet is sent once, behind all others."""
        if self._passable() and not self._link.loses():
            loop = self._network.loop
            arrival = max(self._link.arrival(loop.now, 0), self._last_arrival)
            self._network.trace.event(self._sender.name, "> %s reset, arrives %.9f", self._receiver.name, arrival)
            loop.at(arrival, self._receiver.fail, errno.ECONNRESET)

    def pump(self) -> None:
        """Send what the window allows."""
        while (self._unsent or self._fin_wanted) and self._sender.open:
            if self._waiting and (not self._unheard or self._unheard >= _UNHEARD_MAX):
                return
            if not self._passable():
                self._wait_and_retransmit()
                return
            if not self._unsent:
                self._fin_wanted = False
                self._fly(None)
                return
            window = RECEIVE_BUFFER - self.flying_bytes - self._receiver.unread_bytes
            if window <= 0:
                return
            self._fly(self._next_piece(window if window < _PIECE_MAX else _PIECE_MAX))

    def _passable(self) -> bool:
        return self._link.cuts == 0 and self._receiver.host.up

    def _next_piece(self, size_max: int) -> bytes:
        if len(self._unsent) > 1:
            whole = b"".join(self._unsent)
            self._unsent.clear()
            self._unsent.append(whole)
        data = self._unsent.popleft()
        size = len(data)
        if size > size_max:
            size = size_max
        if size > 1 and self._link.splits():
            size = self._link.split_at(size)
        if size < len(data):
            self._unsent.appendleft(data[size:])
            data = data[:size]
        self.unsent_bytes -= size
        return data

    def _fly(self, piece: bytes | None) -> None:
        network, link = self._network, self._link
        loop = network.loop
        size = 0 if piece is None else len(piece)
        arrival = link.arrival(loop.now, size)
        if link.loss:
            again_s = _RETRANSMIT_FIRST_S
            while link.loses():
                arrival += again_s
                again_s = min(2 * again_s, _RETRANSMIT_MAX_S)
        # In order, whatever each would have taken by itself.
        if arrival < self._last_arrival:
            arrival = self._last_arrival
        self._last_arrival = arrival
        self._flying.append(piece)
        self.flying_bytes += size
        name = self._receiver.name
        if piece is None:
            network.trace.event(self._sender.name, "> %s end of stream, arrives %.9f", name, arrival)
        else:
            network.trace.event(
                self._sender.name, "> %s %d bytes %08x, arrives %.9f", name, size, crc32(piece), arrival
            )
        loop.at(arrival, self._arrive, self._round)

    def _arrive(self, of_round: int) -> None:
        if of_round != self._round:
            return
        if not self._receiver.host.up:
            self._lost()
            return
        piece = self._flying.popleft()
        size = 0 if piece is None else len(piece)
        self.flying_bytes -= size
        if not self._receiver.open:
            # Nobody there knows the connection (any more).
            self._receiver.outbound.reset()
            return
        # It tells how far the other direction has come, too.
        if self._receiver.outbound._unheard:
            self._receiver.outbound._hear()
        if self._way_back.cuts and piece != b"":
            self._unheard += 1 + size // _SEGMENT
            self._unheard_bytes += size
            self._wait_and_retransmit()
        else:
            self._attempts = self._unheard = self._unheard_bytes = 0
        if piece is None:
            self._receiver.finish_received()
        else:
            self._receiver.received(piece)
        if not self._unheard:
            self._sender.buffer_drained()

    def _hear(self) -> None:
        """The sender learns that all that arrived has arrived."""
        self._attempts = self._unheard = self._unheard_bytes = 0
        self._sender.buffer_drained()
        self.pump()

    def _lost(self) -> None:
        """The receiver's machine is off: all that is on the way must be sent again."""
        self._round += 1
        self._fin_wanted = self._fin_wanted or None in self._flying
        again = [piece for piece in self._flying if piece is not None]
        self._flying.clear()
        self._unsent.extendleft(reversed(again))
        self.unsent_bytes += self.flying_bytes
        self.flying_bytes = 0
        self._wait_and_retransmit()

    def _wait_and_retransmit(self) -> None:
        if self._waiting:
            return
        if self._attempts > (_ORPHAN_RETRANSMISSIONS_MAX if self._sender.released else _RETRANSMISSIONS_MAX):
            self._sender.fail(errno.ETIMEDOUT)
            return
        delay_s = min(_RETRANSMIT_FIRST_S * 2 ** max(0, self._attempts - 1), _RETRANSMIT_MAX_S)
        self._attempts += 1
        self._waiting = True
        self._network.loop.at(self._network.loop.now + delay_s, self._retransmit)

    def _retransmit(self) -> None:
        self._waiting = False
        if not self._unheard:
            self.pump()
        elif self._sender.open:
            answered = self._passable() and not self._way_back.cuts
            if answered and self._receiver.open:
                self._hear()
                return
            if answered:
                self._receiver.outbound.reset()
            self._wait_and_retransmit()


class End(Resource):
    """One end of a connection, as its host's kernel has it."""

    __slots__ = (
        "_network",
        "accepting",
        "connected",
        "ended",
        "error",
        "host",
        "input",
        "local",
        "name",
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
        # Arrived and not read.
        self.input: deque[bytes] = deque()
        self.unread_bytes = 0
        # The other side has sent its end of the stream; and why the connection broke, as an errno.
        self.ended = False
        self.error = 0
        # The listening port that the handshake's last packet will put it in the queue of.
        self.accepting: Callable[[], None] | None = None
        # Told, in no process' context, that there is something to read (data, end or error), or room to write.
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
        room = SEND_BUFFER - outbound.unsent_bytes - outbound.flying_bytes
        if size <= room:
            outbound.send(data)
            return size
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
        was_full = RECEIVE_BUFFER - self.unread_bytes - self.peer.outbound.flying_bytes < _PIECE_MAX
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
        self.on_readable = self.on_writable = _nothing
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
        self.on_readable = self.on_writable = _nothing

    # ---- what the kernel does

    def received(self, data: bytes) -> None:
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
        self.on_readable()

    def finish_received(self) -> None:
        if self.accepting is not None:
            self._accept()
        self.ended = True
        self.on_readable()
        self._forget_if_done()

    def _accept(self) -> None:
        accept, self.accepting = self.accepting, None
        assert accept is not None
        accept()

    def buffer_drained(self) -> None:
        if self.released:
            self._forget_if_done()
        else:
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
