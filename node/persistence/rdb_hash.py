"""Hashes in RDB files: field by field, or, when small, as one listpack (in old files, one ziplist or zipmap)."""

from __future__ import annotations

from functools import lru_cache
from itertools import chain

from node.persistence import listpack, ziplist, zipmap
from node.persistence.rdb_encoding import I64, Cursor, encode_length, encode_string, encode_strings
from node.persistence.rdb_errors import RdbEmptyError, RdbError
from node.structures.deadlines import Deadlines
from node.structures.hashes import Hash
from node.structures.records import Record
from wire.arguments import canonical_integer

# Redis has 48 bits for the time of a field.
_MOMENT_MAX_MS = (1 << 48) - 1


def decode_hash(cursor: Cursor) -> Hash:
    """Type 4."""
    return _from_items(cursor.strings(2 * cursor.count()), cursor)


def decode_hash_listpack(cursor: Cursor) -> Hash:
    """Type 16."""
    items = listpack.decode(cursor.string())
    limits = cursor.limits
    if items and not len(items) % 2 and len(items) <= 2 * limits.hash_entries:
        # Names that are known to stand together are not each other's doubles.
        record = limits.shapes.known(tuple(items[::2]), items[1::2])
        if record is not None:
            hash_ = Hash()
            hash_.fields = record
            return hash_
    return _from_items(items, cursor, packed=True)


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
        raise RdbEmptyError("Empty hash", cursor.position)
    fields = dict(zip(items[::2], items[1::2], strict=True))
    if 2 * len(fields) != len(items):
        raise RdbError("Duplicate hash fields detected", cursor.position)
    limits = cursor.limits
    compact = len(fields) <= limits.hash_entries and (packed or max(map(len, items)) <= limits.hash_value)
    hash_ = Hash(fields, compact=compact)
    hash_.pack(limits.shapes)
    return hash_


def decode_expiring_hash(cursor: Cursor) -> Hash:
    """Type 24: before each field its time, counted from the earliest one and from 1 on; 0 for none."""
    first_ms = cursor.integer(I64)
    items: list[bytes] = []
    times: dict[bytes, int] = {}
    for _ in range(cursor.count()):
        after_ms = cursor.length()
        items += (cursor.string(), cursor.string())
        if after_ms:
            times[items[-2]] = first_ms + after_ms - 1
    return _expiring(_from_items(items, cursor), times, cursor)


def decode_expiring_hash_listpack(cursor: Cursor) -> Hash:
    """Type 25: field, value and time in turns, 0 for none."""
    cursor.integer(I64)
    items = listpack.decode(cursor.string())
    moments = [canonical_integer(text) for text in items[2::3]]
    if len(items) % 3 or None in moments:
        raise RdbError("Hash integrity check failed.", cursor.position)
    pairs = [part for at in range(0, len(items), 3) for part in items[at : at + 2]]
    times = {field: time_ms for field, time_ms in zip(items[::3], moments, strict=True) if time_ms}
    return _expiring(_from_items(pairs, cursor, packed=True), times, cursor)


def _expiring(hash_: Hash, times: dict[bytes, int], cursor: Cursor) -> Hash:
    if times:
        if min(times.values()) < 0 or max(times.values()) > _MOMENT_MAX_MS:
            raise RdbError("Hash read invalid expireAt value", cursor.position)
        hash_.expiry = Deadlines(times)
    return hash_


def encode_expiring_hash(hash_: Hash, compress: bool) -> bytes:
    """The body for type 24. No server before Redis 7.4 reads it, so it is only for hashes with fields that expire."""
    assert hash_.expiry is not None
    times = hash_.expiry.times
    first_ms = min(times.values())
    parts = [I64.pack(first_ms), encode_length(len(hash_))]
    for field, value in hash_.fields.items():
        parts.append(encode_length(times[field] - first_ms + 1 if field in times else 0))
        parts += (encode_string(field, compress), encode_string(value, compress))
    return b"".join(parts)


def encode_hash(hash_: Hash, compress: bool) -> bytes:
    """The body for type 4."""
    return encode_length(len(hash_)) + b"".join(encode_strings(chain.from_iterable(hash_.fields.items()), compress))


def encode_hash_listpack(hash_: Hash, compress: bool) -> bytes:
    """The body for type 16."""
    fields = hash_.fields
    if isinstance(fields, Record):
        names, values = fields.shape.names, fields.values()
        if listpack.are_short_texts(values):
            # Records alike often have values of the same sizes, too.
            body = _form(names, fields.data[: len(names)]) % tuple(values)
            return encode_string(listpack.framed(body, 2 * len(names)), compress)
    entries = listpack.text_entries(chain.from_iterable(fields.items()))
    return encode_string(listpack.assemble(entries), compress)


@lru_cache(maxsize=4096)
def _form(names: tuple[bytes, ...], sizes: bytes) -> bytes:
    return listpack.form_of(names, sizes)
