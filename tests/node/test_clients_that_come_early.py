"""A node opens one address after the other, and loads its data then: who comes by the first one waits for that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from node.node import Node
from node.settings import NodeSettings
from runtime.runtime import system_runtime
from tests.node.replication.nodes import Client, Nodes, nodes_in
from tests.ports import free_base

# Opening them takes that many turns of the loop and more, as redis.conf's `bind 127.0.0.1 -::1` takes one or two.
ADDRESSES = [f"127.0.0.{last}" for last in range(1, 17)]


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[Nodes]:
    async for nodes in nodes_in(tmp_path):
        yield nodes


async def _first_reply(port: int, *argv: str) -> Any:
    """What the node tells a client who asks as soon as it can."""
    while True:
        try:
            client = await Client.connect(port)
        except ConnectionRefusedError:
            await asyncio.sleep(0)
        else:
            try:
                return await client(*argv)
            finally:
                await client.close()


async def _start_with_a_client(folder: Path, *argv: str, **settings: Any) -> tuple[Node, Any]:
    """A node that a client asks this while it starts, and the reply."""
    port = free_base()
    runtime = system_runtime()
    runtime.log.redirect(lambda line: None)
    node = Node(NodeSettings(port=port, bind=ADDRESSES, dir=str(folder), save=[], **settings), runtime)
    early = asyncio.create_task(_first_reply(port, *argv))
    await node.start()
    return node, await asyncio.wait_for(early, 10)


async def test_reads_what_was_saved(nodes: Nodes, tmp_path: Path) -> None:
    before = await nodes.start("server")
    assert await before.client("SET", "key", "value") == b"OK"
    assert await before.client("SAVE") == b"OK"
    await nodes.stop(before)
    node, reply = await _start_with_a_client(tmp_path / "server", "GET", "key")
    try:
        assert reply == b"value"
    finally:
        await node.stop()


async def test_what_it_writes_is_logged(nodes: Nodes, tmp_path: Path) -> None:
    logged = {"appendonly": True, "appendfsync": "always"}
    await nodes.stop(await nodes.start("server", **logged))
    node, reply = await _start_with_a_client(tmp_path / "server", "SET", "key", "value", **logged)
    await node.stop()
    assert reply == b"OK"
    after = await nodes.start("server", **logged)
    assert await after.client("GET", "key") == b"value"


async def test_slots_that_it_gives_are_kept(tmp_path: Path) -> None:
    node, reply = await _start_with_a_client(tmp_path, "CLUSTER", "ADDSLOTSRANGE", "0", "99", cluster_enabled=True)
    try:
        assert reply == b"OK"
        assert node.cluster is not None
        assert node.cluster.state.myself.slots == (1 << 100) - 1
    finally:
        await node.stop()
