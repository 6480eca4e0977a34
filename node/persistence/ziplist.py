"""Ziplist: what listpacks were before Redis 7, read from older files and never written.

A header (size of the whole, offset of the last entry, number of entries), the entries, and a byte 0xFF. An entry
begins with the size of the one before it, then its own encoding and data.
"""

from __future__ import annotations

from struct import Struct

from node.persistence.rdb_encoding import Cursor
from node.persistence.rdb_errors import RdbError

_HEADER = Struct("<IIH")
# The header's number of entries when there are more than it can say.
_COUNT_UNKNOWN = 0xFFFF
_END = 0xFF
# First byte of a previous entry's size that takes four more.
_LONG_PREVIOUS = 0xFE

_U32_LITTLE = Struct("<I")
_U32_BIG = Struct(">I")
# First bytes of numbers, and how many bytes follow. 0xF1 to 0xFD are the numbers 0 to 12 themselves.
_WIDTHS = {0xC0: 2, 0xD0: 4, 0xE0: 8, 0xF0: 3, 0xFE: 1}
_IMMEDIATE_MIN, _IMMEDIATE_MAX = 0xF1, 0xFD
_STRING_32 = 0x80


def decode(data: bytes) -> list[bytes]:
    """The entries, numbers as text; raises RdbError unless every byte of `data` is as it should be."""
    size = len(data)
    if size < _HEADER.size + 1:
        raise _broken()
    total, last_at, count = _HEADER.unpack_from(data)
    if total != size or data[size - 1] != _END:
        raise _broken()
    cursor = Cursor(data[: size - 1], _HEADER.size)
    items: list[bytes] = []
    start = previous = cursor.position
    try:
        while cursor.position < cursor.end:
            previous, start = start, cursor.position
            size_before = cursor.byte()
            if size_before == _LONG_PREVIOUS:
                size_before = cursor.integer(_U32_LITTLE)
            if size_before != start - previous:
                raise _broken()
            items.append(_item(cursor))
    except RdbError:
        raise _broken() from None
    if last_at != start or count not in (len(items), _COUNT_UNKNOWN):
        raise _broken()
    return items


def _item(cursor: Cursor) -> bytes:
    first = cursor.byte()
    kind = first >> 6
    if kind == 0:
        return cursor.take(first)
    if kind == 1:
        return cursor.take((first & 0x3F) << 8 | cursor.byte())
    if first == _STRING_32:
        return cursor.take(cursor.integer(_U32_BIG))
    if _IMMEDIATE_MIN <= first <= _IMMEDIATE_MAX:
        return b"%d" % (first - _IMMEDIATE_MIN)
    width = _WIDTHS.get(first)
    if width is None:
        raise _broken()
    return b"%d" % int.from_bytes(cursor.take(width), "little", signed=True)


def _broken() -> RdbError:
    return RdbError("Ziplist integrity check failed.")
