"""A master that stands still in the middle of a command, and is replaced meanwhile: what its client hears."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.interop.real_nodes import OURS, REDIS, RealNode, needs_redis, running
from tests.ports import free_base
from tests.waiting import wait_until

_TIMEOUT_MS = 1000
_STALL_S = 4


def pair(folder: Path, program: tuple[str, ...]) -> tuple[RealNode, RealNode]:
    """A master of all slots and its replica, not started yet."""
    base = free_base()
    options = ("--cluster-node-timeout", str(_TIMEOUT_MS), "--enable-debug-command", "yes")
    return (
        RealNode(folder, base, *options, program=program),
        RealNode(folder, base + 1, *options, program=program),
    )


async def joined(master: RealNode, replica: RealNode) -> None:
    await master.cluster("ADDSLOTSRANGE", 0, 16383)
    await replica.cluster("MEET", "127.0.0.1", master.port)
    master_id = await master.cluster("MYID")

    async def met() -> bool:
        return f"{master_id} 127.0.0.1:{master.port}" in await replica.cluster("NODES")

    await wait_until(met)
    await replica.cluster("REPLICATE", master_id)

    async def in_sync() -> bool:
        states = [await node.cluster("INFO") for node in (master, replica)]
        link = (await replica.replication()).get("master_link_status")
        return link == "up" and all("cluster_state:ok" in state for state in states)

    await wait_until(in_sync)


async def said_to(master: RealNode, replica: RealNode, request: bytes) -> bytes:
    """All that a client hears whose master stands still in the middle of `request`, and has a successor then."""
    reader, writer = await asyncio.open_connection("127.0.0.1", master.port)
    try:
        writer.write(request)
        await asyncio.sleep(0.2)
        await replica.cluster("FAILOVER", "TAKEOVER")

        async def replaced() -> bool:
            return (await master.replication()).get("master_port") == str(replica.port)

        await wait_until(replaced)
        writer.write(b"PING\r\nQUIT\r\n")
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


@needs_redis
@pytest.mark.parametrize("program", [OURS, REDIS], ids=["ours", "theirs"])
async def test_a_command_that_wrote_nothing_is_answered(program: tuple[str, ...], tmp_path: Path) -> None:
    master, replica = pair(tmp_path, program)
    async with running(master, replica):
        await joined(master, replica)
        heard = await said_to(master, replica, b"DEBUG SLEEP %d\r\n" % _STALL_S)
        assert heard == b"+OK\r\n+PONG\r\n+OK\r\n"


async def test_a_write_that_the_new_master_does_not_know_is_not_acknowledged(tmp_path: Path) -> None:
    master, replica = pair(tmp_path, OURS)
    async with running(master, replica):
        await joined(master, replica)
        heard = await said_to(master, replica, b"MULTI\r\nSET key value\r\nDEBUG SLEEP %d\r\nEXEC\r\n" % _STALL_S)
        assert heard == b""
        assert await replica.client.get("key") is None
