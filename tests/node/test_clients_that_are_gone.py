"""Of a client that is gone nothing is left: the garbage collector does not look at what lived for long."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from node.session import NodeSession
from tests.node.replication.nodes import Client, Running, nodes_in, until

Words = tuple[str | int, ...]


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Running]:
    async for nodes in nodes_in(tmp_path):
        yield await nodes.start("node", enable_debug_command="yes")


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def sessions() -> int:
    return sum(type(each) is NodeSession for each in gc.get_objects())


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize(
    "commands",
    [
        [("GET", "a"), ("SET", "a", 1), ("NONSENSE",), ("LPUSH", "a", 1)],
        [("WATCH", "a", "b"), ("MULTI",), ("SET", "a", 1)],
        [("MULTI",), ("SET", "a", 1), ("EXEC",)],
        [("SUBSCRIBE", "a", "b")],
        [("HELLO", 3), ("CLIENT", "TRACKING", "ON"), ("GET", "a")],
        [("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "a")],
        [("BLPOP", "list", "other", 0)],
        [("WAIT", 1, 0)],
        [("MONITOR",)],
        [("EVAL", "return redis.call('set', 'a', 1)", 0), ("EVAL", "return nonsense", 0)],
        [("CLIENT", "PAUSE", 100000, "WRITE"), ("SET", "a", 1)],
        [("CLIENT", "KILL", "ID", 0), ("QUIT",)],
        [("CLIENT", "SETNAME", "x"), ("CLIENT", "NO-EVICT", "ON"), ("SELECT", 3), ("ACL", "WHOAMI")],
        [("CLUSTER", "SLOTS"), ("COMMAND", "INFO", "get"), ("DEBUG", "SLEEP", 0), ("RESET",)],
    ],
    ids=lambda commands: " ".join(map(str, commands[0])),
)
async def test_nothing_is_left(node: Running, commands: list[Words]) -> None:
    await node.client("PING")
    before = sessions()
    clients = [await Client.connect(node.port) for _ in range(5)]
    for client in clients:
        for words in commands:
            client.send(*words)
    await until(lambda: all(session.last_command for session in node.node.clients))
    # This client comes behind them: they have been heard to the end.
    await node.client("PING")
    assert node.node.clients.total == 1 + len(clients)
    for client in clients:
        await client.close()
    del client, clients
    await until(lambda: len(list(node.node.clients)) == 1)
    # What is known of the last script's caller goes with the next one, and who has read a key when it changes.
    for words in (("CLIENT", "UNPAUSE"), ("EVAL", "return 1", 0), ("SET", "a", 2), ("PING",)):
        await node.client(*words)
    assert sessions() == before
