"""Zipmap: small hashes as Redis before 2.6 kept them, read from old files and never written.

The number of fields, then for each its name's length and bytes, its value's length, a byte that says how much room is
left behind the value, the value and that room; at the end a byte 0xFF.
"""

from __future__ import annotations

from struct import Struct

from node.persistence.rdb_encoding import Cursor
from node.persistence.rdb_errors import RdbError

# From here on the number of fields is not known.
_COUNT_UNKNOWN = 254
# First byte of a length that takes four more.
_LONG = 254
_END = 0xFF
_U32 = Struct("<I")


def decode(data: bytes) -> list[bytes]:
    """Field, value, field, value …; raises RdbError unless every byte of `data` is as it should be."""
    if len(data) < 2 or data[-1] != _END:
        raise _broken()
    cursor = Cursor(data[:-1])
    items: list[bytes] = []
    try:
        count = cursor.byte()
        while cursor.position < cursor.end:
            items.append(cursor.take(_length(cursor)))
            length = _length(cursor)
            room = cursor.byte()
            items.append(cursor.take(length))
            cursor.take(room)
    except RdbError:
        raise _broken() from None
    if count < _COUNT_UNKNOWN and count != len(items) // 2:
        raise _broken()
    return items


def _length(cursor: Cursor) -> int:
    first = cursor.byte()
    if first < _LONG:
        return first
    if first == _LONG:
        return cursor.integer(_U32)
    raise _broken()


def _broken() -> RdbError:
    return RdbError("Zipmap integrity check failed.")
