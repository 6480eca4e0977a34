"""A client that knows nothing of clusters uses the proxy as one Redis: redis-py, both protocols, and redis-cli."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tests.proxy.proxy_process import ProxyProcess
from tests.proxy.real_cluster import RealCluster
from tests.waiting import wait_for


def ask(client: redis.Redis, *words: str) -> Any:
    """The reply to a command as it stands."""
    return client.execute_command(*words)  # type: ignore[no-untyped-call]


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def client(proxy: ProxyProcess, request: pytest.FixtureRequest) -> Iterator[redis.Redis]:
    with proxy.client(protocol=request.param) as client:
        yield client


def test_single_keys(client: redis.Redis, cluster: RealCluster) -> None:
    cluster.needs("HSET", "ZADD")
    for i in range(100):
        assert client.set(f"key:{i}", i)
    assert [client.get(f"key:{i}") for i in range(100)] == [b"%d" % i for i in range(100)]
    assert client.get("missing") is None
    assert client.hset("h", mapping={"a": 1, "b": 2}) == 2
    assert client.hgetall("h") == {b"a": b"1", b"b": b"2"}
    assert client.zadd("z", {"m": 1.5}) == 1
    assert client.zscore("z", "m") == 1.5
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        client.incr("h")


def test_pipeline_across_nodes_keeps_its_order(client: redis.Redis, cluster: RealCluster) -> None:
    cluster.needs("LPUSH")
    pipe = client.pipeline(transaction=False)
    for i in range(500):
        pipe.set(f"p:{i}", i)
        pipe.get(f"p:{i}")
        if i % 7 == 0:
            pipe.lpush(f"p:{i}", "wrong type")
        if i % 11 == 0:
            pipe.ping()
        if i % 13 == 0:
            pipe.mget(f"p:{i}", f"p:{i - 1}", "nothing")
    replies = iter(pipe.execute(raise_on_error=False))
    for i in range(500):
        assert next(replies) is True
        assert next(replies) == b"%d" % i
        if i % 7 == 0:
            assert isinstance(next(replies), redis.ResponseError)
        if i % 11 == 0:
            assert next(replies) is True
        if i % 13 == 0:
            assert next(replies) == [b"%d" % i, b"%d" % (i - 1) if i else None, None]


def test_large_values_and_odd_keys(client: redis.Redis) -> None:
    for key, value in {
        b"": b"",
        b"{}": b"\r\n",
        b"{a}{b}": b"x" * 3_000_000,
        b"\x00\xff": bytes(range(256)) * 50,
    }.items():
        assert client.set(key, value)
        assert client.get(key) == value


def test_commands_over_many_slots(client: redis.Redis) -> None:
    values = {f"m:{i}": str(i).encode() for i in range(50)}
    assert client.mset(values)
    assert client.mget([*values, "absent", "m:0"]) == [*values.values(), None, b"0"]
    assert client.exists(*values, "absent", "m:0") == 51
    assert client.touch("m:1", "m:2", "absent") == 2
    assert client.dbsize() == 50
    assert sorted(client.keys("m:*")) == sorted(key.encode() for key in values)
    assert client.randomkey() in {key.encode() for key in values}
    assert client.delete("m:0", "m:1") == 2
    assert client.unlink("m:2", "m:3", "absent") == 2
    assert client.dbsize() == 46
    with pytest.raises(redis.ResponseError, match="don't hash to the same slot"):
        client.msetnx({"a": 1, "b": 2})
    with pytest.raises(redis.ResponseError, match="don't hash to the same slot"):
        ask(client, "MSETEX", "2", "a", "1", "b", "2")
    with pytest.raises(redis.ResponseError, match="don't hash to the same slot"):
        client.rename("m:5", "m:6")
    with pytest.raises(redis.ResponseError, match="wrong number of arguments for 'mset' command"):
        ask(client, "MSET", "a", "1", "b")
    assert client.flushall()
    assert client.dbsize() == 0
    assert client.randomkey() is None


def test_scan_sees_every_key_of_every_node(client: redis.Redis, cluster: RealCluster) -> None:
    cluster.needs("LPUSH")
    keys = {f"scan:{i}".encode() for i in range(1000)}
    client.mset(dict.fromkeys(keys, b"x"))
    client.lpush("other", "x")
    assert set(client.scan_iter("scan:*", count=50)) == keys
    assert list(client.scan_iter(_type="list")) == [b"other"]
    with pytest.raises(redis.ResponseError, match="invalid cursor"):
        ask(client, "SCAN", "x")


def test_scripts(client: redis.Redis, cluster: RealCluster) -> None:
    cluster.needs("EVAL", "SCRIPT")
    assert client.eval("return redis.call('set', KEYS[1], ARGV[1])", 1, "s", "v") == b"OK"
    script = client.register_script("return redis.call('get', KEYS[1])")
    for i in range(20):
        client.set(f"s:{i}", i)
        assert script(keys=[f"s:{i}"]) == b"%d" % i
    sha = client.script_load("return 7")
    assert client.script_exists(sha, "0" * 40) == [True, False]
    assert client.evalsha(sha, 0) == 7
    assert client.script_flush()
    assert client.script_exists(sha) == [False]


def test_lock(proxy: ProxyProcess, client: redis.Redis, cluster: RealCluster) -> None:
    cluster.needs("EVAL")
    with proxy.client() as other, client.lock("lock", timeout=10):
        assert not other.lock("lock", blocking=False).acquire()
    assert client.lock("lock", blocking=False).acquire()


def test_one_database_and_no_cluster(client: redis.Redis) -> None:
    assert ask(client, "SELECT", "0")
    with pytest.raises(redis.ResponseError, match="DB index is out of range"):
        ask(client, "SELECT", "1")
    for command in ("CLUSTER INFO", "READONLY", "ASKING"):
        with pytest.raises(redis.ResponseError, match="cluster support disabled"):
            ask(client, *command.split())
    for command in ("MONITOR", "SHUTDOWN", "PSYNC ? -1"):
        with pytest.raises(redis.ResponseError, match="not available through the proxy"):
            ask(client, *command.split())
    assert client.info("server")["redis_mode"] == "standalone"
    assert client.info()["proxy_slots_served"] == 16384
    assert client.time()[0] > 1_600_000_000
    assert client.echo("x") == b"x"
    assert client.client_setname("me")
    assert client.client_getname() in ("me", b"me")
    assert client.config_get("cluster-enabled") == {"cluster-enabled": "yes"}
    with pytest.raises(redis.ResponseError, match="unknown command 'NOSUCH'"):
        ask(client, "NOSUCH", "x")
    with pytest.raises(redis.ResponseError, match="wrong number of arguments for 'get' command"):
        ask(client, "GET")
    with pytest.raises(redis.ResponseError, match="unknown subcommand"):
        ask(client, "CLIENT", "NOPE")


def test_hello_changes_the_protocol_of_nodes_replies(proxy: ProxyProcess, cluster: RealCluster) -> None:
    cluster.needs("HSET")
    with socket.create_connection(("127.0.0.1", proxy.port)) as raw:
        raw.settimeout(5)
        raw.sendall(
            b"HSET hh f v\r\nHGETALL hh\r\nHELLO 3\r\nHGETALL hh\r\nGET nope\r\nHELLO 2\r\nGET nope\r\nQUIT\r\n"
        )
        received = b""
        while chunk := raw.recv(65536):
            received += chunk
    assert received.startswith(b":1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n%7\r\n")
    assert b"%1\r\n$1\r\nf\r\n$1\r\nv\r\n_\r\n*14\r\n" in received
    assert received.endswith(b"$-1\r\n+OK\r\n")


def test_protocol_error_comes_after_the_replies(proxy: ProxyProcess) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port)) as raw:
        raw.settimeout(5)
        raw.sendall(b"SET pe 1\r\nGET pe\r\n*1\r\nx\r\n")
        received = b""
        while chunk := raw.recv(65536):
            received += chunk
    assert received == b"+OK\r\n$1\r\n1\r\n-ERR Protocol error: expected '$', got 'x'\r\n"


def test_client_that_stops_talking_still_hears_its_replies(proxy: ProxyProcess) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port)) as raw:
        raw.settimeout(5)
        raw.sendall(b"SET a 1\r\nMGET a b\r\nPING\r\n")
        raw.shutdown(socket.SHUT_WR)
        received = b""
        while chunk := raw.recv(65536):
            received += chunk
    assert received == b"+OK\r\n*2\r\n$1\r\n1\r\n$-1\r\n+PONG\r\n"


def test_client_reply_off_and_skip(proxy: ProxyProcess) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port)) as raw:
        raw.settimeout(5)
        raw.sendall(
            b"CLIENT REPLY SKIP\r\nSET a 1\r\nGET a\r\nCLIENT REPLY OFF\r\nSET a 2\r\nMGET a b c\r\nPING\r\n"
            b"CLIENT REPLY ON\r\nGET a\r\nQUIT\r\n"
        )
        received = b""
        while chunk := raw.recv(65536):
            received += chunk
    assert received == b"$1\r\n1\r\n+OK\r\n$1\r\n2\r\n+OK\r\n"


def test_blocking_commands(proxy: ProxyProcess, client: redis.Redis, cluster: RealCluster) -> None:
    cluster.needs("BLPOP")
    assert client.blpop("empty", timeout=0.05) is None
    popped: list[object] = []
    thread = threading.Thread(target=lambda: popped.append(client.blpop("queue", timeout=10)))
    thread.start()
    with proxy.client() as other:
        wait_for(lambda: any(line["cmd"] == "blpop" for line in other.client_list()), what="the pop waits")
        other.rpush("queue", "job")
    thread.join()
    assert popped in ([(b"queue", b"job")], [[b"queue", b"job"]])
    # Queued in a pipeline it waits for what comes before, and what comes behind waits for it.
    pipe = client.pipeline(transaction=False)
    pipe.rpush("q", "1", "2")
    pipe.blpop("q", timeout=1)
    pipe.lpop("q")
    pipe.get("none")
    assert pipe.execute()[2:] == [b"2", None]


@pytest.mark.parametrize(
    ("words", "reply"),
    [
        ("BRPOP {m}a {m}b 0", [b"{m}b", b"2"]),
        ("BLMOVE {m}b {m}c LEFT RIGHT 0", b"1"),
        ("BRPOPLPUSH {m}b {m}c 0", b"2"),
        ("BLMPOP 0 2 {m}a {m}b LEFT COUNT 5", [b"{m}b", [b"1", b"2"]]),
        ("BZPOPMIN {m}a {m}z 0", [b"{m}z", b"x", b"1"]),
        ("BZMPOP 0 2 {m}a {m}z MAX", [b"{m}z", [[b"y", b"2"]]]),
        ("XREAD BLOCK 0 STREAMS {m}t {m}s $ $", [[b"{m}s", [[b"1-1", [b"f", b"v"]]]]]),
        ("XREADGROUP GROUP g c BLOCK 0 STREAMS {m}s >", [[b"{m}s", [[b"1-1", [b"f", b"v"]]]]]),
    ],
)
def test_every_blocking_command_waits_for_its_keys(
    words: str, reply: object, proxy: ProxyProcess, cluster: RealCluster
) -> None:
    cluster.needs("BLMPOP", "BZMPOP", "XREADGROUP")
    with proxy.client() as client, proxy.client() as other, cluster.owner("{m}").client() as node:
        client.set_response_callback(words.split()[0], lambda response, **_: response)
        other.xgroup_create("{m}s", "g", mkstream=True)
        replies: list[object] = []
        thread = threading.Thread(target=lambda: replies.append(client.execute_command(*words.split())))
        thread.start()
        wait_for(lambda: node.info("clients")["blocked_clients"] == 1, what="the client waits at the node")
        with other.pipeline() as transaction:
            transaction.rpush("{m}b", "1", "2").zadd("{m}z", {"x": 1, "y": 2})
            ask(transaction, "XADD", "{m}s", "1-1", "f", "v")
            transaction.execute()
        thread.join()
        assert replies == [reply]
        with pytest.raises(redis.ResponseError, match="hash to the same slot"):
            client.blpop(["{m}a", "{n}a"], timeout=1)


def test_a_client_that_leaves_takes_nothing_with_it(proxy: ProxyProcess, cluster: RealCluster) -> None:
    """Its blocked command must go with it, or the node would give it the next element."""
    cluster.needs("BLPOP")
    with socket.create_connection(("127.0.0.1", proxy.port)) as raw, cluster.owner("left").client() as node:
        raw.sendall(b"BLPOP left 0\r\n")
        wait_for(lambda: node.info("clients")["blocked_clients"] == 1, what="the pop waits at the node")
        raw.close()
        wait_for(lambda: node.info("clients")["blocked_clients"] == 0, what="the pop is gone")
        node.rpush("left", "kept")
        assert node.lrange("left", 0, -1) == [b"kept"]


def test_wait_counts_replicas(client: redis.Redis) -> None:
    client.set("w", "1")
    assert client.wait(1, 5000) == 1
    client.mset({f"w{i}": i for i in range(20)})
    assert client.wait(1, 5000) == 1
    assert client.wait(2, 50) == 1


def test_redis_cli_and_redis_benchmark(proxy: ProxyProcess, cluster: RealCluster) -> None:
    cluster.needs("LPUSH", "HLEN")

    def run(*words: str) -> str:
        return subprocess.run([*words], capture_output=True, text=True, check=True, timeout=30).stdout

    cli = ("redis-cli", "-p", str(proxy.port))
    assert run(*cli, "SET", "cli", "1") == "OK\n"
    assert run(*cli, "-3", "GET", "cli") == "1\n"
    assert run(*cli, "--scan") == "cli\n"
    assert "Biggest string" in run(*cli, "--bigkeys")
    bench = ("redis-benchmark", "-p", str(proxy.port), "-q", "-n", "2000", "-r", "1000", "-P", "8")
    out = run(*bench, "-t", "set,get,incr,lpush,mset")
    assert out.count("requests per second") == 5
