"""`repl-diskless-load`: what becomes of the old data, and when the new ones are loaded.

`swapdb`: the old stay until the new are whole, and are served if of the same history. `on-empty-db`: only where there
are none. Either way the new ones are loaded while they come.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

import hiredis
import pytest

from node.gates import ASYNC_LOADING, LOADING
from node.persistence.arriving import Arriving
from tests.interop.test_replication_real_master import real_master
from tests.interop.test_replication_real_replica import in_sync
from tests.node.replication.nodes import Client, Nodes, Running, every_turn_until, until
from tests.real_redis import RealRedis
from tests.waiting import wait_until

StartRedis = Callable[..., RealRedis]
_LIBRARY = (
    "#!lua name={0}\n"
    "redis.register_function{{function_name='{0}', callback=function() return 1 end, flags={{'no-writes'}}}}"
)
_NO_LOG = ("CONFIG", "SET", "maxclients", "100", "appendonly", "no")


async def loading_again(nodes: Nodes, *, same_history: bool) -> tuple[Running, Running]:
    """A master, and a replica that is just loading a second copy of its data."""
    master = await nodes.start("master", repl_backlog_size=16384, enable_debug_command="yes")
    await master.client("SET", "a", "old")
    await master.client("FUNCTION", "LOAD", _LIBRARY.format("before"))
    replica = await nodes.start("replica", repl_diskless_load="swapdb", replicaof=("127.0.0.1", master.port))
    await replica.in_sync()
    upstream = replica.node.replication.upstream
    upstream.leave()
    await master.client("FUNCTION", "LOAD", "REPLACE", _LIBRARY.format("after"))
    await master.client("MSET", "a", "new", "big", b"x" * 40_000)
    await master.client("DEBUG", "POPULATE", 20_000)
    if not same_history:
        master.node.replication.forget_history()
    replica.node.settings.key_load_delay = 20
    upstream.follow("127.0.0.1", master.port)
    await every_turn_until(lambda: replica.node.loader.active)
    return master, replica


async def test_the_old_data_are_served_while_the_new_are_loaded(nodes: Nodes) -> None:
    master, replica = await loading_again(nodes, same_history=True)
    assert replica.node.conditions.holds(ASYNC_LOADING)
    info = await replica.client.info("persistence")
    assert (info["loading"], info["async_loading"]) == ("0", "1")
    assert await replica.client("GET", "a") == b"old"
    assert await replica.client("FCALL", "before", 0) == 1
    for words in (("REPLICAOF", "NO", "ONE"), ("FLUSHALL",), ("PSYNC", "?", -1), _NO_LOG):
        refusal = await replica.client(*words)
        assert isinstance(refusal, hiredis.ReplyError), words
    watcher = await Client.connect(replica.port)
    await watcher("WATCH", "a")
    await watcher("MULTI")
    await watcher("GET", "a")
    await replica.in_sync()
    assert await watcher("EXEC") is None, "the key has changed with the swap"
    assert await replica.client("GET", "a") == b"new"
    assert await replica.client("DBSIZE") == await master.client("DBSIZE")
    assert await replica.client("FUNCTION", "STATS")
    assert sorted(library[1] for library in await replica.client("FUNCTION", "LIST")) == [b"after", b"before"]
    await master.client("SET", "a", "newer")
    await replica.caught_up_with(master)
    assert await replica.client("GET", "a") == b"newer"
    await watcher.close()


async def test_data_of_another_history_are_not_served(nodes: Nodes) -> None:
    _, replica = await loading_again(nodes, same_history=False)
    assert replica.node.conditions.holds(LOADING)
    assert str(await replica.client("GET", "a")).startswith("LOADING ")
    await replica.in_sync()
    assert await replica.client("GET", "a") == b"new"


async def test_a_load_that_is_broken_off_leaves_the_old_data(nodes: Nodes) -> None:
    master, replica = await loading_again(nodes, same_history=False)
    replica.node.replication.promote()
    assert await replica.client("GET", "a") == b"old"
    assert await replica.client("SET", "a", "own") == b"OK"
    assert not replica.node.conditions.holds(LOADING)
    assert replica.node.replication.history.replid2 != b"0" * 40, "its replicas may go on with it"
    assert master.node.replication.replicas.full_resyncs == 2


async def test_with_a_real_master(nodes: Nodes, start_redis: StartRedis) -> None:
    server, master = await real_master(start_redis, "--enable-debug-command", "yes")
    await master("SET", "a", "old")
    replica = await nodes.start("replica", repl_diskless_load="swapdb", replicaof=("127.0.0.1", server.port))
    await replica.in_sync()
    last = await Client.connect((await asyncio.to_thread(start_redis, "--replicaof", f"127.0.0.1 {replica.port}")).port)
    await in_sync(last)
    await master("SET", "a", "new")
    await master("DEBUG", "CHANGE-REPL-ID")
    await master("CLIENT", "KILL", "TYPE", "replica")
    await until(lambda: "Swapping active DB with loaded DB" in replica.log.partition("lost")[2])
    await replica.in_sync()
    assert await replica.client("GET", "a") == b"new"
    await in_sync(last)

    async def arrived() -> bool:
        return bool(await last("GET", "a") == b"new")

    await wait_until(arrived)
    for client in (master, last):
        await client.close()


# Few, but large: the child that writes them sleeps at each, and on a busy machine that is longer than is meant.
KEYS = 1_500


async def loaded_by(replica: Running) -> None:
    async def loaded() -> bool:
        return replica.node.replication.link_up

    await wait_until(loaded, timeout=40)


async def half_way(nodes: Nodes, how: str = "on-empty-db") -> tuple[Running, Running]:
    """A master whose child is still writing, and a replica that has loaded some of it: an empty one, or, with `swapdb`,
    one that has a key of its own."""
    master = await nodes.start("master", enable_debug_command="yes", rdb_key_save_delay=500)
    await master.client("DEBUG", "POPULATE", KEYS, "key", 1000)
    replica = await nodes.start("replica", enable_debug_command="yes", repl_diskless_load=how)
    if how == "swapdb":
        await replica.client("SET", "own", "1")
    await replica.client("REPLICAOF", "127.0.0.1", master.port)
    loader = replica.node.loader
    await every_turn_until(lambda: loader.target is not None and loader.target.keys_loaded > 100)
    return master, replica


async def test_on_an_empty_database_a_copy_is_loaded_while_it_comes(nodes: Nodes) -> None:
    master, replica = await half_way(nodes)
    assert master.node.child.busy
    assert replica.node.conditions.holds(LOADING)
    assert replica.node.replication.data_offset == 0
    info = await replica.client.info("replication")
    assert (info["master_link_status"], info["master_sync_in_progress"]) == ("down", "1")
    assert str(await replica.client("GET", "key:1")).startswith("LOADING ")
    await master.client("SET", "later", "1")
    await loaded_by(replica)
    await replica.caught_up_with(master)
    assert await replica.client("DBSIZE") == KEYS + 1
    assert await replica.client("DEBUG", "DIGEST") == await master.client("DEBUG", "DIGEST")


async def test_a_copy_that_is_loaded_aside_is_loaded_while_it_comes_too(nodes: Nodes) -> None:
    master, replica = await half_way(nodes, "swapdb")
    assert master.node.child.busy
    info = await replica.client.info("persistence")
    assert (info["loading"], info["async_loading"]) == ("1", "0")
    # They are not of the master's history.
    assert str(await replica.client("GET", "own")).startswith("LOADING ")
    assert list(replica.node.keyspace.database(0)) == [b"own"]
    await master.client("SET", "later", "1")
    await loaded_by(replica)
    await replica.caught_up_with(master)
    assert await replica.client("DBSIZE") == KEYS + 1
    assert await replica.client("DEBUG", "DIGEST") == await master.client("DEBUG", "DIGEST")


async def test_a_copy_aside_that_breaks_off_leaves_the_old_data(nodes: Nodes) -> None:
    master, replica = await half_way(nodes, "swapdb")
    link = replica.node.replication.upstream.link
    await master.client("CLIENT", "KILL", "TYPE", "replica")
    await every_turn_until(lambda: replica.node.replication.upstream.link is not link)
    await every_turn_until(lambda: not replica.node.loader.active)
    assert await replica.client("GET", "own") == b"1"
    assert await replica.client("DBSIZE") == 1
    replica.node.replication.promote()
    assert await replica.client("INCR", "own") == 2


async def test_a_copy_that_breaks_off_leaves_nothing(nodes: Nodes) -> None:
    master, replica = await half_way(nodes)
    link = replica.node.replication.upstream.link
    await master.client("CLIENT", "KILL", "TYPE", "replica")
    await every_turn_until(lambda: replica.node.replication.upstream.link is not link)
    await every_turn_until(lambda: not replica.node.loader.active)
    assert replica.node.keyspace.is_empty()
    # It has thrown away what its old offset stood for.
    replica.node.replication.history.offset = 1000
    assert replica.node.replication.data_offset == 0
    master.node.settings.rdb_key_save_delay = 0
    await loaded_by(replica)
    assert await replica.client("DBSIZE") == KEYS
    assert replica.node.replication.data_offset == replica.node.replication.offset < 1000


async def test_a_replica_that_is_promoted_half_way_has_nothing(nodes: Nodes) -> None:
    _, replica = await half_way(nodes)
    replica.node.replication.promote()
    assert await replica.client("DBSIZE") == 0
    assert await replica.client("SET", "a", "own") == b"OK"
    assert not replica.node.conditions.holds(LOADING)


async def test_a_master_that_falls_silent_half_way_is_given_up(nodes: Nodes) -> None:
    master, replica = await half_way(nodes)
    replica.node.settings.repl_timeout = 1
    os.kill(master.node.child.pid, signal.SIGSTOP)
    try:
        await until(lambda: "Timeout receiving bulk data from MASTER" in replica.log)
        assert replica.node.keyspace.is_empty()
    finally:
        os.kill(master.node.child.pid, signal.SIGCONT)


async def test_where_there_are_data_the_copy_is_awaited_first(nodes: Nodes) -> None:
    master = await nodes.start("master", enable_debug_command="yes", rdb_key_save_delay=500)
    await master.client("DEBUG", "POPULATE", KEYS, "key", 1000)
    replica = await nodes.start("replica", repl_diskless_load="on-empty-db")
    await replica.client("SET", "own", "1")
    await replica.client("REPLICAOF", "127.0.0.1", master.port)
    await every_turn_until(lambda: master.node.child.busy and master.node.child.progress.keys > 200)
    assert await replica.client("GET", "own") == b"1"
    await loaded_by(replica)
    assert await replica.client("DBSIZE") == KEYS


async def test_a_master_that_is_faster_is_made_to_wait() -> None:
    """What it sends meanwhile is not kept in memory."""
    held: list[bool] = []
    arriving = Arriving(held.append)
    assert arriving.starved
    for _ in range(9):
        arriving.feed(bytes(1 << 20))
    assert held == [True]
    assert not arriving.starved
    assert len(await arriving.take(1)) == 9 << 20
    assert held == [True, False]
    # A record that is larger than what may wait is waited for all the same.
    taking = asyncio.create_task(arriving.take(20 << 20))
    await asyncio.sleep(0)
    for _ in range(20):
        assert held == [True, False]
        arriving.feed(bytes(1 << 20))
    assert len(await taking) == 20 << 20
    arriving.feed(b"end")
    arriving.end(acknowledge=True)
    assert await arriving.take(100) == b"end"
    assert await arriving.take(100) == b""
    assert await arriving.wait_end()


@pytest.mark.parametrize("streamed", ["yes", "no"])
async def test_the_copy_of_a_real_master_is_loaded_while_it_comes(
    nodes: Nodes, start_redis: StartRedis, streamed: str
) -> None:
    options = ("--enable-debug-command", "yes", "--repl-diskless-sync", streamed)
    server, master = await real_master(start_redis, *options)
    await master("DEBUG", "POPULATE", 20_000, "key", 1000)
    await master("HSET", "hash", "f", "v")
    await master("SET", "big", b"x" * 3_000_000)
    replica = await nodes.start(
        "replica", enable_debug_command="yes", repl_diskless_load="on-empty-db", replicaof=("127.0.0.1", server.port)
    )
    await loaded_by(replica)
    await master("SET", "later", "1")
    await until(lambda: replica.node.keyspace.database(0).size == 20_003)
    assert await replica.client("DEBUG", "DIGEST") == await master("DEBUG", "DIGEST")
    await master.close()
