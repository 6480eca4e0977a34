"""`repl-diskless-load swapdb`: the old data stay until the new are whole, and are served if of the same history."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import hiredis

from node.gates import ASYNC_LOADING, LOADING
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
    await master.client("MSET", "a", "new", "big", b"x" * 20_000)
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
    for words in (("REPLICAOF", "NO", "ONE"), ("FLUSHALL",), ("PSYNC", "?", -1)):
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
