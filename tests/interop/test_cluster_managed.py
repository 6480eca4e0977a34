"""redis-cli manages a cluster of real nodes and ours side by side: slots go both ways with keys of all types, nodes
come and go, what was left half done is fixed."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from redis.asyncio.cluster import RedisCluster

from cluster.slots import key_slot
from tests.interop.real_nodes import OURS, REDIS, RealNode, needs_redis, running
from tests.interop.test_cluster_bus_cli import check, cli, is_healthy
from tests.ports import free_base
from tests.waiting import wait_until

OPTIONS = (
    *("--cluster-node-timeout", "10000", "--repl-diskless-sync-delay", "0", "--enable-debug-command", "yes"),
    # Small values, so that both encodings of a type are among the keys.
    *("--hash-max-listpack-entries", "8", "--set-max-intset-entries", "8", "--zset-max-listpack-entries", "8"),
)
PROGRAMS = (OURS, REDIS, OURS, REDIS)
# Slots that go at a time.
MOVED = 10
# One of each type and encoding for every tag.
VALUES = (
    ("SET", "string", "value"),
    ("SET", "number", "-17"),
    ("SET", "binary", b"\x00\r\n\xff"),
    ("SET", "long", "x" * 20_000),
    ("SET", "volatile", "v", "EX", "1000"),
    ("RPUSH", "list", *range(5)),
    ("RPUSH", "long list", *("y" * 300 for _ in range(200))),
    ("HSET", "hash", "a", "1", "b", "2"),
    ("HSET", "big hash", *(f"f{n}" for n in range(40))),
    ("SADD", "integers", *range(5)),
    ("SADD", "many integers", *range(30)),
    ("SADD", "words", "a", "b", "c"),
    ("ZADD", "sorted", "1.5", "a", "-inf", "b", "inf", "c"),
    ("ZADD", "big sorted", *(word for n in range(30) for word in (str(n / 3), f"m{n}"))),
    ("XADD", "stream", "1-1", "f", "v"),
    ("XADD", "stream", "1-2", "f", "w"),
    ("XGROUP", "stream", "CREATE", "g", "0"),
    ("XREADGROUP", "stream", "GROUP", "g", "me", "COUNT", "1", "STREAMS", ">"),
    ("PFADD", "log", *range(100)),
    ("GEOADD", "places", "13.4", "52.5", "Berlin"),
    ("SETBIT", "bits", "100", "1"),
)


def _command(tag: str, name: str, key: str, *words: object) -> list[object]:
    key = f"{{{tag}}}{key}"
    match name:
        case "XGROUP":
            return ["XGROUP", words[0], key, *words[1:]]
        case "XREADGROUP":
            return ["XREADGROUP", *words[:-1], key, words[-1]]
        case _:
            return [name, key, *words]


async def _fill(nodes: list[RealNode], tags: list[str]) -> list[str]:
    keys: dict[str, None] = {}
    async with RedisCluster("127.0.0.1", nodes[0].port) as client:
        for tag in tags:
            for name, key, *words in VALUES:
                node = client.get_node_from_key(f"{{{tag}}}{key}")
                await client.execute_command(*_command(tag, name, key, *words), target_nodes=node)
                keys[f"{{{tag}}}{key}"] = None
    return list(keys)


async def _digests(nodes: list[RealNode], keys: list[str]) -> dict[str, tuple[str, int, int]]:
    """By key: the digest of its value, whether it expires, and where it is."""
    found = {}
    async with RedisCluster("127.0.0.1", nodes[0].port, decode_responses=True) as client:
        for key in keys:
            node = client.get_node_from_key(key)
            assert node is not None
            (digest,) = await client.execute_command("DEBUG", "DIGEST-VALUE", key, target_nodes=node)
            found[key] = (str(digest), int(await client.ttl(key) > 0), int(node.port))
    return found


def _values(digests: dict[str, tuple[str, int, int]]) -> dict[str, tuple[str, int]]:
    return {key: (digest, expires) for key, (digest, expires, _) in digests.items()}


def _tags() -> list[str]:
    """A tag in the first slots of each third: redis-cli moves a node's first slots first."""
    slots = {number: key_slot(b"%d" % number) for number in range(40_000)}
    firsts = (0, 5461, 10923)
    return [str(next(n for n, slot in slots.items() if first <= slot < first + MOVED)) for first in firsts]


