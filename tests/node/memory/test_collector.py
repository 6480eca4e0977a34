"""What Python's garbage collector has to look at, and what INFO says of it."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest

from node.database import Database
from node.keyspace import Keyspace
from node.notifications import Notifier
from node.structures.hashes import Hash
from tests.node.own_server import OwnServer
from tests.node.test_info import fields
from wire.pubsub import Broker


def _as_new(database: Database) -> None:
    """It is."""


def _flushed(database: Database) -> None:
    database.put(b"key", b"text")
    database.clear()


def _moved_away(database: Database) -> None:
    for slot in range(len(database.shards)):
        database.shards[slot][b"%d" % slot] = b"text"
        database.size += 1
        database.drop_slot(slot)


@pytest.mark.parametrize("prepare", [_as_new, _flushed, _moved_away])
def test_strings_are_not_looked_through_with_the_first_hash_among_them(prepare: Callable[[Database], None]) -> None:
    database = Keyspace(1, Notifier(Broker())).database(0)
    prepare(database)
    # As in a server, which never has all objects looked at.
    gc.collect(1)
    gc.disable()
    try:
        for number in range(100):
            database.put(b"text:%d" % number, b"text")
            database.put(b"hash:%d" % number, Hash())
        new = gc.get_objects(generation=0)
        assert sum(type(each) is Hash for each in new) == 100
        parts = set(map(id, database.shards))
        assert not any(id(each) in parts for each in new)
    finally:
        gc.enable()


def test_info_tells_how_long_it_took(start_server: Callable[..., OwnServer]) -> None:
    client = start_server().wait_ready().client()
    before = fields(client, "server")
    assert int(before["gc_collections"]) < 10
    client.ask_all([("HSET", f"hash:{number}", "a", "1") for number in range(20_000)])
    after = fields(client, "server")
    assert int(after["gc_collections"]) > 10
    assert 0 < int(after["gc_longest_usec"]) <= int(after["gc_usec"])
    assert int(after["gc_usec"]) < 20_000 * int(after["gc_collections"])
