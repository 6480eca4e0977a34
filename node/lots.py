"""A random key of a database, each as likely as any other, and soon found.

The keys stand in 16,384 dicts, of which most may be empty and some large (a hash tag puts all of its keys into one). A
slot is drawn by its weight, and a place among as many: who meets no key there draws again. So every key of a slot that
has no more keys than weight has the same chance. Weights are laid out once and used while they are about right, because
that takes as long as to look at every slot:

- Few keys: only slots with keys have a weight, that number, and a write has them laid out anew.
- Many: every slot has some room to grow, and they are laid out anew after one write for 32 keys. Until then only a slot
  that has outgrown its weight gives its keys less than their chance.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate, islice
from random import Random
from typing import TYPE_CHECKING

from cluster.slots import SLOTS

if TYPE_CHECKING:
    from node.database import Database

# So many keys in slots with room for one more each are met at every ninth draw.
_MANY = SLOTS // 8
# Weights of many keys are right for one write in so many keys.
_WRITES = 32
# So many draws without a key say that the weights are wrong: what expires, or leaves with its slot, is counted nowhere.
_MISSES_MAX = 100


class Lots:
    """The weights of a database's slots."""

    __slots__ = ("_dirty", "_ends", "_misses", "_slots", "_weights")

    def __init__(self) -> None:
        self._slots: list[int] = []
        self._weights: list[int] = []
        # The sums of the weights up to and with each.
        self._ends: list[int] = [0]
        # When they were laid out, in writes.
        self._dirty = 0
        self._misses = 0

    def draw(self, database: Database, dirty: int, chance: Random) -> bytes:
        """One of the keys of `database` (there must be some), when there were `dirty` writes so far."""
        while True:
            size = database.size
            kept_for = size // _WRITES if size >= _MANY else 0
            if self._ends[-1] < size or dirty - self._dirty > kept_for or self._misses > _MISSES_MAX:
                self._lay_out(database, dirty)
            at = bisect_right(self._ends, chance.randrange(self._ends[-1]))
            shard = database.shards[self._slots[at]]
            place = chance.randrange(self._weights[at])
            if place < len(shard):
                self._misses = 0
                return next(islice(shard, place, None))
            self._misses += 1

    def _lay_out(self, database: Database, dirty: int) -> None:
        if database.size >= _MANY:
            self._slots = list(range(SLOTS))
            self._weights = [keys + keys // 4 + 1 for keys in map(len, database.shards)]
        else:
            self._slots = list(database.filled_slots())
            self._weights = [len(database.shards[slot]) for slot in self._slots]
        self._ends = list(accumulate(self._weights))
        self._dirty = dirty
        self._misses = 0
