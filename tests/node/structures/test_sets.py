"""Sets beside Python's: as numbers, in dicts and in tables, they hold the same whatever is done to them."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from node.structures.integers import Integers
from node.structures.sets import Set
from node.structures.table import random_key, random_keys

_POWERS = [sign << bits for bits in (0, 6, 15, 31, 62) for sign in (1, -1)]
_NUMBERS = [b"%d" % (power + more) for power in _POWERS for more in (-1, 0, 1)]
_OTHERS = [b"a", b"", b"01", b"-0", b"9223372036854775808", b"+1", b" 1"]


def _number(chance: random.Random) -> bytes:
    return chance.choice(_NUMBERS) if chance.random() < 0.5 else b"%d" % chance.randrange(-600, 600)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("intset_max", [0, 5, 512, 5000])
def test_is_a_set(seed: int, intset_max: int) -> None:
    chance = random.Random(seed)
    mine, plain = Set(), set[bytes]()
    stays_integers = True
    for step in range(1500):
        other = chance.random() < 0.002
        member = chance.choice(_OTHERS) if other else _number(chance)
        if chance.random() < 0.75:
            assert mine.add(member, intset_max) == (member not in plain)
            plain.add(member)
            stays_integers = stays_integers and not other and len(plain) <= intset_max
        else:
            assert (mine.members.pop(member, None) is not None) == (member in plain)
            plain.discard(member)
        assert len(mine) == len(plain)
        assert (member in mine.members) == (member in plain)
        assert mine.encoding == (b"intset" if stays_integers else b"hashtable")
        if step % 50 == 0:
            mine._check()
            assert sorted(mine.members) == sorted(mine.mapping()) == sorted(plain)
            copy = mine.copy()
            copy.add(b"999999", intset_max)
            assert sorted(mine.listed()) == sorted(plain)
    if stays_integers:
        assert mine.listed() == sorted(plain, key=int)


def test_numbers_take_as_little_room_as_they_can() -> None:
    numbers = Integers()
    for member, width in ((b"1", 2), (b"40000", 4), (b"-5000000000", 8), (b"3", 8)):
        numbers.put(member)
        assert numbers._numbers.itemsize == width
    assert list(numbers) == [b"-5000000000", b"1", b"3", b"40000"]
    assert b"x" not in numbers
    assert b"03" not in numbers
    assert numbers.pop(b"x") is None
    assert numbers.pop(b"3") is True


def test_each_number_is_drawn_as_often() -> None:
    chance = random.Random(1)
    numbers = Integers()
    for number in range(20):
        numbers.put(b"%d" % number)
    counts = Counter(random_key(numbers, chance) for _ in range(4000))
    assert len(counts) == 20
    assert all(130 < count < 280 for count in counts.values())
    assert len(set(random_keys(numbers, 5, chance))) == 5
    assert sorted(random_keys(numbers, 20, chance)) == sorted(numbers)
