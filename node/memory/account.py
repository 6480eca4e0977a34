"""What the keys take: an account kept key by key while there is a limit, an estimate by samples while there is none.

Python's allocator does not say how much of its memory is in use, and the memory of the process does not shrink when
keys go. So the account adds up what each key costs (`key_bytes`): its name, its value and its places in the dicts, as
`sys.getsizeof` and the structures report them. It leaves out the interpreter and the program, which are the same with
one key or a million.

A write only puts its key on a list (`DatabaseAccount.written`); the list is worked off before anybody asks for the
sum. A large collection is measured again only after a sixteenth of it has changed: in between it counts by its length.
"""

from __future__ import annotations

import sys
from itertools import islice
from typing import TYPE_CHECKING

from cluster.slots import SLOTS, key_slot
from node.memory.sampling import Slots

if TYPE_CHECKING:
    from node.database import Database, Value

# A place in the dict of a slot: hash, key and value, at the fullness dicts usually have.
PLACE_BYTES = 36
# Elements of a structure that are looked at.
_SAMPLES = 5
# Above this number of elements a structure is large: measuring it costs more than changing it.
_LARGE = 1024
# A large structure is measured again when this share of its elements may have changed.
_CHANGED_SHIFT = 4
# Up to twice as many keys are measured for an estimate of all, and so many between two looks at the clock while an
# account is opened.
_ESTIMATED_BY = 500
# A dict is walked from its head to the key that is looked at. So that an estimate costs the same few milliseconds
# however many keys there are (sentinels ask for INFO, and wait), a walk to the next key is no longer than this; in a
# slot that holds more for each key looked at, they are the oldest ones.
_STRIDE = 512
_STEP_KEYS = 512
# Keys that wait to be measured at most (a file is being loaded).
_PENDING_MAX = 1024
# A database is 16,384 dicts and two lists of them, before it holds anything.
DATABASE_BYTES = SLOTS * (sys.getsizeof({}) + 16)


def key_bytes(database: Database, key: bytes, value: Value, samples: int = _SAMPLES) -> int:
    """What `key` and its value take, elements judged by `samples` of them (0: by all)."""
    own = sys.getsizeof(value) if type(value) is bytes or type(value) is bytearray else value.memory_bytes(samples)
    places = 2 if database.volatile and database.expire_time(key) is not None else 1
    return int(own) + sys.getsizeof(key) + places * PLACE_BYTES


def estimated_bytes(database: Database) -> int:
    """What all keys of a database take: measured when they are few, else judged by some from every region."""
    size = database.size
    if not size:
        return 0
    looked_at = total = 0
    step = max(size // _ESTIMATED_BY, 1)
    stride = min(step, _STRIDE)
    # Keys to pass over before the next one that is looked at.
    skip = 0
    # Most slots of a small database are empty.
    for shard in filter(None, database.shards):
        length = len(shard)
        if skip < length:
            looks = (length - skip + step - 1) // step
            first = skip % _STRIDE
            for key, value in islice(shard.items(), first, first + looks * stride, stride):
                total += key_bytes(database, key, value)
                looked_at += 1
        skip = (skip - length) % step
    return total * size // looked_at


class _Large:
    """A large structure when it was last measured."""

    __slots__ = ("changes", "length", "size")

    def __init__(self, length: int, size: int) -> None:
        self.length = length
        self.size = size
        self.changes = 0


class DatabaseAccount:
    """What the keys of one database take."""

    __slots__ = ("_counted", "_database", "_large", "_opened", "_pending", "_total", "occupied", "sizes", "volatile")

    def __init__(self, database: Database) -> None:
        self._database = database
        # Keys written since the sum was last asked for, in the order of the first write.
        self._pending: dict[bytes, None] = {}
        # Bytes by key, a dict a slot, for the slots below `_opened`; keys in the others have not been counted yet.
        self.sizes: list[dict[bytes, int]] = [{} for _ in range(SLOTS)]
        # Slots with keys, and with volatile ones, to draw from.
        self.occupied = Slots()
        self.volatile = Slots()
        self._opened = SLOTS if not database.size else 0
        self._large: dict[bytes, _Large] = {}
        self._total = 0
        self._counted = 0

    @property
    def counted(self) -> int:
        """How many keys have been counted."""
        return self._counted

    @property
    def complete(self) -> bool:
        """Every key has been counted."""
        return self._opened == SLOTS

    def open_some(self) -> None:
        """Count the keys of some more slots: about a millisecond's worth, unless one slot holds more."""
        counted = self._counted
        database = self._database
        while not self.complete and self._counted - counted < _STEP_KEYS:
            shard = database.shards[self._opened]
            self._opened += 1
            for key in shard:
                self._measure(self._opened - 1, key)

    def total(self) -> int:
        """Bytes of all keys; an estimate while keys are still being counted."""
        if self._pending:
            self.settle()
        return self._total if self._opened == SLOTS else estimated_bytes(self._database)

    def written(self, key: bytes) -> None:
        """`key` was written, or is gone."""
        self._pending[key] = None
        if len(self._pending) > _PENDING_MAX:
            self.settle()

    def settle(self) -> None:
        """Measure what was written."""
        opened = self._opened
        for key in self._pending:
            slot = key_slot(key)
            if slot < opened:
                self._measure(slot, key)
        self._pending.clear()

    def drop_slot(self, slot: int) -> None:
        """The keys of a slot are gone."""
        for key, size in self.sizes[slot].items():
            self._total -= size
            self._counted -= 1
            self._large.pop(key, None)
        self.sizes[slot] = {}

    def move_to(self, database: Database) -> None:
        """The contents have been exchanged with those of another database (SWAPDB)."""
        self._database = database

    def _measure(self, slot: int, key: bytes) -> None:
        database = self._database
        sizes = self.sizes[slot]
        if database.volatile and database.expires[slot] is not None:
            self.volatile.add(slot)
        value = database.shards[slot].get(key)
        if value is None:
            gone = sizes.pop(key, None)
            if gone is not None:
                self._total -= gone
                self._counted -= 1
                self._large.pop(key, None)
            return
        if type(value) is bytes or type(value) is bytearray:
            size = sys.getsizeof(value) + sys.getsizeof(key) + PLACE_BYTES
            if database.volatile and database.expire_time(key) is not None:
                size += PLACE_BYTES
        elif len(value) <= _LARGE:
            size = key_bytes(database, key, value)
        else:
            size = self._large_bytes(key, value)
        before = sizes.get(key)
        if before is None:
            if not sizes:
                self.occupied.add(slot)
            self._counted += 1
            self._total += size
        else:
            self._total += size - before
        sizes[key] = size

    def _large_bytes(self, key: bytes, value: Value) -> int:
        length = len(value)
        large = self._large.get(key)
        if large is not None:
            large.changes += 1
            if large.changes + abs(length - large.length) <= large.length >> _CHANGED_SHIFT:
                return large.size * length // large.length
        size = key_bytes(self._database, key, value)
        self._large[key] = _Large(length, size)
        return size

    def _check(self) -> None:
        """Raise AssertionError unless the account agrees with the database."""
        self.settle()
        assert self._total == sum(sum(sizes.values()) for sizes in self.sizes)
        assert self._counted == sum(map(len, self.sizes))
        if self.complete:
            assert list(map(len, self.sizes)) == list(map(len, self._database.shards))
