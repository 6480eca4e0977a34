"""A real redis-server as the replica of our node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.node.replication.nodes import Client, Nodes, Running, nodes_in, until
from tests.real_redis import RealRedis
from tests.waiting import wait_until

StartRedis = Callable[..., RealRedis]


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[Nodes]:
    async for started in nodes_in(tmp_path):
        yield started


async def real_replica_of(master: Running, start_redis: StartRedis, *options: str) -> tuple[RealRedis, Client]:
    """A real replica in sync with `master`."""
    server = await asyncio.to_thread(start_redis, "--replicaof", f"127.0.0.1 {master.port}", *options)
    client = await Client.connect(server.port)
    await in_sync(client)
    return server, client


async def in_sync(replica: Client) -> None:
    async def is_up() -> bool:
        return (await replica.info())["master_link_status"] == "up"

    await wait_until(is_up)


async def caught_up(replica: Client, master: Running) -> None:
    async def at_the_same_offset() -> bool:
        return int((await replica.info())["slave_repl_offset"]) == master.node.replication.offset

    await wait_until(at_the_same_offset)


VALUES = {
    b"short": b"v",
    b"number": b"-12345",
    b"leading zeros": b"00123",
    b"empty": b"",
    b"binary": bytes(range(256)) * 3,
    b"compressible": b"abc" * 5000,
    b"big": bytes(range(256)) * 5000,
}


async def fill(client: Client) -> int:
    """Write `VALUES`, one of them with a time to live, and one key in another database; returns when it expires."""
    for key, value in VALUES.items():
        assert await client("SET", key, value) == b"OK"
    expires_at_ms = 1_900_000_000_123
    assert await client("SET", "volatile", "v", "PXAT", expires_at_ms) == b"OK"
    await client("SELECT", 5)
    await client("SET", "elsewhere", "v")
    await client("SELECT", 0)
    return expires_at_ms


async def holds_everything(client: Client, expires_at_ms: int) -> None:
    for key, value in VALUES.items():
        assert await client("GET", key) == value, key
    assert await client("PEXPIRETIME", "volatile") == expires_at_ms
    await client("SELECT", 5)
    assert await client("GET", "elsewhere") == b"v"
    await client("SELECT", 0)


@pytest.mark.parametrize("diskless", [True, False], ids=["streamed", "from disk"])
async def test_a_copy_and_then_the_stream(nodes: Nodes, start_redis: StartRedis, diskless: bool) -> None:
    master = await nodes.start("master", repl_diskless_sync=diskless)
    expires_at_ms = await fill(master.client)
    _, replica = await real_replica_of(master, start_redis)
    await holds_everything(replica, expires_at_ms)
    await master.client("APPEND", "short", "alue")
    await master.client("SELECT", 2)
    await master.client("MULTI")
    await master.client("SET", "x", "1")
    await master.client("INCR", "x")
    await master.client("EXEC")
    assert await master.client("WAIT", 1, 5000) == 1
    await caught_up(replica, master)
    assert await replica("GET", "short") == b"value"
    await replica("SELECT", 2)
    assert await replica("GET", "x") == b"2"
    assert (await replica.info())["master_replid"] == master.node.replication.history.replid.decode()
    assert (await master.client.info())["slave0"].startswith(f"ip=127.0.0.1,port={_port(master)},state=online,")
    await replica.close()


def _port(master: Running) -> int:
    (peer,) = master.node.replication.replicas.peers.values()
    return peer.port


async def test_a_broken_link_is_resumed(nodes: Nodes, start_redis: StartRedis) -> None:
    master = await nodes.start("master")
    _, replica = await real_replica_of(master, start_redis)
    await master.client("SET", "a", "1")
    for peer in master.node.replication.replicas.peers.values():
        peer.drop()
    await master.client("SET", "b", "2")
    await until(lambda: master.node.replication.replicas.partial_resyncs == 1)
    await in_sync(replica)
    await caught_up(replica, master)
    assert await replica("GET", "b") == b"2"
    assert master.node.replication.replicas.full_resyncs == 1
    await replica.close()


async def test_it_survives_a_long_load_of_commands(nodes: Nodes, start_redis: StartRedis) -> None:
    """Many commands while the copy is on its way: nothing is lost between the copy and the stream."""
    master = await nodes.start("master")
    for index in range(20_000):
        master.node.keyspace.database(0).put(b"before:%d" % index, b"x" * 50)
    syncing = asyncio.ensure_future(real_replica_of(master, start_redis))
    written = 0
    while not syncing.done():
        await master.client("SET", f"during:{written}", written)
        written += 1
    assert written > 0
    _, replica = await syncing
    await caught_up(replica, master)
    assert await replica("DBSIZE") == 20_000 + written
    assert await replica("GET", f"during:{written - 1}") == b"%d" % (written - 1)
    await replica.close()


async def test_after_a_promotion_the_old_master_follows_the_real_one(nodes: Nodes, start_redis: StartRedis) -> None:
    master = await nodes.start("master")
    server, replica = await real_replica_of(master, start_redis)
    await master.client("SET", "a", "1")
    await caught_up(replica, master)
    assert await replica("REPLICAOF", "NO", "ONE") == b"OK"
    await replica("SET", "b", "2")
    master.node.replication.follow("127.0.0.1", server.port)
    await master.in_sync()

    async def arrived() -> bool:
        return bool(await master.client("GET", "b") == b"2")

    await wait_until(arrived)
    assert (await replica.info("stats"))["sync_partial_ok"] == "1"
    assert master.node.replication.history.replid2 != b"0" * 40
    await replica.close()


async def test_expired_keys_go_by_our_word(nodes: Nodes, start_redis: StartRedis) -> None:
    master = await nodes.start("master")
    _, replica = await real_replica_of(master, start_redis)
    now_ms = master.node.runtime.clock.wall_ms()
    await master.client("SET", "soon", "gone", "PXAT", now_ms + 30)

    async def gone() -> bool:
        return await master.client("GET", "soon") is None

    await wait_until(gone)
    await caught_up(replica, master)
    assert await replica("DBSIZE") == 0
    await replica.close()
