"""Sets in RDB files: member by member, or as one intset (later versions also write a listpack)."""

from __future__ import annotations

from node.persistence import intset, listpack
from node.persistence.rdb_encoding import Cursor, encode_length, encode_string, encode_strings
from node.persistence.rdb_errors import RdbEmptyError, RdbError
from node.structures.sets import Set, set_of


def decode_set(cursor: Cursor) -> Set:
    """Type 2."""
    return _from_members(cursor.strings(cursor.count()), cursor)


def decode_set_intset(cursor: Cursor) -> Set:
    """Type 11."""
    return _from_members([b"%d" % member for member in intset.decode(cursor.string())], cursor)


def decode_set_listpack(cursor: Cursor) -> Set:
    """Type 20."""
    return _from_members(listpack.decode(cursor.string()), cursor)


def _from_members(members: list[bytes], cursor: Cursor) -> Set:
    if not members:
        raise RdbEmptyError("Empty set", cursor.position)
    made = set_of(members, cursor.limits.intset_entries)
    if len(made) != len(members):
        raise RdbError("Duplicate set members detected", cursor.position)
    return made


def encode_set(set_: Set, compress: bool) -> bytes:
    """The body for type 2."""
    return encode_length(len(set_)) + b"".join(encode_strings(set_.members, compress))


def encode_set_intset(set_: Set, compress: bool) -> bytes:
    """The body for type 11."""
    return encode_string(intset.encode(sorted(map(int, set_.members))), compress)
