"""Fields of the hash at a key, for commands: one whose time has passed is not there.

A master deletes it when a command looks at it. A replica, or a master whose clients are paused, only hides it; what
comes from our own master sees everything, as it does expired keys. What counts fields, or writes over them, does not
look at their times (as in Redis 7.4).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Final

from node.call import Call
from node.database import DELETE_EXPIRED, SEE_EXPIRED
from node.expiry import FIELDS_PER_PORTION
from node.notifications import GENERIC
from node.structures.hashes import Fields, Hash
from node.structures.table import Drawable, Table

# Draws that show how many fields of a hash live. Fields are drawn one by one while one in so many at most is wanted.
_TRIALS: Final = 100
# Draws to find a few where most are passed over, before all fields are looked at.
_TRIALS_MAX: Final = 3000
_FEW_OF: Final = 64


def is_due(call: Call, hash_: Hash, field: bytes) -> bool:
    """Whether the field is to be treated as missing because its time has passed."""
    when_ms = hash_.expire_time(field)
    return when_ms is not None and when_ms < call.keyspace.now_ms and call.keyspace.expiry != SEE_EXPIRED


def look_up(call: Call, name: bytes, hash_: Hash, field: bytes) -> bytes | None:
    """The field's value in the hash at `name`, which may be gone afterwards."""
    value = hash_.fields.get(field)
    if value is None or not is_due(call, hash_, field):
        return value
    if call.keyspace.expiry == DELETE_EXPIRED:
        call.keyspace.expire_fields(call.db, name, hash_, [field])
    return None


def look_up_each(call: Call, name: bytes, hash_: Hash, fields: Sequence[bytes]) -> list[bytes | None]:
    """The values of fields, likewise."""
    due = [] if hash_.expiry is None else [field for field in dict.fromkeys(fields) if is_due(call, hash_, field)]
    values = [*map(hash_.fields.get, fields)]
    if due:
        values = [None if field in due else value for field, value in zip(fields, values, strict=True)]
        if call.keyspace.expiry == DELETE_EXPIRED:
            call.keyspace.expire_fields(call.db, name, hash_, due)
    return values


def find_field(call: Call, name: bytes, field: bytes) -> tuple[Hash | None, bytes | None]:
    """The hash at `name` and the field's value in it, for a command that is about to set it; raises WRONGTYPE."""
    hash_ = call.db.get_as(name, Hash)
    if hash_ is None:
        return None, None
    value = look_up(call, name, hash_, field)
    return (hash_ if len(hash_) else None), value


def alive(call: Call, hash_: Hash) -> Fields:
    """The fields whose time has not passed, to be walked through."""
    if not _has_due(call, hash_):
        return hash_.fields
    assert hash_.expiry is not None
    time_of, now_ms = hash_.expiry.times.get, call.keyspace.now_ms
    return {field: value for field, value in hash_.fields.items() if time_of(field, now_ms) >= now_ms}


def drawable(call: Call, name: bytes, hash_: Hash, count: int) -> dict[bytes, bytes] | Drawable | None:
    """What `count` fields are to be drawn from, which has none whose time has passed; None when no field is left.

    A master deletes those whose time has passed, but no more than a portion of them: the rest is passed over, and left
    to active expiry.
    """
    if not _has_due(call, hash_):
        return hash_.mapping()
    keyspace, expiry = call.keyspace, hash_.expiry
    assert expiry is not None
    if keyspace.expiry == DELETE_EXPIRED:
        due = expiry.take_due(keyspace.now_ms, FIELDS_PER_PORTION)
        if not keyspace.expire_fields(call.db, name, hash_, due):
            return None
        if len(due) < FIELDS_PER_PORTION:
            return hash_.mapping()
    fields = hash_.fields
    if isinstance(fields, Table) and abs(count) * _FEW_OF < len(fields):
        passing = _Passing(fields, expiry.times, keyspace.now_ms)
        chance = call.node.runtime.random.stream(call.command.name)
        if passing.mostly_alive(chance):
            return passing
        found = passing.find(count, chance)
        if len(found) == count:
            return found
    left = alive(call, hash_)
    return dict(left.items()) if left else None


class _Passing:
    """Fields of a large hash of which some are passed over, because their time has passed."""

    __slots__ = ("_fields", "_now_ms", "_times")

    def __init__(self, fields: Table[bytes], times: dict[bytes, int], now_ms: int) -> None:
        self._fields = fields
        self._times = times
        self._now_ms = now_ms

    def __len__(self) -> int:
        """At most so many."""
        return len(self._fields)

    def __iter__(self) -> Iterator[bytes]:
        return filter(self._is_alive, self._fields)

    def random_key(self, chance: Random) -> bytes:
        """One that is not passed over (there must be some), each as likely as the others."""
        while True:
            field = self._fields.random_key(chance)
            if self._is_alive(field):
                return field

    def mostly_alive(self, chance: Random) -> bool:
        """Whether enough are not passed over for drawing until one is met to be little work, and to end."""
        drawn = [self._fields.random_key(chance) for _ in range(_TRIALS)]
        return sum(map(self._is_alive, drawn)) * 4 > _TRIALS

    def find(self, count: int, chance: Random) -> dict[bytes, bytes]:
        """So many that are not passed over, each as likely as the others; fewer where they are too rare to be found."""
        found: dict[bytes, bytes] = {}
        for _ in range(_TRIALS_MAX):
            if len(found) >= count:
                break
            field = self._fields.random_key(chance)
            if self._is_alive(field):
                found[field] = self._fields[field]
        return found

    def _is_alive(self, field: bytes) -> bool:
        return self._times.get(field, self._now_ms) >= self._now_ms


def _has_due(call: Call, hash_: Hash) -> bool:
    if hash_.expiry is None or call.keyspace.expiry == SEE_EXPIRED:
        return False
    first_ms = hash_.expiry.first_ms()
    return first_ms is not None and first_ms < call.keyspace.now_ms


def drop_if_empty(call: Call, name: bytes, hash_: Hash) -> None:
    """Fields have been deleted: take the key away when the last one is gone."""
    if not len(hash_):
        call.db.remove(name)
        call.keyspace.dirty -= 1
        call.notify(GENERIC, b"del", name)
    elif hash_.expiry is not None:
        call.db.await_fields(name, hash_)
