"""What breaks in the middle: links, copies, children, and masters that talk nonsense."""

from __future__ import annotations

import asyncio

from node.persistence.child import ChildKind
from node.persistence.rdb_reader import RdbReader
from node.persistence.rdb_writer import RdbWriter
from node.replication.peer import PeerState
from node.replication.upstream import LinkState
from tests.node.persistence.test_rdb_files import Told
from tests.node.replication.nodes import Client, Nodes, Running, every_turn_until, until
from wire.encoder import encode_command

MANY = 60_000


def fill(node: Running, count: int = MANY, size: int = 20) -> None:
    database = node.node.keyspace.database(0)
    for index in range(count):
        database.put(b"key:%d" % index, b"x" * size)


async def loading(nodes: Nodes) -> tuple[Running, Running]:
    """A master with much data, and a replica that is in the middle of loading its copy."""
    master = await nodes.start("master")
    fill(master)
    replica = await nodes.start("replica")
    await replica.client("SET", "own", "data")
    replica.node.replication.follow("127.0.0.1", master.port)
    await every_turn_until(lambda: replica.node.loader.active)
    return master, replica


async def test_clients_are_told_while_a_copy_is_loaded(nodes: Nodes) -> None:
    _, replica = await loading(nodes)
    refused = str(await replica.client("GET", "own"))
    assert refused == "LOADING Redis is loading the dataset in memory"
    await replica.in_sync()
    assert await replica.client("GET", "own") is None
    assert replica.node.keyspace.database(0).size == MANY


async def test_a_copy_is_loaded_to_its_end_though_the_link_broke(nodes: Nodes) -> None:
    master, replica = await loading(nodes)
    for peer in master.node.replication.replicas.peers.values():
        peer.drop()
    await until(lambda: not master.node.replication.replicas.peers)
    assert replica.node.loader.active
    await master.client("SET", "later", "1")
    await replica.in_sync()
    await replica.caught_up_with(master)
    assert master.node.replication.replicas.full_resyncs == 1
    assert master.node.replication.replicas.partial_resyncs == 1
    assert replica.node.keyspace.database(0).size == MANY + 1


async def test_half_a_copy_is_never_shown(nodes: Nodes) -> None:
    """Told to follow another master in the middle of loading: nothing of the first one's data stays."""
    _, replica = await loading(nodes)
    other = await nodes.start("other")
    await other.client("SET", "other", "1")
    replica.node.replication.follow("127.0.0.1", other.port)
    assert replica.node.keyspace.is_empty()
    await replica.in_sync()
    assert await replica.client("GET", "other") == b"1"
    assert replica.node.keyspace.database(0).size == 1
    assert other.node.replication.replicas.full_resyncs == 1


async def test_promoted_in_the_middle_of_loading_it_is_empty_and_has_no_past(nodes: Nodes) -> None:
    master, replica = await loading(nodes)
    replica.node.replication.promote()
    assert replica.node.keyspace.is_empty()
    assert replica.node.replication.history.replid2 == b"0" * 40
    assert await replica.client("SET", "a", "1") == b"OK"
    master.node.replication.follow("127.0.0.1", replica.port)
    await master.in_sync()
    assert replica.node.replication.replicas.full_resyncs == 1
    assert master.node.keyspace.database(0).size == 1


async def test_a_copy_whose_child_dies_is_made_again(nodes: Nodes) -> None:
    master = await nodes.start("master")
    fill(master)
    replica = await nodes.start("replica", replicaof=("127.0.0.1", master.port))
    await until(lambda: master.node.child.kind is ChildKind.REPLICAS)
    master.node.child.kill()
    await replica.in_sync()
    assert "Background transfer terminated by signal" in master.log
    assert replica.node.keyspace.database(0).size == MANY


async def test_a_copy_that_nobody_wants_any_more_is_given_up(nodes: Nodes) -> None:
    master = await nodes.start("master")
    fill(master, size=500)
    client = await Client.connect(master.port)
    assert await client("REPLCONF", "capa", "eof") == b"OK"
    client.send("PSYNC", "?", -1)
    await until(lambda: master.node.child.kind is ChildKind.REPLICAS)
    await client.close()
    await until(lambda: not master.node.child.busy)
    assert "last replica dropped, killing fork child" in master.log
    assert master.node.replication.replicas.copies.under_way == {}


async def test_the_slowest_replica_sets_the_pace_of_a_copy(nodes: Nodes) -> None:
    """What it does not take is not piled up here; once it reads, it gets everything."""
    master = await nodes.start("master")
    fill(master, count=200, size=100_000)
    client = await Client.connect(master.port)
    assert await client("REPLCONF", "capa", "eof") == b"OK"
    client.send("PSYNC", "?", -1)
    assert (await client.raw_line()).startswith(b"+FULLRESYNC")
    (peer,) = master.node.replication.replicas.peers.values()
    await until(lambda: peer.socket_unsent > 4 * 1024 * 1024)
    for _ in range(3):
        # The child could write all 20 MB in this time, if it were let.
        assert await master.client("GET", "none") is None
        await asyncio.sleep(0.02)
        assert peer.socket_unsent < 8 * 1024 * 1024
    mark = (await client.raw_line()).removeprefix(b"$EOF:")
    pieces: list[bytes] = []
    tail = b""
    while tail != mark:
        pieces.append(await client.raw())
        tail = (tail + pieces[-1])[-len(mark) :]
    told = Told()
    RdbReader(b"".join(pieces).removesuffix(mark), told).read_all()
    assert len(told.entries) == 200
    await client.close()


