"""Master and replica, both ours: how data gets across, and what is refused."""

from __future__ import annotations

import asyncio
from pathlib import Path

import hiredis
import pytest

from node.database import slot_of
from node.output_limits import OutputLimit
from node.pause import PausePurpose
from node.persistence.rdb_reader import RdbReader
from node.replication.peer import PeerState
from tests.node.persistence.test_rdb_files import Told
from tests.node.replication.nodes import Client, Nodes, Running, until
from tests.waiting import wait_until
from wire.encoder import encode_command


async def pair(nodes: Nodes, **settings: object) -> tuple[Running, Running]:
    """A master with two keys, and a replica in sync with it."""
    master = await nodes.start("master", **settings)
    await master.client("SET", "a", "1")
    await master.client("SET", "binary", bytes(range(256)))
    replica = await nodes.start("replica", **settings)
    replica.node.replication.follow("127.0.0.1", master.port)
    await replica.in_sync()
    return master, replica


@pytest.mark.parametrize("diskless", [True, False], ids=["streamed", "from disk"])
async def test_a_copy_and_then_the_stream(nodes: Nodes, diskless: bool) -> None:
    master, replica = await pair(nodes, repl_diskless_sync=diskless)
    assert await replica.client("GET", "a") == b"1"
    assert await replica.client("GET", "binary") == bytes(range(256))
    await master.client("SET", "b", "2")
    await master.client("SELECT", 3)
    await master.client("SET", "b", "3")
    await replica.caught_up_with(master)
    assert await replica.client("GET", "b") == b"2"
    await replica.client("SELECT", 3)
    assert await replica.client("GET", "b") == b"3"
    assert (await master.client.info())["connected_slaves"] == "1"
    history, copied = master.node.replication.history, replica.node.replication.history
    assert (copied.replid, copied.offset) == (history.replid, history.offset)


async def test_a_master_that_cannot_save_gives_copies(nodes: Nodes, tmp_path: Path) -> None:
    master = await nodes.start("master", save=[(3600, 1)])
    await master.client("SET", "a", "1")
    # In the place of the file: it cannot get its name, whoever runs this test.
    (tmp_path / "master" / "dump.rdb").mkdir()
    await master.client("BGSAVE")
    await until(lambda: not master.node.saver.succeeded)
    assert str(await master.client("PING")).startswith("MISCONF ")
    replica = await nodes.start("replica")
    replica.node.replication.follow("127.0.0.1", master.port)
    await replica.in_sync()
    assert await replica.client("GET", "a") == b"1"


async def test_a_replica_takes_no_writes_of_its_own_clients(nodes: Nodes) -> None:
    _, replica = await pair(nodes)
    refused = await replica.client("SET", "a", "2")
    assert str(refused) == "READONLY You can't write against a read only replica."


async def test_the_stream_is_nobody_s_whom_the_replica_could_forbid_anything(nodes: Nodes) -> None:
    """SORT by keys that are made up looks at what its user may read; so do scripts."""
    master, replica = await pair(nodes)
    assert await replica.client("ACL", "SETUSER", "default", "resetkeys", "~a", "-@all", "+get", "+acl") == b"OK"
    await master.client("RPUSH", "list", "1", "2", "3")
    await master.client("MSET", "weight:1", "9", "weight:2", "5", "weight:3", "7")
    assert await master.client("SORT", "list", "BY", "weight:*", "STORE", "sorted") == 3
    await replica.caught_up_with(master)
    assert "CRITICAL" not in replica.log
    assert list(replica.node.keyspace.database(0).get(b"sorted") or ()) == [b"2", b"3", b"1"]


