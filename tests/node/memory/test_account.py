"""The account of what keys take: it agrees with the keys whatever is done to them."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.database import Database
from node.keyspace import Keyspace
from node.memory.access import Uses
from node.memory.account import DatabaseAccount, estimated_bytes, key_bytes
from node.notifications import Notifier
from node.settings import NodeSettings
from node.structures.hashes import Hash
from node.structures.sets import Set, set_of
from tests.node.differential import budget
from wire.pubsub import Broker

NAMES = st.sampled_from([b"a", b"b", b"{a}c", b"{a}d", b"e"])
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["set", "fill", "grow", "remove", "expire", "persist", "swap", "clear", "slot", "reopen"]),
        NAMES,
        st.integers(1, 1500),
    ),
    max_size=40,
)


def keyspace() -> Keyspace:
    return Keyspace(2, Notifier(Broker()))


def account_of(database: Database) -> DatabaseAccount:
    assert database.account is not None
    return database.account


def change(space: Keyspace, what: str, name: bytes, number: int) -> None:
    db = space.database(0)
    if what == "set":
        db.put(name, b"x" * number)
    elif what == "fill":
        db.put(name, set_of([b"%d" % member for member in range(number)], 512))
    elif what == "grow" and isinstance(value := db.get(name), Set):
        value.add(b"m%d" % number, 512)
        db.changed(name)
    elif what == "remove":
        db.remove(name)
    elif what == "expire" and db.get(name) is not None:
        db.set_expire_time(name, 10**15 + number)
        db.changed(name)
    elif what == "persist":
        db.persist(name)
        db.changed(name)
    elif what == "swap":
        space.swap(space.database(0), space.database(1))
    elif what == "clear":
        db.clear()
    elif what == "slot":
        db.drop_slot(space.slot_of(name))
    elif what == "reopen":
        space.keep(accounted=False, uses=None)
        space.keep(accounted=True, uses=None)


@budget(25)
@given(CHANGES)
def test_it_agrees_with_the_keys(changes: list[tuple[str, bytes, int]]) -> None:
    space = keyspace()
    space.keep(accounted=True, uses=None)
    for what, name, number in changes:
        change(space, what, name, number)
        for database in space.databases():
            account_of(database).total()
            account_of(database)._check()
    for database in space.databases():
        account = account_of(database)
        while not account.complete:
            account.open_some()
        account._check()
        exact = sum(key_bytes(database, key, value) for shard in database.shards for key, value in shard.items())
        # Large collections that changed a little are judged by their length.
        assert abs(account.total() - exact) <= exact // 8


@budget(20)
@given(CHANGES, st.booleans())
def test_notes_of_use_go_with_the_keys(changes: list[tuple[str, bytes, int]], counting: bool) -> None:
    space = keyspace()
    space.keep(accounted=False, uses=Uses(NodeSettings(), Random(1), lambda: 10**12, counting=counting))
    for what, name, number in changes:
        if what != "reopen":
            change(space, what, name, number)
            space.database(0).get(name)
    for database in space.databases():
        assert database.clocks is not None
        noted = {key for entries in database.clocks._entries if entries for key in entries}
        assert noted == set(database)


def test_a_large_collection_is_not_measured_at_every_change() -> None:
    space = keyspace()
    space.keep(accounted=True, uses=None)
    db = space.database(0)
    measured = 0

    class Counted:
        """A set, and how often it is measured."""

        def __init__(self) -> None:
            self.add = members.add

        def __len__(self) -> int:
            return len(members)

        def memory_bytes(self, samples: int) -> int:
            nonlocal measured
            measured += 1
            return members.memory_bytes(samples)

    members = Set()
    large = Counted()
    for number in range(20_000):
        large.add(b"member:%d" % number, 512)
    db.put(b"large", large)
    account_of(db).total()
    for number in range(10_000):
        large.add(b"other:%d" % number, 512)
        db.changed(b"large")
        account_of(db).total()
    assert measured < 30
    assert account_of(db).total() == pytest.approx(key_bytes(db, b"large", large), rel=0.1)


@pytest.mark.parametrize("count", [0, 1, 100, 20_000])
def test_an_estimate_comes_close(count: int) -> None:
    db = keyspace().database(0)
    for number in range(count):
        db.put(b"{tag}%d" % number if number % 3 else b"key:%d" % number, b"x" * (number % 100))
    exact = sum(key_bytes(db, key, value) for shard in db.shards for key, value in shard.items())
    assert estimated_bytes(db) == pytest.approx(exact, rel=0.05)


def test_a_file_that_is_loaded_is_counted() -> None:
    space = keyspace()
    space.keep(accounted=True, uses=None)
    db = space.database(0)
    for number in range(3000):
        hash_ = Hash()
        db.load(b"key:%d" % number, hash_ if number % 2 else b"value", 10**15 if number % 3 else None)
    account_of(db).total()
    account_of(db)._check()


def test_an_estimate_looks_at_few_of_many_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    # INFO asks for it, and sentinels ask for INFO: half a second at two million keys would look like a dead master.
    db = keyspace().database(0)
    for number in range(50_000):
        db.put(b"{one slot}%d" % number, b"x")
    looked_at = 0

    def counted(*asked: object) -> int:
        nonlocal looked_at
        looked_at += 1
        return key_bytes(*asked)  # type: ignore[arg-type]

    monkeypatch.setattr("node.memory.account.key_bytes", counted)
    estimated_bytes(db)
    assert 500 <= looked_at <= 1000
