"""MIGRATE: between our nodes and a real server, both ways; refusals in Redis' words; nothing is lost on the way."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import redis

from tests.node.conftest import Pair
from tests.node.raw_client import RawClient, parse_reply
from tests.ports import free_base
from tests.real_redis import RealRedis


@pytest.mark.parametrize("proto", ["2", "3"])
def test_refusals_are_a_real_servers(pair: Pair, proto: str) -> None:
    nobody = str(free_base())
    lines = [
        ("127.0.0.1", nobody, "nokey", "0", "1000"),
        ("127.0.0.1", nobody, "a", "0", "1000"),
        ("127.0.0.1", nobody, "a", "x", "1000"),
        ("127.0.0.1", nobody, "a", "0", "x"),
        ("127.0.0.1", nobody, "a", "0", "1000", "FOO"),
        ("127.0.0.1", nobody, "a", "0", "1000", "KEYS", "b"),
        ("127.0.0.1", nobody, "", "0", "1000", "KEYS"),
        ("127.0.0.1", nobody, "", "0", "1000", "KEYS", "nokey"),
        ("127.0.0.1", nobody, "a", "0", "1000", "AUTH"),
        ("127.0.0.1", nobody, "a", "0"),
    ]
    ours, theirs = pair.connect()
    for client in (ours, theirs):
        client.ask("HELLO", proto)
        client.ask("SET", "a", "1")
    for words in lines:
        replies = [client.ask("MIGRATE", *words) for client in (ours, theirs)]
        assert replies[0] == replies[1], words


def _fill(client: RawClient) -> list[bytes]:
    client.ask("SET", "string", "x" * 1000)
    client.ask("RPUSH", "list", *map(str, range(300)))
    client.ask("HSET", "hash", "f", "1", "g", "2")
    client.ask("SADD", "set", "1", "2", "x")
    client.ask("ZADD", "zset", "1.5", "a", "2", "b")
    client.ask("SET", "volatile", "1", "PX", "100000")
    return [b"string", b"list", b"hash", b"set", b"zset", b"volatile"]


@pytest.mark.parametrize("outward", [True, False], ids=["to-a-real-server", "from-a-real-server"])
def test_all_types_travel(pair: Pair, outward: bool) -> None:
    ours, theirs = pair.connect()
    source, target, port = (ours, theirs, pair.theirs) if outward else (theirs, ours, pair.ours)
    names = _fill(source)
    digests = source.ask("DEBUG", "DIGEST-VALUE", *names)
    assert source.ask("MIGRATE", "127.0.0.1", str(port), "", "0", "5000", "COPY", "KEYS", *names) == b"+OK\r\n"
    assert source.ask("EXISTS", *names) == b":%d\r\n" % len(names)
    again = ("MIGRATE", "127.0.0.1", str(port), "", "0", "5000", "KEYS", *names)
    assert source.ask(*again).startswith(b"-ERR Target instance replied with error: BUSYKEY")
    replacing = ("MIGRATE", "127.0.0.1", str(port), "", "0", "5000", "REPLACE", "KEYS", *names, b"nokey")
    assert source.ask(*replacing) == b"+OK\r\n"
    assert source.ask("EXISTS", *names) == b":0\r\n"
    assert target.ask("DEBUG", "DIGEST-VALUE", *names) == digests
    assert 0 < parse_reply(target.ask("PTTL", "volatile")) <= 100_000


def test_authentication_and_databases(pair: Pair, start_redis: Callable[..., RealRedis]) -> None:
    target = start_redis()
    redis.Redis(port=target.port).config_set("requirepass", "secret")
    ours, _ = pair.connect()
    ours.ask("SET", "a", "1")
    where = ("MIGRATE", "127.0.0.1", str(target.port), "a", "3", "5000")
    assert ours.ask(*where).startswith(b"-ERR Target instance replied with error: NOAUTH")
    assert ours.ask(*where, "AUTH", "bad").startswith(b"-ERR Target instance replied with error: WRONGPASS")
    assert ours.ask(*where, "AUTH2", "default", "secret") == b"+OK\r\n"
    there = redis.Redis(port=target.port, password="secret", db=3)
    assert there.get("a") == b"1"
    assert ours.ask("GET", "a") == b"$-1\r\n"


def test_a_kept_connection_authenticates_each_time(pair: Pair, start_redis: Callable[..., RealRedis]) -> None:
    target = start_redis()
    there = redis.Redis(port=target.port)
    ours, _ = pair.connect()
    for password, given, answer in (
        ("one", "one", b"+OK"),
        ("one", "one", b"+OK"),
        ("two", "one", b"-ERR Target instance replied with error: WRONGPASS"),
        ("two", "two", b"+OK"),
    ):
        there.config_set("requirepass", password)
        there.flushall()
        ours.ask("SET", "a", "1")
        reply = ours.ask("MIGRATE", "127.0.0.1", str(target.port), "a", "0", "5000", "AUTH", given)
        assert reply.startswith(answer), (password, given)
        assert ours.ask("EXISTS", "a") == (b":0\r\n" if answer == b"+OK" else b":1\r\n")
        assert there.exists("a") == (answer == b"+OK")


def test_a_silent_target_is_given_up_and_nothing_is_lost(pair: Pair, start_redis: Callable[..., RealRedis]) -> None:
    target = start_redis()
    redis.Redis(port=target.port).execute_command("CLIENT", "PAUSE", "100000")
    ours, _ = pair.connect()
    ours.ask("SET", "a", "1")
    reply = ours.ask("MIGRATE", "127.0.0.1", str(target.port), "a", "0", "300")
    assert reply == b"-IOERR error or timeout reading to target instance\r\n"
    assert ours.ask("GET", "a") == b"$1\r\n1\r\n"


def test_a_connection_is_kept_and_replaced_when_the_target_has_closed_it(
    pair: Pair, start_redis: Callable[..., RealRedis]
) -> None:
    target = start_redis()
    there = redis.Redis(port=target.port)
    ours, theirs = pair.connect()
    for client in (ours, theirs):
        before = there.info()["total_connections_received"]
        for number in range(6):
            if number == 3:
                # Whoever is not this one.
                there.client_kill_filter(_type="normal", skipme=True)
            client.ask("SET", "a", str(number))
            moved = client.ask("MIGRATE", "127.0.0.1", str(target.port), "a", "3", "5000", "REPLACE")
            assert (number, moved) == (number, b"+OK\r\n")
        assert there.info()["total_connections_received"] == before + 2
        assert redis.Redis(port=target.port, db=3).get("a") == b"5"
        # Another database is another connection here, and a SELECT there.
        client.ask("SET", "a", "x")
        assert client.ask("MIGRATE", "127.0.0.1", str(target.port), "a", "4", "5000") == b"+OK\r\n"
        assert redis.Redis(port=target.port, db=4).getdel("a") == b"x"
        assert b"migrate_cached_sockets:0" not in client.ask("INFO", "stats")


def test_no_write_falls_between_the_two(pair: Pair) -> None:
    """A counter that moves to and fro while others count loses nothing."""
    counted = [0]
    stop = threading.Event()

    def count() -> None:
        ours, theirs = (redis.Redis(port=port) for port in (pair.ours, pair.theirs))
        while not stop.is_set():
            for client in (ours, theirs):
                # Where the counter is at the moment: a script that makes no new one.
                code = "if redis.call('EXISTS', KEYS[1]) == 1 then return redis.call('INCR', KEYS[1]) end return 0"
                if client.eval(code, 1, "counter"):
                    counted[0] += 1

    ours, theirs = (redis.Redis(port=port) for port in (pair.ours, pair.theirs))
    ours.set("counter", 0)
    thread = threading.Thread(target=count)
    thread.start()
    for _ in range(40):
        assert ours.migrate("127.0.0.1", pair.theirs, "counter", 0, 5000) == b"OK"
        assert theirs.migrate("127.0.0.1", pair.ours, "counter", 0, 5000) == b"OK"
    stop.set()
    thread.join(20)
    assert int(ours.get("counter")) == counted[0] > 0
