"""RANDOMKEY's draws: every key of a database is as likely as any other, and none that is gone is drawn."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from node.database import Database, slot_of
from node.keyspace import Keyspace
from node.notifications import Notifier
from wire.pubsub import Broker


@pytest.fixture
def space() -> Keyspace:
    return Keyspace(2, Notifier(Broker()))


def _fill(database: Database, count: int, name: bytes = b"key:%d") -> None:
    for number in range(count):
        database.put(name % number, b"value")


def _draws(database: Database, count: int) -> Counter[bytes]:
    chance = random.Random(5)
    return Counter(database.random_key(chance) for _ in range(count))


@pytest.mark.parametrize("count", [1, 30, 3000, 40_000])
def test_each_key_is_as_likely(space: Keyspace, count: int) -> None:
    database = space.database(0)
    _fill(database, count)
    # Half of all keys in one slot.
    _fill(database, count, b"{tag}:%d")
    tagged = sum(drawn for key, drawn in _draws(database, 4000).items() if key.startswith(b"{tag}"))
    assert 1800 < tagged < 2200


def test_few_keys_are_all_drawn(space: Keyspace) -> None:
    database = space.database(0)
    _fill(database, 100)
    drawn = _draws(database, 10_000)
    assert len(drawn) == 100
    assert min(drawn.values()) > 50


@pytest.mark.parametrize("count", [50, 20_000])
def test_a_key_that_comes_is_drawn_and_one_that_is_gone_is_not(space: Keyspace, count: int) -> None:
    database = space.database(0)
    _fill(database, count)
    _draws(database, 10)
    for number in range(1, count):
        database.delete(b"key:%d" % number)
    database.put(b"another", b"value")
    assert _draws(database, 100).keys() == {b"key:0", b"another"}


def test_keys_that_left_with_their_slot_are_not_drawn(space: Keyspace) -> None:
    database = space.database(0)
    _fill(database, 40)
    _fill(database, 100, b"{tag}:%d")
    _draws(database, 10)
    database.drop_slot(slot_of(b"{tag}:0"))
    assert all(key.startswith(b"key:") for key in _draws(database, 200))


def test_swapped_databases_are_drawn_from_by_their_contents(space: Keyspace) -> None:
    one, two = space.database(0), space.database(1)
    _fill(one, 40)
    _fill(two, 3000, b"other:%d")
    _draws(one, 10)
    _draws(two, 10)
    space.swap(one, two)
    assert all(key.startswith(b"other:") for key in _draws(one, 50))
    assert all(key.startswith(b"key:") for key in _draws(two, 50))
    one.clear()
    one.put(b"after", b"value")
    assert _draws(one, 5).keys() == {b"after"}
    assert list(one) == [b"after"]
    assert list(one.filled_slots()) == [slot_of(b"after")]
