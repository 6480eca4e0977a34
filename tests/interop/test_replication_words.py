"""What replication's commands answer, and what INFO shows: ours and redis-server's, side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import hiredis
import pytest

from node.persistence.info import info as persistence_info
from node.replication.info import info
from tests.interop.test_replication_real_replica import in_sync
from tests.node.replication.nodes import Client, Nodes, nodes_in
from tests.real_redis import RealRedis

StartRedis = Callable[..., RealRedis]


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[Nodes]:
    async for started in nodes_in(tmp_path):
        yield started


# Each runs on a connection of its own; those that answer nothing are followed by ECHO.
COMMANDS = [
    "REPLCONF",
    "REPLCONF capa",
    "REPLCONF capa eof capa something-new",
    "REPLCONF listening-port abc",
    "REPLCONF listening-port -5",
    f"REPLCONF ip-address {'x' * 300}",
    "REPLCONF rdb-only x",
    "REPLCONF rdb-only 7",
    "REPLCONF rdb-only 1",
    "REPLCONF rdb-filter-only foo",
    "REPLCONF rdb-filter-only '",
    "REPLCONF rdb-filter-only functions",
    "REPLCONF foo x",
    "REPLCONF ack 5",
    "REPLCONF ack x",
    "REPLCONF getack *",
    "PSYNC a x",
    "PSYNC ? -1 FAILOVER",
    "PSYNC a",
    "SYNC now",
    "REPLICAOF a 99999",
    "REPLICAOF a -1",
    "REPLICAOF a x",
    "REPLICAOF no on",
    "REPLICAOF NO ONE",
    "SLAVEOF no one",
    "ROLE",
    "ROLE x",
    "WAIT 0 0",
    "WAIT 5 1",
    "WAIT -1 0",
    "WAIT x 0",
    "WAIT 1 x",
    "WAIT 1 -1",
    "WAIT 0 99999999999999999999",
    "BGSAVE x",
    "BGSAVE SCHEDULE x",
    "SAVE x",
    "LASTSAVE x",
]
SILENT = ("REPLCONF ack", "REPLCONF getack")


async def answer(port: int, command: str) -> object:
    client = await Client.connect(port)
    client.send(*command.split(" "))
    if command.startswith(SILENT):
        client.send("ECHO", "silence")
    reply = await client.reply()
    await client.close()
    return str(reply) if isinstance(reply, hiredis.ReplyError) else reply


async def test_the_same_answers(nodes: Nodes, start_redis: StartRedis) -> None:
    real = await asyncio.to_thread(start_redis)
    ours = await nodes.start("ours")
    for command in COMMANDS:
        assert await answer(ours.port, command) == await answer(real.port, command), command


async def test_the_same_answers_on_a_replica_without_its_master(nodes: Nodes, start_redis: StartRedis) -> None:
    real = await asyncio.to_thread(start_redis, "--replicaof", "127.0.0.1 1")
    ours = await nodes.start("ours", replicaof=("127.0.0.1", 1))
    commands = ["SET a b", "WAIT 0 0", "PSYNC ? -1", "SYNC", "REPLICAOF 127.0.0.1 1", "GET a", "PSYNC x 1 FAILOVER"]
    for command in commands:
        assert await answer(ours.port, command) == await answer(real.port, command), command


async def test_info_has_the_same_fields_in_the_same_order(nodes: Nodes, start_redis: StartRedis) -> None:
    """For a master with a replica, a replica that is in sync, and one that is not."""
    real = await asyncio.to_thread(start_redis, "--repl-diskless-sync-delay", "0", "--min-replicas-to-write", "1")
    client = await Client.connect(real.port)
    ours = await nodes.start("ours", min_replicas_to_write=1)
    lost = await nodes.start("lost", replicaof=("127.0.0.1", 1))
    real_lost = await asyncio.to_thread(start_redis, "--replicaof", "127.0.0.1 1")
    lost_client = await Client.connect(real_lost.port)
    replica = await nodes.start("replica", replicaof=("127.0.0.1", real.port))
    await replica.in_sync()
    real_replica = await asyncio.to_thread(start_redis, "--replicaof", f"127.0.0.1 {ours.port}")
    replica_client = await Client.connect(real_replica.port)
    await in_sync(replica_client)
    for running, counterpart in ((ours, client), (replica, replica_client), (lost, lost_client)):
        names = [name for name, _ in info(running.node.replication, running.node.settings)]
        assert names == list(await counterpart.info())
    names = [
        name for name, _ in persistence_info(ours.node.saver, ours.node.append_only, ours.node.loader, ours.node.child)
    ]
    assert names == list(await client.info("persistence"))
    for opened in (client, lost_client, replica_client):
        await opened.close()