@pytest.mark.parametrize("kind", ["WRITE", "ALL"])
async def test_a_pause_holds_back_the_stream_as_well(nodes: Nodes, kind: str) -> None:
    master, replica = await pair(nodes)
    await replica.caught_up_with(master)
    upstream, history = replica.node.replication.upstream, replica.node.replication.history
    assert await replica.client("CLIENT", "PAUSE", "100000", kind) == b"OK"
    before = history.offset
    await master.client("SET", "a", "2")
    await master.client("INCR", "a")
    await until(lambda: upstream.read_offset == master.node.replication.history.offset)
    assert history.offset == before
    # Where all is paused, the end of the pause would have to wait for itself.
    if kind == "WRITE":
        assert await replica.client("GET", "a") == b"1"
        assert await replica.client("CLIENT", "UNPAUSE") == b"OK"
    else:
        replica.node.pauses.end(PausePurpose.CLIENT_COMMAND)
    await replica.caught_up_with(master)
    assert await replica.client("GET", "a") == b"3"


async def test_a_pause_for_writes_lets_other_words_of_the_master_through(nodes: Nodes) -> None:
    master, replica = await pair(nodes)
    await replica.caught_up_with(master)
    assert await replica.client("CLIENT", "PAUSE", "100000", "WRITE") == b"OK"
    master.node.replication.replicas.feed.append(encode_command([b"PING"]))
    await replica.caught_up_with(master)


async def test_what_a_pause_holds_back_is_asked_for_again_on_another_link(nodes: Nodes) -> None:
    master, replica = await pair(nodes)
    await replica.caught_up_with(master)
    assert await replica.client("CLIENT", "PAUSE", "100000", "WRITE") == b"OK"
    await master.client("INCR", "a")
    upstream = replica.node.replication.upstream
    await until(lambda: upstream.read_offset == master.node.replication.history.offset)
    for peer in master.node.replication.replicas.peers.values():
        peer.drop()
    await until(lambda: master.node.replication.replicas.partial_resyncs == 1)
    assert await replica.client("CLIENT", "UNPAUSE") == b"OK"
    await replica.caught_up_with(master)
    assert await replica.client("GET", "a") == b"2"


async def test_a_broken_link_is_resumed(nodes: Nodes) -> None:
    master, replica = await pair(nodes)
    for peer in master.node.replication.replicas.peers.values():
        peer.drop()
    await master.client("SET", "b", "2")
    await until(lambda: master.node.replication.replicas.partial_resyncs == 1)
    await replica.caught_up_with(master)
    assert await replica.client("GET", "b") == b"2"
    assert master.node.replication.replicas.full_resyncs == 1


async def test_a_replica_that_missed_too_much_gets_a_copy(nodes: Nodes) -> None:
    master, replica = await pair(nodes, repl_backlog_size=16384)
    replica.node.replication.upstream.leave()
    await master.client("SET", "big", b"x" * 40000)
    replica.node.replication.follow("127.0.0.1", master.port)
    await replica.in_sync()
    assert await replica.client("GET", "big") == b"x" * 40000
    assert master.node.replication.replicas.full_resyncs == 2


async def test_the_other_replica_of_a_dead_master_goes_on_with_the_promoted_one(nodes: Nodes) -> None:
    master, heir = await pair(nodes)
    other = await nodes.start("other")
    other.node.replication.follow("127.0.0.1", master.port)
    await other.in_sync()
    await master.client("SET", "last", "words")
    await heir.caught_up_with(master)
    await other.caught_up_with(master)
    old_id = master.node.replication.history.replid
    await nodes.stop(master)
    heir.node.replication.promote()
    await heir.client("SET", "new", "times")
    other.node.replication.follow("127.0.0.1", heir.port)
    await other.in_sync()
    await other.caught_up_with(heir)
    assert await other.client("GET", "new") == b"times"
    assert heir.node.replication.replicas.full_resyncs == 0
    assert heir.node.replication.replicas.partial_resyncs == 1
    history = other.node.replication.history
    assert history.replid2 == old_id
    assert history.replid == heir.node.replication.history.replid


