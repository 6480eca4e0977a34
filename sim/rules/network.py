"""What carries messages from host to host: links that keep order as TCP does, and datagrams that keep nothing.

A link loses nothing: loss is delay, and what a cut stops arrives, in order, after it has healed. A datagram may be
lost, doubled or overtaken. A host that is killed says goodbye on its links; one whose power fails does not, and only
when it is up again do its old links turn out to be dead.

Directions are named by the indices of two hosts. Every draw comes from the sender's own stream, so that what one host
does leaves the chance of the others alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cluster.events import Event, LinkDown, LinkUp, Received, ReceivedDatagram
from cluster.messages import Message
from sim.rules.agenda import Agenda

if TYPE_CHECKING:
    from sim.rules.host import Host

# A lost segment is sent again after Linux' smallest retransmission time.
_RETRANSMIT_MS = 200.0
# A SYN without answer is sent again after a second, then after twice as long each time (`tcp_syn_retries` is 6).
_SYN_RETRY_MS = 1000.0
_SYN_RETRY_MS_MAX = 64_000.0
# After a cut has healed, the sender's next attempt is up to so far away.
_BACKOFF_MS = 400.0
# What the kernel keeps for a process that does not read.
_DATAGRAM_QUEUE = 512

Direction = tuple[int, int]


@dataclass(slots=True)
class Weather:
    """What the network does to messages, besides cuts."""

    latency_ms: float = 0.5
    # Added on top, evenly drawn.
    jitter_ms: float = 1.0
    # Parts of datagrams that are lost, sent twice, or held back long enough to be overtaken.
    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0


class End:
    """One end of a link: where its host's own messages go in."""

    __slots__ = ("arrives_at", "host", "number", "peer")

    def __init__(self, host: Host, number: int) -> None:
        self.host = host
        # What the host calls the link: above zero where it dialled.
        self.number = number
        self.peer: End = self
        # When the last thing sent from here arrives: nothing later may arrive earlier.
        self.arrives_at = 0.0

    @property
    def alive(self) -> bool:
        """Whether its host still has it."""
        return self.host.ends.get(self.number) is self


