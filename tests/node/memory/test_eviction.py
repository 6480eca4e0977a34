"""`maxmemory` in real nodes: what is taken stays below the limit, and the policy chooses what goes."""

from __future__ import annotations

from typing import Any

import hiredis
import pytest

from tests.node.replication.nodes import Client, Nodes, Running, until

ROOM = 200_000
POLICIES = ["allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-lfu", "volatile-random"]


async def limited(nodes: Nodes, policy: str, room: int = ROOM, **settings: Any) -> Running:
    """A node that has `room` bytes for keys."""
    running = await nodes.start("node", maxmemory_policy=policy, **settings)
    used = int((await running.client.info("memory"))["used_memory"])
    await running.client("CONFIG", "SET", "maxmemory", used + room)
    return running


async def fill(client: Client, prefix: str, count: int, *options: str | int) -> list[Any]:
    """So many keys of about 250 bytes each; the replies."""
    for number in range(count):
        client.send("SET", f"{prefix}:{number}", "x" * 100, *options)
    return [await client.reply() for _ in range(count)]


async def left(client: Client, prefix: str) -> int:
    keys: list[bytes] = await client("KEYS", f"{prefix}:*")
    return len(keys)


async def figures(client: Client) -> tuple[int, int, int]:
    """(used_memory, maxmemory, evicted_keys)"""
    memory, stats = await client.info("memory"), await client.info("stats")
    return int(memory["used_memory"]), int(memory["maxmemory"]), int(stats["evicted_keys"])


@pytest.mark.parametrize("policy", [*POLICIES, "volatile-ttl"])
async def test_memory_stays_below_the_limit(nodes: Nodes, policy: str) -> None:
    running = await limited(nodes, policy)
    client = running.client
    assert set(await fill(client, "key", 3000, "EX", 1000)) == {b"OK"}
    used, limit, evicted = await figures(client)
    # The last command may have gone over it.
    assert used <= limit + 300
    assert evicted == 3000 - await client("DBSIZE")
    assert evicted > 1000
    assert await client("DBSIZE") > 500
    account = running.node.keyspace.database(0).account
    assert account is not None
    account._check()


@pytest.mark.parametrize("policy", ["noeviction", "allkeys-lfu"])
async def test_a_client_that_waits_for_each_reply(nodes: Nodes, policy: str) -> None:
    running = await limited(nodes, policy, lfu_log_factor=0)
    client = running.client
    replies = [await client("SET", f"key:{number:05d}", "x" * 100) for number in range(100, 1500)]
    used, limit, evicted = await figures(client)
    assert used <= limit + 300
    if policy == "noeviction":
        refused = [reply for reply in replies if reply != b"OK"]
        assert 100 < len(refused) < 1000
        assert all(isinstance(reply, hiredis.ReplyError) and "OOM" in str(reply) for reply in refused)
        assert await client("GET", "key:00100") == b"x" * 100
        return
    assert set(replies) == {b"OK"}
    assert evicted > 100
    before = await client("OBJECT", "FREQ", "key:01499")
    for _ in range(40):
        assert await client("GET", "key:01499") == b"x" * 100
    assert await client("OBJECT", "FREQ", "key:01499") == before + 40
    await client("CLIENT", "NO-TOUCH", "ON")
    for _ in range(40):
        await client("GET", "key:01499")
    assert await client("OBJECT", "FREQ", "key:01499") == before + 40


@pytest.mark.parametrize("policy", ["volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"])
async def test_only_volatile_keys_go(nodes: Nodes, policy: str) -> None:
    client = (await limited(nodes, policy)).client
    await fill(client, "kept", 300)
    assert set(await fill(client, "volatile", 1000, "EX", 1000)) == {b"OK"}
    assert await left(client, "kept") == 300
    replies = await fill(client, "more", 1000)
    assert await left(client, "volatile") == 0
    assert isinstance(replies[-1], hiredis.ReplyError)
    assert str(replies[-1]) == "OOM command not allowed when used memory > 'maxmemory'."


