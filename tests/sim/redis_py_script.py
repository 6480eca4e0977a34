"""What an application does with redis-py's asyncio clients, as one script: for simulated nodes and for real processes.

It knows a cluster of three masters with a replica each and three sentinels by its addresses alone, and whoever runs it
lends it a hand that kills and restarts nodes. It waits in its loop's time and for conditions, and raises when something
is not as an application may expect. At its end the cluster is well again, so that it can be run again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import pytest
from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError as NoConnectionError
from redis.exceptions import LockError, MovedError, RedisError, ResponseError

from cluster.slots import key_slot

Address = tuple[str, int]
# Within which a master is replaced, and a node that was killed is back.
REPLACED_WITHIN_S = 20.0


class Stage(Protocol):
    """A running cluster."""

    # Masters first, as they were at the beginning.
    nodes: list[Address]
    sentinels: list[Address]
    # What the sentinels call one of the shards.
    shard: str

    async def kill(self, node: Address) -> None: ...

    async def restart(self, node: Address) -> None: ...


@dataclass(frozen=True)
class Script:
    """One run of it."""

    stage: Stage
    # Which RESP the clients speak.
    protocol: int

    async def run(self) -> None:
        # One for everything: it asks for all that the server knows of its commands, which takes long to parse.
        async with self._cluster() as cluster:
            for act in (
                self.plain_client,
                self.pipeline,
                self.blocking_pool,
                self.lock,
                self.cluster_client,
                self.slot_on_the_move,
                self.sentinel_and_a_dead_node,
            ):
                await act(cluster)
        await self.pubsub()

    # ---- one node

    async def plain_client(self, cluster: RedisCluster) -> None:
        async with self._client(self._owner(cluster, "{a}")) as client:
            assert await client.ping()
            await client.delete("{a}number", "{a}list", "{a}hash")
            assert await client.set("{a}text", "line\r\nline")
            assert await client.get("{a}text") == "line\r\nline"
            assert await client.set("{a}text", "other", nx=True) is None
            assert await client.get("{a}nothing") is None
            assert await client.incr("{a}number", 3) == 3
            assert await client.set("{a}large", "x" * 1_000_000)
            assert len(await client.get("{a}large") or "") == 1_000_000
            assert await client.expire("{a}number", 100)
            assert 0 < await client.ttl("{a}number") <= 100
            assert (await client.config_get("port")).keys() == {"port"}
            assert await client.rpush("{a}list", "one", "two") == 2
            assert await client.lrange("{a}list", 0, -1) == ["one", "two"]
            assert list(await client.blpop(["{a}nothing", "{a}list"], timeout=1) or ()) == ["{a}list", "one"]
            assert await client.blpop(["{a}nothing"], timeout=0.05) is None
            assert await client.hset("{a}hash", mapping={"x": "1"}) == 1
            assert await client.hgetall("{a}hash") == {"x": "1"}
            await raises(ResponseError, client.incr("{a}text"), "not an integer")
            # A key that another node serves: a client that knows nothing of clusters is told, and no more.
            foreign = next(key for key in map(str, range(100)) if not self._same_shard(cluster, "{a}", key))
            await raises(MovedError, client.get(foreign), str(key_slot(foreign.encode())))

    async def pipeline(self, cluster: RedisCluster) -> None:
        async with self._client(self._owner(cluster, "{p}")) as client:
            async with client.pipeline(transaction=True) as pipe:
                pipe.set("{p}1", "one").get("{p}1").get("{p}none")
                assert await pipe.execute() == [True, "one", None]
            async with client.pipeline() as pipe:
                await pipe.watch("{p}1")
                await client.set("{p}1", "changed")
                pipe.multi()
                pipe.set("{p}1", "too late")
                await raises(RedisError, pipe.execute(), "Watched variable changed")

    async def pubsub(self) -> None:
        async with self._client(self.stage.nodes[1]) as client, client.pubsub() as ear:
            await ear.subscribe("news")
            await ear.psubscribe("new?")
            kinds = [(await self._message(ear))["type"] for _ in range(2)]
            assert kinds == ["subscribe", "psubscribe"]
            # The cluster passes it on to all nodes, so it may come from another one.
            async with self._client(self.stage.nodes[2]) as other:
                await other.publish("news", "hello")
            messages = [await self._message(ear) for _ in range(2)]
            assert {message["type"] for message in messages} == {"message", "pmessage"}
            assert {message["data"] for message in messages} == {"hello"}
            await ear.unsubscribe("news")
            assert (await self._message(ear))["type"] == "unsubscribe"
            assert await ear.get_message(timeout=0.05) is None

    @staticmethod
    async def _message(ear: Any) -> Any:
        message = await ear.get_message(timeout=5.0)
        assert message is not None
        return message

    async def blocking_pool(self, cluster: RedisCluster) -> None:
        """Two connections for three: the third waits until one comes back, and not for ever."""
        host, port = self._owner(cluster, "{q}")
        pool = BlockingConnectionPool(
            max_connections=2, timeout=0.5, host=host, port=port, protocol=self.protocol, decode_responses=True
        )

        async def both_wait() -> bool:
            return bool((await other.info("clients"))["blocked_clients"] == 2)

        async with Redis(connection_pool=pool) as client, self._client((host, port)) as other:
            await other.delete("{q}")
            waiting = [asyncio.create_task(client.blpop(["{q}"], timeout=10)) for _ in range(2)]
            await eventually(both_wait)
            loop = asyncio.get_running_loop()
            began = loop.time()
            await raises(NoConnectionError, client.ping(), "No connection available")
            assert loop.time() - began > 0.4
            await other.rpush("{q}", "1", "2")
            assert sorted([(await task)[1] for task in waiting]) == ["1", "2"]
            assert await client.ping()
        await pool.disconnect()

    async def lock(self, cluster: RedisCluster) -> None:
        """One at a time, and the lock of one that is gone expires."""
        async with self._client(self._owner(cluster, "{l}")) as client:
            await client.delete("{l}lock")
            gone = client.lock("{l}lock", timeout=0.2)
            assert await gone.acquire()
            assert not await client.lock("{l}lock", blocking=False).acquire()
            heir = client.lock("{l}lock", sleep=0.01, timeout=5, blocking_timeout=5)
            assert await heir.acquire()
            assert await heir.owned()
            assert not await gone.owned()
            # Giving a lock back and extending it are scripts.
            await raises(LockError, gone.release(), "lock")
            assert await heir.extend(5)
            await heir.release()
            inside = 0

            async def work() -> None:
                nonlocal inside
                async with client.lock("{l}lock", timeout=5, sleep=0.01):
                    assert inside == 0
                    inside += 1
                    await asyncio.sleep(0.02)
                    inside -= 1

            await asyncio.gather(*(work() for _ in range(4)))

    # ---- the cluster

    async def cluster_client(self, cluster: RedisCluster) -> None:
        for number in range(30):
            assert await cluster.set(f"key:{number}", number)
        assert [await cluster.get(f"key:{number}") for number in range(30)] == list(map(str, range(30)))
        assert await cluster.mget_nonatomic([f"key:{number}" for number in range(5)]) == list("01234")
        assert len({cluster.get_node_from_key(f"key:{number}").name for number in range(30)}) == 3

    async def slot_on_the_move(self, cluster: RedisCluster) -> None:
        """ASK while a slot moves, MOVED once it has; who waits for one of its keys is told then."""
        key = f"moving:{self.protocol}"
        slot = key_slot(key.encode())
        await cluster.delete(key)
        source = self._owner(cluster, key)
        target = next((node.host, node.port) for node in cluster.get_primaries() if (node.host, node.port) != source)

        async def waits() -> bool:
            return bool((await giver.info("clients"))["blocked_clients"] == 1)

        async with self._client(source) as giver, self._client(target) as taker, self._client(source) as waiter:
            waiting = asyncio.create_task(waiter.blpop([key], timeout=0))
            await eventually(waits)
            giver_id, taker_id = await giver.cluster("MYID"), await taker.cluster("MYID")
            await taker.cluster("SETSLOT", slot, "IMPORTING", giver_id)
            await giver.cluster("SETSLOT", slot, "MIGRATING", taker_id)
            assert await cluster.set(key, "asked for")
            assert await cluster.get(key) == "asked for"
            # It is at the target, although the map still has the source, which alone is asked first.
            assert await giver.cluster("COUNTKEYSINSLOT", slot) == 0
            assert await taker.cluster("COUNTKEYSINSLOT", slot) == 1
            assert self._owner(cluster, key) == source
            for node in (taker, giver):
                await node.cluster("SETSLOT", slot, "NODE", taker_id)
            await raises(MovedError, waiting, str(slot))
            assert await cluster.get(key) == "asked for"
            assert self._owner(cluster, key) == target
            assert await cluster.delete(key) == 1

    # ---- a node dies

    async def sentinel_and_a_dead_node(self, cluster: RedisCluster) -> None:
        sentinel = Sentinel(
            self.stage.sentinels,
            sentinel_kwargs={"protocol": self.protocol, "socket_timeout": 2.0},
            protocol=self.protocol,
            decode_responses=True,
        )
        victim = await sentinel.discover_master(self.stage.shard)
        key = next(key for key in map(str, range(1000)) if self._owner(cluster, key) == victim)
        async with sentinel.master_for(self.stage.shard) as master:
            assert await master.set(key, "before")
            # Or it may be lost, and rightly.
            assert await master.wait(1, 5000) == 1
            await self.stage.kill(victim)
            async with self._client(victim) as nobody:
                await raises(NoConnectionError, nobody.ping(), "Error 111 connecting")
            await eventually(lambda: self._writes(cluster, key))
            assert await sentinel.discover_master(self.stage.shard) != victim
            # The client of the sentinels finds the new master by itself.
            await eventually(lambda: _succeeds(master.set(key, "after")))
        assert await cluster.get(key) == "after"
        await self.stage.restart(victim)
        async with self._client(victim) as back:
            await eventually(lambda: _follows(back))
        # The sentinels hear of it a little later than it knows itself.
        await eventually(lambda: self._is_slave(sentinel, victim))
        for client in sentinel.sentinels:
            await client.aclose()

    async def _is_slave(self, sentinel: Sentinel, address: Address) -> bool:
        return address in [tuple(slave) for slave in await sentinel.discover_slaves(self.stage.shard)]

    async def _writes(self, cluster: RedisCluster, key: str) -> bool:
        return await _succeeds(cluster.set(key, "written"))

    # ---- clients

    def _client(self, address: Address) -> Redis:
        host, port = address
        return Redis(
            host=host,
            port=port,
            protocol=self.protocol,
            decode_responses=True,
            socket_timeout=5.0,
            socket_connect_timeout=5.0,
            retry=Retry(ConstantBackoff(0.01), 0),
        )

    def _cluster(self) -> RedisCluster:
        return RedisCluster(
            startup_nodes=[ClusterNode(host, port) for host, port in self.stage.nodes],
            protocol=self.protocol,
            decode_responses=True,
            socket_timeout=2.0,
            socket_connect_timeout=1.0,
            retry=Retry(ConstantBackoff(0.05), 1),
            require_full_coverage=False,
        )

    @staticmethod
    def _owner(cluster: RedisCluster, key: str) -> Address:
        """Who serves a key, as far as the client knows."""
        node = cluster.get_node_from_key(key)
        assert node is not None
        return node.host, int(node.port)

    @staticmethod
    def _same_shard(cluster: RedisCluster, one: str, other: str) -> bool:
        return bool(cluster.get_node_from_key(one) == cluster.get_node_from_key(other))


async def raises(kind: type[Exception], attempt: Awaitable[object], words: str) -> None:
    with pytest.raises(kind, match=words):
        await attempt


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + REPLACED_WITHIN_S
    while not await condition():
        assert loop.time() < deadline, "not in time"
        await asyncio.sleep(0.1)


async def _succeeds(attempt: Awaitable[object]) -> bool:
    try:
        return bool(await attempt)
    except RedisError:
        return False


async def _follows(node: Redis) -> bool:
    """It is a replica, and has all that its master has."""
    try:
        info = await node.info("replication")
    except RedisError:
        return False
    return bool(info["role"] == "slave" and info["master_link_status"] == "up")
