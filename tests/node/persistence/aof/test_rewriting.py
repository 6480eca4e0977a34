"""A log that has grown gets a new base, one that is switched on its first; and what happens when that fails."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from node.persistence.aof.append_only import AofState
from node.persistence.aof.folder import TEMPORARY_INCREMENT
from tests.node.persistence.aof.test_restart import folder, logged
from tests.node.replication.nodes import Nodes, Running, until
from wire.encoder import encode_command


def files(tmp_path: Path) -> list[str]:
    return sorted(path.name.removeprefix("appendonly.aof.") for path in folder(tmp_path).iterdir())


def burden(node: Running) -> None:
    """So much data that a child does not finish before the next command."""
    for number in range(40_000):
        node.node.keyspace.database(0).put(b"burden:%d" % number, b"some text %d" % number)


async def idle(node: Running) -> None:
    await until(lambda: not node.node.child.busy and not node.node.append_only.scheduled, what="the child's end")


async def restarted(nodes: Nodes, node: Running) -> Running:
    await nodes.stop(node)
    return await nodes.start("node", appendonly=True)


async def test_a_rewrite_takes_the_place_of_what_was_before_it(nodes: Nodes, tmp_path: Path) -> None:
    node = await nodes.start("node", appendonly=True)
    burden(node)
    client = node.client
    for _ in range(20):
        await client("INCR", "counter")
    assert await client("BGREWRITEAOF") == b"Background append only file rewriting started"
    refused = await client("BGREWRITEAOF")
    assert str(refused) == "ERR Background append only file rewriting already in progress"
    await client("INCR", "counter")
    await idle(node)
    assert files(tmp_path) == ["2.base.rdb", "2.incr.aof", "manifest"]
    assert logged(tmp_path, 2) == encode_command([b"SELECT", b"0"]) + encode_command([b"INCR", b"counter"])
    await client("INCR", "counter")
    info = await client.info("persistence")
    assert (info["aof_rewrites"], info["aof_last_bgrewrite_status"]) == ("1", "ok")
    sizes = [(folder(tmp_path) / f"appendonly.aof.2.{name}").stat().st_size for name in ("base.rdb", "incr.aof")]
    assert int(info["aof_current_size"]) == sum(sizes)
    again = await restarted(nodes, node)
    assert await again.client("GET", "counter") == b"22"


async def test_a_base_of_commands(nodes: Nodes, tmp_path: Path) -> None:
    node = await nodes.start("node", appendonly=True, aof_use_rdb_preamble=False, aof_timestamp_enabled=True)
    client = node.client
    assert files(tmp_path)[0] == "1.base.aof"
    await client("SET", "string", "1", "PXAT", 1_900_000_000_000)
    await client("RPUSH", "list", *range(70))
    await client("HSET", "hash", "f", "v", "g", "w")
    await client("SADD", "set", "a", "b")
    await client("SADD", "integers", 3, 1, 2)
    await client("ZADD", "zset", "0.1", "b", "-inf", "a")
    library = "#!lua name=lib\nredis.register_function('one', function() return 1 end)"
    assert await client("FUNCTION", "LOAD", library) == b"lib"
    await client("SELECT", 9)
    await client("SET", "far", "away")
    await client("BGREWRITEAOF")
    await idle(node)
    base = (folder(tmp_path) / "appendonly.aof.2.base.aof").read_bytes()
    assert base.startswith(b"#TS:")
    expected = [
        [b"FUNCTION", b"LOAD", library.encode()],
        [b"SET", b"string", b"1"],
        [b"PEXPIREAT", b"string", b"1900000000000"],
        [b"RPUSH", b"list", *(b"%d" % n for n in range(64))],
        [b"RPUSH", b"list", *(b"%d" % n for n in range(64, 70))],
        [b"HMSET", b"hash", b"f", b"v", b"g", b"w"],
        [b"SADD", b"set", b"a", b"b"],
        [b"SADD", b"integers", b"1", b"2", b"3"],
        [b"ZADD", b"zset", b"-inf", b"a", b"0.10000000000000001", b"b"],
        [b"SELECT", b"9"],
        [b"SET", b"far", b"away"],
    ]
    for words in expected:
        assert encode_command(words) in base
    again = await restarted(nodes, node)
    assert await again.client("LRANGE", "list", 60, -1) == [b"%d" % n for n in range(60, 70)]
    assert await again.client("ZSCORE", "zset", "b") == b"0.10000000000000001"
    assert await again.client("PEXPIRETIME", "string") == 1_900_000_000_000
    assert await again.client("FCALL", "one", 0) == 1


async def test_it_is_rewritten_by_itself_when_it_has_grown(nodes: Nodes, tmp_path: Path) -> None:
    node = await nodes.start("node", appendonly=True, auto_aof_rewrite_min_size=1000, hz=100)
    for _ in range(60):
        await node.client("SET", "a", "the same")
    await until(lambda: node.node.append_only.rewriter.rewrites > 0, what="a rewrite")
    await idle(node)
    assert "Starting automatic rewriting of AOF on" in node.log
    assert files(tmp_path)[-1] == "manifest"
    again = await restarted(nodes, node)
    assert await again.client("GET", "a") == b"the same"


async def test_it_waits_for_a_snapshot_under_way(nodes: Nodes, tmp_path: Path) -> None:
    node = await nodes.start("node", appendonly=True)
    burden(node)
    await node.client("SET", "a", "1")
    await node.client("BGSAVE")
    assert await node.client("BGREWRITEAOF") == b"Background append only file rewriting scheduled"
    assert (await node.client.info("persistence"))["aof_rewrite_scheduled"] == "1"
    await until(lambda: node.node.append_only.rewriter.rewrites > 0, what="the rewrite")
    assert files(tmp_path)[0] == "2.base.rdb"


async def test_switched_on_while_it_runs(nodes: Nodes, tmp_path: Path) -> None:
    node = await nodes.start("node")
    burden(node)
    client = node.client
    await client("SET", "before", "1")
    assert await client("CONFIG", "SET", "appendonly", "yes") == b"OK"
    assert node.node.append_only.state is AofState.STARTING
    assert TEMPORARY_INCREMENT in [path.name for path in folder(tmp_path).iterdir()]
    await client("SET", "meanwhile", "2")
    await idle(node)
    assert node.node.append_only.state is AofState.ON
    await client("SET", "after", "3")
    assert files(tmp_path) == ["1.base.rdb", "1.incr.aof", "manifest"]
    again = await restarted(nodes, node)
    assert await again.client("MGET", "before", "meanwhile", "after") == [b"1", b"2", b"3"]


async def test_switched_off_and_on_again(nodes: Nodes, tmp_path: Path) -> None:
    node = await nodes.start("node", appendonly=True)
    client = node.client
    await client("SET", "a", "1")
    assert await client("CONFIG", "SET", "appendonly", "no") == b"OK"
    await client("SET", "a", "2")
    assert b"\r\n2\r\n" not in logged(tmp_path)
    assert (await client.info("persistence"))["aof_enabled"] == "0"
    await client("CONFIG", "SET", "appendonly", "yes")
    await idle(node)
    assert files(tmp_path) == ["2.base.rdb", "2.incr.aof", "manifest"]
    again = await restarted(nodes, node)
    assert await again.client("GET", "a") == b"2"


async def test_switched_off_in_the_middle_of_a_rewrite(nodes: Nodes, tmp_path: Path) -> None:
    node = await nodes.start("node", appendonly=True)
    burden(node)
    await node.client("SET", "a", "1")
    await node.client("BGREWRITEAOF")
    # On a busy machine it might be at its end before the next command is here.
    child = node.node.child.pid
    os.kill(child, signal.SIGSTOP)
    await node.client("CONFIG", "SET", "appendonly", "no")
    os.kill(child, signal.SIGCONT)
    await until(lambda: not node.node.child.busy, what="the child's end")
    # What is left is a whole log, with the increment that the rewrite had begun.
    assert files(tmp_path) == ["1.base.rdb", "1.incr.aof", "2.incr.aof", "manifest"]
    again = await restarted(nodes, node)
    assert await again.client("GET", "a") == b"1"


@pytest.mark.parametrize(("number", "told"), [(signal.SIGKILL, ("err", "1")), (signal.SIGUSR1, ("ok", "0"))])
async def test_a_child_that_dies_leaves_the_old_files_in_force(
    nodes: Nodes, tmp_path: Path, number: int, told: tuple[str, str]
) -> None:
    node = await nodes.start("node", appendonly=True)
    burden(node)
    client = node.client
    await client("SET", "a", "1")
    await client("BGREWRITEAOF")
    os.kill(node.node.child.pid, number)
    await client("SET", "b", "2")
    await idle(node)
    info = await client.info("persistence")
    assert (info["aof_last_bgrewrite_status"], info["aof_rewrites_consecutive_failures"]) == told
    assert files(tmp_path) == ["1.base.rdb", "1.incr.aof", "2.incr.aof", "manifest"]
    await client("BGREWRITEAOF")
    await idle(node)
    assert files(tmp_path) == ["2.base.rdb", "3.incr.aof", "manifest"]
    again = await restarted(nodes, node)
    assert await again.client("MGET", "a", "b") == [b"1", b"2"]


async def test_replaced_files_are_kept_as_long_as_they_are_wanted(nodes: Nodes, tmp_path: Path) -> None:
    node = await nodes.start("node", appendonly=True, aof_disable_auto_gc=True)
    for _ in range(2):
        await node.client("BGREWRITEAOF")
        await idle(node)
    kept = ["1.base.rdb", "1.incr.aof", "2.base.rdb", "2.incr.aof"]
    assert files(tmp_path) == [*kept, "3.base.rdb", "3.incr.aof", "manifest"]
    assert await node.client("CONFIG", "SET", "aof-disable-auto-gc", "no") == b"OK"
    assert files(tmp_path) == ["3.base.rdb", "3.incr.aof", "manifest"]
    assert b" h\n" not in (folder(tmp_path) / "appendonly.aof.manifest").read_bytes()


async def test_a_first_base_that_fails_takes_its_increment_along(nodes: Nodes, tmp_path: Path) -> None:
    node = await nodes.start("node")
    burden(node)
    await node.client("SET", "a", "1")
    assert await node.client("CONFIG", "SET", "appendonly", "yes") == b"OK"
    await node.client("SET", "b", "2")
    os.kill(node.node.child.pid, signal.SIGKILL)
    await until(lambda: "Removing the temp incr aof file temp-appendonly.aof.incr" in node.log, what="the removal")
    await until(lambda: node.node.append_only.state is AofState.ON, what="the log")
    await idle(node)
    assert files(tmp_path) == ["1.base.rdb", "1.incr.aof", "manifest"]
    again = await restarted(nodes, node)
    assert await again.client("MGET", "a", "b") == [b"1", b"2"]


async def test_after_failures_it_does_not_try_again_at_once(nodes: Nodes) -> None:
    node = await nodes.start("node", appendonly=True)
    rewriter = node.node.append_only.rewriter
    assert not rewriter.limited()
    rewriter.failures = 3
    assert rewriter.limited()
    assert rewriter.limited()
    assert node.log.count("will retry in 1 minutes") == 1


async def test_a_rewrite_without_a_log_makes_a_base(nodes: Nodes, tmp_path: Path) -> None:
    node = await nodes.start("node")
    await node.client("SET", "a", "1")
    await node.client("BGREWRITEAOF")
    await idle(node)
    assert files(tmp_path) == ["1.base.rdb", "manifest"]
    again = await restarted(nodes, node)
    assert await again.client("GET", "a") == b"1"


async def test_shutdown_writes_and_syncs_and_refuses_while_the_first_base_is_written(nodes: Nodes) -> None:
    node = await nodes.start("node", appendonly=True)
    burden(node)
    await node.client("SET", "a", "1")
    node.node.append_only.before_shutdown()
    log = node.node.append_only.log
    assert log.synced == log.written == log.fed
    await node.client("CONFIG", "SET", "appendonly", "no")
    await node.client("CONFIG", "SET", "appendonly", "yes")
    assert str(await node.client("SHUTDOWN", "NOSAVE")) == "ERR Errors trying to SHUTDOWN. Check logs."
    assert "Writing initial AOF, can't exit." in node.log
    await idle(node)


async def test_a_replica_logs_what_its_master_sends(nodes: Nodes, tmp_path: Path) -> None:
    master = await nodes.start("master")
    await master.client("SET", "before", "1")
    replica = await nodes.start("node", appendonly=True, replicaof=("127.0.0.1", master.port))
    await replica.in_sync()
    await until(lambda: replica.node.append_only.state is AofState.ON, what="the log")
    client = master.client
    await client("SET", "after", "2")
    await client("PUBLISH", "channel", "message")
    await client("MULTI")
    await client("INCR", "n")
    await client("INCR", "n")
    await client("EXEC")
    await replica.caught_up_with(master)
    await until(lambda: not replica.node.append_only.log.buffered, what="the write")
    words = [[b"SELECT", b"0"], [b"SET", b"after", b"2"], [b"MULTI"], [b"INCR", b"n"], [b"INCR", b"n"], [b"EXEC"]]
    last = max(folder(tmp_path).glob("*.incr.aof")).read_bytes()
    assert last == b"".join(map(encode_command, words))
    again = await restarted(nodes, replica)
    assert await again.client("MGET", "before", "after", "n") == [b"1", b"2", b"2"]
