"""Hashes in RDB files: field by field, or, when small, as one listpack (in old files, one ziplist or zipmap)."""

from __future__ import annotations

from itertools import chain

from node.persistence import listpack, ziplist, zipmap
from node.persistence.rdb_encoding import Cursor, encode_length, encode_string
from node.persistence.rdb_errors import RdbError
from node.structures.hashes import Hash

# Redis' own limits for a hash that is kept as a listpack, unless they are configured.
_COMPACT_FIELDS = 512
_COMPACT_BYTES = 64


def decode_hash(cursor: Cursor) -> Hash:
    """Type 4."""
    return _from_items([cursor.string() for _ in range(2 * cursor.count())], cursor)


def decode_hash_listpack(cursor: Cursor) -> Hash:
    """Type 16."""
    return _from_items(listpack.decode(cursor.string()), cursor)


def decode_hash_ziplist(cursor: Cursor) -> Hash:
    """Type 13."""
    return _from_items(ziplist.decode(cursor.string()), cursor)


def decode_hash_zipmap(cursor: Cursor) -> Hash:
    """Type 9."""
    return _from_items(zipmap.decode(cursor.string()), cursor)


def _from_items(items: list[bytes], cursor: Cursor) -> Hash:
    """Fields and values in turns."""
    if len(items) % 2:
        raise RdbError("Hash integrity check failed.", cursor.position)
    if not items:
        raise RdbError("Empty hash", cursor.position)
    fields = dict(zip(items[::2], items[1::2], strict=True))
    if 2 * len(fields) != len(items):
        raise RdbError("Duplicate hash fields detected", cursor.position)
    return Hash(fields, compact=len(fields) <= _COMPACT_FIELDS and max(map(len, items)) <= _COMPACT_BYTES)


def encode_hash(hash_: Hash, compress: bool) -> bytes:
    """The body for type 4."""
    parts = [encode_length(len(hash_))]
    parts += [encode_string(part, compress) for part in chain.from_iterable(hash_.fields.items())]
    return b"".join(parts)


def encode_hash_listpack(hash_: Hash, compress: bool) -> bytes:
    """The body for type 16."""
    return encode_string(listpack.encode(chain.from_iterable(hash_.fields.items())), compress)
