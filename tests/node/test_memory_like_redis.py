"""maxmemory, OBJECT and MEMORY beside a real server: what is refused, in which words, and what is chosen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tests.node.conftest import Pair
from tests.node.own_server import OwnServer
from tests.node.raw_client import RawClient, Words, bulk_strings
from tests.ports import free_base
from tests.waiting import wait_for

_SETTINGS = {"maxmemory": "0", "maxmemory-policy": "noeviction", "maxmemory-samples": "5", "maxmemory-clients": "0"}
# Far less than either server takes at the start.
_TINY = "1000"


@pytest.fixture
def clients(pair: Pair) -> Iterator[tuple[RawClient, RawClient]]:
    both = pair.connect()
    yield both
    for client in both:
        client.ask("DISCARD")
        for name, value in _SETTINGS.items():
            client.ask("CONFIG", "SET", name, value)


def assert_alike(clients: tuple[RawClient, RawClient], *steps: Words) -> None:
    ours, theirs = clients
    for words in steps:
        assert ours.ask(*words) == theirs.ask(*words), words


def config(name: str, value: str) -> Words:
    return ("CONFIG", "SET", name, value)


def test_what_is_refused_without_memory(clients: tuple[RawClient, RawClient]) -> None:
    """Each command by its flags, with keys there and keys missing."""
    assert_alike(
        clients,
        *(("SET", "s", "1"), ("RPUSH", "l", "1", "2", "3"), ("HSET", "h", "f", "1"), ("SADD", "set", "1", "2")),
        ("ZADD", "z", "1", "a", "2", "b"),
        config("maxmemory", _TINY),
        *(
            ("SET", "x", "1"),
            ("SET", "s"),
            ("GET", "s"),
            ("INCR", "s"),
            ("APPEND", "s", "1"),
            ("SETRANGE", "s", "0", "1"),
        ),
        *(
            ("LPUSH", "l", "1"),
            ("LPOP", "l"),
            ("LSET", "l", "0", "x"),
            ("LMOVE", "l", "l", "LEFT", "LEFT"),
            ("LRANGE", "l", "0", "-1"),
        ),
        *(
            ("HSET", "h", "f", "2"),
            ("HDEL", "h", "nosuch"),
            ("HGETALL", "h"),
            ("SADD", "set", "3"),
            ("SREM", "set", "1"),
        ),
        *(("ZADD", "z", "1", "a"), ("ZREM", "z", "a"), ("ZPOPMIN", "z"), ("SORT", "l"), ("SORT_RO", "l")),
        *(
            ("EXPIRE", "s", "1000"),
            ("PERSIST", "s"),
            ("RENAME", "s", "t"),
            ("COPY", "t", "u"),
            ("GETDEL", "t"),
            ("DEL", "l"),
        ),
        *(
            ("MSET", "a", "1"),
            ("GETSET", "a", "1"),
            ("SETBIT", "a", "1", "1"),
            ("BITFIELD", "a", "GET", "u8", "0"),
            ("PFADD", "p", "1"),
        ),
        *(
            ("nosuch",),
            ("SET", "wrong", "number", "of", "words"),
            ("PING",),
            ("DBSIZE",),
            ("PUBLISH", "c", "m"),
            ("OBJECT", "HELP"),
        ),
        *(
            ("SCRIPT", "LOAD", "return 1"),
            ("FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('f', function() end)"),
        ),
        config("maxmemory", "0"),
        ("SET", "x", "1"),
    )


def test_transactions_without_memory(clients: tuple[RawClient, RawClient]) -> None:
    assert_alike(
        clients,
        ("SET", "a", "1"),
        config("maxmemory", _TINY),
        *(("MULTI",), ("GET", "a"), ("EXEC",)),
        *(("MULTI",), ("SET", "a", "2"), ("EXEC",)),
        *(("MULTI",), ("PING",), ("DISCARD",)),
        config("maxmemory", "0"),
        *(("MULTI",), ("SET", "a", "2"), ("GET", "a")),
    )
    assert_alike(clients, ("EXEC",), ("GET", "a"))


def test_a_transaction_queued_before_memory_ran_out(pair: Pair, clients: tuple[RawClient, RawClient]) -> None:
    others = pair.connect()
    for queued in (("SET", "a", "2"), ("GET", "a"), ("LPOP", "a")):
        assert_alike(clients, ("MULTI",), queued)
        assert_alike(others, config("maxmemory", _TINY))
        assert_alike(clients, ("EXEC",))
        assert_alike(others, config("maxmemory", "0"))


def test_scripts_without_memory(clients: tuple[RawClient, RawClient]) -> None:
    write, read = "return redis.call('SET', KEYS[1], '1')", "return redis.call('GET', KEYS[1])"
    writes_twice = "redis.call('DEL', KEYS[1]) return redis.call('SET', KEYS[1], '1')"
    assert_alike(
        clients,
        ("SET", "a", "1"),
        config("maxmemory", _TINY),
        *(("EVAL", script, "1", "a") for script in (write, read)),
        ("EVAL", writes_twice, "1", "a"),
        ("EVAL", "return redis.pcall('SET', KEYS[1], '1')", "1", "a"),
        *(("EVAL", "#!lua\n" + script, "1", "a") for script in (write, read)),
        *(("EVAL", "#!lua flags=no-writes\n" + script, "1", "a") for script in (write, read)),
        *(("EVAL", "#!lua flags=allow-oom\n" + script, "1", "a") for script in (write, read)),
        ("EVAL_RO", read, "1", "a"),
        ("GET", "a"),
    )


@pytest.mark.parametrize("policy", ["volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"])
def test_only_volatile_keys_go_when_there_is_never_room(clients: tuple[RawClient, RawClient], policy: str) -> None:
    """Everything that may go goes, on both; then writes are refused."""
    for client in clients:
        client.ask_all([("SET", f"kept:{number}", "1") for number in range(20)])
        client.ask_all([("SET", f"volatile:{number}", "1", "EX", "1000") for number in range(200)])
        client.ask(*config("maxmemory-policy", policy))
        client.ask(*config("maxmemory", _TINY))
        # One effort is bounded by time; a timer goes on with it.
        wait_for(lambda: client.ask("DBSIZE") == b":20\r\n", what="the last volatile key to go")  # noqa: B023
    assert_alike(clients, ("SET", "x", "1"), ("DBSIZE",))
    assert sorted(bulk_strings(clients[0].ask("KEYS", "*"))) == sorted(bulk_strings(clients[1].ask("KEYS", "*")))


@pytest.mark.parametrize("policy", ["noeviction", "allkeys-lru", "volatile-lfu", "allkeys-lfu", "allkeys-random"])
def test_object_by_policy(clients: tuple[RawClient, RawClient], policy: str) -> None:
    assert_alike(
        clients,
        config("maxmemory-policy", policy),
        ("SET", "a", "value"),
        *(
            ("OBJECT", "FREQ", "nosuch"),
            ("OBJECT", "IDLETIME", "nosuch"),
            ("OBJECT", "FREQ"),
            ("OBJECT", "IDLETIME", "a", "b"),
        ),
        ("OBJECT", "FREQ", "a"),
        *(
            ("OBJECT", "HELP"),
            ("MEMORY", "HELP"),
            ("MEMORY", "STATS", "more"),
            ("MEMORY", "PURGE"),
            ("MEMORY", "NOSUCH"),
        ),
        *(
            ("MEMORY", "USAGE", "nosuch"),
            ("MEMORY", "USAGE", "a", "SAMPLES", "-1"),
            ("MEMORY", "USAGE", "a", "SAMPLES"),
        ),
    )
    # In one go: Redis counts whole seconds of its clock, of which one may end at any time.
    ours, theirs = (client.ask_all([("GET", "a"), ("OBJECT", "IDLETIME", "a")]) for client in clients)
    assert ours == theirs


def test_a_transaction_that_sets_the_limit_keeps_its_keys(clients: tuple[RawClient, RawClient]) -> None:
    assert_alike(
        clients,
        config("maxmemory-policy", "allkeys-lru"),
        *(("MULTI",), ("INCR", "x"), config("maxmemory", "1"), ("INCR", "x"), ("GET", "x"), ("EXEC",)),
        ("GET", "x"),
        ("DBSIZE",),
    )


@pytest.mark.parametrize("limit", ["0", "1gb"])
@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-lfu", "allkeys-random", "noeviction"])
def test_small_numbers_are_shared_unless_each_is_evicted_by_its_use(
    clients: tuple[RawClient, RawClient], policy: str, limit: str
) -> None:
    settings = (config("maxmemory-policy", policy), config("maxmemory", limit))
    assert_alike(clients, *settings, ("SET", "a", "7"), ("OBJECT", "REFCOUNT", "a"), ("OBJECT", "ENCODING", "a"))


@pytest.mark.parametrize("limit", ["0", "1gb"])
@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "noeviction"])
def test_restore_with_what_was_noted_elsewhere(clients: tuple[RawClient, RawClient], policy: str, limit: str) -> None:
    ours, theirs = clients
    assert_alike(clients, config("maxmemory-policy", policy), config("maxmemory", limit), ("SET", "a", "value"))
    dump = theirs.ask("DUMP", "a")
    payload = dump[dump.index(b"\r\n") + 2 : -2]
    for options in (
        ("IDLETIME", "1000"),
        ("FREQ", "200"),
        ("IDLETIME", "-1"),
        ("FREQ", "256"),
        ("IDLETIME", "1", "FREQ", "1"),
    ):
        assert_alike(
            clients,
            ("RESTORE", "b", "0", payload, "REPLACE", *options),
            ("OBJECT", "FREQ", "b"),
        )
        mine, other = ours.ask("OBJECT", "IDLETIME", "b"), theirs.ask("OBJECT", "IDLETIME", "b")
        assert mine == other or abs(int(mine[1:]) - int(other[1:])) <= 1, (options, mine, other)


def test_idle_times_of_before_somebody_asked(start_server: Callable[..., OwnServer]) -> None:
    """Uses are noted from the first question on; before it, only for how long nobody used anything is known.

    Each server is asked once for the first time, and a second has to pass: idle times are whole seconds.
    """
    base = free_base()
    quiet, used, others, seen = [start_server(port=base + at, folder=f"own-{at}") for at in range(4)]
    clients = [server.wait_ready().client() for server in (quiet, used, others, seen)]
    for client in clients:
        assert client.ask("SET", "k", "v") == b"+OK\r\n"
    time.sleep(2.1)
    assert clients[0].ask("OBJECT", "IDLETIME", "k") in (b":2\r\n", b":3\r\n")
    assert clients[0].ask_all([("GET", "k"), ("OBJECT", "IDLETIME", "k")])[-1] == b":0\r\n"
    assert clients[1].ask_all([("GET", "k"), ("OBJECT", "IDLETIME", "k")])[-1] == b":0\r\n"
    assert others.client().ask("GET", "k") == b"$1\r\nv\r\n"
    assert clients[2].ask("OBJECT", "IDLETIME", "k") == b":0\r\n"
    assert seen.client().ask_all([("TTL", "k"), ("TYPE", "k"), ("EXISTS", "k")])[-1] == b":1\r\n"
    assert clients[3].ask_all([("EXISTS", "k"), ("OBJECT", "IDLETIME", "k")])[-1] in (b":1\r\n", b":2\r\n", b":3\r\n")


def test_uses_that_leave_traces_and_those_that_do_not(clients: tuple[RawClient, RawClient]) -> None:
    """Without a factor every use counts one."""
    reads: list[Words] = [
        *(("GET", "a"), ("STRLEN", "a"), ("TTL", "a"), ("PTTL", "a"), ("TYPE", "a"), ("EXISTS", "a"), ("TOUCH", "a")),
        *(("OBJECT", "ENCODING", "a"), ("OBJECT", "FREQ", "a"), ("APPEND", "a", "x"), ("GETRANGE", "a", "0", "1")),
        *(
            ("SET", "a", "value"),
            ("SETBIT", "a", "1", "1"),
            ("EXPIRE", "a", "1000"),
            ("PERSIST", "a"),
            ("MGET", "a", "a"),
            ("DUMP", "a"),
        ),
        *(("GETEX", "a"), ("SETRANGE", "a", "0", "1"), ("MEMORY", "USAGE", "nosuch"), ("EXPIRETIME", "a")),
    ]
    assert_alike(
        clients, config("maxmemory-policy", "allkeys-lfu"), config("lfu-log-factor", "0"), ("SET", "a", "value")
    )
    try:
        for words in reads:
            for client in clients:
                client.ask(*words)
            assert clients[0].ask("OBJECT", "FREQ", "a") == clients[1].ask("OBJECT", "FREQ", "a"), words
    finally:
        assert_alike(clients, config("lfu-log-factor", "10"))


def test_a_client_that_leaves_no_traces(clients: tuple[RawClient, RawClient]) -> None:
    """CLIENT NO-TOUCH came with 7.2: there is no server to compare with."""
    ours = clients[0]
    ours.ask(*config("maxmemory-policy", "allkeys-lfu"))
    ours.ask(*config("lfu-log-factor", "0"))
    ours.ask("SET", "a", "value")
    ours.ask_all([("CLIENT", "NO-TOUCH", "ON"), ("GET", "a"), ("GET", "a")])
    assert ours.ask("OBJECT", "FREQ", "a") == b":5\r\n"
    ours.ask_all([("TOUCH", "a"), ("GET", "a")])
    assert ours.ask("OBJECT", "FREQ", "a") == b":6\r\n"
    ours.ask_all([("CLIENT", "NO-TOUCH", "OFF"), ("GET", "a")])
    assert ours.ask("OBJECT", "FREQ", "a") == b":7\r\n"
    ours.ask(*config("lfu-log-factor", "10"))


def test_memory_stats_has_the_same_fields(clients: tuple[RawClient, RawClient]) -> None:
    names = []
    for client in clients:
        client.ask("HELLO", "2")
        client.ask("SET", "a", "value")
        reply = client.ask("MEMORY", "STATS")
        names.append([line for line in reply.split(b"\r\n") if line[:1].isalpha()])
    assert names[0] == names[1]
