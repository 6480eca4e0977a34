"""FAILOVER with a real redis-server in either role, and what the command answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import hiredis
import pytest

from tests.interop.test_replication_real_master import real_master, replica_of
from tests.interop.test_replication_real_replica import in_sync, real_replica_of
from tests.node.replication.nodes import Client, Nodes, nodes_in, until
from tests.ports import free_base
from tests.real_redis import RealRedis
from tests.waiting import wait_until

StartRedis = Callable[..., RealRedis]


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[Nodes]:
    async for started in nodes_in(tmp_path):
        yield started


async def test_a_real_replica_takes_over_from_us(nodes: Nodes, start_redis: StartRedis) -> None:
    master = await nodes.start("master")
    server, replica = await real_replica_of(master, start_redis)
    await master.client("SET", "a", "1")
    assert await master.client("FAILOVER", "TO", "127.0.0.1", server.port, "TIMEOUT", 10000) == b"OK"
    await until(lambda: master.node.replication.is_replica)
    await master.in_sync()
    assert (await replica.info())["role"] == "master"
    assert await replica("GET", "a") == b"1"
    assert await replica("SET", "a", "2") == b"OK"
    assert await replica("WAIT", 1, 5000) == 1
    assert await master.client("GET", "a") == b"2"
    stats = await replica.info("stats")
    assert (stats["sync_full"], stats["sync_partial_ok"]) == ("0", "1")
    assert (await master.client.info())["master_failover_state"] == "no-failover"
    await replica.close()


async def test_we_take_over_from_a_real_master(nodes: Nodes, start_redis: StartRedis) -> None:
    server, master = await real_master(start_redis)
    replica = await replica_of(server, nodes)
    await master("SET", "a", "1")
    assert await master("FAILOVER", "TIMEOUT", 10000) == b"OK"
    await until(lambda: not replica.node.replication.is_replica)
    await in_sync(master)
    assert await replica.client("SET", "a", "2") == b"OK"
    assert await replica.client("WAIT", 1, 5000) == 1
    assert await master("GET", "a") == b"2"
    replicas = replica.node.replication.replicas
    assert (replicas.full_resyncs, replicas.partial_resyncs) == (0, 1)

    async def over() -> bool:
        return (await master.info())["master_failover_state"] == "no-failover"

    await wait_until(over)
    await master.close()


ALONE = [
    "FAILOVER",
    "FAILOVER ABORT",
    "FAILOVER ABORT TIMEOUT 5",
    "FAILOVER FORCE",
    "FAILOVER TIMEOUT",
    "FAILOVER TIMEOUT x",
    "FAILOVER TIMEOUT 0",
    "FAILOVER TIMEOUT -1",
    "FAILOVER TIMEOUT 5 TIMEOUT 6",
    "FAILOVER TO",
    "FAILOVER TO host",
    "FAILOVER TO host x",
    "FAILOVER TO host 1 TO host 2",
    "FAILOVER FORCE FORCE",
    "FAILOVER what",
]
WITH_A_REPLICA = [
    "FAILOVER FORCE",
    "FAILOVER FORCE TIMEOUT 5",
    "FAILOVER FORCE TO host 1",
    "FAILOVER TO 127.0.0.1 1",
    "FAILOVER TO host 70000 TIMEOUT 5 FORCE",
    "FAILOVER ABORT",
]


async def test_the_same_answers(nodes: Nodes, start_redis: StartRedis) -> None:
    server, real = await real_master(start_redis)
    ours = await nodes.start("ours")
    _, real_replica = await real_replica_of(ours, start_redis)
    own_replica = await replica_of(server, nodes)
    lonely = await nodes.start("lonely")
    real_lonely = await Client.connect((await asyncio.to_thread(start_redis)).port)
    for commands, pair in (
        (ALONE, (lonely.client, real_lonely)),
        (WITH_A_REPLICA, (ours.client, real)),
        (["FAILOVER", "FAILOVER FORCE"], (own_replica.client, real_replica)),
    ):
        for command in commands:
            answers = [await client(*command.split(" ")) for client in pair]
            assert isinstance(answers[0], hiredis.ReplyError), command
            assert str(answers[0]) == str(answers[1]), command
    for client in (real, real_replica, real_lonely):
        await client.close()


async def test_not_in_cluster_mode(nodes: Nodes, start_redis: StartRedis) -> None:
    # Room for the bus port above it.
    ours = await nodes.start("ours", cluster_enabled=True, port=free_base())
    real = await Client.connect((await asyncio.to_thread(start_redis, "--cluster-enabled", "yes")).port)
    assert str(await ours.client("FAILOVER", "ABORT")) == str(await real("FAILOVER", "ABORT"))
    await real.close()