async def test_keys_not_used_for_long_go_first(nodes: Nodes) -> None:
    running = await limited(nodes, "allkeys-lru", maxmemory_samples=10)
    client = running.client
    await fill(client, "old", 300)
    await fill(client, "used", 300)
    _age(running, b"old", b"used")
    for number in range(300):
        await client("GET", f"used:{number}")
    await fill(client, "new", 500)
    evicted = (await figures(client))[2]
    assert evicted > 100
    assert await left(client, "old") <= 300 - 0.9 * min(evicted, 300)
    assert await left(client, "used") > 250


def _age(running: Running, *prefixes: bytes) -> None:
    """As if the keys had last been used an hour ago."""
    database = running.node.keyspace.database(0)
    for key in list(database):
        if key.startswith(prefixes):
            database.set_use(key, 3600, None)


async def test_keys_seldom_used_go_first(nodes: Nodes) -> None:
    client = (await limited(nodes, "allkeys-lfu", maxmemory_samples=10)).client
    await fill(client, "seldom", 300)
    await fill(client, "often", 300)
    for _ in range(20):
        for number in range(300):
            client.send("GET", f"often:{number}")
        for _ in range(300):
            await client.reply()
    await fill(client, "new", 700)
    assert await left(client, "often") >= 290
    assert await left(client, "seldom") < 200


async def test_keys_that_expire_soonest_go_first(nodes: Nodes) -> None:
    client = (await limited(nodes, "volatile-ttl", maxmemory_samples=10)).client
    await fill(client, "late", 300, "EX", 100_000)
    await fill(client, "soon", 300, "EX", 1000)
    await fill(client, "latest", 400, "EX", 200_000)
    assert (await figures(client))[2] > 100
    assert await left(client, "late") >= 280
    assert await left(client, "latest") >= 390


async def test_one_slot_with_many_keys(nodes: Nodes) -> None:
    client = (await limited(nodes, "allkeys-lru", room=1_000_000)).client
    await fill(client, "{tag}", 8000)
    used, limit, evicted = await figures(client)
    assert used <= limit + 300
    assert evicted > 2000


async def test_a_new_limit_evicts_what_is_there_already(nodes: Nodes) -> None:
    running = await nodes.start("node", maxmemory_policy="allkeys-lru")
    client = running.client
    await fill(client, "key", 5000)
    used, _, _ = await figures(client)
    limit = used - 500_000
    await client("CONFIG", "SET", "maxmemory", limit)
    await until(lambda: running.node.eviction.used_bytes() <= limit, what="room")
    assert 1000 < (await figures(client))[2] < 5000
    await client("CONFIG", "SET", "maxmemory", 0)
    assert running.node.keyspace.database(0).account is None
    await fill(client, "other", 3000)
    assert await left(client, "other") == 3000


async def test_all_databases_give_way(nodes: Nodes) -> None:
    client = (await limited(nodes, "allkeys-random", room=2_000_000)).client
    await client("SELECT", 3)
    await fill(client, "key", 500)
    await client("SELECT", 0)
    await fill(client, "key", 4000)
    used, limit, _ = await figures(client)
    assert used <= limit + 300
    await client("SELECT", 3)
    assert await client("DBSIZE") < 500