async def test_a_master_that_comes_back_follows_the_promoted_one_without_a_copy(nodes: Nodes) -> None:
    """A planned change: nobody wrote to the old master after its replica was promoted."""
    master, replica = await pair(nodes)
    # The first replica is sent a PING as soon as it is in sync.
    await replica.caught_up_with(master)
    replica.node.replication.promote()
    master.node.replication.follow("127.0.0.1", replica.port)
    await master.in_sync()
    await replica.client("SET", "b", "2")
    await master.caught_up_with(replica)
    assert await master.client("GET", "b") == b"2"
    assert replica.node.replication.replicas.partial_resyncs == 1


async def test_writes_after_the_split_are_thrown_away(nodes: Nodes) -> None:
    """The old master went on alone: its replica's history counts, and it needs a copy."""
    master, replica = await pair(nodes)
    replica.node.replication.promote()
    await until(lambda: not master.node.replication.replicas.peers)
    await master.client("SET", "lost", "1")
    master.node.replication.follow("127.0.0.1", replica.port)
    await master.in_sync()
    assert await master.client("GET", "lost") is None
    assert replica.node.replication.replicas.full_resyncs == 1


async def test_a_chain_has_one_history(nodes: Nodes) -> None:
    first, second = await pair(nodes)
    third = await nodes.start("third")
    third.node.replication.follow("127.0.0.1", second.port)
    await third.in_sync()
    await first.client("MULTI")
    await first.client("SET", "x", "1")
    await first.client("SET", "y", "2")
    await first.client("EXEC")
    await third.caught_up_with(first)
    assert await third.client("GET", "y") == b"2"
    assert third.node.replication.history.replid == first.node.replication.history.replid
    assert third.node.replication.upstream.link is not None


async def test_wait_counts_replicas_that_have_the_write(nodes: Nodes) -> None:
    master, _ = await pair(nodes)
    await master.client("SET", "a", "2")
    assert await master.client("WAIT", 1, 5000) == 1
    # More than there are: the time runs out, and the answer is how many there were.
    await master.client("SET", "a", "3")
    assert await master.client("WAIT", 2, 50) == 1
    assert await master.client("WAIT", 0, 0) == 0 or await master.client("WAIT", 0, 0) == 1


WAIT_REFUSALS = [
    (("WAIT", "x", "0"), "ERR value is not an integer or out of range"),
    (("WAIT", "1", "x"), "ERR timeout is not an integer or out of range"),
    (("WAIT", "1", "-1"), "ERR timeout is negative"),
]


@pytest.mark.parametrize(("command", "refusal"), WAIT_REFUSALS)
async def test_wait_refuses(nodes: Nodes, command: tuple[str, ...], refusal: str) -> None:
    master = await nodes.start("master")
    assert str(await master.client(*command)) == refusal


async def test_a_client_that_waits_hears_that_its_master_was_demoted(nodes: Nodes) -> None:
    master, replica = await pair(nodes)
    await master.client("SET", "a", "2")
    master.client.send("WAIT", 5, 0)
    await until(lambda: bool(master.node.replication.replicas.waits))
    master.node.replication.follow("127.0.0.1", replica.port)
    assert str(await master.client.reply()).startswith("UNBLOCKED ")


async def test_a_write_of_the_master_serves_a_client_that_blocks_at_the_replica(nodes: Nodes) -> None:
    """One that may write: what it pops there is its own affair, and no part of the stream."""
    master, replica = await pair(nodes, replica_read_only=False)
    replica.client.send("BLPOP", "list", 0)
    await until(lambda: any(session.parked for session in replica.node.clients))
    await master.client("MULTI")
    await master.client("BLPOP", "list", 0)
    await master.client("RPUSH", "list", "1", "2")
    await master.client("BLPOP", "list", 0)
    assert await master.client("EXEC") == [None, 2, [b"list", b"1"]]
    assert await replica.client.reply() == [b"list", b"2"]
    await replica.caught_up_with(master)
    assert await replica.client("EXISTS", "list") == 0
    assert await master.client("LRANGE", "list", 0, -1) == [b"2"]


