"""The smart client against a cluster of real redis-servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cluster.slots import key_slot
from proxy.client import ClusterClient
from proxy.client_options import ClientOptions, NotExecutedError, Repeat
from proxy.client_pubsub import Gap, Message
from proxy.slot_map import Address
from runtime.runtime import system_runtime
from tests.proxy.real_cluster import RealCluster, RealNode
from tests.proxy.scripted_node import scripted_node
from tests.waiting import wait_for, wait_until
from wire.errors import Error
from wire.outward import Greeting, UnknownOutcomeError


def client_of(cluster: RealCluster, options: ClientOptions | None = None) -> ClusterClient:
    seeds = [Address("127.0.0.1", node.port) for node in cluster.nodes[:2]]
    return ClusterClient(seeds, system_runtime(), options or ClientOptions())


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
async def client(cluster: RealCluster, request: pytest.FixtureRequest) -> AsyncIterator[ClusterClient]:
    async with client_of(cluster, ClientOptions(greeting=Greeting(proto=request.param))) as client:
        yield client


@pytest.fixture
async def broken_later(cluster: RealCluster) -> AsyncIterator[RealCluster]:
    yield cluster
    await asyncio.to_thread(cluster.heal)


async def test_commands_find_their_nodes(client: ClusterClient, cluster: RealCluster) -> None:
    cluster.needs("LPUSH")
    for i in range(50):
        await client.execute("SET", f"k{i}", i)
    assert [await client.execute("GET", f"k{i}") for i in range(50)] == [b"%d" % i for i in range(50)]
    assert await client.execute("PING") in (b"PONG", "PONG")
    with pytest.raises(Error) as refusal:
        await client.execute("LPUSH", "k1", "x")
    assert refusal.value.text.startswith(b"WRONGTYPE")
    with pytest.raises(Error, match="CROSSSLOT"):
        await client.execute("RENAME", "k1", "k2")
    sizes = [await client.execute_at(address, "DBSIZE") for address in await client.masters()]
    assert sum(sizes) == 50
    assert len(sizes) == len(cluster.masters())


async def test_pipeline_across_nodes_keeps_its_order(client: ClusterClient, cluster: RealCluster) -> None:
    cluster.needs("HGET")
    commands: list[tuple[str | int, ...]] = []
    for i in range(200):
        commands += [("SET", f"k{i}", i), ("APPEND", f"k{i}", "x"), ("GET", f"k{i}"), ("HGET", f"k{i}", "f")]
    replies = await client.pipeline(commands)
    for i in range(200):
        set_, append, get, failed = replies[4 * i : 4 * i + 4]
        assert set_ in (b"OK", "OK")
        assert append == len(str(i)) + 1
        assert get == b"%dx" % i
        assert isinstance(failed, Error)


async def test_transaction_in_one_slot(client: ClusterClient) -> None:
    replies = await client.transaction([("SET", "{t}a", 1), ("INCR", "{t}a"), ("GET", "{t}b")])
    assert replies[1:] == [2, None]
    with pytest.raises(Error, match="CROSSSLOT"):
        await client.transaction([("SET", "a", 1), ("SET", "b", 1)])
    with pytest.raises(Error, match="wrong number of arguments"):
        await client.transaction([("SET", "a", 1), ("GET",)])
    assert await client.execute("GET", "a") is None


async def test_watch_on_a_connection_of_its_own(client: ClusterClient) -> None:
    async with client.connection_for("w") as connection:
        await connection.call(b"WATCH", b"w")
        await client.execute("SET", "w", "changed")
        futures = connection.requests([[b"MULTI"], [b"SET", b"w", b"mine"], [b"EXEC"]])
        assert [await future for future in futures][-1] is None
    assert await client.execute("GET", "w") == b"changed"


async def test_scripts_reach_nodes_that_do_not_know_them(client: ClusterClient, cluster: RealCluster) -> None:
    cluster.needs("EVAL")
    script = client.script("return redis.call('incrby', KEYS[1], ARGV[1])")
    for round_ in (1, 2):
        assert [await script.run([key], [5]) for key in "abc"] == [5 * round_] * 3
        for node in cluster.masters():
            with node.client() as direct:
                direct.script_flush()


async def test_blocking_command_holds_nobody_up(client: ClusterClient, cluster: RealCluster) -> None:
    cluster.needs("BLPOP")
    async with asyncio.TaskGroup() as tasks:
        popped = tasks.create_task(client.execute("BLPOP", "{b}queue", 10))
        assert await client.execute("SET", "{b}other", 1) in (b"OK", "OK")
        await client.execute("RPUSH", "{b}queue", "job")
    assert popped.result() == [b"{b}queue", b"job"]


async def test_pubsub_survives_its_connection(client: ClusterClient, cluster: RealCluster) -> None:
    async with client.subscribe("news", patterns=["n*"]) as messages:
        await client.execute("PUBLISH", "news", "one")
        assert [await anext(messages), await anext(messages)] == [
            Message(b"news", b"one"),
            Message(b"news", b"one", b"n*"),
        ]
        for node in cluster.masters():
            with node.client() as direct:
                direct.client_kill_filter(_type="pubsub")
        assert await anext(messages) == Gap()

        async def heard() -> bool:
            await client.execute("PUBLISH", "news", "two")
            try:
                async with asyncio.timeout(0.2):
                    return await anext(messages) == Message(b"news", b"two")
            except TimeoutError:
                return False

        await wait_until(heard, what="a message after the gap")


async def test_replica_reads(cluster: RealCluster) -> None:
    with cluster.owner("r").client() as master:
        master.set("r", "1")
        assert master.wait(1, 5000) == 1
    # Redis names no replica whose offset is 0, as a new one's is until somebody writes.
    wait_for(lambda: all(names_replica_of(node, "r") for node in cluster.nodes), what="replicas in CLUSTER SLOTS")
    async with client_of(cluster, ClientOptions(read_from_replicas=True)) as client:
        for _ in range(40):
            assert await client.execute("GET", "r") == b"1"
    reads = {node.port: hits(node) for node in cluster.nodes if node.role() == "slave"}
    assert max(reads.values()) > 5, reads


def names_replica_of(node: RealNode, key: str) -> bool:
    """Whether clients learn of a replica that has the key's slot."""
    slot = key_slot(key.encode())
    with node.client() as client:
        return any(first <= slot <= last and replicas for first, last, _, *replicas in client.cluster("SLOTS"))


