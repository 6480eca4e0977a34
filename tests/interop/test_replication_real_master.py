"""Our node as the replica of a real redis-server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.interop.test_replication_real_replica import fill, holds_everything, in_sync
from tests.node.replication.nodes import Client, Nodes, Running, nodes_in, until
from tests.real_redis import RealRedis
from tests.waiting import wait_until

StartRedis = Callable[..., RealRedis]


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[Nodes]:
    async for started in nodes_in(tmp_path):
        yield started


async def real_master(start_redis: StartRedis, *options: str) -> tuple[RealRedis, Client]:
    server = await asyncio.to_thread(start_redis, "--repl-diskless-sync-delay", "0", *options)
    return server, await Client.connect(server.port)


async def replica_of(server: RealRedis, nodes: Nodes, name: str = "replica", **settings: object) -> Running:
    replica = await nodes.start(name, **settings)
    replica.node.replication.follow("127.0.0.1", server.port)
    await replica.in_sync()
    return replica


async def caught_up(replica: Running, master: Client) -> None:
    async def at_the_same_offset() -> bool:
        return int((await master.info())["master_repl_offset"]) == replica.node.replication.offset

    await wait_until(at_the_same_offset)


@pytest.mark.parametrize("diskless", ["yes", "no"], ids=["streamed", "from disk"])
async def test_a_copy_and_then_the_stream(nodes: Nodes, start_redis: StartRedis, diskless: str) -> None:
    server, master = await real_master(start_redis, "--repl-diskless-sync", diskless)
    expires_at_ms = await fill(master)
    replica = await replica_of(server, nodes)
    await holds_everything(replica.client, expires_at_ms)
    await master("SELECT", 2)
    await master("MULTI")
    await master("SET", "x", "1", "EX", "1000")
    await master("INCR", "x")
    await master("EXEC")
    await master("SET", "y", b"line\r\n" * 2000)
    # The master asks with GETACK, and counts us.
    assert await master("WAIT", 1, 5000) == 1
    await replica.client("SELECT", 2)
    assert await replica.client("GET", "x") == b"2"
    assert await replica.client("PEXPIRETIME", "x") == await master("PEXPIRETIME", "x")
    assert await replica.client("GET", "y") == b"line\r\n" * 2000
    slave = (await master.info())["slave0"]
    assert f"port={replica.port},state=online," in slave
    await master.close()


async def test_a_broken_link_is_resumed(nodes: Nodes, start_redis: StartRedis) -> None:
    server, master = await real_master(start_redis)
    replica = await replica_of(server, nodes)
    assert await master("CLIENT", "KILL", "TYPE", "replica") == 1
    await master("SET", "b", "2")
    await until(lambda: "Successful partial resynchronization" in replica.log)
    await caught_up(replica, master)
    assert await replica.client("GET", "b") == b"2"
    assert (await master.info("stats"))["sync_partial_ok"] == "1"
    await master.close()


async def test_our_master_is_a_client_and_can_be_killed(nodes: Nodes, start_redis: StartRedis) -> None:
    server, master = await real_master(start_redis)
    replica = await replica_of(server, nodes)
    counterpart_server = await asyncio.to_thread(start_redis, "--replicaof", f"127.0.0.1 {server.port}")
    counterpart = await Client.connect(counterpart_server.port)
    await in_sync(counterpart)
    await master("SET", "a", "1")
    seen = []
    for client in (replica.client, counterpart):
        line = (await client("CLIENT", "LIST", "TYPE", "master")).decode()
        fields = dict(field.split("=", 1) for field in line.split())
        seen.append([fields[name] for name in ("addr", "name", "flags", "db", "multi", "user", "redir", "resp")])
        assert fields["laddr"].startswith("127.0.0.1:")
        assert (await client.info("clients"))["connected_clients"] == "2"
        assert await client("CLIENT", "KILL", "TYPE", "master") == 1
    assert seen[0] == seen[1]
    await until(lambda: "Successful partial resynchronization" in replica.log)
    await in_sync(counterpart)
    assert await replica.client("CLIENT", "KILL", f"127.0.0.1:{server.port}") == b"OK"
    await until(lambda: replica.log.count("Successful partial resynchronization") == 2)
    replica.node.replication.promote()
    assert await replica.client("CLIENT", "LIST", "TYPE", "master") == b""
    assert (await replica.client.info("stats"))["total_connections_received"] == "1"
    for client in (master, counterpart):
        await client.close()


async def test_a_chain_of_three_has_one_history(nodes: Nodes, start_redis: StartRedis) -> None:
    """Real, ours, real: what the first feeds arrives at the third unchanged."""
    server, master = await real_master(start_redis)
    middle = await replica_of(server, nodes)
    last_server = await asyncio.to_thread(start_redis, "--replicaof", f"127.0.0.1 {middle.port}")
    last = await Client.connect(last_server.port)
    await in_sync(last)
    await master("SELECT", 1)
    await master("MULTI")
    await master("SET", "x", "1")
    await master("SET", "y", "2")
    await master("EXEC")
    assert await master("WAIT", 1, 5000) == 1

    async def same() -> bool:
        first, third = await master.info(), await last.info()
        return first["master_repl_offset"] == third["slave_repl_offset"]

    await wait_until(same)
    assert (await last.info())["master_replid"] == (await master.info())["master_replid"]
    await last("SELECT", 1)
    assert await last("GET", "y") == b"2"
    await last.close()
    await master.close()


async def test_we_are_promoted_and_the_real_master_follows_us(nodes: Nodes, start_redis: StartRedis) -> None:
    server, master = await real_master(start_redis)
    await master("SET", "a", "1")
    replica = await replica_of(server, nodes)
    await caught_up(replica, master)
    replica.node.replication.promote()
    await replica.client("SET", "b", "2")
    assert await master("REPLICAOF", "127.0.0.1", replica.port) == b"OK"
    await in_sync(master)

    async def arrived() -> bool:
        return bool(await master("GET", "b") == b"2")

    await wait_until(arrived)
    assert replica.node.replication.replicas.full_resyncs == 0
    assert replica.node.replication.replicas.partial_resyncs == 1
    assert (await master.info())["master_replid"] == replica.node.replication.history.replid.decode()
    await master.close()


async def test_a_replica_that_restarts_goes_on_from_its_snapshot(nodes: Nodes, start_redis: StartRedis) -> None:
    server, master = await real_master(start_redis)
    await master("SELECT", 3)
    await master("SET", "a", "1")
    replica = await replica_of(server, nodes)
    await master("SET", "b", "2")
    await caught_up(replica, master)
    assert await replica.client("SAVE") == b"OK"
    await nodes.stop(replica)
    await master("SET", "c", "3")
    again = await nodes.start("replica", replicaof=("127.0.0.1", server.port))
    await again.in_sync()
    await caught_up(again, master)
    await again.client("SELECT", 3)
    assert [await again.client("GET", key) for key in "abc"] == [b"1", b"2", b"3"]
    assert (await master.info("stats"))["sync_partial_ok"] == "1"
    await master.close()


async def test_a_password_is_given_to_the_master(nodes: Nodes, start_redis: StartRedis) -> None:
    server, master = await real_master(start_redis)
    await master("CONFIG", "SET", "requirepass", "secret")
    refused = await nodes.start("refused", masterauth="wrong", replicaof=("127.0.0.1", server.port))
    await until(lambda: "Unable to AUTH to MASTER" in refused.log)
    replica = await replica_of(server, nodes, masterauth="secret")
    assert replica.node.replication.link_up
    await master.close()
