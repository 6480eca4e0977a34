"""A table beside a dict: the same contents whatever is done to it, and walks that meet what stays."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from node.structures.table import DICT_MAX, Table, random_key, random_keys, random_keys_repeating, walk

Keys = dict[bytes, int] | Table[int]


def _names(count: int) -> list[bytes]:
    return [b"key:%d" % number for number in range(count)]


def _table(count: int) -> Table[int]:
    return Table({name: number for number, name in enumerate(_names(count))})


def _with_one_hash(count: int) -> list[bytes]:
    """Different keys of one CRC-32: two words that have the same, in every order."""
    pair = (b"plumless", b"buckeroo")
    return [b"".join(pair[number >> bit & 1] for bit in range(12)) for number in range(count)]


@pytest.mark.parametrize("seed", range(3))
def test_is_a_dict(seed: int) -> None:
    chance = random.Random(seed)
    table: Table[int] = Table()
    plain: dict[bytes, int] = {}
    names = _names(4000)
    for phase in range(6):
        # Growing and shrinking by turns, so that shards split and merge.
        likely = 0.8 if phase % 2 == 0 else 0.15
        for _ in range(3000):
            name = chance.choice(names)
            if chance.random() < likely:
                table[name] = plain[name] = phase
            else:
                assert table.pop(name, None) == plain.pop(name, None)
            assert table.get(name) == plain.get(name)
        table._check()
        assert len(table) == len(plain)
        assert sorted(table.items()) == sorted(plain.items())
        assert sorted(table) == sorted(plain)
        assert sorted(table.values()) == sorted(plain.values())
        assert all(name in table for name in plain)
    for name in list(plain):
        assert table.pop(name) == plain.pop(name)
    table._check()
    assert list(table) == []
    assert table.pop(b"key:1") is None
    assert b"key:1" not in table


@pytest.mark.parametrize("count", [0, 1, 27, 28, 42, 43, 600, 5000, 40_000])
def test_made_at_once_and_emptied_in_two_goes(count: int) -> None:
    names = _names(count)
    table = _table(count)
    table._check()
    assert dict(table.items()) == {name: number for number, name in enumerate(names)}
    random.Random(count).shuffle(names)
    gone, left = names[: count * 9 // 10], names[count * 9 // 10 :]
    table.pop_each(gone)
    table._check()
    assert sorted(table) == sorted(left)
    assert len(table._parts) <= max(len(left), 1) + 1
    table.pop_each(left)
    table._check()
    assert list(table) == []
    table[b"again"] = 1
    assert dict(table.items()) == {b"again": 1}


def test_a_copy_is_its_own() -> None:
    table = _table(3000)
    copy = table.copy()
    copy._check()
    for name in _names(2500):
        copy.pop(name)
    copy[b"new"] = 1
    table._check()
    copy._check()
    assert len(table) == 3000
    assert len(copy) == 501


def test_keys_with_one_hash_share_a_shard() -> None:
    names = _with_one_hash(600)
    assert len(set(names)) == 600
    table = Table(dict.fromkeys(names, 1))
    table._check()
    assert len(table._shards) <= len(names)
    assert walk(table, 0, 10)[1] == list(table)
    chance = random.Random(1)
    assert {table.random_key(chance) for _ in range(12_000)} == set(names)
    for name in names:
        assert table.pop(name) == 1
    table._check()


def _walk_all(keys: Keys, count: int) -> list[bytes]:
    met: list[bytes] = []
    cursor = 0
    while True:
        cursor, step = walk(keys, cursor, count)
        met += step
        if not cursor:
            return met


@pytest.mark.parametrize("count", [1, 10, 1000, 1 << 62])
@pytest.mark.parametrize("size", [0, 1, 11, DICT_MAX, 5000])
def test_an_undisturbed_walk_meets_each_key_once(size: int, count: int) -> None:
    names = _names(size)
    if size <= DICT_MAX:
        assert sorted(_walk_all(dict.fromkeys(names, 1), count)) == sorted(names)
    assert sorted(_walk_all(_table(size), count)) == sorted(names)


def test_a_step_is_about_as_long_as_asked_for() -> None:
    for keys in (dict.fromkeys(_names(500), 1), _table(20_000)):
        cursor = 0
        while True:
            cursor, step = walk(keys, cursor, 100)
            assert len(step) < 150
            if not cursor:
                break
            assert len(step) >= 100


@pytest.mark.parametrize("seed", range(8))
def test_keys_that_stay_are_met_once_while_others_come_and_go(seed: int) -> None:
    chance = random.Random(seed)
    shrinks = seed % 2 == 1
    staying = _names(1000 if shrinks else 200)
    others = [b"other:%d" % number for number in range(2000)]
    here = dict.fromkeys(staying + (others if shrinks else others[:100]), 1)
    keys: Keys = Table(here) if shrinks else here
    met: Counter[bytes] = Counter()
    cursor = 0
    while True:
        cursor, step = walk(keys, cursor, 10)
        met.update(step)
        if not cursor:
            break
        for name in chance.sample(others, 60):
            if chance.random() < (0.1 if shrinks else 0.9):
                keys[name] = 2
            else:
                keys.pop(name, None)
        if isinstance(keys, dict) and len(keys) > DICT_MAX:
            keys = Table(keys)
    assert isinstance(keys, Table)
    assert {met[name] for name in staying} == {1}


def test_any_number_is_a_cursor() -> None:
    chance = random.Random(1)
    for keys in (dict.fromkeys(_names(300), 1), _table(3000)):
        for _ in range(100):
            cursor, _ = walk(keys, chance.getrandbits(64), 10)
            assert 0 <= cursor < 1 << 32


@pytest.mark.parametrize("size", [300, 1500])
def test_each_key_is_drawn_as_often(size: int) -> None:
    chance = random.Random(size)
    names = _names(size)
    table: Keys = Table(dict.fromkeys([*names, *(b"gone:%d" % number for number in range(3 * size))], 1))
    for number in range(3 * size):
        table.pop(b"gone:%d" % number)
    plain = dict.fromkeys(names, 1)
    for keys in (plain, table):
        draws = 20 * size
        counts = Counter(random_key(keys, chance) for _ in range(draws))
        spread = sum((counts[name] - 20) ** 2 / 20 for name in names)
        # Chi-square with size - 1 degrees of freedom: about normal, mean size, variance 2 * size.
        assert abs(spread - size) < 5 * (2 * size) ** 0.5


@pytest.mark.parametrize("size", [1, 20, 2000])
@pytest.mark.parametrize("count", [1, 5, 19, 1000, 5000])
def test_several_keys(size: int, count: int) -> None:
    chance = random.Random(1)
    for keys in (dict.fromkeys(_names(size), 1), _table(size)):
        chosen = random_keys(keys, count, chance)
        assert len(chosen) == len(set(chosen)) == min(size, count)
        assert all(name in keys for name in chosen)
        repeating = random_keys_repeating(keys, count, chance)
        assert len(repeating) == count
        assert all(name in keys for name in repeating)


@pytest.mark.parametrize("count", [0, 30, 3000])
def test_many_keys_are_looked_up_at_once(count: int) -> None:
    table = _table(count)
    asked = _names(count + 50)[::-1]
    assert table.present(asked) == [name for name in asked if name in table]
    assert table.missing(asked) == [name for name in asked if name not in table]
    assert table.get_each(asked) == [table.get(name) for name in asked]