async def test_writes_need_as_many_good_replicas_as_told(nodes: Nodes) -> None:
    master = await nodes.start("master", min_replicas_to_write=1)
    master.node.replication.update_conditions()
    refusal = "NOREPLICAS Not enough good replicas to write."
    assert str(await master.client("SET", "a", "1")) == refusal
    replica = await nodes.start("replica")
    replica.node.replication.follow("127.0.0.1", master.port)
    await replica.in_sync()
    await until(lambda: master.node.replication.replicas.good_replicas == 1)
    assert await master.client("SET", "a", "1") == b"OK"
    await nodes.stop(replica)
    await until(lambda: not master.node.replication.replicas.peers)
    assert str(await master.client("SET", "a", "2")) == refusal


async def test_a_replica_without_its_master_may_refuse_to_serve(nodes: Nodes) -> None:
    master, replica = await pair(nodes, replica_serve_stale_data=False)
    assert await replica.client("GET", "a") == b"1"
    await nodes.stop(master)
    await until(lambda: not replica.node.replication.link_up)
    assert str(await replica.client("GET", "a")).startswith("MASTERDOWN ")


async def test_what_expires_is_hidden_by_a_replica_and_removed_by_its_master(nodes: Nodes) -> None:
    master, replica = await pair(nodes)
    # The master must not find it by itself before the replica was looked at.
    master.node.expiry.enabled = False
    now_ms = master.node.runtime.clock.wall_ms()
    await master.client("SET", "soon", "gone", "PXAT", now_ms + 40)
    await replica.caught_up_with(master)
    database = replica.node.keyspace.database(0)

    async def hidden() -> bool:
        return await replica.client("GET", "soon") is None

    await wait_until(hidden)
    assert database.shards[slot_of(b"soon")].get(b"soon") is not None, "a replica deletes nothing by itself"
    assert await master.client("GET", "soon") is None
    await replica.caught_up_with(master)
    assert database.shards[slot_of(b"soon")].get(b"soon") is None


async def test_a_replica_of_a_replica_that_has_no_master_is_put_off(nodes: Nodes) -> None:
    lonely = await nodes.start("lonely", replicaof=("127.0.0.1", 1))
    refused = await lonely.client("PSYNC", "?", -1)
    assert isinstance(refused, hiredis.ReplyError)
    assert str(refused) == "NOMASTERLINK Can't SYNC while not connected with my master"


async def test_following_the_same_master_again_changes_nothing(nodes: Nodes) -> None:
    master, replica = await pair(nodes)
    link = replica.node.replication.upstream.link
    replica.node.replication.follow("127.0.0.1", master.port)
    assert replica.node.replication.upstream.link is link
    reply = await replica.client("REPLICAOF", "127.0.0.1", master.port)
    assert reply == b"OK Already connected to specified master"
    assert await replica.client("REPLICAOF", "NO", "ONE") == b"OK"
    assert await replica.client("REPLICAOF", "no", "one") == b"OK"
    assert await replica.client("SET", "a", "2") == b"OK"


