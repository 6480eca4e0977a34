"""What scripts and functions change is passed on by effect, as one transaction; functions are part of the data."""

from __future__ import annotations

from collections.abc import Callable

import redis

from tests.node.conftest import Pair
from tests.node.differential import Replicas
from tests.node.own_server import OwnServer

_LIBRARY = "#!lua name=lib\nredis.register_function('f', function(keys, args) return args[1] end)"


def test_the_stream_has_effects(pair: Pair, replicas: Replicas) -> None:
    scripts = [
        "return redis.call('SET', 'a', '1')",
        "redis.call('SET', 'a', '1') redis.call('INCR', 'a') return redis.call('GET', 'a')",
        "redis.call('SET', 'a', '1', 'EX', '100') redis.call('SELECT', '1') redis.call('SET', 'b', '2')",
        "return redis.call('GET', 'a')",
        "redis.set_repl(redis.REPL_NONE) redis.call('SET', 'c', '1') redis.set_repl(redis.REPL_ALL) "
        "redis.call('SET', 'd', '1')",
        "redis.set_repl(redis.REPL_AOF) redis.call('SET', 'e', '1') redis.set_repl(redis.REPL_REPLICA) "
        "redis.call('SET', 'f', '1')",
        "redis.set_repl(redis.REPL_REPLICA) redis.call('SET', 'a', '1') redis.call('PUBLISH', 'x', 'y') "
        "redis.set_repl(redis.REPL_AOF) redis.call('PUBLISH', 'x', 'z') redis.call('SPOP', 'nokey')",
        "redis.set_repl(redis.REPL_AOF) return redis.call('SET', 'e', '2')",
        "redis.call('SET', 'a', '1') error('half done')",
        "redis.call('SELECT', '0') return redis.call('DEL', 'a', 'nokey')",
    ]
    for client in pair.connect():
        for script in scripts:
            client.ask("EVAL", script, "0")
        client.ask("FUNCTION", "LOAD", "REPLACE", _LIBRARY)
        client.ask("FUNCTION", "DELETE", "lib")
        client.ask("SELECT", "0")
        client.ask("PUBLISH", "the end", "the end")
    streams = [replica.read_until(b"the end") for replica in replicas]
    for stream in streams:
        for words in stream:
            # A time that depends on the moment.
            if words[-2:-1] == [b"PXAT"]:
                words.pop()
    assert streams[0] == streams[1]


def test_a_script_chooses_what_is_logged(start_server: Callable[..., OwnServer]) -> None:
    server = start_server("--save", "", "--appendonly", "yes", "--appendfsync", "always").wait_ready()
    client = redis.Redis(port=server.port)
    client.eval(
        "for _, to in ipairs({'REPL_NONE', 'REPL_AOF', 'REPL_REPLICA', 'REPL_ALL'}) do "
        "redis.set_repl(redis[to]) redis.call('SET', to, '1') end",
        0,
    )
    client.eval("redis.set_repl(redis.REPL_REPLICA) redis.call('INCR', 'REPL_ALL')", 0)
    client.eval("redis.set_repl(redis.REPL_AOF) redis.call('INCR', 'REPL_AOF')", 0)
    server.kill()
    server = start_server("--save", "", "--appendonly", "yes", "--appendfsync", "always").wait_ready()
    client = redis.Redis(port=server.port)
    assert client.mget("REPL_NONE", "REPL_AOF", "REPL_REPLICA", "REPL_ALL") == [None, b"2", None, b"1"]


def test_functions_are_saved_and_loaded(start_server: Callable[..., OwnServer]) -> None:
    server = start_server("--save", "", "--enable-debug-command", "yes").wait_ready()
    client = redis.Redis(port=server.port, decode_responses=True)
    assert client.function_load(_LIBRARY) == "lib"
    client.execute_command("DEBUG", "RELOAD")
    assert client.fcall("f", 0, "x") == "x"
    assert client.save()
    client.flushall()
    assert client.fcall("f", 0, "y") == "y"
    dump = redis.Redis(port=server.port).execute_command("FUNCTION", "DUMP")
    client.function_flush()
    assert redis.Redis(port=server.port).execute_command("FUNCTION", "RESTORE", dump)
    assert client.fcall("f", 0, "z") == "z"


def test_redis_py_locks(start_server: Callable[..., OwnServer]) -> None:
    server = start_server("--save", "").wait_ready()
    client = redis.Redis(port=server.port)
    lock = client.lock("resource", timeout=10)
    assert lock.acquire(blocking=False)
    assert not client.lock("resource", timeout=10).acquire(blocking=False)
    assert lock.extend(20)
    assert lock.reacquire()
    lock.release()
    assert client.get("resource") is None
