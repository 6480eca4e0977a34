"""A large mapping of byte strings: no operation stalls, whatever its size, and a walk survives every change.

One dict of a million keys stops the server when it grows, cannot be entered in the middle, and knows no random key.
A `Table` is cut into shards of at most `_SHARD_MAX` keys by a hash of the key that is the same in every process
(CRC-32). A directory leads from the first bits of the hash to the shard; a shard that is full is split in eight, and
the directory made larger when it has no room to tell the parts apart (extendible hashing). So the shards stand in the
order of the hash, and these follow:

- Growing costs as much as splitting one shard, and now and then copying a list of pointers.
- A walk goes in the order of the hash, and its cursor is a hash: it means the same whatever came, went, was split or
  merged since. A key that stays is met exactly once. (It also means the same on a replica, and after a restart.)
- The shards are an array of places of which some are empty: a place drawn until one is taken gives each key the same
  chance, in two draws or so.

Small collections are plain dicts, which cost less; `walk`, `random_key` and `random_keys` work on either. Whoever
owns the collection turns its dict into a table when it has more than `DICT_MAX` keys.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from random import Random
from typing import Any, Final, Generic, Protocol, TypeVar
from zlib import crc32

V = TypeVar("V")


class Drawable(Protocol):
    """A collection other than a dict of which a random key can be had."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[bytes]: ...

    def random_key(self, chance: Random) -> bytes: ...


# Above this number of keys a collection is a table.
DICT_MAX: Final = 512
# What a dict holds before it takes twice the memory: 2/3 of 64 places.
_SHARD_MAX: Final = 42
# What a shard of a table that is made with all its keys is to have at the most, on average.
_SHARD_FILLED: Final = 28
_HASH_BITS = 32
_HASHES = 1 << _HASH_BITS
# A directory has at most an entry for every so many keys: keys of one hash, made to that end, share a shard.
_KEYS_PER_ENTRY_MIN = 4
# A shard with fewer keys looks whether it and its other half fit into one that is half full.
_SHARD_MIN = 8
# To list a key takes so much less time than to draw one: where more than that share is drawn, all are listed first.
_LISTED = 64
# A directory with this many times more places than keys is halved.
_SPARSE = 16


