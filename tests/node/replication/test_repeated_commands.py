"""A replica runs what its master repeats in one go, and has the same data as if it had not; its log says the same."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from node.node import Node
from tests.node.replication.nodes import Nodes, Running
from wire.table import Stretch

# A few keys of each kind, so that they meet what is not ordinary: other types, times to live, keys that are not there.
_KEYS = ("list", "set", "hash", "text", "stream", "short", "absent")
_REPEATED = (
    ("SET", "value"),
    ("INCR",),
    ("LPUSH", "value"),
    ("RPUSH", "value"),
    ("LPOP",),
    ("RPOP",),
    ("SADD", "value"),
    ("HSET", "value", "value"),
    ("XADD", "*", "field", "value"),
)
_BETWEEN = (("DEL",), ("EXPIRE", "1000"), ("PERSIST",), ("APPEND", "value"))


async def _repeat(running: Running, chance: Random, chunks: int) -> None:
    """Pipelines of the same command, and others between them."""
    for _ in range(chunks):
        name, *words = chance.choice(_REPEATED if chance.random() < 0.8 else _BETWEEN)
        key = chance.choice(_KEYS)
        others = chance.choice((0, 0.2))
        count = chance.randrange(4, 12) if (name, *words) in _REPEATED else 1
        for _ in range(count):
            given = [str(chance.randrange(6)) if word == "value" else word for word in words]
            running.client.send(name, key if chance.random() >= others else chance.choice(_KEYS), *given)
        for _ in range(count):
            await running.client.reply()


def _count_stretches(node: Node) -> list[int]:
    """Notes how many commands each stretch of `node` ran."""
    counts: list[int] = []
    for command in node.table.every():
        run = command.stretch
        if run is not None:

            def counted(*arguments: Any, run: Stretch = run) -> int:
                counts.append(run(*arguments))
                return counts[-1]

            command.stretch = counted
    return counts


@pytest.mark.parametrize("appendonly", [False, True], ids=["without a log", "with a log"])
async def test_it_has_what_its_master_has(nodes: Nodes, appendonly: bool) -> None:
    master = await nodes.start("master", enable_debug_command="yes")
    replica = await nodes.start("replica", enable_debug_command="yes", appendonly=appendonly)
    replica.node.replication.follow("127.0.0.1", master.port)
    await replica.in_sync()
    stretches = _count_stretches(replica.node)
    await _repeat(master, Random(7), chunks=250)
    await replica.caught_up_with(master)
    digest = await master.client("DEBUG", "DIGEST")
    assert await replica.client("DEBUG", "DIGEST") == digest
    assert sum(stretches) > 200
    assert "CRITICAL" not in replica.log
    if appendonly:
        # As a shutdown does: on a busy machine the last writes wait for a sync.
        replica.node.append_only.log.flush(force=True)
        await nodes.stop(replica)
        again = await nodes.start("replica", enable_debug_command="yes", appendonly=True)
        assert await again.client("DEBUG", "DIGEST") == digest