async def test_a_copy_waits_for_a_snapshot_under_way(nodes: Nodes) -> None:
    master = await nodes.start("master", rdb_key_save_delay=10)
    fill(master)
    await master.client("BGSAVE")
    master.node.settings.rdb_key_save_delay = 0
    replica = await nodes.start("replica", replicaof=("127.0.0.1", master.port))
    await until(lambda: bool(master.node.replication.replicas.peers))
    assert master.node.child.kind is ChildKind.SNAPSHOT
    await replica.in_sync()
    assert replica.node.keyspace.database(0).size == MANY


class FakeMaster:
    """Answers the handshake with an empty copy, and then sends what it is told to."""

    def __init__(self, stream: bytes, replid: bytes = b"f" * 40) -> None:
        self._stream = stream
        self._replid = replid
        self.requests = b""
        self.links = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.links += 1
        pieces: list[bytes] = []
        empty = RdbWriter(pieces.append, compress=False, checksum=True)
        empty.end()
        copy = b"".join(pieces)
        announced = b"+FULLRESYNC %b 1000\r\n$%d\r\n%b" % (self._replid, len(copy), copy)
        for answer in (b"+PONG\r\n", b"+OK\r\n+OK\r\n", announced + self._stream):
            await reader.read(1 << 16)
            writer.write(answer)
        while data := await reader.read(1 << 16):
            self.requests += data
        writer.close()

    async def __aenter__(self) -> int:
        self._server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aexit__(self, *_: object) -> None:
        self._server.close()


GETACK = encode_command([b"REPLCONF", b"GETACK", b"*"])


async def test_commands_that_fail_are_logged_and_counted(nodes: Nodes) -> None:
    """The replica cannot argue with its master; but somebody should know."""
    commands = [
        [b"SELECT", b"0"],
        [b"SET", b"a", b"1"],
        [b"INCR", b"a"],
        [b"nonsense"],
        [b"APPEND"],
        [b"SET", b"b", b"x"],
    ]
    commands += [[b"INCR", b"b"], [b"SET", b"c", b"2"]]
    stream = b"".join(map(encode_command, commands))
    master = FakeMaster(stream + GETACK)
    async with master as port:
        replica = await nodes.start("replica", replicaof=("127.0.0.1", port))
        await until(lambda: replica.node.replication.offset == 1000 + len(stream + GETACK))
        acknowledged = encode_command([b"REPLCONF", b"ACK", b"%d" % (1000 + len(stream))])
        await until(lambda: acknowledged in master.requests)
        assert [await replica.client("GET", key) for key in "abc"] == [b"2", b"x", b"2"]
        for text in ("unknown command 'nonsense'", "wrong number of arguments for 'append'", "not an integer"):
            assert any("== CRITICAL ==" in line and text in line for line in replica.lines)
        await nodes.stop(replica)


async def test_a_stream_that_is_none_ends_the_link(nodes: Nodes) -> None:
    master = FakeMaster(encode_command([b"SET", b"a", b"1"]) + b"*1\r\n!nonsense\r\n")
    async with master as port:
        replica = await nodes.start("replica", replicaof=("127.0.0.1", port))
        await until(lambda: "Master stream corruption" in replica.log)
        await until(lambda: master.links == 2, what="another attempt")
        await nodes.stop(replica)


async def test_a_transaction_that_was_cut_off_is_not_half_applied(nodes: Nodes) -> None:
    whole = encode_command([b"SET", b"a", b"1"])
    cut = encode_command([b"MULTI"]) + encode_command([b"SET", b"b", b"1"])
    master = FakeMaster(whole + cut)
    async with master as port:
        replica = await nodes.start("replica", replicaof=("127.0.0.1", port))
        await until(lambda: replica.node.replication.upstream.read_offset == 1000 + len(whole + cut))
        assert replica.node.replication.offset == 1000 + len(whole)
        assert await replica.client("GET", "b") is None
        replica.node.replication.promote()
        assert replica.node.replication.history.second_offset == 1000 + len(whole) + 1
        assert await replica.client("SET", "b", "2") == b"OK"


async def test_states_are_told_as_they_are(nodes: Nodes) -> None:
    replica = await nodes.start("replica", replicaof=("127.0.0.1", 1))
    role = await replica.client("ROLE")
    assert role[:3] == [b"slave", b"127.0.0.1", 1]
    assert role[3] in (b"connect", b"connecting")
    assert role[4] == -1
    assert replica.node.replication.data_age_ms() is None
    master = FakeMaster(b"")
    async with master as port:
        replica.node.replication.follow("127.0.0.1", port)
        await until(lambda: replica.node.replication.upstream.state is LinkState.CONNECTED)
        assert (await replica.client("ROLE"))[3:] == [b"connected", 1000]
        age_ms = replica.node.replication.data_age_ms()
        assert age_ms is not None
        assert age_ms < 5000
        await nodes.stop(replica)


async def test_a_copy_from_disk_is_sent_while_the_data_goes_on_changing(nodes: Nodes) -> None:
    master = await nodes.start("master", repl_diskless_sync=False)
    fill(master, count=100, size=100_000)
    replica = await nodes.start("replica", replicaof=("127.0.0.1", master.port))
    peers = master.node.replication.replicas.peers
    await until(lambda: bool(peers))
    written = 0
    while any(peer.state is not PeerState.ONLINE for peer in peers.values()):
        await master.client("SET", "key:5", written)
        written += 1
    await replica.in_sync()
    await replica.caught_up_with(master)
    assert await replica.client("GET", "key:5") == b"%d" % (written - 1)
