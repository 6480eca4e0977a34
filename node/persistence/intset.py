"""Intset: a set of integers as an ascending row of numbers, all of one width."""

from __future__ import annotations

from collections.abc import Sequence
from operator import lt
from struct import Struct, pack, unpack_from

from node.persistence.rdb_errors import RdbError

_HEADER = Struct("<II")
# Bytes a number, and how `struct` calls such a number.
_FORMS = {2: "h", 4: "i", 8: "q"}


def decode(data: bytes) -> list[int]:
    """The members, ascending; raises RdbError unless `data` is just that, and not empty."""
    if len(data) < _HEADER.size:
        raise _broken()
    width, count = _HEADER.unpack_from(data)
    form = _FORMS.get(width)
    if form is None or not count or len(data) != _HEADER.size + count * width:
        raise _broken()
    members = list(unpack_from(f"<{count}{form}", data, _HEADER.size))
    if not all(map(lt, members, members[1:])):
        raise _broken()
    return members


def encode(members: Sequence[int]) -> bytes:
    """An intset of `members`, which ascend and fit 64 bits, in the smallest width that holds all."""
    low, high = members[0], members[-1]
    width = next(width for width in _FORMS if -(1 << 8 * width - 1) <= low and high < 1 << 8 * width - 1)
    return _HEADER.pack(width, len(members)) + pack(f"<{len(members)}{_FORMS[width]}", *members)


def _broken() -> RdbError:
    return RdbError("Intset integrity check failed.")
