"""Client libraries drive a node and a cluster through features of their own: what they do with several commands at
once, and what they are told without asking. (redis-py's cache in the client wants a server that calls itself 7.4;
node-redis' works with any.)"""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.cluster import ClusterNode, RedisCluster

from tests.ports import free_base
from tests.waiting import wait_for

ROOT = Path(__file__).parent.parent.parent
JAVASCRIPT = Path(__file__).parent / "javascript"
PACKAGES = ("ioredis@6.0.0", "redis@6.3.1")
SLOTS = 16384
Client = redis.Redis | RedisCluster


class Servers:
    """One node by itself, and three that are a cluster."""

    def __init__(self, folder: Path) -> None:
        self.port = free_base()
        self.ports = [self.port + at for at in (1, 2, 3)]
        self._processes: list[subprocess.Popen[bytes]] = []
        for port in (self.port, *self.ports):
            home = folder / str(port)
            home.mkdir()
            options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(home), "--logfile", "log"]
            clustered = ["--cluster-enabled", "yes"] if port != self.port else []
            command = [sys.executable, "-m", "lab", "server", *options, *clustered]
            self._processes.append(subprocess.Popen(command, cwd=ROOT))
        for port in (self.port, *self.ports):
            wait_for(lambda port=port: _answers(port), what=f"the server on port {port}")

    def make_cluster(self) -> None:
        nodes = [redis.Redis(port=port) for port in self.ports]
        share = SLOTS // len(nodes) + 1
        for at, node in enumerate(nodes):
            last = min((at + 1) * share, SLOTS) - 1
            node.execute_command("CLUSTER", "ADDSLOTSRANGE", at * share, last)
            node.execute_command("CLUSTER", "MEET", "127.0.0.1", self.ports[0])
        for node in nodes:
            wait_for(lambda node=node: _is_whole(node), what="the cluster")
            node.close()

    def client(self, kind: str, **options: object) -> Client:
        if kind == "node":
            return redis.Redis(port=self.port, decode_responses=True, **options)
        return RedisCluster(startup_nodes=[ClusterNode("127.0.0.1", self.ports[0])], decode_responses=True, **options)

    def stop(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


def _answers(port: int) -> bool:
    try:
        with redis.Redis(port=port) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def _is_whole(node: redis.Redis) -> bool:
    info = node.execute_command("CLUSTER", "INFO")
    return b"cluster_state:ok\r" in info and b"cluster_size:3\r" in info


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    started = Servers(tmp_path_factory.mktemp("servers"))
    try:
        started.make_cluster()
        yield started
    finally:
        started.stop()


@pytest.fixture(
    params=[("node", 2), ("node", 3), ("cluster", 2), ("cluster", 3)], ids=lambda param: f"{param[0]}-{param[1]}"
)
def kind(request: pytest.FixtureRequest) -> tuple[str, int]:
    """What to talk to, and in which protocol."""
    return request.param


@pytest.fixture
def client(servers: Servers, kind: tuple[str, int]) -> Iterator[Client]:
    with servers.client(kind[0], protocol=kind[1]) as client:
        client.flushall()
        yield client


def test_pipelines(client: Client) -> None:
    pipe = client.pipeline(transaction=False)
    for number in range(100):
        pipe.set(f"key:{number}", number).incr(f"key:{number}")
    assert pipe.execute()[1::2] == list(range(1, 101))
    replies = client.pipeline(transaction=False).set("a", "x").lpush("a", "y").get("a").execute(raise_on_error=False)
    assert isinstance(replies[1], redis.ResponseError)
    assert replies[2] == "x"


def test_transactions(client: Client, servers: Servers, kind: tuple[str, int]) -> None:
    client.set("{t}n", 1)
    with servers.client(kind[0]) as other, client.pipeline(transaction=True) as pipe:
        attempts = 0
        while True:
            attempts += 1
            try:
                pipe.watch("{t}n")
                value = int(pipe.get("{t}n"))
                if attempts == 1:
                    other.set("{t}n", 10)
                pipe.multi()
                pipe.set("{t}n", value + 1)
                pipe.get("{t}n")
                assert pipe.execute()[1] == "11"
                break
            except redis.WatchError:
                continue
    assert attempts == 2


def test_scripts_and_functions(client: Client, servers: Servers, kind: tuple[str, int]) -> None:
    script = client.register_script("return redis.call('incrby', KEYS[1], ARGV[1])")
    assert [script(keys=["{s}n"], args=[5]) for _ in range(2)] == [5, 10]
    code = "#!lua name=py\nredis.register_function('py_echo', function(keys, args) return {keys[1], args[1]} end)"
    ports = [servers.port] if kind[0] == "node" else servers.ports
    for port in ports:
        with redis.Redis(port=port) as node:
            assert node.function_load(code, replace=True) in (b"py", "py")
    assert client.fcall("py_echo", 1, "{s}n", "said") == ["{s}n", "said"]


def _next_of(listener: redis.client.PubSub, kind: str) -> dict[str, object]:
    return wait_for(
        lambda: (message := listener.get_message(timeout=0.1)) is not None and message["type"] == kind and message,
        what=kind,
    )


def test_messages(client: Client) -> None:
    listener = client.pubsub()
    listener.subscribe("news")
    listener.psubscribe("ne*")
    _next_of(listener, "subscribe")
    _next_of(listener, "psubscribe")
    client.publish("news", "one")
    assert _next_of(listener, "message")["data"] == "one"
    assert _next_of(listener, "pmessage")["data"] == "one"
    listener.close()


def test_messages_of_shards(client: Client, kind: tuple[str, int]) -> None:
    listener = client.pubsub()
    listener.ssubscribe("{m}shard")

    def take() -> dict[str, object] | None:
        return listener.get_sharded_message(timeout=0.1) if kind[0] == "cluster" else listener.get_message(timeout=0.1)

    wait_for(lambda: (message := take()) is not None and message["type"] == "ssubscribe", what="the subscription")
    client.spublish("{m}shard", "two")
    message = wait_for(take, what="the message")
    assert (message["type"], message["channel"], message["data"]) == ("smessage", "{m}shard", "two")
    listener.close()


def test_streams(client: Client) -> None:
    first = client.xadd("{x}s", {"field": "value"})
    client.xgroup_create("{x}s", "group", 0)
    read = client.xreadgroup("group", "me", {"{x}s": ">"}, count=1)
    entries = read["{x}s"][0] if isinstance(read, dict) else read[0][1]
    assert [tuple(entry) for entry in entries] == [(first, {"field": "value"})]
    assert client.xpending("{x}s", "group")["pending"] == 1
    assert client.xautoclaim("{x}s", "group", "other", 0)[1][0][0] == first
    assert client.xack("{x}s", "group", first) == 1
    later = threading.Timer(0.2, client.xadd, ("{x}s", {"field": "later"}))
    later.start()
    assert client.xread({"{x}s": "$"}, block=5000)
    later.join()


def test_locks(servers: Servers) -> None:
    first, second = servers.client("node"), servers.client("node")
    with first.lock("{l}lock", timeout=10) as held:
        assert held.locked()
        assert not second.lock("{l}lock", timeout=10).acquire(blocking=False)
        assert held.extend(10)
        assert 10_000 < first.pttl("{l}lock") <= 20_000
    other = second.lock("{l}lock", timeout=0.1)
    assert other.acquire(blocking=False)
    time.sleep(0.15)
    with pytest.raises(redis.exceptions.LockError):
        other.release()
    first.close()
    second.close()


@pytest.fixture(scope="session")
def javascript(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the libraries."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed")
    folder = tmp_path_factory.mktemp("npm")
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), *PACKAGES]
    if subprocess.run(command, check=False, capture_output=True, timeout=120).returncode:
        pytest.skip("the registry of npm cannot be reached")
    return folder / "node_modules"


@pytest.mark.parametrize("library", ["ioredis", "node-redis"])
@pytest.mark.parametrize("target", ["node", "cluster"])
def test_javascript(javascript: Path, servers: Servers, target: str, library: str) -> None:
    port = servers.port if target == "node" else servers.ports[0]
    with servers.client(target) as client:
        client.flushall()
    done = subprocess.run(
        ["node", str(JAVASCRIPT / f"{library}.cjs"), target, str(port)],
        env={"NODE_PATH": str(javascript), "PATH": "/usr/local/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