async def test_a_silent_master_is_given_up(nodes: Nodes) -> None:
    """It accepts and says nothing: a frozen process, as its kernel shows it."""
    accepted: list[asyncio.StreamWriter] = []

    async def ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(writer)
        await reader.read()

    server = await asyncio.start_server(ignore, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    replica = await nodes.start("replica", repl_timeout=1, replicaof=("127.0.0.1", port))
    await until(lambda: len(accepted) > 1, what="a second attempt")
    assert any("Timeout connecting to the MASTER" in line for line in replica.lines)
    replica.node.replication.promote()
    for writer in accepted:
        writer.close()
    server.close()


async def test_a_replica_that_does_not_acknowledge_is_dropped(nodes: Nodes) -> None:
    master = await nodes.start("master", repl_timeout=1)
    mute = await Client.connect(master.port)
    mute.send("PSYNC", "?", -1)
    await until(lambda: any("Disconnecting timedout replica" in line for line in master.lines))
    while await mute.raw():
        pass
    await mute.close()


DAMAGED_COPY = b"+FULLRESYNC %b 0\r\n$23\r\nREDIS0010\x00\x01k\x01v\xff12345678" % (b"f" * 40)


async def test_no_copy_is_loaded_that_is_damaged(nodes: Nodes) -> None:
    """The old data stays until a whole copy is here."""
    good, replica = await pair(nodes)

    async def send_rubbish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in (b"+PONG\r\n", b"+OK\r\n+OK\r\n", DAMAGED_COPY):
            await reader.read(1 << 16)
            writer.write(answer)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(send_rubbish, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    replica.node.replication.follow("127.0.0.1", port)
    await until(lambda: any("Failed trying to load" in line for line in replica.lines))
    assert any("Wrong RDB checksum" in line for line in replica.lines)
    assert await replica.client("GET", "a") == b"1"
    replica.node.replication.follow("127.0.0.1", good.port)
    await replica.in_sync()
    assert good.node.replication.replicas.full_resyncs == 1, "the damaged copy left the history as it was"
    server.close()


async def test_the_delay_lets_replicas_share_a_copy(nodes: Nodes) -> None:
    master = await nodes.start("master", repl_diskless_sync_delay=5, repl_diskless_sync_max_replicas=2)
    first = await nodes.start("first", replicaof=("127.0.0.1", master.port))
    peers = master.node.replication.replicas.peers
    await until(lambda: len(peers) == 1)
    assert next(iter(peers.values())).state is PeerState.WAITING
    second = await nodes.start("second", replicaof=("127.0.0.1", master.port))
    await first.in_sync()
    await second.in_sync()
    assert sum("Starting BGSAVE for SYNC" in line for line in master.lines) == 1


async def test_a_replica_that_does_not_read_is_cut_off(nodes: Nodes) -> None:
    limits = {"normal": OutputLimit(0, 0, 0), "replica": OutputLimit(1 << 20, 0, 0), "pubsub": OutputLimit(0, 0, 0)}
    master = await nodes.start("master", client_output_buffer_limit=limits)
    slow = await Client.connect(master.port)
    slow.send("PSYNC", "?", -1)
    peers = master.node.replication.replicas.peers
    await until(lambda: any(peer.state is PeerState.ONLINE for peer in peers.values()))
    while peers:
        await master.client("SET", "big", b"x" * 1_000_000)
    assert await master.client("GET", "big") == b"x" * 1_000_000
    await slow.close()


@pytest.mark.parametrize("diskless", [True, False], ids=["streamed", "from disk"])
async def test_a_replica_that_takes_nothing_of_its_copy_is_dropped(nodes: Nodes, diskless: bool) -> None:
    """It holds up the others that get the same copy."""
    master = await nodes.start("master", repl_timeout=1, repl_diskless_sync=diskless, rdbcompression=False)
    for index in range(40):
        await master.client("SET", f"big:{index}", b"x" * 1_000_000)
    stuck = await Client.connect(master.port)
    assert await stuck("REPLCONF", "capa", "eof", "capa", "psync2") == b"OK"
    stuck.send("PSYNC", "?", -1)
    peers = master.node.replication.replicas.peers
    await until(lambda: len(peers) == 1)
    replica = await nodes.start("replica", replicaof=("127.0.0.1", master.port))
    await until(lambda: "Disconnecting timedout replica (full sync)" in master.log)
    await replica.in_sync()
    await stuck.close()


async def test_what_waits_for_a_copy_to_be_loaded_counts_too(nodes: Nodes) -> None:
    """The stream is kept for a replica that has not said that it is ready."""
    limits = {"normal": OutputLimit(0, 0, 0), "replica": OutputLimit(1 << 20, 0, 0), "pubsub": OutputLimit(0, 0, 0)}
    master = await nodes.start("master", client_output_buffer_limit=limits)
    slow = await Client.connect(master.port)
    assert await slow("REPLCONF", "capa", "eof", "capa", "psync2") == b"OK"
    slow.send("PSYNC", "?", -1)
    peers = master.node.replication.replicas.peers
    await until(lambda: any(peer.state is PeerState.ONLINE for peer in peers.values()))
    for _ in range(3):
        await master.client("SET", "big", b"x" * 500_000)
    await until(lambda: not peers)
    assert "overcoming of output buffer limits" in master.log
    await slow.close()


async def test_what_waits_for_long_is_too_much_though_nothing_is_added(nodes: Nodes) -> None:
    """A real second passes: the shortest soft limit."""
    limits = {"normal": OutputLimit(0, 0, 0), "replica": OutputLimit(0, 1 << 20, 1), "pubsub": OutputLimit(0, 0, 0)}
    master = await nodes.start("master", client_output_buffer_limit=limits)
    slow = await Client.connect(master.port)
    assert await slow("REPLCONF", "capa", "eof", "capa", "psync2") == b"OK"
    slow.send("PSYNC", "?", -1)
    peers = master.node.replication.replicas.peers
    await until(lambda: any(peer.state is PeerState.ONLINE for peer in peers.values()))
    await master.client("SET", "big", b"x" * 2_000_000)
    await until(lambda: not peers)
    await slow.close()


async def test_a_replica_that_only_wants_a_copy_is_hung_up_on(nodes: Nodes) -> None:
    master = await nodes.start("master")
    await master.client("SET", "a", "1")
    client = await Client.connect(master.port)
    assert await client("REPLCONF", "rdb-only", 1) == b"OK"
    client.send("SYNC")
    header = await client.raw_line()
    while not header:
        # The master is still at it, and shows that it lives.
        header = await client.raw_line()
    copy = await client.raw_exactly(int(header[1:]))
    told = Told()
    RdbReader(copy, told).read_all()
    assert [entry[1:3] for entry in told.entries] == [(b"a", b"1")]
    assert await client.raw() == b""
    await client.close()


async def test_the_stream_after_sync_is_not_acknowledged(nodes: Nodes) -> None:
    """SYNC is how replicas of before PSYNC ask: no announcement, a copy with its length, the stream."""
    master = await nodes.start("master")
    client = await Client.connect(master.port)
    client.send("SYNC")
    header = await client.raw_line()
    while not header.startswith(b"$"):
        header = await client.raw_line()
    await client.raw_exactly(int(header[1:]))
    # The first replica of a master that has never written anything: at once it gets an offset above 0 (CLUSTER SLOTS
    # leaves out replicas at 0).
    stream = encode_command([b"ping"])
    assert await client.raw_exactly(len(stream)) == stream
    await master.client("SET", "a", "1")
    stream = encode_command([b"SELECT", b"0"]) + encode_command([b"SET", b"a", b"1"])
    assert await client.raw_exactly(len(stream)) == stream
    await client.close()


async def test_a_failover_that_the_master_asks_for(nodes: Nodes) -> None:
    """PSYNC … FAILOVER, as a real master's FAILOVER sends it to the replica it has chosen."""
    master, replica = await pair(nodes)
    history = replica.node.replication.history
    await master.client("SET", "a", "2")
    await replica.caught_up_with(master)
    replid, offset = history.replid, history.offset
    wrong = await replica.client("PSYNC", b"f" * 40, offset + 1, "FAILOVER")
    assert str(wrong) == "ERR PSYNC FAILOVER replid must match my replid."
    client = await Client.connect(replica.port)
    assert await client("REPLCONF", "capa", "psync2") == b"OK"
    client.send("PSYNC", replid, offset + 1, "FAILOVER")
    assert await client.raw_line() == b"+CONTINUE " + history.replid
    assert not replica.node.replication.is_replica
    assert history.replid2 == replid
    await client.close()