def hits(node: RealNode) -> int:
    with node.client() as client:
        return int(client.info("stats")["keyspace_hits"])


async def test_killed_master(broken_later: RealCluster) -> None:
    """Reads and unsent writes wait for the new master; a write that was under way has an unknown outcome."""
    async with client_of(broken_later) as client:
        await client.execute("SET", "b", 0)
        victim = broken_later.owner("b")
        with victim.client() as direct:
            assert direct.wait(1, 5000) == 1
        victim.pause()
        async with asyncio.TaskGroup() as tasks:
            write = tasks.create_task(outcome(client.execute("INCR", "b")))
            read = tasks.create_task(outcome(client.execute("GET", "b")))
            pipe = tasks.create_task(client.pipeline([("GET", "b"), ("INCR", "b"), ("GET", "b"), ("SET", "a", 1)]))
            await wait_until(lambda: all_sent(client, victim), what="requests under way")
            victim.kill()
        assert isinstance(write.result(), UnknownOutcomeError)
        assert write.result().happened is None
        assert read.result() == b"0"
        # The first read of the pipeline has been overtaken, perhaps, by the write behind it.
        first, second, third, other = pipe.result()
        assert isinstance(second, UnknownOutcomeError)
        assert isinstance(first, UnknownOutcomeError)
        assert third == b"0"
        assert other in (b"OK", "OK")
        assert await client.execute("INCR", "b") == 1


async def all_sent(client: ClusterClient, victim: RealNode) -> bool:
    connection = client._world.pool._open.get((Address("127.0.0.1", victim.port), False))
    return connection is not None and connection.pending == 5


async def outcome(work: Any) -> Any:
    try:
        return await work
    except Exception as error:
        return error


async def test_deadline_says_that_nothing_happened(cluster: RealCluster) -> None:
    options = ClientOptions(deadline_ms=300)
    async with ClusterClient([Address("127.0.0.1", 1)], system_runtime(), options) as client:
        with pytest.raises(NotExecutedError) as refusal:
            await client.execute("INCR", "a")
        assert refusal.value.happened is False
        with pytest.raises(NotExecutedError):
            await client.masters()
        with pytest.raises(NotExecutedError):
            async with client.subscribe("x"):
                pass
    assert cluster.owner("a")


@pytest.mark.parametrize(
    ("command", "least"),
    [
        ("GET a", Repeat.READS),
        ("SET a 1", Repeat.IDEMPOTENT),
        ("SET a 1 EX 10", Repeat.IDEMPOTENT),
        ("SET a 1 nx", Repeat.ALL),
        ("SET a 1 GET", Repeat.ALL),
        ("SET a 1 EX 10 ifne 1", Repeat.ALL),
        ("DELEX a", Repeat.ALL),
        ("DEL a", Repeat.IDEMPOTENT),
        ("INCR a", Repeat.ALL),
        ("NOSUCH a", Repeat.ALL),
    ],
)
async def test_what_may_be_repeated(command: str, least: Repeat) -> None:
    from proxy.routing import RouteTable, declared_specs

    argv = command.encode().split()
    route = RouteTable(declared_specs()).find(argv)
    assert [repeat for repeat in Repeat if repeat.allows(route, argv)] == [r for r in Repeat if r >= least]


async def test_the_deadline_holds_while_a_node_accepts_and_says_nothing() -> None:
    """A stopped process: its kernel accepts connections, on which nothing is ever answered."""

    done = asyncio.Event()

    async def be_silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await done.wait()
        finally:
            writer.close()

    async with scripted_node() as node, await asyncio.start_server(be_silent, "127.0.0.1", 0) as silent:
        try:
            port = silent.sockets[0].getsockname()[1]
            # Time for a busy machine to make the first connection, and less than a connection may take.
            options = ClientOptions(deadline_ms=2000, connect_timeout_ms=20_000)
            async with ClusterClient([Address("127.0.0.1", node.port)], system_runtime(), options) as client:
                assert await client.execute("SET", "a", "1") == b"OK"
                # Everything belongs to the silent one from now on.
                node.script = [b"-MOVED 15495 127.0.0.1:%d\r\n" % port] * 100
                began = asyncio.get_running_loop().time()
                with pytest.raises(NotExecutedError):
                    await client.execute("SET", "a", "2")
                assert asyncio.get_running_loop().time() - began < 8
        finally:
            # Leaving its server waits, from Python 3.12 on, until nobody is connected any more.
            done.set()
