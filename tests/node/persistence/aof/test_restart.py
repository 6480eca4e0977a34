"""A node that logs, and what it knows when it starts again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from node.persistence.aof.append_only import AofState
from node.persistence.aof.errors import AofError
from tests.node.replication.nodes import Client, Nodes, Running, free_port, until
from wire.encoder import encode_command

FOLDER = "appendonlydir"


def folder(tmp_path: Path) -> Path:
    return tmp_path / "node" / FOLDER


def logged(tmp_path: Path, number: int = 1) -> bytes:
    return (folder(tmp_path) / f"appendonly.aof.{number}.incr.aof").read_bytes()


async def fill(node: Running) -> None:
    client = node.client
    await client("SET", "a", "1")
    await client("SET", "volatile", b"\0\xff", "PXAT", 1_900_000_000_000)
    await client("APPEND", "changed", "in place")
    await client("SELECT", 15)
    await client("MULTI")
    await client("SET", "far", "away")
    await client("INCR", "n")
    await client("EXEC")
    await client("SELECT", 0)


async def check(node: Running) -> None:
    client = node.client
    assert await client("GET", "a") == b"1"
    assert await client("PEXPIRETIME", "volatile") == 1_900_000_000_000
    assert await client("GET", "changed") == b"in place"
    await client("SELECT", 15)
    assert await client("MGET", "far", "n") == [b"away", b"1"]
    await client("SELECT", 0)


@pytest.mark.parametrize("policy", ["always", "everysec", "no"])
async def test_what_was_executed_is_there_after_a_restart(nodes: Nodes, policy: str) -> None:
    node = await nodes.start("node", appendonly=True, appendfsync=policy)
    await fill(node)
    await nodes.stop(node)
    again = await nodes.start("node", appendonly=True)
    await check(again)


async def test_the_log_wins_over_the_snapshot(nodes: Nodes) -> None:
    node = await nodes.start("node", appendonly=True)
    await node.client("SET", "a", "in both")
    assert await node.client("SAVE") == b"OK"
    await node.client("SET", "a", "in the log")
    await nodes.stop(node)
    again = await nodes.start("node", appendonly=True)
    assert await again.client("GET", "a") == b"in the log"
    await nodes.stop(again)
    without = await nodes.start("node")
    assert await without.client("GET", "a") == b"in both"


async def test_only_what_changed_something_is_logged(nodes: Nodes, tmp_path: Path) -> None:
    node = await nodes.start("node", appendonly=True)
    client = node.client
    await client("GET", "a")
    await client("DEL", "a")
    await client("PUBLISH", "channel", "message")
    await client("MULTI")
    await client("PUBLISH", "channel", "message")
    await client("SET", "a", "1")
    await client("EXEC")
    await client("SET", "a", "2", "NX")
    words = [[b"SELECT", b"0"], [b"SET", b"a", b"1"]]
    assert logged(tmp_path) == b"".join(map(encode_command, words))


async def test_what_had_expired_is_deleted_in_the_log_too(nodes: Nodes, tmp_path: Path) -> None:
    node = await nodes.start("node", appendonly=True)
    await node.client("SET", "a", "1", "PXAT", node.node.runtime.clock.wall_ms() + 20)
    await nodes.stop(node)
    file = folder(tmp_path) / "appendonly.aof.1.incr.aof"
    file.write_bytes(file.read_bytes() + encode_command([b"APPEND", b"a", b"2"]))
    again = await nodes.start("node", appendonly=True)
    node_database = again.node.keyspace.database(0)
    node_database.set_expire_time(b"a", 1)
    assert await again.client("GET", "a") is None
    assert logged(tmp_path).endswith(encode_command([b"SELECT", b"0"]) + encode_command([b"DEL", b"a"]))


async def test_annotations_say_when(nodes: Nodes, tmp_path: Path) -> None:
    node = await nodes.start("node", appendonly=True, aof_timestamp_enabled=True)
    before = node.node.runtime.clock.wall_ms() // 1000
    await node.client("SET", "a", "1")
    annotation, *first = logged(tmp_path).split(b"\r\n", 5)
    assert first[:4] == [b"*2", b"$6", b"SELECT", b"$1"]
    seconds = int(annotation.removeprefix(b"#TS:"))
    assert before <= seconds <= before + 5
    await nodes.stop(node)
    again = await nodes.start("node", appendonly=True)
    assert await again.client("GET", "a") == b"1"


async def test_a_log_of_an_older_server_is_taken_over(nodes: Nodes, tmp_path: Path) -> None:
    (tmp_path / "node").mkdir()
    (tmp_path / "node" / "appendonly.aof").write_bytes(encode_command([b"set", b"old", b"1"]))
    node = await nodes.start("node", appendonly=True)
    assert await node.client("GET", "old") == b"1"
    await node.client("SET", "new", "2")
    assert sorted(path.name for path in folder(tmp_path).iterdir()) == [
        "appendonly.aof",
        "appendonly.aof.1.incr.aof",
        "appendonly.aof.manifest",
    ]
    assert not (tmp_path / "node" / "appendonly.aof").exists()
    await nodes.stop(node)
    again = await nodes.start("node", appendonly=True)
    assert await again.client("MGET", "old", "new") == [b"1", b"2"]


async def test_a_snapshot_with_commands_behind_it_is_loaded(nodes: Nodes, tmp_path: Path) -> None:
    """What Redis 4 to 6 wrote with `aof-use-rdb-preamble yes`."""
    node = await nodes.start("node")
    await node.client("SET", "in", "base")
    await node.client("SAVE")
    await nodes.stop(node)
    whole = (tmp_path / "node" / "dump.rdb").read_bytes() + encode_command([b"SET", b"behind", b"it"])
    (tmp_path / "node" / "appendonly.aof").write_bytes(whole)
    again = await nodes.start("node", appendonly=True)
    assert await again.client("MGET", "in", "behind") == [b"base", b"it"]


SET = encode_command([b"SET", b"k", b"v"])
MULTI = encode_command([b"MULTI"]) + SET
REFUSED = [
    pytest.param(SET, b"junk", True, "Bad file format reading the append only file i", id="damage"),
    pytest.param(SET[:-3], SET, True, "the truncated file is not the last file", id="torn in the middle"),
    pytest.param(SET, SET[:-3], False, "Unexpected end of file reading the append only file i", id="torn"),
    pytest.param(SET, MULTI, False, "Unexpected end of file reading the append only file i", id="open transaction"),
    pytest.param(SET, encode_command([b"NOSUCH"]), True, "Unknown command 'NOSUCH' reading", id="unknown command"),
    pytest.param(b"REDIS0010", SET, True, "Unexpected EOF reading RDB file", id="half a base"),
    pytest.param(None, SET, True, "Unable to obtain the AOF file b length", id="missing file"),
]


def write_files(tmp_path: Path, base: bytes | None, increment: bytes) -> None:
    folder(tmp_path).mkdir(parents=True)
    (folder(tmp_path) / "appendonly.aof.manifest").write_text("file b seq 1 type b\nfile i seq 1 type i\n")
    if base is not None:
        (folder(tmp_path) / "b").write_bytes(base)
    (folder(tmp_path) / "i").write_bytes(increment)


@pytest.mark.parametrize(("base", "increment", "load_truncated", "said"), REFUSED)
async def test_a_damaged_log_is_refused_and_left_as_it_is(
    nodes: Nodes, tmp_path: Path, base: bytes | None, increment: bytes, load_truncated: bool, said: str
) -> None:
    write_files(tmp_path, base, increment)
    with pytest.raises(AofError) as refused:
        await nodes.start("node", appendonly=True, aof_load_truncated=load_truncated)
    assert said in refused.value.lines[-1]
    assert (folder(tmp_path) / "i").read_bytes() == increment
    assert base is None or (folder(tmp_path) / "b").read_bytes() == base


TORN = [
    pytest.param(SET[:-1], id="in a command"),
    pytest.param(MULTI, id="in a transaction"),
    pytest.param(MULTI + SET[:9], id="in a command of a transaction"),
    pytest.param(SET[:9] + bytes(100), id="zeros"),
    pytest.param(b"#TS:17", id="in an annotation"),
]


@pytest.mark.parametrize("tail", TORN)
async def test_a_torn_tail_is_cut_off_and_said_so(nodes: Nodes, tmp_path: Path, tail: bytes) -> None:
    write_files(tmp_path, b"", SET + tail)
    node = await nodes.start("node", appendonly=True)
    assert (folder(tmp_path) / "i").read_bytes() == SET
    assert f"Truncating the AOF i at offset {len(SET)} !!! ({len(tail)} bytes dropped)" in node.log
    await node.client("SET", "after", "it")
    await nodes.stop(node)
    again = await nodes.start("node", appendonly=True)
    assert await again.client("MGET", "k", "after") == [b"v", b"it"]


async def test_debug_loadaof_repeats_the_log(nodes: Nodes) -> None:
    node = await nodes.start("node", appendonly=True, enable_debug_command="yes")
    await fill(node)
    node.node.keyspace.database(0).remove(b"a")
    assert await node.client("DEBUG", "LOADAOF") == b"OK"
    assert (await node.client.info("persistence"))["rdb_changes_since_last_save"] == "0"
    await check(node)


async def test_while_it_loads_clients_are_told_so(nodes: Nodes, tmp_path: Path) -> None:
    write_files(tmp_path, SET * 20_000, SET * 20_000)
    port = free_port()
    starting = asyncio.create_task(nodes.start("node", appendonly=True, port=port))
    seen = await during_load(port)
    node = await starting
    assert "LOADING Redis is loading the dataset in memory" in seen
    assert (await node.client.info("persistence"))["loading"] == "0"
    # What was repeated is nobody's request.
    assert "cmdstat_set" not in await node.client.info("commandstats")
    assert node.node.saver.changes == 40_000


async def during_load(port: int) -> set[str]:
    """The replies to PING until the first good one."""
    seen = set()
    while True:
        try:
            client = await Client.connect(port)
        except OSError:
            await asyncio.sleep(0)
            continue
        while (reply := await client("PING")) != b"PONG":
            seen.add(str(reply))
        await client.close()
        return seen


async def test_it_cannot_be_switched_on_while_a_snapshot_is_loaded(nodes: Nodes) -> None:
    node = await nodes.start("node")
    append_only = node.node.append_only
    with node.node.loader.loading(1):
        assert str(await node.client("CONFIG", "SET", "appendonly", "yes")).startswith("LOADING ")
        assert append_only.state is AofState.OFF
    assert await node.client("CONFIG", "SET", "appendonly", "yes") == b"OK"
    assert append_only.state is AofState.STARTING
    await until(lambda: append_only.state is AofState.ON, what="the log")


async def test_a_copy_takes_the_place_of_what_was_logged(nodes: Nodes) -> None:
    node = await nodes.start("node", appendonly=True)
    await node.client("SET", "own", "1")
    master = await nodes.start("master")
    await master.client("SET", "copied", "2")
    await node.client("REPLICAOF", "127.0.0.1", master.port)
    await node.in_sync()
    await until(lambda: node.node.append_only.state is AofState.ON, what="the log")
    await node.client("REPLICAOF", "NO", "ONE")
    await node.client("SET", "later", "3")
    await nodes.stop(node)
    again = await nodes.start("node", appendonly=True)
    assert await again.client("MGET", "own", "copied", "later") == [None, b"2", b"3"]
