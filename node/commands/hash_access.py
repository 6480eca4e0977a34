"""Fields of the hash at a key, for commands: one whose time has passed is not there.

A master deletes it when a command looks at it. A replica, or a master whose clients are paused, only hides it; what
comes from our own master sees everything, as it does expired keys. What counts fields, or writes over them, does not
look at their times (as in Redis 7.4).
"""

from __future__ import annotations

from collections.abc import Sequence

from node.call import Call
from node.database import DELETE_EXPIRED, SEE_EXPIRED
from node.notifications import GENERIC
from node.structures.hashes import Fields, Hash


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
    return {field: value for field, value in hash_.fields.items() if not is_due(call, hash_, field)}


def without_due(call: Call, name: bytes, hash_: Hash) -> Hash | None:
    """The hash as it is to be drawn from, None when no field is left: a master deletes all whose time has passed."""
    if not _has_due(call, hash_):
        return hash_
    keyspace = call.keyspace
    if keyspace.expiry == DELETE_EXPIRED:
        assert hash_.expiry is not None
        return hash_ if keyspace.expire_fields(call.db, name, hash_, hash_.expiry.take_due(keyspace.now_ms)) else None
    shown = hash_.copy()
    assert shown.expiry is not None
    shown.remove(shown.expiry.take_due(keyspace.now_ms))
    return shown if len(shown) else None


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