async def test_evictions_are_events_touch_watches_and_reach_replicas(nodes: Nodes) -> None:
    running = await limited(nodes, "volatile-ttl", notify_keyspace_events=0)
    client = running.client
    replica = await nodes.start("replica", maxmemory=1_000_000, maxmemory_policy="allkeys-lru")
    replica.node.replication.follow("127.0.0.1", running.port)
    await replica.in_sync()
    await client("CONFIG", "SET", "notify-keyspace-events", "Ee")
    listener = await Client.connect(running.port)
    await listener("SUBSCRIBE", "__keyevent@0__:evicted")
    watcher = await Client.connect(running.port)
    await client("SET", "first", "1", "EX", 10)
    await watcher("WATCH", "first")
    await fill(client, "key", 1500, "EX", 1000)
    evicted = [(await listener.reply())[2] for _ in range((await figures(client))[2])]
    assert b"first" in evicted
    assert not await client("EXISTS", *evicted)
    await watcher("MULTI")
    assert await watcher("EXEC") is None
    await replica.caught_up_with(running)
    assert sorted(await replica.client("KEYS", "*")) == sorted(await client("KEYS", "*"))
    assert (await figures(replica.client))[2] == 0, "a replica leaves it to its master"
    await listener.close()
    await watcher.close()


async def test_scripts_and_transactions_make_room_before_they_run(nodes: Nodes) -> None:
    client = (await limited(nodes, "allkeys-lru")).client
    for number in range(1500):
        await client("EVAL", "return redis.call('SET', KEYS[1], ARGV[1])", 1, f"key:{number}", "x" * 100)
    used, limit, _ = await figures(client)
    assert used <= limit + 300
    for number in range(500):
        await client("MULTI")
        assert await client("SET", f"other:{number}", "x" * 100) == b"QUEUED"
        assert await client("EXEC") == [b"OK"]
    used, limit, _ = await figures(client)
    assert used <= limit + 300


async def test_clients_with_large_buffers_go_but_not_those_that_may_not(nodes: Nodes) -> None:
    running = await nodes.start("node", maxmemory_clients=50_000_000)
    protected, other = await Client.connect(running.port), await Client.connect(running.port)
    await running.client("SET", "large", b"x" * 1_000_000)
    await protected("CLIENT", "NO-EVICT", "on")
    for greedy in (protected, other):
        for _ in range(40):
            greedy.send("GET", "large")
    await until(lambda: running.node.buffers.evicted == 1, what="the eviction")
    for _ in range(40):
        assert len(await protected.reply()) == 1_000_000
    with pytest.raises(ConnectionResetError):
        await _replies(other, 40)
    assert (await running.client.info("stats"))["evicted_clients"] == "1"
    await protected.close()
    await other.close()


async def _replies(client: Client, count: int) -> None:
    for _ in range(count):
        await client.reply()


@pytest.mark.parametrize(("policy", "question"), [("allkeys-lru", "IDLETIME"), ("volatile-lfu", "FREQ")])
async def test_uses_survive_a_restart(nodes: Nodes, policy: str, question: str) -> None:
    settings: dict[str, Any] = {"maxmemory": 10**9, "maxmemory_policy": policy, "lfu_decay_time": 0}
    running = await nodes.start("node", **settings)
    await running.client("SET", "a", "1")
    await running.client("SET", "b", "1", "EX", 1000)
    database = running.node.keyspace.database(0)
    database.set_use(b"a", 5000, 77)
    database.set_use(b"b", 6000, 88)
    await running.client("SAVE")
    await running.stop()
    again = await nodes.start("node", **settings)
    known = [await again.client("OBJECT", question, key) for key in ("a", "b")]
    if question == "FREQ":
        assert known == [77, 88]
    else:
        assert 5000 <= known[0] <= 5010
        assert 6000 <= known[1] <= 6010


async def test_no_key_goes_for_the_buffers_of_a_client_that_has_left(nodes: Nodes) -> None:
    """They are added up ten times a second, and once more before anything is done about them."""
    node = await nodes.start("node", maxmemory=4_000_000, maxmemory_policy="allkeys-lru")
    for number in range(100):
        await node.client("SET", f"k{number}", b"x" * 100)
    node.node.cron.paused = True
    node.node.eviction.buffer_bytes = 100_000_000
    assert await node.client("SET", "one more", "1") == b"OK"
    assert await node.client("DBSIZE") == 101
    assert node.node.eviction.buffer_bytes < 1_000_000
