"""SCAN's promise: a key that is there during the whole walk is met, whatever happens to the others meanwhile."""

from __future__ import annotations

import random
from binascii import crc_hqx
from collections.abc import Callable

import pytest

from node.commands.scan import walk
from node.database import Database
from node.keyspace import Keyspace
from node.notifications import Notifier
from tests.node.conftest import Pair
from tests.node.raw_client import RawClient, bulk_strings
from wire.pubsub import Broker


def _database(names: list[bytes]) -> Database:
    database = Keyspace(1, Notifier(Broker())).database(0)
    for name in names:
        database.put(name, b"")
    return database


def _walk(database: Database, count: int, between: Callable[[], None] = lambda: None) -> list[bytes]:
    met: list[bytes] = []
    cursor = 0
    while True:
        cursor, names = walk(database, cursor, count)
        met += names
        if not cursor:
            return met
        between()


SPREAD = [b"key:%d" % number for number in range(3000)]
# One slot with more keys than are taken at a time.
CROWDED = [b"{tag}%d" % number for number in range(5000)] + SPREAD[:100]


@pytest.mark.parametrize("count", [1, 10, 1000, 100_000])
@pytest.mark.parametrize("names", [[], [b"one"], SPREAD, CROWDED], ids=["empty", "one", "spread", "crowded"])
def test_an_undisturbed_walk_meets_each_key_once(names: list[bytes], count: int) -> None:
    met = _walk(_database(names), count)
    assert sorted(met) == sorted(names)


@pytest.mark.parametrize("names", [SPREAD, CROWDED], ids=["spread", "crowded"])
@pytest.mark.parametrize("change", ["grow", "shrink", "both"])
def test_keys_that_stay_are_met_once_while_others_come_and_go(names: list[bytes], change: str) -> None:
    chance = random.Random(f"{change}{len(names)}")
    database = _database(names)
    staying = set(names[::3])
    leaving = [name for name in names if name not in staying]
    chance.shuffle(leaving)
    added = 0

    def between() -> None:
        nonlocal added
        for _ in range(400):
            if change != "shrink":
                added += 1
                database.put(b"new%d" % added if added % 2 else b"{tag}new%d" % added, b"")
            if change != "grow" and leaving:
                database.delete(leaving.pop())

    met = _walk(database, 50, between)
    assert added or len(leaving) < len(names) // 3, "the walk was over before much had changed"
    assert [name for name in sorted(met) if name in staying] == sorted(staying)


def test_a_crowded_slot_is_not_given_at_once() -> None:
    database = _database([b"{tag}%d" % number for number in range(20_000)])
    longest = 0
    cursor = 0
    while True:
        cursor, names = walk(database, cursor, 1)
        longest = max(longest, len(names))
        if not cursor:
            break
    assert 0 < longest < 2000


def test_any_number_is_a_cursor() -> None:
    database = _database(SPREAD)
    chance = random.Random(1)
    for _ in range(50):
        cursor, _ = walk(database, chance.getrandbits(64), 10)
        assert 0 <= cursor < 1 << 30


def test_a_slots_keys_stay_together_in_cursor_order() -> None:
    slots = [crc_hqx(name, 0) & 16383 for name in _walk(_database(SPREAD), 10)]
    assert slots == sorted(slots)


def _scan_all(client: RawClient, *options: str) -> list[bytes]:
    """All names that SCAN gives, by way of the wire."""
    names: list[bytes] = []
    cursor = "0"
    while True:
        reply = client.ask("SCAN", cursor, *options)
        _, _, after, rest = reply.split(b"\r\n", 3)
        names += bulk_strings(rest)
        cursor = after.decode()
        if cursor == "0":
            return names


@pytest.mark.parametrize(
    "options", [[], ["MATCH", "k*1?"], ["COUNT", "500"], ["TYPE", "string"], ["TYPE", "list"], ["MATCH", "none"]]
)
def test_finds_what_a_real_server_finds(pair: Pair, options: list[str]) -> None:
    ours, theirs = pair.connect()
    for client in (ours, theirs):
        client.ask_all([("SET", f"k{number}", "v") for number in range(300)])
        client.ask_all([("SET", f"past{number}", "v", "PXAT", "1") for number in range(20)])
    assert sorted(_scan_all(ours, *options)) == sorted(set(_scan_all(theirs, *options)))
    # What it looked at after its time is gone by now; what did not match it has not looked at.
    assert ours.ask("DBSIZE") == theirs.ask("DBSIZE")
