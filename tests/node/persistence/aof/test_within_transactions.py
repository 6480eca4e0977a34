"""No child begins within a transaction: it would write what has run of it, and the log has all of it."""

from __future__ import annotations

import pytest

from tests.node.persistence.test_saving import idle
from tests.node.replication.nodes import Nodes, until


@pytest.mark.parametrize("enabled", [False, True], ids=["switched on by it", "on"])
async def test_a_rewrite_is_scheduled(nodes: Nodes, enabled: bool) -> None:
    node = await nodes.start("node", appendonly=enabled)
    client = node.client
    await client("MULTI")
    await client("INCR", "n")
    if enabled:
        await client("BGREWRITEAOF")
    else:
        await client("CONFIG", "SET", "appendonly", "yes")
    await client("INCR", "n")
    answers = await client("EXEC")
    assert answers[1] == (b"Background append only file rewriting scheduled" if enabled else b"OK")
    await until(lambda: not node.node.append_only.scheduled, what="the rewrite")
    await idle(node)
    await client("INCR", "n")
    await nodes.stop(node)
    again = await nodes.start("node", appendonly=True)
    assert await again.client("GET", "n") == b"3"


async def test_a_snapshot_is_scheduled(nodes: Nodes) -> None:
    node = await nodes.start("node")
    client = node.client
    for words in ("MULTI",), ("INCR", "n"), ("BGSAVE",), ("INCR", "n"):
        await client(*words)
    assert await client("EXEC") == [1, b"Background saving scheduled", 2]
    await until(lambda: node.node.saver.saves == 1, what="the snapshot")
    await nodes.stop(node)
    again = await nodes.start("node")
    assert await again.client("GET", "n") == b"2"
