"""The paths between hosts: which packets arrive, and how long they take.

It owns one directed link for every pair of hosts, with its latency, loss, duplication, bandwidth and cuts, and knows
nothing of connections or datagrams. Every draw comes from the sending host's stream, so that what one host does more or
less leaves the fates of the others' packets alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

# One packet in so many is held up on its way, by up to that many times the latency.
_HELD_UP_ONE_IN = 200
_HELD_UP_TIMES = 20.0
# Within one host.
_LOOPBACK_S = 15e-6


@dataclass(frozen=True, slots=True)
class Weather:
    """What a fault adds to a link."""

    delay_s: float = 0.0
    # The share of packets that do not arrive, arrive twice, or take much longer than the ones around them.
    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0
    # Bytes a second; 0: no limit.
    bandwidth: int = 0


class Link:
    """The way from one host to another."""

    __slots__ = ("_draw", "_free_at", "_latency_s", "_rng", "_weather", "cuts", "duplication", "loss", "reordering")

    def __init__(self, rng: Random, latency_s: float) -> None:
        self._rng = rng
        self._draw = rng.random
        # Between this and half as much again.
        self._latency_s = latency_s
        # How many faults cut it; nothing passes while there is one.
        self.cuts = 0
        # The faults that make it worse, by number, and what they amount to.
        self._weather: dict[int, Weather] = {}
        self.loss = 0.0
        self.duplication = 0.0
        self.reordering = 0.0
        # When a link of limited bandwidth has sent what was given to it.
        self._free_at = 0.0

    @property
    def clear(self) -> bool:
        """Whether no fault concerns it."""
        return not self.cuts and not self._weather

    def worsen(self, number: int, weather: Weather) -> None:
        self._weather[number] = weather
        self._sum_up()

    def clear_up(self, number: int) -> None:
        del self._weather[number]
        self._sum_up()

    def _sum_up(self) -> None:
        """Of two faults the worse one counts; delays add up."""
        faults = self._weather.values()
        self.loss = max((fault.loss for fault in faults), default=0.0)
        self.duplication = max((fault.duplication for fault in faults), default=0.0)
        self.reordering = max((fault.reordering for fault in faults), default=0.0)

    def arrival(self, now: float, size: int) -> float:
        """When a packet sent now will have arrived."""
        draw, latency_s = self._draw, self._latency_s
        delay_s = latency_s * (1.0 + 0.5 * draw())
        if draw() * _HELD_UP_ONE_IN < 1.0:
            delay_s += latency_s * _HELD_UP_TIMES * draw()
        if self._weather:
            for fault in self._weather.values():
                delay_s += fault.delay_s
                if fault.bandwidth:
                    # It waits for those in front of it, and takes its time.
                    self._free_at = max(self._free_at, now) + size / fault.bandwidth
                    delay_s += self._free_at - now
            if self.reordering and draw() < self.reordering:
                delay_s += 10 * self._latency_s * draw()
        return now + delay_s

    def loses(self) -> bool:
        """Whether the next packet gets lost although the link is not cut."""
        return self.loss > 0.0 and self._rng.random() < self.loss

    def duplicates(self) -> bool:
        return self.duplication > 0.0 and self._rng.random() < self.duplication

    def splits(self) -> bool:
        """Whether a stream's next piece arrives in two: receivers must not rely on how bytes come in."""
        return self._draw() < 0.05

    def split_at(self, size: int) -> int:
        return self._rng.randrange(1, size)


class Fabric:
    """All links."""

    __slots__ = ("_latency_s", "_links", "_streams")

    def __init__(self, latency_s: float) -> None:
        self._latency_s = latency_s
        # By sender's and receiver's name, made when first used.
        self._links: dict[tuple[str, str], Link] = {}
        # Each host's chance, by name.
        self._streams: dict[str, Random] = {}

    def add(self, host: str, rng: Random) -> None:
        self._streams[host] = rng

    def link(self, sender: str, receiver: str) -> Link:
        found = self._links.get((sender, receiver))
        if found is None:
            latency_s = _LOOPBACK_S if sender == receiver else self._latency_s
            found = self._links[sender, receiver] = Link(self._streams[sender], latency_s)
        return found
