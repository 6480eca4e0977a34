"""Which slot a key belongs to, and sets of slots in their three forms: int, bitmap, ranges."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.slots import (
    ALL_SLOTS,
    BITMAP_BYTES,
    SLOTS,
    crc16,
    from_bitmap,
    from_ranges,
    key_slot,
    members,
    ranges,
    slot_set,
    to_bitmap,
    to_flags,
)

slot_numbers = st.integers(0, SLOTS - 1)


@pytest.mark.parametrize(
    ("key", "slot"),
    [
        (b"", 0),
        (b"foo", 12182),
        (b"user:42", 15880),
        (b"123456789", 12739),
        (b"{user1000}.following", 3443),
        (b"{user1000}.followers", 3443),
        # An empty tag is no tag.
        (b"foo{}{bar}", 8363),
        # The tag ends at the first closing brace, and only the first tag counts.
        (b"foo{{bar}}zap", 4015),
        (b"foo{bar}{zap}", 5061),
        (b"bar", 5061),
        # A brace that is never closed, or closed before it is opened, is part of the name.
        (b"foo{bar", crc16(b"foo{bar") % SLOTS),
        (b"}foo{", crc16(b"}foo{") % SLOTS),
        (b"a}{b}", crc16(b"b") % SLOTS),
    ],
)
def test_slot_of_a_key(key: bytes, slot: int) -> None:
    assert key_slot(key) == slot


@given(st.binary(max_size=200).filter(lambda key: b"{" not in key))
def test_the_fast_crc_is_the_one_crcmod_defines(key: bytes) -> None:
    assert key_slot(key) == crc16(key) % SLOTS


def test_crcmod_runs_in_c() -> None:
    assert sys.modules["crcmod.crcmod"]._usingExtension is True


# As a cluster has them whose slots were dealt out one by one.
STREWN = [(slot, slot + slot % 3) for slot in range(5, 16383, 5)] + [(16383, 16383)]


def test_xmodem_check_value() -> None:
    assert crc16(b"123456789") == 0x31C3


@given(st.sets(slot_numbers))
def test_forms_of_a_set_agree(slots: set[int]) -> None:
    one = slot_set(slots)
    assert list(members(one)) == sorted(slots)
    assert from_bitmap(to_bitmap(one)) == one
    assert from_ranges(ranges(one)) == one
    flags = to_flags(one)
    assert len(flags) == SLOTS
    assert [slot for slot in range(SLOTS) if flags[slot]] == sorted(slots)
    # The bus' bitmap, in its own words: slot s is bit s & 7 of byte s >> 3.
    bitmap = to_bitmap(one)
    assert len(bitmap) == BITMAP_BYTES
    assert all(bitmap[slot >> 3] >> (slot & 7) & 1 for slot in slots)


@pytest.mark.parametrize(
    ("slots", "expected"),
    [
        (0, []),
        (ALL_SLOTS, [(0, 16383)]),
        (1, [(0, 0)]),
        (1 << 16383, [(16383, 16383)]),
        (from_ranges([(0, 5460), (5462, 5462), (16380, 16383)]), [(0, 5460), (5462, 5462), (16380, 16383)]),
        (from_ranges(STREWN), STREWN),
    ],
    # Sets are too long to be shown as numbers.
    ids=["none", "all", "first", "last", "several", "strewn"],
)
def test_ranges(slots: int, expected: list[tuple[int, int]]) -> None:
    assert ranges(slots) == expected
