"""Walks through slots of very many keys, for SCAN: keys with one hash tag may be a million in one dict.

A dict cannot be entered in the middle, and to choose the keys of a part of the hash range takes a look at each of them.
So the keys of such a slot are noted when a walk comes to it, sorted into small parts of the hash range a portion at a
time (meanwhile SCAN has nothing to give), and given out from there. The cursor says which walk it belongs to. Whatever
stays in the slot from then on is among what was noted; what has gone since is left out.

A walk may be gone when its cursor comes back: there are a few at a time, and an idle one is not kept. SCAN then looks
at all keys of the slot again, at each step.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from random import Random
from typing import Final
from zlib import crc32

from node.database import Database

# Positions within a slot: the low 16 bits of the key's CRC-32.
POSITIONS: Final = 1 << 16
# Slots of more keys than this are walked so.
PREPARED_FROM: Final = 16_384
# How many keys are sorted in at each step, at least, and how many a part has, about.
_PORTION: Final = 10_000
_PART_KEYS: Final = 32
# Walks at a time, and for how long one that nobody asks for is kept.
_WALKS_MAX: Final = 4
_IDLE_S: Final = 60.0
# Numbers of walks: with position and slot below them a cursor is exact in a double, as which some clients keep it.
_NUMBERS: Final = 1 << 22


class SlotWalk:
    """The keys that a slot had at one moment."""

    __slots__ = ("_parts", "_shift", "_unsorted", "database", "slot", "used_at")

    def __init__(self, database: Database, slot: int) -> None:
        self.database = database
        self.slot = slot
        # When (loop time) it was asked for last.
        self.used_at = 0.0
        self._unsorted = list(database.shards[slot])
        bits = min((len(self._unsorted) // _PART_KEYS).bit_length(), 16)
        self._shift = 16 - bits
        self._parts: list[list[bytes]] = [[] for _ in range(1 << bits)]

    def prepare(self, count: int) -> bool:
        """Sort in a portion, or `count` keys if that is more; True when all are."""
        count = max(count, _PORTION)
        unsorted, parts, shift = self._unsorted, self._parts, self._shift
        for name in unsorted[-count:]:
            parts[crc32(name) % POSITIONS >> shift].append(name)
        del unsorted[-count:]
        return not unsorted

    def step(self, position: int, count: int) -> tuple[int, list[bytes]]:
        """At least `count` keys from `position` on, unless the slot ends before; and the next position."""
        parts, shard = self._parts, self.database.shards[self.slot]
        at = position >> self._shift
        # A position may have been given out when the walk was not this one.
        names = [name for name in parts[at] if crc32(name) % POSITIONS >= position and name in shard]
        at += 1
        while len(names) < count and at < len(parts):
            names += [name for name in parts[at] if name in shard]
            at += 1
        return at << self._shift, names


class SlotWalks:
    """Those that are under way, by their numbers, the one asked for last at the end."""

    __slots__ = ("_chance", "_timer", "_walks")

    def __init__(self, chance: Random) -> None:
        # Numbers are drawn: one of this node's life before, or of another node's, is not taken for one of now.
        self._chance = chance
        self._walks: OrderedDict[int, SlotWalk] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._walks)

    def begin(self, database: Database, slot: int) -> tuple[int, SlotWalk]:
        """A new one and its number."""
        if len(self._walks) >= _WALKS_MAX:
            self._walks.popitem(last=False)
        number = 1 + self._chance.randrange(_NUMBERS - 1)
        walk = self._walks[number] = SlotWalk(database, slot)
        self._use(walk)
        return number, walk

    def find(self, number: int, database: Database, slot: int) -> SlotWalk | None:
        walk = self._walks.get(number)
        if walk is None or walk.database is not database or walk.slot != slot:
            return None
        self._walks.move_to_end(number)
        self._use(walk)
        return walk

    def end(self, number: int) -> None:
        self._walks.pop(number, None)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _use(self, walk: SlotWalk) -> None:
        loop = asyncio.get_running_loop()
        walk.used_at = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(_IDLE_S, self._forget_idle)

    def _forget_idle(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        idle = [number for number, walk in self._walks.items() if walk.used_at + _IDLE_S <= loop.time()]
        for number in idle:
            del self._walks[number]
        if self._walks:
            self._timer = loop.call_later(_IDLE_S, self._forget_idle)
