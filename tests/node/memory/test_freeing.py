"""Large values go in slices, and only what nobody else holds."""

from __future__ import annotations

import gc
import sys

from node.keyspace import Keyspace
from node.memory.freeing import Graveyard
from node.notifications import Notifier
from node.structures.lists import Quicklist
from node.structures.sets import Set, set_of
from tests.node.replication.nodes import Nodes, until
from wire.pubsub import Broker


class StoppedClock:
    """Slices end by their number of steps, as in the simulator."""

    def perf_ns(self) -> int:
        return 0


def buried() -> tuple[Keyspace, Graveyard]:
    space = Keyspace(1, Notifier(Broker()))
    graveyard = Graveyard(StoppedClock())  # type: ignore[arg-type]
    space.bury = graveyard.bury
    return space, graveyard


async def test_a_large_value_is_there_for_a_while_and_then_gone() -> None:
    space, graveyard = buried()
    db = space.database(0)
    members = [b"m%d" % number for number in range(50_000)]
    held = sys.getrefcount(members[7])
    db.put(b"large", set_of(members, 512))
    stored = sys.getrefcount(members[7])
    assert stored > held
    assert db.remove(b"large")
    assert db.get(b"large") is None
    assert graveyard.pending == 1
    buried_now = sys.getrefcount(members[7])
    assert buried_now == stored
    await until(lambda: not graveyard.pending, what="the last slice")
    gc.collect()
    left = sys.getrefcount(members[7])
    assert left == held
    assert graveyard.freed == 1


async def test_an_emptied_database_is_freed_with_all_its_values() -> None:
    space, graveyard = buried()
    db = space.database(0)
    for number in range(5000):
        db.put(b"key:%d" % number, Quicklist([b"x" * 10] * 5) if number % 7 == 0 else b"value")
    db.clear()
    assert graveyard.pending == 5000
    await until(lambda: not graveyard.pending, what="the last slice")
    assert graveyard.freed == 5000


async def test_what_somebody_still_holds_stays_whole() -> None:
    space, graveyard = buried()
    db = space.database(0)
    members = [b"m%d" % number for number in range(2000)]
    renamed = set_of(members, 512)
    db.put(b"old", renamed)
    db.remove(b"old")
    db.put(b"new", renamed)
    del renamed
    await until(lambda: not graveyard.pending, what="the last slice")
    found = db.read_as(b"new", Set)
    assert found is not None
    found._check()
    assert sorted(found.members) == sorted(members)


async def test_commands_leave_nothing_behind_and_others_are_served_meanwhile(nodes: Nodes) -> None:
    running = await nodes.start("node", enable_debug_command="yes")
    client, graveyard = running.client, running.node.graveyard
    await client("DEBUG", "POPULATE", 20_000)
    for number in range(4):
        for start in range(0, 5000, 500):
            fields = [word for at in range(start, start + 500) for word in (f"f{at}", "v")]
            await client("HSET", f"hash{number}", *fields)
    await client("UNLINK", "hash0")
    await client("DEL", "hash1")
    await client("SET", "hash2", "1")
    await client("RENAME", "hash3", "hash4")
    assert graveyard.pending
    assert await client("HLEN", "hash4") == 5000
    await until(lambda: not graveyard.pending, what="the values to be freed")
    assert len(await client("HGETALL", "hash4")) == 10_000
    await client("FLUSHALL", "ASYNC")
    assert await client("DBSIZE") == 0
    await until(lambda: not graveyard.pending, what="the database to be freed")
    info = await client.info("memory")
    assert info["lazyfree_pending_objects"] == "0"
    assert int(info["lazyfreed_objects"]) >= 20_000