class Network:
    """All that lies between the hosts."""

    __slots__ = ("_agenda", "_by_ip", "_cuts", "_held", "_slow", "dropped", "weather")

    def __init__(self, agenda: Agenda, weather: Weather) -> None:
        self._agenda = agenda
        self.weather = weather
        self._by_ip: dict[str, Host] = {}
        # How many cuts each direction is under, and what its links hold meanwhile, in order.
        self._cuts: dict[Direction, int] = {}
        self._held: dict[Direction, list[tuple[End, Event | None]]] = {}
        # Additional latency of slow directions.
        self._slow: dict[Direction, float] = {}
        # Datagrams that never arrived.
        self.dropped = 0

    def attach(self, host: Host) -> None:
        self._by_ip[host.ip] = host

    def reaches(self, sender: Host, receiver: Host) -> bool:
        """Whether anything gets through, one way."""
        return (sender.index, receiver.index) not in self._cuts

    @property
    def whole(self) -> bool:
        """Whether nothing is cut or slowed down."""
        return not self._cuts and not self._slow

    # --- links

    def dial(self, dialler: Host, number: int, ip: str) -> None:
        """Connect; `LinkUp` or `LinkDown` follows, soon or after several SYNs."""
        end = dialler.ends[number] = End(dialler, number)
        self._syn(end, self._by_ip[ip], _SYN_RETRY_MS)

    def _syn(self, end: End, other: Host, retry_ms: float) -> None:
        if not end.alive:
            return
        now = self._agenda.now
        if other.powered and self.reaches(end.host, other) and self.reaches(other, end.host):
            round_trip = self._latency(end.host, other) + self._latency(other, end.host)
            self._agenda.at(now + round_trip, self._connect, end, other)
        elif retry_ms <= _SYN_RETRY_MS_MAX:
            self._agenda.at(now + retry_ms, self._syn, end, other, 2 * retry_ms)
        else:
            self._end(end)

    def _connect(self, end: End, other: Host) -> None:
        if not end.alive:
            return
        if other.alive:
            self.join(end, End(other, other.next_inbound()))
            end.host.take(LinkUp(end.number))
        elif other.powered:
            self._end(end)

    def join(self, dialled: End, accepted: End) -> None:
        """Make one link of two ends."""
        dialled.peer, accepted.peer = accepted, dialled
        dialled.host.ends[dialled.number] = dialled
        accepted.host.ends[accepted.number] = accepted

    def send(self, sender: Host, number: int, message: Message) -> None:
        """Send on a link. A paused receiver's kernel takes it in; a dead one's, once up again, refuses it."""
        end = sender.ends.get(number)
        if end is None or end.peer is end:
            return
        other = end.peer.host
        self._put(end, Received(end.peer.number, message, sender.ip, other.ip))

    def close(self, sender: Host, number: int) -> None:
        """Close one's own end; the other learns of it behind everything sent before."""
        end = sender.ends.pop(number, None)
        if end is not None and end.peer is not end:
            self._put(end, None)

    def _put(self, end: End, event: Event | None) -> None:
        """Send an event, or the end of the link, to the other side."""
        sender, receiver = end.host, end.peer.host
        if self._cuts:
            held = self._held.get((sender.index, receiver.index))
            if held is not None:
                held.append((end, event))
                return
        self._carry(end, event, self._agenda.now)

    def _carry(self, end: End, event: Event | None, start: float) -> None:
        sender, receiver = end.host, end.peer.host
        arrival = start + self._latency(sender, receiver)
        loss = self.weather.loss
        if loss:
            while sender.chance.random() < loss:
                arrival += _RETRANSMIT_MS
        if arrival < end.arrives_at:
            arrival = end.arrives_at
        end.arrives_at = arrival
        self._agenda.at(arrival, self._arrive, end, event)

    def _arrive(self, end: End, event: Event | None) -> None:
        peer = end.peer
        if peer.alive:
            if event is None:
                self._end(peer)
            else:
                peer.host.take(event)
        elif peer.host.powered and end.alive:
            # The machine knows nothing of this link: RST.
            self._agenda.at(self._agenda.now + self._latency(peer.host, end.host), self._end, end)

    def _end(self, end: End) -> None:
        if end.alive:
            del end.host.ends[end.number]
            end.host.take(LinkDown(end.number))

    def _latency(self, sender: Host, receiver: Host) -> float:
        weather = self.weather
        latency = weather.latency_ms + weather.jitter_ms * sender.chance.random()
        if self._slow:
            latency += self._slow.get((sender.index, receiver.index), 0.0)
        return latency

    # --- datagrams

    def datagram(self, sender: Host, ip: str, message: Message) -> None:
        """Send a datagram, which may never arrive."""
        receiver = self._by_ip.get(ip)
        if receiver is None or not self.reaches(sender, receiver):
            self.dropped += 1
            return
        weather, chance = self.weather, sender.chance
        if weather.loss and chance.random() < weather.loss:
            self.dropped += 1
            return
        event = ReceivedDatagram(message, sender.ip, sender.settings.bus_port, receiver.ip)
        delay = self._latency(sender, receiver)
        if weather.reordering and chance.random() < weather.reordering:
            delay += 10 * weather.jitter_ms * chance.random()
        self._agenda.at(self._agenda.now + delay, self._drop_in, receiver, event)
        if weather.duplication and chance.random() < weather.duplication:
            self._agenda.at(self._agenda.now + delay + self._latency(sender, receiver), self._drop_in, receiver, event)

    def _drop_in(self, receiver: Host, event: ReceivedDatagram) -> None:
        if receiver.paused and len(receiver.waiting) >= _DATAGRAM_QUEUE:
            self.dropped += 1
        else:
            receiver.take(event)

    # --- faults

    def cut(self, directions: list[Direction]) -> None:
        """Let nothing through that way. A direction can be under several cuts."""
        for direction in directions:
            self._cuts[direction] = self._cuts.get(direction, 0) + 1
            self._held.setdefault(direction, [])

    def heal(self, directions: list[Direction]) -> None:
        """Undo one cut; what links held arrives when their senders try again."""
        for direction in directions:
            self._cuts[direction] -= 1
            if self._cuts[direction]:
                continue
            del self._cuts[direction]
            held = self._held.pop(direction)
            if held:
                sender = held[0][0].host
                again = self._agenda.now + sender.chance.random() * _BACKOFF_MS
                for end, event in held:
                    self._carry(end, event, again)

    def slow(self, directions: list[Direction], latency_ms: float) -> None:
        """Add latency that way; 0 takes it back."""
        for direction in directions:
            if latency_ms:
                self._slow[direction] = latency_ms
            else:
                self._slow.pop(direction, None)

    def hang_up(self, host: Host) -> None:
        """The process died: its kernel closes all its links."""
        for end in list(host.ends.values()):
            del host.ends[end.number]
            if end.peer is not end:
                self._put(end, None)

    def go_silent(self, host: Host) -> None:
        """The power failed: nobody says goodbye, and what waits to be sent again is gone."""
        host.ends.clear()
        for (sender, _), held in self._held.items():
            if sender == host.index:
                held.clear()
