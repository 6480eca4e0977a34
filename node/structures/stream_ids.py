"""Ids of stream entries: a time in milliseconds and a number within it, 64 bits each, in one integer.

As integers ids compare, add and bisect as they are: the time is above the low 64 bits, the number in them.
"""

from __future__ import annotations

SEQUENCE_BITS = 64
SEQUENCE_MAX = (1 << SEQUENCE_BITS) - 1
ID_BITS = 2 * SEQUENCE_BITS
ID_MAX = (1 << ID_BITS) - 1


def make_id(time_ms: int, sequence: int) -> int:
    return time_ms << SEQUENCE_BITS | sequence


def format_id(entry_id: int) -> bytes:
    """The id as clients see it, ``<milliseconds>-<sequence>``."""
    return b"%d-%d" % (entry_id >> SEQUENCE_BITS, entry_id & SEQUENCE_MAX)


def raw_id(entry_id: int) -> bytes:
    """The sixteen bytes that stand for the id in files; they sort as ids do."""
    return entry_id.to_bytes(16, "big")
