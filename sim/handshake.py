"""How a connection begins: SYN, SYN and ACK, ACK, and what becomes of it when one of them is lost or nobody listens."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING

from sim.direction import Direction
from sim.tcp import End

if TYPE_CHECKING:
    from sim.host import Host
    from sim.network import Network

# How long Linux (since 6.5, with tcp_syn_retries 6) waits for an answer to each SYN: 131 s together.
_SYN_AGAIN_S = (1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)


class Dialling:
    """An attempt to connect."""

    __slots__ = ("_attempts", "_done", "_end", "_network", "abandoned")

    def __init__(self, network: Network, end: End, done: Callable[[int], None]) -> None:
        self._network = network
        self._end = end
        # Told the outcome: 0, or an errno.
        self._done = done
        self._attempts = 0
        # Nobody waits for it any more.
        self.abandoned = False

    def begin(self) -> None:
        """Send a SYN, and again if nothing comes of it."""
        if self.abandoned or not self._end.host.up:
            return
        if self._attempts == len(_SYN_AGAIN_S):
            self._done(errno.ETIMEDOUT)
            return
        end, network = self._end, self._network
        receiver = network.host_at(end.remote[0], end.host)
        again_s = _SYN_AGAIN_S[self._attempts]
        self._attempts += 1
        if receiver is not None:
            link = network.fabric.link(end.host.name, receiver.name)
            if not link.cuts and not link.loses():
                network.loop.at(link.arrival(network.loop.now, 0), self._syn_arrived, receiver, again_s)
                return
        network.loop.at(network.loop.now + again_s, self.begin)

    def _syn_arrived(self, receiver: Host, again_s: float) -> None:
        network, end = self._network, self._end
        loop, way_back = network.loop, network.fabric.link(receiver.name, end.host.name)
        port = receiver.listening(end.remote) if receiver.up else None
        answered = receiver.up and not way_back.cuts and not way_back.loses() and (port is None or not port.full)
        if not answered:
            # Counted from when the SYN was sent, give or take a latency.
            loop.at(loop.now + again_s, self.begin)
        elif port is None:
            loop.at(way_back.arrival(loop.now, 0), self._refused)
        else:
            loop.at(way_back.arrival(loop.now, 0), self._established, receiver)

    def _refused(self) -> None:
        if not self.abandoned and self._end.host.up:
            self._done(errno.ECONNREFUSED)

    def _established(self, receiver: Host) -> None:
        """The other side has said yes; our last packet tells it that we heard, and opens its end."""
        if self.abandoned or not self._end.host.up:
            return
        network, end = self._network, self._end
        other = End(network, receiver, end.remote, end.local, None)
        end.peer, other.peer = other, end
        end.connected = other.connected = True
        end.outbound, other.outbound = Direction(network, end, other), Direction(network, other, end)
        other.accepting = lambda: _enter(receiver, other)
        end.outbound.send(b"")
        self._done(0)


def _enter(receiver: Host, end: End) -> None:
    """The handshake is complete: wait in the port's queue to be accepted."""
    port = receiver.listening(end.local)
    if port is None:
        end.outbound.reset()
        end.vanish()
    else:
        port.enter(end)
