"""SCAN's promise: a key that is there during the whole walk is met, whatever happens to the others meanwhile."""

from __future__ import annotations

import asyncio
import random
from binascii import crc_hqx
from collections.abc import Callable

import pytest

from node.commands.scan import walk
from node.database import Database
from node.keyspace import Keyspace
from node.notifications import Notifier
from node.slot_walks import SlotWalks
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


VERY_CROWDED = [b"{tag}%d" % number for number in range(40_000)]


def test_very_many_keys_of_a_slot_are_met_once_in_short_steps() -> None:
    database = _database(VERY_CROWDED + SPREAD)
    walks = SlotWalks(random.Random(1))
    staying = VERY_CROWDED[::2]
    met: list[bytes] = []
    longest = changes = 0

    async def scan() -> None:
        nonlocal longest, changes
        cursor = 0
        while True:
            cursor, names = walk(database, cursor, 10, walks)
            assert 0 <= cursor < 1 << 53
            met.extend(names)
            longest = max(longest, len(names))
            if not cursor:
                break
            for _ in range(5):
                database.delete(b"{tag}%d" % (2 * changes % 40_000 + 1))
                database.put(b"{tag}new%d" % changes, b"")
                changes += 1
        assert not len(walks)
        walks.stop()

    asyncio.run(scan())
    assert longest < 200
    kept = set(staying)
    assert sorted(name for name in met if name in kept) == sorted(staying)
    assert sorted(name for name in met if name in set(SPREAD)) == sorted(SPREAD)
    assert len([name for name in met if name.startswith(b"{tag}") and name not in kept]) < 20_000


@pytest.mark.parametrize("lost_after", [1, 8])
def test_a_walk_that_is_lost_ends_all_the_same(lost_after: int) -> None:
    database = _database(VERY_CROWDED)
    walks = SlotWalks(random.Random(1))

    async def scan() -> list[bytes]:
        met: list[bytes] = []
        cursor, step = 0, 0
        while step == 0 or cursor:
            cursor, names = walk(database, cursor, 10, walks)
            met += names
            step += 1
            if step == lost_after:
                walks.end(cursor >> 30)
        walks.stop()
        return met

    assert sorted(asyncio.run(scan())) == sorted(VERY_CROWDED)


def test_more_walks_than_are_kept_come_to_their_ends() -> None:
    database = _database(VERY_CROWDED)
    walks = SlotWalks(random.Random(1))

    async def scan() -> list[list[bytes]]:
        met: list[list[bytes]] = [[] for _ in range(7)]
        cursors = dict.fromkeys(range(7), 0)
        while cursors:
            for each in list(cursors):
                cursors[each], names = walk(database, cursors[each], 500, walks)
                met[each] += names
                if not cursors[each]:
                    del cursors[each]
        walks.stop()
        return met

    assert all(sorted(names) == sorted(VERY_CROWDED) for names in asyncio.run(scan()))


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


def test_very_many_keys_of_a_slot_by_way_of_the_wire(pair: Pair) -> None:
    ours, _ = pair.connect()
    for start in range(0, 20_000, 1000):
        ours.ask("MSET", *[word for number in range(start, start + 1000) for word in (f"{{tag}}{number}", "v")])
    expected = sorted(b"{tag}%d" % number for number in range(20_000))
    assert sorted(_scan_all(ours)) == expected
    assert sorted(_scan_all(ours, "COUNT", "3000", "MATCH", "{tag}*")) == expected
    assert ours.ask("SCAN", "0") != ours.ask("SCAN", "0"), "each is a walk of its own"
    ours.ask("FLUSHALL")


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
