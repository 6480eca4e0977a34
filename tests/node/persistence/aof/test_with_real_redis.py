"""Files go both ways: what a node has logged is a real server's, and the other way round."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from subprocess import run

import pytest

from tests.node.own_server import OwnServer
from tests.node.raw_client import RawClient, Words
from tests.real_redis import RealRedis
from tests.waiting import wait_for

LOGGING = ("--appendonly", "yes", "--save", "", "--enable-debug-command", "yes")
START_OURS = Callable[..., OwnServer]
START_THEIRS = Callable[..., RealRedis]

# One of everything that has a form of its own in a log; nothing that depends on the clock.
WRITES: list[Words] = [
    ("SET", "s", "value"),
    ("set", "lower", b"\0\r\n\xff"),
    ("APPEND", "s", "more"),
    ("INCRBYFLOAT", "float", "0.1"),
    ("PEXPIREAT", "s", "1900000000000"),
    ("MSET", "a", "1", "b", "2"),
    ("GETDEL", "a"),
    ("SET", "b", "3", "NX"),
    ("RPUSH", "list", *(str(number) for number in range(200))),
    ("LPOP", "list", "3"),
    ("HSET", "hash", "f", "v", "n", "1"),
    ("HINCRBYFLOAT", "hash", "n", "0.5"),
    ("SADD", "set", "one"),
    ("SPOP", "set"),
    ("SADD", "set", "m", "2"),
    ("ZADD", "zset", "1.5", "m", "inf", "n"),
    ("SELECT", "3"),
    ("SET", "far", "away"),
    ("MULTI",),
    ("INCR", "n"),
    ("PUBLISH", "channel", "message"),
    ("SADD", "big", *(f"member {number}" for number in range(600))),
    ("EXEC",),
    ("MULTI",),
    ("GET", "n"),
    ("EXEC",),
    ("SELECT", "0"),
    ("COPY", "hash", "{hash}copy"),
    ("RENAME", "float", "renamed"),
    ("DEL", "nothing"),
    ("EVAL", "redis.call('SET', KEYS[1], 'v') redis.call('incr', KEYS[2]) return 1", "2", "{script}a", "{script}b"),
    ("EVAL", "return redis.call('INCR', KEYS[1])", "1", "{script}b"),
    ("FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('one', function() return 1 end)"),
    ("SETBIT", "bits", "7", "1"),
    ("PFADD", "hll", "a", "b"),
    ("LMPOP", "1", "list", "RIGHT", "COUNT", "2"),
    ("GETEX", "b", "PERSIST"),
    ("SINTERSTORE", "none", "set", "nothing"),
    ("GEOADD", "places", "13.36", "38.11", "Palermo"),
    ("BZPOPMIN", "zset", "1"),
    ("XADD", "stream", "1-1", "f", "v", "n", "17"),
    ("XADD", "stream", "MAXLEN", "~", "5", "1-*", "f", "v"),
    ("XADD", "stream", "2", "f", "w"),
    ("XGROUP", "CREATE", "stream", "g", "0"),
    ("XREADGROUP", "GROUP", "g", "alice", "NOACK", "COUNT", "1", "STREAMS", "stream", ">"),
    ("XCLAIM", "stream", "g", "bob", "0", "1-2", "2-0", "TIME", "1600000000000", "FORCE"),
    ("XACK", "stream", "g", "2-0"),
    ("XDEL", "stream", "1-1"),
    ("XTRIM", "stream", "MINID", "~", "1-2"),
    ("SELECT", "5"),
    ("SET", "flushed", "1"),
    ("FLUSHDB",),
    ("SELECT", "0"),
    ("SET", "last", "1"),
]


def write(client: RawClient) -> None:
    for words in WRITES:
        assert not client.ask(*words).startswith(b"-"), words


def digest(client: RawClient) -> bytes:
    return client.ask("DEBUG", "DIGEST")


def increment(folder: Path) -> bytes:
    return (folder / "appendonlydir" / "appendonly.aof.1.incr.aof").read_bytes()


def wait_for_rewrite(client: RawClient) -> None:
    while b"aof_rewrite_in_progress:1" in client.ask("INFO", "persistence"):
        pass
    assert b"aof_last_bgrewrite_status:ok" in client.ask("INFO", "persistence")


def test_the_same_commands_leave_the_same_log(start_server: START_OURS, start_redis: START_THEIRS) -> None:
    ours, theirs = start_server(*LOGGING).wait_ready(), start_redis(*LOGGING)
    other = RawClient(theirs.port)
    write(ours.client())
    write(other)
    other.close()
    # While the disk is still busy with a sync, what comes next is written up to two seconds later.
    for folder in (ours.folder, theirs.folder):
        wait_for(lambda folder=folder: increment(folder).endswith(b"$4\r\nlast\r\n$1\r\n1\r\n"), what="the whole log")
    assert increment(ours.folder) == increment(theirs.folder)


@pytest.mark.parametrize("preamble", ["yes", "no"])
def test_our_log_is_a_real_servers(start_server: START_OURS, start_redis: START_THEIRS, preamble: str) -> None:
    ours = start_server(*LOGGING, "--aof-use-rdb-preamble", preamble, "--aof-timestamp-enabled", "yes").wait_ready()
    client = ours.client()
    write(client)
    client.ask("BGREWRITEAOF")
    wait_for_rewrite(client)
    client.ask("SET", "after", "it")
    expected = digest(client)
    ours.process.kill()
    ours.process.wait()
    checked = run(
        ["redis-check-aof", str(ours.folder / "appendonlydir" / "appendonly.aof.manifest")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout
    assert "All AOF files and manifest are valid" in checked.stdout
    theirs = start_redis(*LOGGING, "--dir", str(ours.folder), "--aof-use-rdb-preamble", preamble)
    other = RawClient(theirs.port)
    assert digest(other) == expected
    # It goes on where ours stopped.
    other.ask("SET", "theirs", "1")
    other.ask("BGREWRITEAOF")
    wait_for_rewrite(other)
    expected = digest(other)
    other.close()
    theirs.kill()
    again = start_server(*LOGGING).wait_ready()
    assert digest(again.client()) == expected
