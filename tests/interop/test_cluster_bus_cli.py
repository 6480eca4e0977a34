"""Unmodified redis-cli as the judge: it makes a cluster of our nodes, finds it healthy, and changes it."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from redis.asyncio.cluster import RedisCluster

from tests.interop.real_nodes import OURS, RealNode, needs_redis, running
from tests.ports import free_base
from tests.waiting import wait_until

OPTIONS = ("--cluster-node-timeout", "1500", "--repl-diskless-sync-delay", "0")


async def cli(*words: str) -> str:
    """What ``redis-cli --cluster`` prints, colours removed; it must succeed."""
    status, text = await _run(*words)
    assert status == 0, text
    return text


async def check(address: str) -> str:
    """The report of ``redis-cli --cluster check``, which fails where something is wrong."""
    return (await _run("check", address))[1]


async def _run(*words: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        "redis-cli", "--cluster", *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    text = re.sub(r"\x1b\[[0-9;]*m", "", output.decode())
    return process.returncode, text


def is_healthy(report: str) -> bool:
    return "[OK] All nodes agree about slots configuration." in report and "[OK] All 16384 slots covered." in report


@needs_redis
async def test_create_check_info_reshard_add_and_delete(tmp_path: Path) -> None:
    port = free_base()
    nodes = [RealNode(tmp_path, port + at, *OPTIONS, program=OURS) for at in range(6)]
    guest = RealNode(tmp_path, port + 6, *OPTIONS)
    addresses = [f"127.0.0.1:{node.port}" for node in nodes]
    async with running(*nodes, guest):
        report = await cli("create", *addresses, "--cluster-replicas", "1", "--cluster-yes")
        assert is_healthy(report)
        assert report.count("1 additional replica(s)") == 3
        assert (await cli("info", addresses[3])).count("| 1 slaves.") == 3

        source, target = [await node.cluster("MYID") for node in nodes[:2]]
        # In slots 0 to 2, which are the first to go: "{3560}" is 0, "{22179}" 1, "{48756}" 2.
        async with RedisCluster("127.0.0.1", nodes[0].port, decode_responses=True) as client:
            await client.set("{3560}string", "kept")
            await client.rpush("{3560}list", *range(50))
            await client.zadd("{22179}sorted", {"a": 1.5})
            await client.hset("{48756}hash", "f", "v")
            await cli(
                *("reshard", addresses[0], "--cluster-from", source, "--cluster-to", target),
                *("--cluster-slots", "3", "--cluster-yes"),
            )
            assert await client.get("{3560}string") == "kept"
            assert await client.llen("{3560}list") == 50
            assert await client.zscore("{22179}sorted", "a") == 1.5
            assert await client.hget("{48756}hash", "f") == "v"
            assert client.get_node_from_key("{3560}string").port == nodes[1].port

        # A real node becomes a replica of ours, and leaves again.
        await cli("add-node", f"127.0.0.1:{guest.port}", addresses[0], "--cluster-slave", "--cluster-master-id", target)

        async def in_sync() -> bool:
            return (await guest.replication()).get("master_link_status") == "up"

        await wait_until(in_sync)

        async def healthy() -> bool:
            return is_healthy(await cli("check", addresses[4]))

        await wait_until(healthy)
        await cli("del-node", addresses[0], await guest.cluster("MYID"))
        await wait_until(healthy)
        assert "cluster_known_nodes:6" in await nodes[5].cluster("INFO")
