"""What the stream takes while replicas wait for copies: once for all of them, and others can go on from it."""

from __future__ import annotations

from node.replication.backlog import Backlog
from tests.node.replication.nodes import Client, Nodes, Running, until
from tests.node.replication.test_two_nodes import pair

_SIZE = 16384


async def _waiting_replica(master: Running) -> Client:
    """A client that asked for a copy."""
    client = await Client.connect(master.port)
    assert await client("REPLCONF", "capa", "eof", "capa", "psync2") == b"OK"
    client.send("PSYNC", "?", "-1")
    return client


async def _buffers(master: Running) -> tuple[int, int, int]:
    """What there is of the stream, what of it is kept for replicas, and what evicting keys would not help against."""
    info = await master.client.info("memory")
    return tuple(
        int(info[name]) for name in ("mem_total_replication_buffers", "mem_clients_slaves", "mem_not_counted_for_evict")
    )


async def test_one_buffer_for_all(nodes: Nodes) -> None:
    master, replica = await pair(nodes, repl_backlog_size=_SIZE, repl_diskless_sync=True, repl_diskless_sync_delay=1)
    # Each key of the copy takes ten seconds.
    await master.client("CONFIG", "SET", "rdb-key-save-delay", "10000000")
    slow = [await _waiting_replica(master) for _ in range(2)]
    side = master.node.replication.replicas
    await until(lambda: len(side.copies.under_way) == 2, what="a copy for two")
    backlog = side.feed.backlog
    assert isinstance(backlog, Backlog)

    for _ in range(20):
        await master.client("SET", "a", b"x" * 10_000)
    await replica.caught_up_with(master)
    total, kept, uncounted = await _buffers(master)
    assert 200_000 < total < 300_000
    assert 200_000 - _SIZE < kept < 300_000
    assert uncounted >= kept
    assert backlog.histlen > 200_000

    # Who was away for longer than the backlog is long goes on all the same.
    replica.node.replication.upstream.leave()
    for _ in range(10):
        await master.client("SET", "b", b"y" * 10_000)
    full, partial = side.full_resyncs, side.partial_resyncs
    replica.node.replication.follow("127.0.0.1", master.port)
    await replica.in_sync()
    await replica.caught_up_with(master)
    assert (side.full_resyncs, side.partial_resyncs) == (full, partial + 1)
    assert await replica.client("GET", "b") == b"y" * 10_000

    # One of the two goes: the other one still needs it all.
    total, _, _ = await _buffers(master)
    await slow[0].close()
    await until(lambda: len(side.peers) == 2, what="the end of one of them")
    assert (await _buffers(master))[0] == total
    await slow[1].close()
    await until(lambda: len(side.peers) == 1, what="the end of the other one")
    assert backlog.histlen < 2 * _SIZE + 1
    assert (await _buffers(master))[0] < 4 * _SIZE
    await master.client("SET", "c", "z")
    await replica.caught_up_with(master)
    assert await replica.client("GET", "c") == b"z"


async def test_who_wants_no_stream_needs_none_of_it(nodes: Nodes) -> None:
    """redis-cli --rdb."""
    master, _ = await pair(nodes, repl_backlog_size=_SIZE, repl_diskless_sync=True)
    await master.client("CONFIG", "SET", "rdb-key-save-delay", "10000000")
    client = await Client.connect(master.port)
    assert await client("REPLCONF", "rdb-only", "1") == b"OK"
    side = master.node.replication.replicas
    client.send("SYNC")
    await until(lambda: bool(side.copies.under_way), what="a copy")
    for _ in range(20):
        await master.client("SET", "a", b"x" * 10_000)
    assert side.feed.backlog is not None
    assert side.feed.backlog.histlen < 2 * _SIZE + 1
    await client.close()
