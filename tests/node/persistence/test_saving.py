"""SAVE, BGSAVE, save points, and a node that starts from what they left."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from node.persistence.child import ChildKind
from node.persistence.rdb_errors import RdbError
from node.persistence.rdb_reader import RdbReader
from tests.node.persistence.test_rdb_files import ITEMS, KEY, MODULE, Told, file
from tests.node.replication.nodes import Client, Nodes, Running, free_port, until


def saved(tmp_path: Path) -> Told:
    told = Told()
    RdbReader((tmp_path / "node" / "dump.rdb").read_bytes(), told).read_all()
    return told


def files(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "node").iterdir())


async def idle(node: Running) -> None:
    await until(lambda: not node.node.child.busy, what="the child's end")


async def test_what_is_saved_is_there_after_a_restart(nodes: Nodes, tmp_path: Path) -> None:
    node = await nodes.start("node")
    await node.client("SET", "a", "1")
    await node.client("SET", "volatile", b"\0\xff", "PXAT", 1_900_000_000_000)
    await node.client("APPEND", "changed", "in place")
    await node.client("SELECT", 15)
    await node.client("SET", "far", "away")
    assert await node.client("SAVE") == b"OK"
    assert saved(tmp_path).remarks[b"redis-ver"] == b"7.0.15"
    await nodes.stop(node)
    again = await nodes.start("node")
    assert await again.client("GET", "a") == b"1"
    assert await again.client("GET", "volatile") == b"\0\xff"
    assert await again.client("PEXPIRETIME", "volatile") == 1_900_000_000_000
    assert await again.client("GET", "changed") == b"in place"
    await again.client("SELECT", 15)
    assert await again.client("GET", "far") == b"away"
    assert again.node.loader.keys_loaded == 4
    assert again.node.saver.changes == 0


async def test_a_master_leaves_out_what_has_expired(nodes: Nodes) -> None:
    node = await nodes.start("node")
    await node.client("SET", "stays", "1")
    await node.client("SET", "expires", "1", "PXAT", node.node.runtime.clock.wall_ms() + 10_000)
    database = node.node.keyspace.database(0)
    database.set_expire_time(b"expires", 1)
    node.node.saver.save()
    await nodes.stop(node)
    again = await nodes.start("node")
    assert again.node.keyspace.database(0).size == 1
    assert (again.node.loader.keys_loaded, again.node.loader.keys_expired) == (1, 1)


async def test_a_background_save_sees_the_data_as_it_was(nodes: Nodes, tmp_path: Path) -> None:
    node = await nodes.start("node")
    await node.client("SET", "a", "before")
    assert await node.client("BGSAVE") == b"Background saving started"
    assert node.node.child.kind is ChildKind.SNAPSHOT
    refused = await node.client("BGSAVE")
    assert str(refused) == "ERR Background save already in progress"
    assert str(await node.client("SAVE")) == "ERR Background save already in progress"
    await node.client("SET", "a", "after")
    await idle(node)
    assert [entry[1:3] for entry in saved(tmp_path).entries] == [(b"a", b"before")]
    assert node.node.saver.changes == 1
    assert node.node.saver.succeeded
    assert files(tmp_path) == ["dump.rdb"]


async def test_bgsave_takes_one_word(nodes: Nodes) -> None:
    node = await nodes.start("node")
    assert str(await node.client("BGSAVE", "NOW")) == "ERR syntax error"
    assert await node.client("BGSAVE", "SCHEDULE") == b"Background saving started"
    await idle(node)
    assert await node.client("LASTSAVE") == node.node.saver.last_save_at_s


async def test_a_save_point_that_is_reached_saves(nodes: Nodes, tmp_path: Path) -> None:
    node = await nodes.start("node", save=[(1, 2)])
    await node.client("SET", "a", "1")
    await node.client("SET", "b", "1")
    await until(lambda: (tmp_path / "node" / "dump.rdb").exists(), what="the snapshot")
    await idle(node)
    assert node.node.saver.changes == 0
    assert "2 changes in 1 seconds. Saving..." in node.log


async def test_flushall_empties_the_file_where_there_are_save_points(nodes: Nodes, tmp_path: Path) -> None:
    node = await nodes.start("node", save=[(900, 1)])
    await node.client("SET", "a", "1")
    assert await node.client("SAVE") == b"OK"
    await node.client("FLUSHALL")
    assert b"rdb_changes_since_last_save:0\r" in await node.client("INFO", "persistence")
    assert not saved(tmp_path).entries
    await node.client("CONFIG", "SET", "save", "")
    await node.client("SET", "a", "1")
    await node.client("FLUSHALL")
    assert b"rdb_changes_since_last_save:3\r" in await node.client("INFO", "persistence")


async def test_writes_are_refused_while_snapshots_fail(nodes: Nodes, tmp_path: Path) -> None:
    node = await nodes.start("node", save=[(3600, 1)])
    # In the place of the file: it cannot get its name, whoever runs this test.
    in_the_way = tmp_path / "node" / "dump.rdb"
    in_the_way.mkdir()
    await node.client("BGSAVE")
    await idle(node)
    assert not node.node.saver.succeeded
    refused = str(await node.client("SET", "a", "1"))
    assert refused.startswith("MISCONF Redis is configured to save RDB snapshots")
    assert await node.client("GET", "a") is None
    assert files(tmp_path) == ["dump.rdb"]
    in_the_way.rmdir()
    await node.client("BGSAVE")
    await idle(node)
    assert await node.client("SET", "a", "1") == b"OK"
    assert "Traceback" not in node.log


async def test_a_save_that_fails_leaves_the_old_file(nodes: Nodes, tmp_path: Path) -> None:
    node = await nodes.start("node")
    await node.client("SET", "a", "1")
    await node.client("SAVE")
    await node.client("SET", "b", "2")
    (tmp_path / "node" / f"temp-{os.getpid()}.rdb").mkdir()
    assert str(await node.client("SAVE")) == "ERR"
    assert len(saved(tmp_path).entries) == 1


async def test_debug_reload_changes_nothing(nodes: Nodes) -> None:
    node = await nodes.start("node", enable_debug_command="yes")
    await node.client("SET", "a", "1", "EX", 1000)
    await node.client("APPEND", "b", "2")
    before = await node.client("PEXPIRETIME", "a")
    assert await node.client("DEBUG", "RELOAD") == b"OK"
    assert [await node.client("GET", key) for key in "ab"] == [b"1", b"2"]
    assert await node.client("PEXPIRETIME", "a") == before
    assert node.node.loader.keys_loaded == 2


async def test_the_last_snapshot_is_written_though_a_child_is_at_one(nodes: Nodes, tmp_path: Path) -> None:
    node = await nodes.start("node")
    for index in range(50_000):
        node.node.keyspace.database(0).put(b"key:%d" % index, b"x")
    await node.client("BGSAVE")
    await node.client("SET", "last", "1")
    node.node.saver.before_shutdown(save=True)
    assert len(saved(tmp_path).entries) == 50_001
    await idle(node)
    assert len(saved(tmp_path).entries) == 50_001
    assert files(tmp_path) == ["dump.rdb"]


async def test_a_killed_child_leaves_nothing_behind(nodes: Nodes, tmp_path: Path) -> None:
    node = await nodes.start("node")
    for index in range(100_000):
        node.node.keyspace.database(0).put(b"key:%d" % index, b"value %d of some length" % index)
    await node.client("BGSAVE")
    await until(lambda: (tmp_path / "node" / f"temp-{node.node.child.pid}.rdb").exists() or not node.node.child.busy)
    node.node.child.kill()
    await idle(node)
    # Whoever ends a child on purpose does not mean that the disk is broken.
    assert node.node.saver.succeeded
    assert files(tmp_path) == []


@pytest.mark.parametrize(("number", "status"), [(signal.SIGUSR1, "ok"), (signal.SIGKILL, "err")])
async def test_a_child_that_an_operator_kills(nodes: Nodes, tmp_path: Path, number: int, status: str) -> None:
    node = await nodes.start("node", rdb_key_save_delay=1000, save=[(3600, 1000)])
    for index in range(1000):
        node.node.keyspace.database(0).put(b"key:%d" % index, b"x")
    for command in ("BGSAVE", "BGREWRITEAOF"):
        await node.client(command)
        await until(lambda: node.node.child.progress.keys > 0, what="the child's first key")
        pid = node.node.child.pid
        names = {"BGSAVE": f"temp-{pid}.rdb", "BGREWRITEAOF": f"appendonlydir/temp-rewriteaof-bg-{pid}.aof"}
        temporary = tmp_path / "node" / names[command]
        assert temporary.exists()
        os.kill(pid, number)
        await idle(node)
        assert not temporary.exists()
        assert f"terminated by signal {number}" in node.log.splitlines()[-1].lower()
    told = await node.client.info("persistence")
    assert (told["rdb_last_bgsave_status"], told["aof_last_bgrewrite_status"]) == (status, status)
    assert isinstance(await node.client("SET", "a", "1"), bytes) == (status == "ok")


@pytest.mark.parametrize("points", [[], [(3600, 1000)]])
async def test_flushall_ends_a_background_save(nodes: Nodes, tmp_path: Path, points: list[tuple[int, int]]) -> None:
    node = await nodes.start("node", rdb_key_save_delay=1000, save=points)
    for number in range(1000):
        node.client.send("SET", f"key:{number}", "x")
    for _ in range(1000):
        await node.client.reply()
    await node.client("BGSAVE")
    assert await node.client("FLUSHALL") == b"OK"
    await idle(node)
    told = await node.client.info("persistence")
    assert told["rdb_last_bgsave_status"] == "ok"
    if points:
        assert (saved(tmp_path).entries, told["rdb_changes_since_last_save"]) == ([], "0")
    else:
        assert files(tmp_path) == []
        assert int(told["rdb_changes_since_last_save"]) > 999
    assert await node.client("SET", "a", "1") == b"OK"


async def test_a_background_save_tells_how_far_it_is(nodes: Nodes) -> None:
    node = await nodes.start("node", rdb_key_save_delay=1000)
    for index in range(400):
        node.node.keyspace.database(0).put(b"key:%d" % index, b"x")
    assert await node.client("BGSAVE") == b"Background saving started"
    seen = []
    while (told := await node.client.info("persistence"))["rdb_bgsave_in_progress"] == "1":
        assert told["current_save_keys_total"] == "400"
        keys = int(told["current_save_keys_processed"])
        assert told["current_fork_perc"] == f"{keys / 4:.2f}"
        seen.append(keys)
        await asyncio.sleep(0.01)
    assert seen == sorted(seen)
    assert any(0 < keys < 400 for keys in seen)
    assert int(told["rdb_last_cow_size"]) > 0
    nothing = ("current_save_keys_total", "current_save_keys_processed", "current_cow_size", "current_cow_peak")
    assert [told[name] for name in nothing] == ["0"] * 4


async def test_a_base_in_the_making_tells_how_far_it_is(nodes: Nodes) -> None:
    node = await nodes.start("node", rdb_key_save_delay=1000, aof_use_rdb_preamble=False)
    for index in range(200):
        node.node.keyspace.database(0).put(b"key:%d" % index, b"x")
    await node.client("BGREWRITEAOF")
    await until(lambda: 0 < node.node.child.progress.keys < 200, what="the middle of the rewrite")
    assert (await node.client.info("persistence"))["current_save_keys_total"] == "200"
    await idle(node)
    assert int((await node.client.info("persistence"))["aof_last_cow_size"]) > 0


async def test_loading_tells_how_far_it_is(nodes: Nodes, tmp_path: Path) -> None:
    node = await nodes.start("node")
    for index in range(400):
        node.node.keyspace.database(0).put(b"key:%d" % index, b"x" * 100)
    await node.client("SAVE")
    size = (tmp_path / "node" / "dump.rdb").stat().st_size
    used = int(saved(tmp_path).remarks[b"used-mem"])
    await nodes.stop(node)
    port = free_port()
    starting = asyncio.create_task(nodes.start("node", port=port, key_load_delay=5000))
    seen = []
    await until(lambda: starting.done() or connects(port), what="the port")
    client = await Client.connect(port)
    while (told := await client.info("persistence"))["loading"] == "1":
        assert int(told["loading_total_bytes"]) == size
        assert int(told["loading_rdb_used_mem"]) == used
        seen.append((int(told["loading_loaded_bytes"]), int(told["loading_eta_seconds"])))
    await client.close()
    await starting
    assert seen == sorted(seen, key=lambda pair: pair[0])
    assert any(0 < loaded < size for loaded, _ in seen)
    # Two seconds in all: in the second of them there is less than one left.
    assert all(0 <= left <= 2 for loaded, left in seen if loaded > size / 2)


def connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


async def test_modules_data_are_left_out_and_said_so(nodes: Nodes, tmp_path: Path) -> None:
    (tmp_path / "node").mkdir()
    data = file(f"f7 {MODULE} 0201 {ITEMS} fc 0100000000000000 07 036d6f64 {MODULE} {ITEMS} {KEY}")
    (tmp_path / "node" / "dump.rdb").write_bytes(data)
    node = await nodes.start("node")
    assert await node.client("KEYS", "*") == [b"k"]
    assert "no matching module type 'ReJSON-RL'. Keys of this type left out: 1." in node.log
    assert "AUX module data I can't load: no matching module 'ReJSON-RL'. It is left out." in node.log


@pytest.mark.parametrize("policy", [{}, {"save": [(3600, 1)]}, {"appendonly": True}])
async def test_a_copy_for_replicas_is_not_kept_where_nothing_is(
    nodes: Nodes, tmp_path: Path, policy: dict[str, Any]
) -> None:
    master = await nodes.start("node", repl_diskless_sync=False, rdb_del_sync_files=True, **policy)
    await master.client("SET", "a", "1")
    replica = await nodes.start("replica", replicaof=("127.0.0.1", master.port))
    await replica.in_sync()
    assert (tmp_path / "node" / "dump.rdb").exists() == bool(policy)


DAMAGED = [
    pytest.param(b"", "Unexpected EOF reading RDB file", id="empty"),
    pytest.param(b"REDIS0010\x00\x01k\x01v\xff12345678", "Wrong RDB checksum", id="checksum"),
    pytest.param(b"not a snapshot at all", "Wrong signature trying to load DB from file", id="something else"),
    pytest.param(b"REDIS0099\xff" + b"\0" * 8, "Can't handle RDB format version 99", id="newer"),
    pytest.param(b"REDIS0010\xfe\x10\xff" + b"\0" * 8, "configured to handle more than 16 databases", id="databases"),
    pytest.param(
        b"REDIS0010" + b"\x00\x01k\x01v" * 2 + b"\xff" + b"\0" * 8, "RDB has duplicated key 'k' in DB 0", id="twice"
    ),
]


@pytest.mark.parametrize(("data", "said"), DAMAGED)
async def test_a_damaged_snapshot_is_not_served(nodes: Nodes, tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "node").mkdir()
    (tmp_path / "node" / "dump.rdb").write_bytes(data)
    with pytest.raises(RdbError) as refused:
        await nodes.start("node")
    assert said in "\n".join(refused.value.lines)
    assert (tmp_path / "node" / "dump.rdb").read_bytes() == data


async def test_replicas_go_on_after_their_master_restarts_from_its_snapshot(nodes: Nodes) -> None:
    """Its file says where in the history it was; what expired meanwhile it tells them as deletions."""
    # A PING between the snapshot and the end would put the replicas ahead of it.
    master = await nodes.start("node", repl_ping_replica_period=3600)
    replica = await nodes.start("replica", replicaof=("127.0.0.1", master.port))
    await replica.in_sync()
    await master.client("SET", "a", "1")
    await master.client("SET", "old", "1", "PXAT", master.node.runtime.clock.wall_ms() + 60_000)
    await replica.caught_up_with(master)
    # Nor may the timer find the key before the snapshot has it.
    master.node.expiry.enabled = False
    master.node.keyspace.database(0).set_expire_time(b"old", 1)
    await master.client("SAVE")
    port = master.port
    await nodes.stop(master)
    again = await nodes.start("node", port=port)
    await until(lambda: again.node.replication.replicas.partial_resyncs == 1)
    await replica.caught_up_with(again)
    assert again.node.replication.replicas.full_resyncs == 0
    database = replica.node.keyspace.database(0)
    assert database.size == 1