class Table(Generic[V]):
    """Keys and their values; the methods are those of a dict. Never changed while it is iterated."""

    __slots__ = ("_dropped", "_parts", "_places", "_shards", "_shift", "_size")

    def __init__(self, items: dict[bytes, V] | None = None) -> None:
        self._size = 0
        # The directory: a power of two of references, neighbours often to the same shard.
        self._shards: list[dict[bytes, V]] = [{}]
        # The shards, each once and in no order; and some dicts that were shards, which are empty: how many.
        self._parts: list[dict[bytes, V]] = [self._shards[0]]
        self._dropped = 0
        # How far a hash is shifted to give the place in the directory.
        self._shift = _HASH_BITS
        # Keys that the fullest shard may have: more than `_SHARD_MAX` only when hashes coincide.
        self._places = _SHARD_MAX
        if items:
            self._fill(items)

    def _fill(self, items: dict[bytes, V]) -> None:
        """Take over the first keys, each into a shard of a table of that size at once."""
        crc = crc32
        bits = (len(items) // _SHARD_FILLED).bit_length()
        shift = _HASH_BITS - bits
        shards: list[dict[bytes, V]] = [{} for _ in range(1 << bits)]
        for key, value in items.items():
            shards[crc(key) >> shift][key] = value
        self._size, self._shift = len(items), shift
        self._shards, self._parts = shards, shards.copy()
        overfull = [shard for shard in shards if len(shard) > _SHARD_MAX]
        while overfull:
            shard = overfull.pop()
            before = len(self._parts)
            self._split(crc(next(iter(shard))) >> self._shift)
            if len(self._parts) > before:
                overfull += [part for part in (shard, *self._parts[before:]) if len(part) > _SHARD_MAX]
        self._places = max(_SHARD_MAX, max(map(len, self._parts)))

    def __len__(self) -> int:
        return self._size

    def __contains__(self, key: bytes) -> bool:
        return key in self._shards[crc32(key) >> self._shift]

    def __getitem__(self, key: bytes) -> V:
        return self._shards[crc32(key) >> self._shift][key]

    def get(self, key: bytes) -> V | None:
        return self._shards[crc32(key) >> self._shift].get(key)

    def get_each(self, keys: Iterable[bytes]) -> list[V | None]:
        """What `get` gives for each of `keys`, at half the price."""
        crc, shards, shift = crc32, self._shards, self._shift
        return [shards[crc(key) >> shift].get(key) for key in keys]

    def present(self, keys: Iterable[bytes]) -> list[bytes]:
        """Those of `keys` that are there."""
        crc, shards, shift = crc32, self._shards, self._shift
        return [key for key in keys if key in shards[crc(key) >> shift]]

    def missing(self, keys: Iterable[bytes]) -> list[bytes]:
        """Those of `keys` that are not there."""
        crc, shards, shift = crc32, self._shards, self._shift
        return [key for key in keys if key not in shards[crc(key) >> shift]]

    def __setitem__(self, key: bytes, value: V) -> None:
        self.put(key, value)

    def put(self, key: bytes, value: V) -> int:
        """Set the value of `key`; 1 when the key is new, else 0."""
        at = crc32(key) >> self._shift
        shard = self._shards[at]
        before = len(shard)
        shard[key] = value
        if len(shard) == before:
            return 0
        self._size += 1
        if before >= _SHARD_MAX:
            self._split(at)
        return 1

    def put_each(self, keys: list[bytes], values: Iterable[V]) -> list[int]:
        """Set the value of each of `keys`, of which there are no more than values; which were there, by their place."""
        # The body of `put`, written out: with a call for each it takes half as long again. (And compiled code looks for
        # a name of the module each time.)
        crc = crc32
        shards, shift, size = self._shards, self._shift, self._size
        known: list[int] = []
        new = 0
        for key, value in zip(keys, values, strict=False):
            at = crc(key) >> shift
            shard = shards[at]
            before = len(shard)
            shard[key] = value
            if len(shard) == before:
                known.append(new + len(known))
                continue
            new += 1
            if before >= _SHARD_MAX:
                self._size = size + new
                self._split(at)
                shards, shift = self._shards, self._shift
        self._size = size + new
        return known

    def pop(self, key: bytes, default: None = None) -> V | None:
        """Take `key` out and return its value; `default` when it is not there."""
        at = crc32(key) >> self._shift
        shard = self._shards[at]
        if key not in shard:
            return default
        value = shard.pop(key)
        self._size -= 1
        if len(shard) < _SHARD_MIN and len(self._shards) > 1:
            self._merge(at)
        return value

    def pop_each(self, keys: Iterable[bytes]) -> None:
        """Take out all of `keys`, which are there."""
        # The body of `pop`, written out as in `put_each`. What has become small is merged when all are out.
        crc = crc32
        shards, shift = self._shards, self._shift
        small: list[int] = []
        gone = 0
        for key in keys:
            place = crc(key)
            shard = shards[place >> shift]
            del shard[key]
            gone += 1
            if len(shard) == _SHARD_MIN - 1:
                small.append(place)
        self._size -= gone
        for place in small:
            shard = self._shards[place >> self._shift]
            dropped = -1
            while len(shard) < _SHARD_MIN and len(self._shards) > 1 and dropped != self._dropped:
                dropped = self._dropped
                self._merge(place >> self._shift)
                shard = self._shards[place >> self._shift]

    def __iter__(self) -> Iterator[bytes]:
        return chain.from_iterable(self._distinct())

    def keys(self) -> Iterator[bytes]:
        return iter(self)

    def values(self) -> Iterator[V]:
        return chain.from_iterable(shard.values() for shard in self._distinct())

    def items(self) -> Iterator[tuple[bytes, V]]:
        return chain.from_iterable(shard.items() for shard in self._distinct())

    def copy(self) -> Table[V]:
        """A table of its own with the same keys and values."""
        other: Table[V] = Table()
        other._size = self._size
        other._shift = self._shift
        other._places = self._places
        copies: list[dict[bytes, V]] = []
        last: dict[bytes, V] | None = None
        for shard in self._shards:
            copies.append(copies[-1] if shard is last else shard.copy())
            last = shard
        other._shards = copies
        other._parts = other._distinct()
        return other

    def memory_bytes(self) -> int:
        """What the table itself takes, without its keys and values."""
        shards = self._distinct()
        sample = shards[:16]
        each = sum(map(sys.getsizeof, sample)) // len(sample)
        lists = sys.getsizeof(self._shards) + sys.getsizeof(self._parts)
        return sys.getsizeof(self) + lists + each * len(shards)

    def walk(self, cursor: int, count: int) -> tuple[int, list[bytes]]:
        """At least `count` keys from the hash `cursor` on, unless the table ends before; and the next, 0 at the end."""
        shards, shift = self._shards, self._shift
        keys: list[bytes] = []
        at = cursor >> shift
        while at < len(shards):
            shard = shards[at]
            first = at
            while first and shards[first - 1] is shard:
                first -= 1
            if cursor > first << shift:
                # The shard was another one when the cursor was given out.
                keys += [key for key in shard if crc32(key) >= cursor]
            else:
                keys += shard
            at += 1
            while at < len(shards) and shards[at] is shard:
                at += 1
            if len(keys) >= count:
                break
        return (at << shift) % _HASHES, keys

    def random_key(self, chance: Random) -> bytes:
        """One of the keys (there must be some), each as likely as the others."""
        parts, places = self._parts, self._places
        total = len(parts) * places
        while True:
            at, place = divmod(int(chance.random() * total), places)
            if place < len(parts[at]):
                return _key_at(parts[at], place)

    def _distinct(self) -> list[dict[bytes, V]]:
        """The shards, each once."""
        shards = self._shards
        return [shard for at, shard in enumerate(shards) if not at or shards[at - 1] is not shard]

    def _split(self, at: int) -> None:
        """Split the shard of directory entry `at` by the next bits of the hash, if there are any to be had.

        By three bits if possible: so a key that is put has others moved one and a seventh times, and not two.
        """
        shards = self._shards
        shard = shards[at]
        first, width = self._entries(at)
        ways = 8
        while width < ways and len(shards) * ways // width * _KEYS_PER_ENTRY_MIN > self._size:
            ways //= 2
        if ways == 1:
            self._places = max(self._places, len(shard))
            return
        if width < ways:
            finer = ways // width
            self._shards = shards = [shard for shard in shards for _ in range(finer)]
            self._shift -= finer.bit_length() - 1
            first, width = first * finer, ways
        width //= ways
        # The shard itself becomes the first part.
        whole = shard.copy()
        shard.clear()
        parts = [shard, *({} for _ in range(1, ways))]
        shift, last = self._shift + width.bit_length() - 1, ways - 1
        for key, value in whole.items():
            parts[crc32(key) >> shift & last][key] = value
        shards[first : first + width * ways] = [part for part in parts for _ in range(width)]
        self._parts += parts[1:]

    def _merge(self, at: int) -> None:
        """Merge the shard of directory entry `at` with its other half, if that is all but empty, too."""
        shards = self._shards
        shard = shards[at]
        first, width = self._entries(at)
        if width < len(shards):
            other = shards[first ^ width]
            whole = self._entries(first ^ width)[1] == width
            if whole and len(shard) + len(other) <= _SHARD_MAX // 2:
                shard.update(other)
                other.clear()
                self._dropped += 1
                first &= ~width
                shards[first : first + 2 * width] = [shard] * (2 * width)
        if self._size * _SPARSE < len(shards) * _SHARD_MAX:
            # By now nearly all neighbours are one shard.
            self._shards = [
                left if left is right else left | right for left, right in zip(shards[::2], shards[1::2], strict=True)
            ]
            self._shift += 1
            self._places = max(_SHARD_MAX, max(map(len, self._shards)))
            self._dropped = len(self._parts)
        if self._dropped * 2 > len(self._parts):
            self._parts = self._distinct()
            self._dropped = 0

    def _entries(self, at: int) -> tuple[int, int]:
        """The directory entries with the shard of `at`: first and how many (a power of two, at a multiple of it)."""
        shards = self._shards
        shard = shards[at]
        first, width = at, 1
        while width < len(shards):
            pair = first & ~width
            if shards[pair] is not shard or shards[pair + 2 * width - 1] is not shard:
                break
            first, width = pair, 2 * width
        return first, width

    def _check(self) -> None:
        """Raise AssertionError unless all keys are where they belong."""
        shards, shift = self._shards, self._shift
        assert len(shards) == 1 << (_HASH_BITS - shift)
        assert sum(map(len, self._distinct())) == self._size
        if len(shards) < 1000:
            assert all(any(part is shard for part in self._parts) for shard in self._distinct())
        assert len(self._distinct()) + self._dropped == len(self._parts)
        assert sum(map(len, self._parts)) == self._size
        for at, shard in enumerate(shards):
            entries = [other for other, found in enumerate(shards) if found is shard] if len(shards) < 1000 else [at]
            assert entries == list(range(entries[0], entries[-1] + 1)), "a shard's entries stand together"
            assert len(entries) & (len(entries) - 1) == 0
            assert entries[0] % len(entries) == 0
            assert len(shard) <= self._places
            if len(shards) < 1000:
                assert all(crc32(key) >> shift in entries for key in shard)


def walk(keys: dict[bytes, V] | Table[V], cursor: int, count: int) -> tuple[int, list[bytes]]:
    """A step of SSCAN, HSCAN or ZSCAN: at least `count` keys from `cursor` on; and the next cursor, 0 at the end.

    A dict is walked in the same order as a table, so that it may become one meanwhile.
    """
    cursor %= _HASHES
    if isinstance(keys, Table):
        return keys.walk(cursor, count)
    hashes = sorted([place for key in keys if (place := crc32(key)) >= cursor])
    if len(hashes) <= count or hashes[count - 1] == hashes[-1]:
        return 0, [key for key in keys if crc32(key) >= cursor] if cursor else list(keys)
    end = hashes[count - 1] + 1
    return end, [key for key in keys if cursor <= crc32(key) < end]


def random_key(keys: dict[bytes, Any] | Drawable, chance: Random) -> bytes:
    """One of the keys, each as likely as the others; there must be some."""
    if isinstance(keys, dict):
        return _key_at(keys, int(chance.random() * len(keys)))
    return keys.random_key(chance)


def _key_at(keys: dict[bytes, V], place: int) -> bytes:
    """The key at a place in the order of the dict, reached from the nearer end."""
    last = len(keys) - 1
    return next(islice(reversed(keys), last - place, None) if place * 2 > last else islice(keys, place, None))


def random_keys(keys: dict[bytes, Any] | Drawable, count: int, chance: Random) -> list[bytes]:
    """So many different keys; all of them, in the collection's own order, when it has no more."""
    size = len(keys)
    if count >= size:
        return list(keys)
    if count * _LISTED > size or isinstance(keys, dict):
        return chance.sample(list(keys), count)
    chosen: dict[bytes, None] = {}
    while len(chosen) < count:
        chosen[keys.random_key(chance)] = None
    return list(chosen)


def random_keys_repeating(keys: dict[bytes, Any] | Drawable, count: int, chance: Random) -> list[bytes]:
    """So many keys, each drawn by itself: the same one may come again."""
    if not isinstance(keys, dict) and count * _LISTED < len(keys):
        return [keys.random_key(chance) for _ in range(count)]
    return chance.choices(list(keys), k=count)
