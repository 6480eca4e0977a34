"""FAILOVER between two of our nodes: nothing is lost, and every way in which it can end."""

from __future__ import annotations

import asyncio

import hiredis
import pytest

from tests.node.replication.nodes import Client, Nodes, Running, until
from tests.node.replication.test_two_nodes import pair


async def state(running: Running) -> str:
    return (await running.client.info())["master_failover_state"]


async def frozen_pair(nodes: Nodes) -> tuple[Running, Client]:
    """A master, and a client that plays a replica which acknowledges only when it is told to."""
    master = await nodes.start("master")
    replica = await Client.connect(master.port)
    assert await replica("REPLCONF", "listening-port", 1, "capa", "psync2") == b"OK"
    replica.send("PSYNC", "?", -1)
    peers = master.node.replication.replicas.peers
    await until(lambda: any(peer.state.value == "online" for peer in peers.values()))
    await master.client("SET", "a", "1")
    return master, replica


@pytest.mark.parametrize("named", [True, False], ids=["to the replica named", "to any replica"])
async def test_master_and_replica_change_places(nodes: Nodes, named: bool) -> None:
    master, replica = await pair(nodes)
    other = await nodes.start("other", replicaof=("127.0.0.1", master.port))
    await other.in_sync()
    target = ("TO", "127.0.0.1", replica.port) if named else ()
    if not named:
        await other.client("REPLICAOF", "NO", "ONE")
    await master.client("SET", "last", "words")
    assert await master.client("FAILOVER", *target) == b"OK"
    await until(lambda: not replica.node.replication.is_replica, what="the promotion")
    await master.in_sync()
    assert await state(master) == "no-failover"
    assert await replica.client("GET", "last") == b"words"
    assert str(await master.client("SET", "b", "2")).startswith("READONLY ")
    assert await replica.client("SET", "b", "2") == b"OK"
    await master.caught_up_with(replica)
    assert await master.client("GET", "b") == b"2"
    assert replica.node.replication.replicas.full_resyncs == 0
    if named:
        # The third one finds its way along the chain, without a copy.
        await other.caught_up_with(replica)
        assert master.node.replication.replicas.full_resyncs == 2
        assert other.node.replication.upstream.master == ("127.0.0.1", master.port)


async def test_writes_wait_and_are_then_refused_while_reads_go_on(nodes: Nodes) -> None:
    master, replica = await frozen_pair(nodes)
    writer = await Client.connect(master.port)
    blocked = await Client.connect(master.port)
    blocked.send("BLPOP", "nothing", 0)
    await until(lambda: any(session.parked for session in master.node.clients))
    assert await master.client("FAILOVER", "TO", "127.0.0.1", 1) == b"OK"
    assert await state(master) == "waiting-for-sync"
    writer.send("SET", "a", "2")
    assert await master.client("GET", "a") == b"1"
    assert await master.client("TTL", "a") == -1
    for words, refusal in {
        ("FAILOVER",): "ERR FAILOVER already in progress.",
        ("REPLICAOF", "NO", "ONE"): "ERR REPLICAOF not allowed while failing over.",
        ("REPLICAOF", "127.0.0.1", 1): "ERR REPLICAOF not allowed while failing over.",
        ("PSYNC", "?", -1): "NOMASTERLINK Can't SYNC while failing over",
        ("SYNC",): "NOMASTERLINK Can't SYNC while failing over",
    }.items():
        assert str(await master.client(*words)) == refusal
    replica.send("REPLCONF", "ACK", master.node.replication.offset)
    await until(lambda: master.node.replication.is_replica)
    assert await state(master) == "failover-in-progress"
    assert str(await blocked.reply()).startswith("UNBLOCKED ")
    # Nobody listens at the port that the replica named: only an operator ends this.
    await until(lambda: "Error condition on socket for SYNC" in master.log)
    assert await state(master) == "failover-in-progress"
    assert await master.client("FAILOVER", "ABORT") == b"OK"
    assert await state(master) == "no-failover"
    assert not master.node.replication.is_replica
    assert await writer.reply() == b"OK"
    assert await master.client("GET", "a") == b"2"
    for client in (writer, blocked, replica):
        await client.close()


async def test_a_replica_that_never_has_everything(nodes: Nodes) -> None:
    master, replica = await frozen_pair(nodes)
    offset = master.node.replication.offset
    assert await master.client("FAILOVER", "TIMEOUT", 30) == b"OK"
    assert await master.client("SET", "a", "2") == b"OK", "held back until the time was up"
    assert "Replica never caught up before timeout" in master.log
    assert await state(master) == "no-failover"
    assert offset < master.node.replication.offset
    assert await master.client("FAILOVER", "TO", "127.0.0.1", 1, "TIMEOUT", 30, "FORCE") == b"OK"
    await until(lambda: master.node.replication.is_replica)
    assert "time out exceeded, failing over" in master.log
    assert await master.client("FAILOVER", "ABORT") == b"OK"
    await replica.close()


async def test_an_operator_changes_his_mind(nodes: Nodes) -> None:
    master, replica = await frozen_pair(nodes)
    assert await master.client("FAILOVER") == b"OK"
    assert await master.client("FAILOVER", "ABORT") == b"OK"
    assert await master.client("SET", "a", "2") == b"OK"
    assert "Failover manually aborted" in master.log
    replica.send("REPLCONF", "ACK", master.node.replication.offset)
    assert str(await master.client("FAILOVER", "ABORT")) == "ERR No failover in progress."
    await replica.close()


@pytest.mark.parametrize(
    ("answer", "promoted"),
    [(b"-NOMASTERLINK not now\r\n", False), (b"-ERR what?\r\n", False), (b"+CONTINUE\r\n", True)],
    ids=["not now", "no", "yes"],
)
async def test_what_the_target_answers(nodes: Nodes, answer: bytes, promoted: bool) -> None:
    asked: list[bytes] = []
    hung_up = asyncio.Event()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for reply in (b"+PONG\r\n", b"+OK\r\n+OK\r\n", answer):
            asked.append(await reader.read(1 << 16))
            writer.write(reply)
        await reader.read()
        writer.close()
        hung_up.set()

    server = await asyncio.start_server(play, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    master = await nodes.start("master")
    replica = await Client.connect(master.port)
    assert await replica("REPLCONF", "listening-port", port, "capa", "psync2") == b"OK"
    replica.send("PSYNC", "?", -1)
    peers = master.node.replication.replicas.peers
    await until(lambda: any(peer.state.value == "online" for peer in peers.values()))
    history = master.node.replication.history
    await master.client("SET", "a", "1")
    replid, offset = history.replid, history.offset
    assert await master.client("FAILOVER") == b"OK"
    replica.send("REPLCONF", "ACK", offset)
    await until(lambda: len(asked) == 3)
    await until(lambda: not master.node.replication.failover.under_way)
    decoder = hiredis.Reader()
    decoder.feed(asked[2])
    assert decoder.gets() == [b"PSYNC", replid, b"%d" % (offset + 1), b"FAILOVER"]
    assert master.node.replication.is_replica is promoted
    assert (str(await master.client("SET", "a", "2")).startswith("READONLY ")) is promoted
    if not promoted:
        assert "Failover target rejected psync request" in master.log
        assert history.replid2 == replid
    await nodes.stop(master)
    await hung_up.wait()
    server.close()
    await replica.close()
