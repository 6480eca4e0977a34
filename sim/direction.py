"""One direction of a connection: from the sender's kernel buffer over the way to the receiver, as Linux' TCP does it.

What is lost is sent again, later each time; in the end the sender gives up. The receiver's window holds the sender.

Simplifications: there is no congestion control, and an acknowledgement gets lost only where the way back is cut. Then
the sender may have a few packets underway that it has not heard of, sends one of them again and again, and gives up as
if nothing had arrived.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from sim.network import Network
    from sim.tcp import End

# Linux sends again after 200 ms (the probe for a lost tail), after as much again, then after twice as long each time,
# up to two minutes. It gives up after 15 besides the probe (tcp_retries2), and sooner, after 8, when the process has
# let go of the connection (tcp_orphan_retries).
_RETRANSMIT_FIRST_S = 0.2
_RETRANSMIT_MAX_S = 120.0
_RETRANSMISSIONS_MAX = 1 + 15
_ORPHAN_RETRANSMISSIONS_MAX = 1 + 8
# What is lost while others arrive is sent again long before that: their acknowledgements tell of the gap. So on a link
# that only loses packets nothing is late by more than so many of these waits (3.2 s).
_LOSSES_MAX = 5
# Packets that may be underway unacknowledged: what Linux' congestion window has at first, and the probe, which is a new
# one where there is more to send. And the data in one.
_UNHEARD_MAX = 10 + 1
_SEGMENT = 1448
# What a kernel keeps for a process that does not read.
RECEIVE_BUFFER = 256 * 1024
# The most that travels as one piece.
PIECE_MAX = 64 * 1024


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
        "_unsent",
        "_waiting",
        "_way_back",
        "flying_bytes",
        "unheard_bytes",
        "unsent_bytes",
    )

    def __init__(self, network: Network, sender: End, receiver: End) -> None:
        self._network = network
        self._sender = sender
        self._receiver = receiver
        self._link = network.fabric.link(sender.host.name, receiver.host.name)
        self._way_back = network.fabric.link(receiver.host.name, sender.host.name)
        # In the kernel's buffer, and on the way; None stands for the end of the stream.
        # Lists: mostly there is nothing, or one piece, and an empty deque takes half a kilobyte. A large cluster has
        # ten thousand links.
        self._unsent: list[bytes] = []
        self._flying: list[bytes | None] = []
        self.unsent_bytes = 0
        self.flying_bytes = 0
        # Arrived, which the sender does not know because the way back is cut: packets, and their bytes.
        self._unheard = 0
        self.unheard_bytes = 0
        self._fin_wanted = False
        self._last_arrival = 0.0
        # A retransmission is due, after so many in vain.
        self._waiting = False
        self._attempts = 0
        # Pieces of an earlier round were lost with the receiver's host, and sent again.
        self._round = 0

    @property
    def delivered(self) -> bool:
        """All that was sent, and the end if it was, has arrived, and the sender knows."""
        return not (self._unsent or self._flying or self._unheard or self._fin_wanted)

    def send(self, data: bytes) -> None:
        size, link = len(data), self._link
        if (
            1 < size <= PIECE_MAX
            and size + self.flying_bytes + self._receiver.unread_bytes <= RECEIVE_BUFFER
            and not (self._unsent or self._waiting or self._fin_wanted)
            and self._sender.open
            and self._passable()
        ):
            # What `pump` comes to for nearly everything that is ever sent.
            if not link.splits():
                self._fly(data)
                return
            first = link.split_at(size)
            self._fly(data[:first])
            data = data[first:]
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
            self._fly(self._next_piece(window if window < PIECE_MAX else PIECE_MAX))

    def _passable(self) -> bool:
        return self._link.cuts == 0 and self._receiver.host.up

    def _next_piece(self, size_max: int) -> bytes:
        if len(self._unsent) > 1:
            self._unsent = [b"".join(self._unsent)]
        data = self._unsent.pop()
        size = len(data)
        if size > size_max:
            size = size_max
        if size > 1 and self._link.splits():
            size = self._link.split_at(size)
        if size < len(data):
            self._unsent.append(data[size:])
            data = data[:size]
        self.unsent_bytes -= size
        return data

    def _fly(self, piece: bytes | None) -> None:
        network, link = self._network, self._link
        loop = network.loop
        size = 0 if piece is None else len(piece)
        arrival = link.arrival(loop.now, size)
        if link.loss:
            attempts = 0
            while link.loses():
                if attempts < _LOSSES_MAX:
                    arrival += _again_s(attempts)
                attempts += 1
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
        piece = self._flying.pop(0)
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
            self.unheard_bytes += size
            self._wait_and_retransmit()
        else:
            self._attempts = self._unheard = self.unheard_bytes = 0
        sender = self._sender
        if not self._unheard and (sender.crowded or sender.released):
            sender.buffer_drained()
        if piece is None:
            self._receiver.finish_received()
        else:
            self._receiver.received(piece)

    def _hear(self) -> None:
        """The sender learns that all that arrived has arrived."""
        self._attempts = self._unheard = self.unheard_bytes = 0
        self._sender.buffer_drained()
        self.pump()

    def _lost(self) -> None:
        """The receiver's machine is off: all that is on the way must be sent again."""
        self._round += 1
        self._fin_wanted = self._fin_wanted or None in self._flying
        self._unsent[:0] = [piece for piece in self._flying if piece is not None]
        self._flying.clear()
        self.unsent_bytes += self.flying_bytes
        self.flying_bytes = 0
        self._wait_and_retransmit()

    def _wait_and_retransmit(self) -> None:
        if self._waiting:
            return
        if self._attempts > (_ORPHAN_RETRANSMISSIONS_MAX if self._sender.released else _RETRANSMISSIONS_MAX):
            self._sender.fail(errno.ETIMEDOUT)
            return
        due = self._network.loop.now + _again_s(self._attempts)
        self._attempts += 1
        self._waiting = True
        self._network.loop.at(due, self._retransmit)

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


def _again_s(attempts: int) -> float:
    """How long after so many attempts in vain the next one comes: 0.2, 0.2, 0.4, 0.8 ... seconds."""
    return min(_RETRANSMIT_FIRST_S * 2.0 ** max(0, attempts - 1), _RETRANSMIT_MAX_S)