@pytest.mark.timeout(150)
@needs_redis
async def test_a_mixed_cluster_is_managed(tmp_path: Path) -> None:
    port = free_base()
    nodes = [RealNode(tmp_path, port + at, *OPTIONS, program=program) for at, program in enumerate(PROGRAMS)]
    addresses = [f"127.0.0.1:{node.port}" for node in nodes]
    ours, theirs, third, guest = nodes

    async def move(source: RealNode, target: RealNode, slots: int) -> None:
        words = ("--cluster-from", await source.cluster("MYID"), "--cluster-to", await target.cluster("MYID"))
        await cli("reshard", addresses[0], *words, "--cluster-slots", str(slots), "--cluster-yes")

    async def settled(members: Sequence[RealNode] = nodes[:3]) -> None:
        async def healthy() -> bool:
            states = [await node.cluster("INFO") for node in members]
            reports = [await check(f"127.0.0.1:{node.port}") for node in members]
            return all("cluster_state:ok" in state for state in states) and all(map(is_healthy, reports))

        await wait_until(healthy)

    async with running(*nodes):
        await cli("create", *addresses[:3], "--cluster-yes")
        await settled()
        keys = await _fill(nodes, _tags())
        before = await _digests(nodes, keys)
        assert len({owner for _, _, owner in before.values()}) == 3

        # From ours to the real one, from there to ours, and between two of ours; what came moves on first.
        for at, (source, target) in enumerate(((ours, theirs), (theirs, third), (third, ours)), start=1):
            await move(source, target, at * MOVED)
        await settled()
        moved = await _digests(nodes, keys)
        assert _values(moved) == _values(before)
        assert {owner for _, _, owner in moved.values()} == {ours.port}
        await cli("rebalance", addresses[1], "--cluster-threshold", "0.1", "--cluster-pipeline", "20")
        await settled()
        assert _values(await _digests(nodes, keys)) == _values(before)

        # An empty real master comes, gets the keys, and leaves again.
        await cli("add-node", addresses[3], addresses[0])

        async def known() -> bool:
            return all(["cluster_known_nodes:4" in await node.cluster("INFO") for node in nodes])

        await wait_until(known)
        await settled(nodes)
        await move(ours, guest, MOVED)
        await move(guest, theirs, MOVED)
        await settled(nodes)
        await cli("del-node", addresses[0], await guest.cluster("MYID"))
        assert _values(await _digests(nodes, keys)) == _values(before)

        # A slot that was left in the middle of its move, some keys here, some there.
        tag = _tags()[0]
        slot = key_slot(tag.encode())
        held = await _digests(nodes, [key for key in keys if key.startswith(f"{{{tag}}}")])
        (owner,) = [node for node in nodes if node.port in {port for _, _, port in held.values()}]
        other = theirs if owner is not theirs else ours
        await other.cluster("SETSLOT", slot, "IMPORTING", await owner.cluster("MYID"))
        await owner.cluster("SETSLOT", slot, "MIGRATING", await other.cluster("MYID"))
        await owner.client.execute_command("MIGRATE", "127.0.0.1", other.port, "", 0, 5000, "KEYS", *list(held)[::2])
        await cli("fix", addresses[0])
        await settled()
        assert _values(await _digests(nodes, keys)) == _values(before)

        assert (await cli("call", addresses[0], "PING")).count("PONG") == 3
        await cli("set-timeout", addresses[1], "4000")
        assert "4000" in await ours.client.execute_command("CONFIG", "GET", "cluster-node-timeout")
        (tmp_path / "backup").mkdir()
        await cli("backup", addresses[0], str(tmp_path / "backup"))
        assert len(list((tmp_path / "backup").glob("*.rdb"))) == 3
        async with _lone(tmp_path, guest) as address:
            await cli("import", addresses[0], "--cluster-from", address, "--cluster-copy")
        async with RedisCluster("127.0.0.1", ours.port) as client:
            assert [await client.get(f"imported:{n}") for n in range(30)] == [b"%d" % n for n in range(30)]


@contextlib.asynccontextmanager
async def _lone(folder: Path, guest: RealNode) -> AsyncIterator[str]:
    """The address of a server outside of the cluster, with thirty keys, where the guest was that has left."""
    guest.kill()
    lone = RealNode(folder / "lone", guest.port, "--cluster-enabled", "no")
    async with running(lone):
        for number in range(30):
            await lone.client.set(f"imported:{number}", number)
        yield f"127.0.0.1:{lone.port}"
