"""Hashes in RDB files: field by field, or, when small, as one listpack (in old files, one ziplist or zipmap)."""

from __future__ import annotations

from itertools import chain

from node.persistence import listpack, ziplist, zipmap
from node.persistence.rdb_encoding import Cursor, encode_length, encode_string
from node.persistence.rdb_errors import RdbError
from node.structures.hashes import Hash


def decode_hash(cursor: Cursor) -> Hash:
    """Type 4."""
    return _from_items([cursor.string() for _ in range(2 * cursor.count())], cursor)


def decode_hash_listpack(cursor: Cursor) -> Hash:
    """Type 16."""
    return _from_items(listpack.decode(cursor.string()), cursor, packed=True)


def decode_hash_ziplist(cursor: Cursor) -> Hash:
    """Type 13."""
    return _from_items(ziplist.decode(cursor.string()), cursor)


def decode_hash_zipmap(cursor: Cursor) -> Hash:
    """Type 9."""
    return _from_items(zipmap.decode(cursor.string()), cursor)


def _from_items(items: list[bytes], cursor: Cursor, *, packed: bool = False) -> Hash:
    """Fields and values in turns; that a listpack's are short Redis takes for granted."""
    if len(items) % 2:
        raise RdbError("Hash integrity check failed.", cursor.position)
    if not items:
        raise RdbError("Empty hash", cursor.position)
    fields = dict(zip(items[::2], items[1::2], strict=True))
    if 2 * len(fields) != len(items):
        raise RdbError("Duplicate hash fields detected", cursor.position)
    limits = cursor.limits
    compact = len(fields) <= limits.hash_entries and (packed or max(map(len, items)) <= limits.hash_value)
    return Hash(fields, compact=compact)


def encode_hash(hash_: Hash, compress: bool) -> bytes:
    """The body for type 4."""
    parts = [encode_length(len(hash_))]
    parts += [encode_string(part, compress) for part in chain.from_iterable(hash_.fields.items())]
    return b"".join(parts)


def encode_hash_listpack(hash_: Hash, compress: bool) -> bytes:
    """The body for type 16."""
    return encode_string(listpack.encode(chain.from_iterable(hash_.fields.items())), compress)
