"""WAITAOF: when is what I wrote on the disk, here and on the replicas?"""

from __future__ import annotations

import pytest

from node.persistence.aof.append_only import AofState
from tests.node.replication.nodes import Client, Nodes, until


async def test_with_every_write_synced_there_is_nothing_to_wait_for(nodes: Nodes) -> None:
    node = await nodes.start("node", appendonly=True, appendfsync="always")
    node.client.send("SET", "a", "1")
    node.client.send("WAITAOF", 1, 0, 0)
    assert await node.client.reply() == b"OK"
    assert await node.client.reply() == [1, 0]


async def test_it_waits_for_the_sync_beside_the_loop(nodes: Nodes) -> None:
    node = await nodes.start("node", appendonly=True, appendfsync="everysec")
    log = node.node.append_only.log
    for _ in range(3):
        await node.client("INCR", "n")
        assert await node.client("WAITAOF", 1, 0, 5000) == [1, 0]
        assert log.synced == log.fed


async def test_without_syncs_the_time_runs_out(nodes: Nodes) -> None:
    node = await nodes.start("node", appendonly=True, appendfsync="no")
    await node.client("SET", "a", "1")
    assert await node.client("WAITAOF", 1, 0, 20) == [0, 0]
    assert await node.client("WAITAOF", 0, 0, 0) == [0, 0]
    await node.client("MULTI")
    await node.client("WAITAOF", 1, 0, 0)
    assert await node.client("EXEC") == [[0, 0]]


async def test_it_waits_for_the_disks_of_replicas(nodes: Nodes) -> None:
    master = await nodes.start("node", appendonly=True, appendfsync="always")
    replica = await nodes.start(
        "replica", appendonly=True, appendfsync="everysec", replicaof=("127.0.0.1", master.port)
    )
    await replica.in_sync()
    await until(lambda: replica.node.append_only.state is AofState.ON, what="the replica's log")
    await master.client("SET", "a", "1")
    assert await master.client("WAITAOF", 1, 1, 10_000) == [1, 1]
    assert await master.client("WAIT", 1, 10_000) == 1
    assert replica.node.append_only.log.synced == replica.node.append_only.log.fed
    refused = str(await replica.client("WAITAOF", 0, 0, 0))
    assert refused.startswith("ERR WAITAOF cannot be used with replica instances.")


async def test_a_replica_without_a_log_does_not_count(nodes: Nodes) -> None:
    master = await nodes.start("node", appendonly=True, appendfsync="always")
    replica = await nodes.start("replica", replicaof=("127.0.0.1", master.port))
    await replica.in_sync()
    await master.client("SET", "a", "1")
    assert await master.client("WAIT", 1, 10_000) == 1
    assert await master.client("WAITAOF", 1, 1, 20) == [1, 0]


async def test_the_log_is_switched_off_meanwhile(nodes: Nodes) -> None:
    node = await nodes.start("node", appendonly=True, appendfsync="no")
    await node.client("SET", "a", "1")
    node.client.send("WAITAOF", 1, 0, 0)
    other = await Client.connect(node.port)
    await until(lambda: bool(node.node.replication.replicas.waits), what="the wait")
    assert await other("CONFIG", "SET", "appendonly", "no") == b"OK"
    off = "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."
    assert str(await node.client.reply()) == off
    assert str(await node.client("WAITAOF", 1, 0, 0)) == off
    await other.close()


REFUSED = [
    ((2, 0, 0), "ERR value is out of range, value must between 0 and 1"),
    ((0, -1, 0), "ERR value is out of range, must be positive"),
    ((0, 0, -1), "ERR timeout is negative"),
    ((0, 0, "x"), "ERR timeout is not an integer or out of range"),
    (("x", 0, 0), "ERR value is not an integer or out of range"),
]


@pytest.mark.parametrize(("arguments", "text"), REFUSED)
async def test_refusals(nodes: Nodes, arguments: tuple[int | str, ...], text: str) -> None:
    node = await nodes.start("node")
    assert str(await node.client("WAITAOF", *arguments)) == text
