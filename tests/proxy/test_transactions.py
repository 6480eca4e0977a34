"""MULTI, EXEC and WATCH through the proxy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from tests.proxy.proxy_process import ProxyProcess
from tests.proxy.raw_client import RawClient, raw_client
from tests.proxy.real_cluster import RealCluster


@pytest.fixture
def raw(proxy: ProxyProcess) -> Iterator[RawClient]:
    with raw_client(proxy.port) as client:
        yield client


@pytest.mark.parametrize("protocol", [2, 3])
def test_transaction_in_one_slot(proxy: ProxyProcess, protocol: int, cluster: RealCluster) -> None:
    cluster.needs("HSET", "LPUSH")
    with proxy.client(protocol=protocol) as client:
        pipe = client.pipeline()
        pipe.set("{t}a", 1)
        pipe.incr("{t}a")
        pipe.hset("{t}h", "f", "v")
        pipe.hgetall("{t}h")
        pipe.lpush("{t}a", "x")
        *replies, failure = pipe.execute(raise_on_error=False)
        assert replies == [True, 2, 1, {b"f": b"v"}]
        assert "WRONGTYPE" in str(failure)


def test_words_of_a_transaction(raw: RawClient, cluster: RealCluster) -> None:
    cluster.needs("BLPOP")
    raw.says("EXEC", b"-ERR EXEC without MULTI\r\n")
    raw.says("DISCARD", b"-ERR DISCARD without MULTI\r\n")
    raw.says("MULTI", b"+OK\r\n")
    raw.says("MULTI", b"-ERR MULTI calls can not be nested\r\n")
    raw.says("WATCH a", b"-ERR WATCH inside MULTI is not allowed\r\n")
    raw.says("SET a 1", b"+QUEUED\r\n")
    raw.says("PING", b"+QUEUED\r\n")
    raw.says("BLPOP {a}none 0", b"+QUEUED\r\n")
    raw.says("EXEC", b"*3\r\n+OK\r\n+PONG\r\n*-1\r\n")
    raw.says("MULTI", b"+OK\r\n")
    raw.says("EXEC", b"*0\r\n")
    raw.says("MULTI", b"+OK\r\n")
    raw.says("SET a 2", b"+QUEUED\r\n")
    raw.says("DISCARD", b"+OK\r\n")
    raw.says("GET a", b"$1\r\n1\r\n")


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("GET", b"-ERR wrong number of arguments for 'get' command\r\n"),
        ("NOSUCH x", b"-ERR unknown command 'NOSUCH', with args beginning with: 'x' \r\n"),
        ("SET b 2", b"-CROSSSLOT Keys in request don't hash to the same slot\r\n"),
        ("MSET b 2 c 3", b"-CROSSSLOT Keys in request don't hash to the same slot\r\n"),
        ("DBSIZE", b"-ERR the proxy does not take DBSIZE inside a transaction\r\n"),
        ("SUBSCRIBE x", b"-ERR the proxy does not take SUBSCRIBE inside a transaction\r\n"),
    ],
)
def test_a_refused_command_spoils_the_transaction(raw: RawClient, command: str, error: bytes) -> None:
    raw.says("MULTI", b"+OK\r\n")
    raw.says("SET a 1", b"+QUEUED\r\n")
    raw.says(command, error)
    raw.says("EXEC", b"-EXECABORT Transaction discarded because of previous errors.\r\n")
    raw.says("GET a", b"$-1\r\n")


def test_watched_key_that_changes(proxy: ProxyProcess) -> None:
    with proxy.client() as client, proxy.client() as other:
        pipe = client.pipeline()
        pipe.watch("{w}a", "{w}b")
        assert pipe.get("{w}a") is None
        other.set("{w}b", "changed")
        pipe.multi()
        pipe.set("{w}a", 1)
        with pytest.raises(redis.WatchError):
            pipe.execute()
        assert client.get("{w}a") is None
        # And one that does not.
        pipe.watch("{w}a")
        pipe.multi()
        pipe.set("{w}a", 1)
        assert pipe.execute() == [True]


def test_optimistic_counter_loses_nothing(proxy: ProxyProcess) -> None:
    """The usual loop: watch, read, write; two clients at a time."""
    with proxy.client() as one, proxy.client() as two:
        one.set("counter", 0)
        left = {"one": 20, "two": 20}
        pipes = {"one": one.pipeline(), "two": two.pipeline()}
        while any(left.values()):
            for name, pipe in pipes.items():
                if left[name]:
                    pipe.watch("counter")
            for name, pipe in pipes.items():
                if not left[name]:
                    continue
                value = int(pipe.get("counter"))
                pipe.multi()
                pipe.set("counter", value + 1)
                try:
                    pipe.execute()
                    left[name] -= 1
                except redis.WatchError:
                    continue
        assert one.get("counter") == b"40"


def test_watch_ends_with_unwatch_discard_reset_and_the_client(raw: RawClient, proxy: ProxyProcess) -> None:
    with proxy.client() as other:
        for end in ("UNWATCH", "MULTI\r\nDISCARD", "RESET"):
            raw.says("WATCH k", b"+OK\r\n")
            raw.says(end, None)
            other.set("k", end)
            raw.says("MULTI", b"+OK\r\n")
            raw.says("GET k", b"+QUEUED\r\n")
            raw.says("EXEC", b"*1\r\n$%d\r\n%b\r\n" % (len(end), end.encode()))
        # A private link that is given back does not watch for its next user.
        with raw_client(proxy.port) as next_one:
            next_one.says("WATCH {k}2", b"+OK\r\n")
            other.set("k", "again")
            next_one.says("MULTI", b"+OK\r\n")
            next_one.says("GET {k}2", b"+QUEUED\r\n")
            next_one.says("EXEC", b"*1\r\n$-1\r\n")


def test_watched_keys_on_two_nodes_are_refused(raw: RawClient, cluster: RealCluster) -> None:
    first, second = "a", next(key for key in "bcdefgh" if cluster.owner(key) is not cluster.owner("a"))
    raw.says(f"WATCH {first}", b"+OK\r\n")
    raw.says(f"WATCH {second}", b"-CROSSSLOT Keys in request don't hash to the same slot\r\n")
    raw.says("MULTI", b"+OK\r\n")
    raw.says(f"SET {second} 1", b"-CROSSSLOT Keys in request don't hash to the same slot\r\n")
    raw.says("EXEC", b"-EXECABORT Transaction discarded because of previous errors.\r\n")


def test_watching_connection_lost_means_that_nothing_was_done(raw: RawClient, cluster: RealCluster) -> None:
    """The keys can no longer be vouched for, and a null reply makes every client try again."""
    raw.says("WATCH lost", b"+OK\r\n")
    with cluster.owner("lost").client() as node:
        for line in node.client_list():
            if line["cmd"] == "watch":
                node.client_kill_filter(_id=line["id"])
    raw.says("MULTI", b"+OK\r\n")
    raw.says("SET lost 1", b"+QUEUED\r\n")
    raw.says("EXEC", b"*-1\r\n")
    raw.says("GET lost", b"$-1\r\n")
