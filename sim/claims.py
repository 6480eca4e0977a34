"""Who claimed which slots at which config epoch, and since when: the book that the invariants read.

A claim is what a master says of itself. Of two claims to one slot the one with the greater epoch counts, so who was
replaced, by whom and when, can be told from the claims alone, however little the nodes themselves know of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Claim:
    """One node's word that it is the master of some slots."""

    # When it was first seen, and the seat that made it.
    at_s: float
    name: str
    node_id: str
    epoch: int
    slots: int


class Claims:
    """All claims of a run, in order of time."""

    __slots__ = ("_all", "_last")

    def __init__(self) -> None:
        self._all: list[Claim] = []
        # The newest one of each seat.
        self._last: dict[str, Claim] = {}

    def note(self, now: float, name: str, node_id: str, epoch: int, slots: int) -> Claim | None:
        """A master is seen; returns its claim when that is news."""
        last = self._last.get(name)
        if last is not None and (last.epoch, last.slots) == (epoch, slots):
            return None
        claim = self._last[name] = Claim(now, name, node_id, epoch, slots)
        self._all.append(claim)
        return claim

    def reigns(self, slot: int) -> list[Claim]:
        """The claims to a slot that counted, one after the other: each beats all before it."""
        found: list[Claim] = []
        for claim in self._all:
            if claim.slots >> slot & 1 and (not found or claim.epoch > found[-1].epoch):
                found.append(claim)
        return found

    def masters(self, moment: float) -> list[str]:
        """Who had slots at that moment that nobody had claimed with a greater epoch."""
        claims = [claim for claim in self._all if claim.at_s <= moment]
        taken = 0
        found: dict[str, None] = {}
        for claim in sorted(claims, key=lambda claim: -claim.epoch):
            if claim.slots & ~taken:
                found[claim.name] = None
            taken |= claim.slots
        return list(found)

    def last_of(self, name: str) -> Claim | None:
        return self._last.get(name)

    def clashing(self, claim: Claim) -> Iterator[Claim]:
        """Claims of others to some of the same slots at the same epoch."""
        for other in self._all:
            if other.epoch == claim.epoch and other.node_id != claim.node_id and other.slots & claim.slots:
                yield other

    def newer(self, name: str) -> Iterator[Claim]:
        """The last claims of others that beat the last one of `name`."""
        mine = self._last.get(name)
        for other in self._last.values() if mine is not None else ():
            if mine is not None and other.epoch > mine.epoch and other.slots & mine.slots:
                yield other

    def at(self, name: str, slot: int, moment: float) -> Claim | None:
        """What `name` claimed of a slot at that moment."""
        found = None
        for claim in self._all:
            if claim.at_s > moment:
                break
            if claim.name == name and claim.slots >> slot & 1:
                found = claim
        return found

    def successor(self, claim: Claim, slot: int) -> Claim | None:
        """The first claim that took the slot away from this one."""
        for other in self._all:
            if other.epoch > claim.epoch and other.slots >> slot & 1 and other.node_id != claim.node_id:
                return other
        return None
