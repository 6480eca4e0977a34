"""Hash slots: which one a key belongs to, and sets of them.

A set of slots is an int with bit s set for slot s. Its little-endian bytes are exactly the bitmap of the bus
(byte s >> 3, bit s & 7), and union, difference and comparison of two nodes' slots are one operation each.

`crcmod` defines the CRC (XMODEM: cluster specification, "Key distribution model", Appendix A). Every command with
a key passes here, so the same CRC is taken from `binascii`, at a third of the cost; a test holds the two equal.
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import crcmod

SLOTS: Final = 16384
BITMAP_BYTES: Final = SLOTS // 8
ALL_SLOTS: Final = (1 << SLOTS) - 1

crc16: Callable[[bytes], int] = crcmod.mkCrcFun(0x11021, initCrc=0, rev=False, xorOut=0)

# Up to so many runs are shifted out of a set before the rest is read as text.
_RUNS_FEW: Final = 8

# Text digits "0" and "1" to the bytes 0 and 1.
_DIGITS_TO_BYTES: Final = bytes(i - 48 if i in b"01" else i for i in range(256))


def key_slot(key: bytes) -> int:
    """The slot of a key: of its hash tag when it has one.

    The tag lies between the first ``{`` and the first ``}`` after it, and counts only when it is not empty.
    """
    start = key.find(b"{")
    if start >= 0:
        end = key.find(b"}", start + 1)
        if end > start + 1:
            return crc_hqx(key[start + 1 : end], 0) & 0x3FFF
    return crc_hqx(key, 0) & 0x3FFF


def slot_set(slots: Iterable[int]) -> int:
    """The set of these slots; doubles count once."""
    bits = bytearray(BITMAP_BYTES)
    for slot in slots:
        bits[slot >> 3] |= 1 << (slot & 7)
    return int.from_bytes(bits, "little")


def from_ranges(ranges: Iterable[tuple[int, int]]) -> int:
    """The set of all slots from first to last, for each (first, last)."""
    result = 0
    for first, last in ranges:
        result |= (1 << (last + 1)) - (1 << first)
    return result


def from_bitmap(bitmap: bytes) -> int:
    """The set in the bus' form."""
    return int.from_bytes(bitmap, "little")


def to_bitmap(slots: int) -> bytes:
    """The bus' form of the set."""
    return slots.to_bytes(BITMAP_BYTES, "little")


def to_flags(slots: int) -> bytearray:
    """One byte a slot, 1 where it is in the set: the quickest thing to look a slot up in."""
    digits = bin(slots | 1 << SLOTS)[:2:-1]
    return bytearray(digits.encode().translate(_DIGITS_TO_BYTES))


def members(slots: int) -> Iterator[int]:
    """The slots of the set, ascending."""
    digits = bin(slots)[:1:-1]
    at = digits.find("1")
    while at >= 0:
        yield at
        at = digits.find("1", at + 1)


def ranges(slots: int) -> list[tuple[int, int]]:
    """The set as (first, last) of each run of neighbours, ascending."""
    result: list[tuple[int, int]] = []
    first = 0
    # Whole runs are shifted out; a set of one run, which is what most masters have, takes a microsecond.
    while slots and len(result) < _RUNS_FEW:
        gap = (slots & -slots).bit_length() - 1
        slots >>= gap
        run = (~slots & (slots + 1)).bit_length() - 1
        slots >>= run
        result.append((first + gap, first + gap + run - 1))
        first += gap + run
    if slots:
        # Strewn: each shift goes through the whole number, and text is gone through once.
        digits = bin(slots)[:1:-1] + "0"
        at = digits.find("1")
        while at >= 0:
            end = digits.find("0", at)
            result.append((first + at, first + end - 1))
            at = digits.find("1", end)
    return result
