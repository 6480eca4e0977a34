"""Which keys are looked at when one must go: a few at random, and the best candidates of earlier looks.

As in Redis (fact sheet on eviction, section 5) a pool keeps the sixteen best candidates between looks, so that a
sample of five comes close to an exact choice after a few rounds.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from itertools import islice
from random import Random

_POOL_MAX = 16
# Slots with more keys are not entered in the middle, which would mean walking there: keys are taken from their head
# and put at the end, so that others come next time.
_WALKED_MAX = 512

Keys = Sequence[dict[bytes, int] | None]


class Slots:
    """Slots that have keys, and some that had: those leave when they are drawn."""

    __slots__ = ("_members", "_places")

    def __init__(self) -> None:
        # In no order, and where in that each one stands.
        self._members: list[int] = []
        self._places: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._members)

    def add(self, slot: int) -> None:
        if slot not in self._places:
            self._places[slot] = len(self._members)
            self._members.append(slot)

    def sample(self, keys: Keys, count: int, chance: Random) -> list[tuple[int, bytes]]:
        """Up to `count` random keys of `keys`, with their slots; fewer, or one twice, where there are few."""
        members = self._members
        found: list[tuple[int, bytes]] = []
        while members and len(found) < count:
            slot = members[int(chance.random() * len(members))]
            there = keys[slot]
            if there:
                # Where there are few slots, neighbours are taken together.
                found += [(slot, key) for key in _draw(there, 1 if len(members) > count else count, chance)]
            else:
                self._discard(slot)
        return found

    def _discard(self, slot: int) -> None:
        place = self._places.pop(slot)
        last = self._members.pop()
        if last != slot:
            self._members[place] = last
            self._places[last] = place


def _draw(keys: dict[bytes, int], count: int, chance: Random) -> list[bytes]:
    size = len(keys)
    if size <= _WALKED_MAX:
        start = int(chance.random() * size)
        return list(islice(keys, start, start + count))
    drawn = list(islice(keys, count))
    for key in drawn:
        keys[key] = keys.pop(key)
    return drawn


class Pool:
    """Candidates by how much they deserve to go."""

    __slots__ = ("_candidates",)

    def __init__(self) -> None:
        # (score, database, key), ascending.
        self._candidates: list[tuple[int, int, bytes]] = []

    def offer(self, score: int, database: int, key: bytes) -> None:
        candidates = self._candidates
        if len(candidates) == _POOL_MAX:
            if score <= candidates[0][0]:
                return
            if not any(other == key and index == database for _, index, other in candidates):
                del candidates[0]
        for at, (_, index, other) in enumerate(candidates):
            if other == key and index == database:
                del candidates[at]
                break
        insort(candidates, (score, database, key))

    def take(self) -> tuple[int, bytes] | None:
        """The best candidate: (database, key)."""
        if not self._candidates:
            return None
        _, database, key = self._candidates.pop()
        return database, key

    def clear(self) -> None:
        self._candidates.clear()
