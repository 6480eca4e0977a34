"""What is tried again never turns a client's order round, and never happens twice.

Each case is a pipeline, what the node answers to its commands in turn (then OK), the replies that the client gets, and
what the node has executed in the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from proxy.client import ClusterClient
from proxy.client_options import ClientOptions
from proxy.proxy import Proxy
from proxy.settings import ProxySettings
from proxy.slot_map import Address
from runtime.runtime import system_runtime
from tests.ports import free_base
from tests.proxy.scripted_node import ScriptedNode, scripted_node
from wire.errors import Error
from wire.outward import OutwardError, connect

DOWN = b"-CLUSTERDOWN The cluster is down\r\n"
AGAIN = b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n"
OK = b"+OK\r\n"
CLOSE = None


@dataclass(frozen=True)
class Case:
    pipeline: str
    script: tuple[bytes | None, ...]
    # ok, refused (definitely not executed), unknown.
    replies: str
    executed: str


CASES = {
    "all refused, all tried again, in order": Case("SET a 1|SET a 2", (DOWN, DOWN), "ok ok", "SET a 1|SET a 2"),
    "refused again and again": Case("SET a 1|SET a 2", (DOWN, DOWN, AGAIN, AGAIN), "ok ok", "SET a 1|SET a 2"),
    "a write that was overtaken stays refused": Case("SET a 1|SET a 2", (DOWN, OK), "refused ok", "SET a 2"),
    "a read that a write overtook stays refused": Case("GET a|SET a 2", (DOWN, OK), "refused ok", "SET a 2"),
    "a write that a read overtook stays refused": Case("SET a 1|GET a", (DOWN, OK), "refused ok", "GET a"),
    "a read may be overtaken by a read": Case("GET a|GET a", (DOWN, OK), "ok ok", "GET a|GET a"),
    "another slot overtakes nobody": Case("SET a 1|SET b 2", (DOWN, OK), "ok ok", "SET b 2|SET a 1"),
    "sent and not answered: reads again, writes not": Case(
        "GET a|SET b 1|GET c", (CLOSE,), "ok unknown ok", "GET a|GET c"
    ),
    "a read before a write of unknown fate": Case("GET a|SET a 1|GET a", (CLOSE,), "refused unknown ok", "GET a"),
    "refused, then lost": Case("SET a 1|SET b 1", (DOWN, CLOSE), "ok unknown", "SET a 1"),
    "errors of the client's own": Case("SET a 1|SET a 2", (b"-ERR no\r\n", OK), "refused ok", "SET a 2"),
}


def kind(reply: Any) -> str:
    """ok, refused or unknown."""
    if isinstance(reply, OutwardError):
        return "refused" if reply.happened is False else "unknown"
    if isinstance(reply, Error):
        return "unknown" if reply.text.startswith(b"UNKNOWN ") else "refused"
    return "ok"


@asynccontextmanager
async def through_proxy(node: ScriptedNode) -> AsyncIterator[Any]:
    port = free_base() + 200
    nodes = (Address("127.0.0.1", node.port),)
    proxy = Proxy(ProxySettings(nodes=nodes, port=port, bind=("127.0.0.1",)), system_runtime())
    await proxy.start()
    client = await connect("127.0.0.1", port)
    # The link is open before the case begins.
    assert await client.call(b"GET", b"first")

    async def run(commands: list[list[bytes]]) -> list[Any]:
        return [await future for future in client.requests(commands)]

    try:
        yield run
    finally:
        client.close()
        await proxy.stop()


@asynccontextmanager
async def through_client(node: ScriptedNode) -> AsyncIterator[Any]:
    options = ClientOptions(deadline_ms=5000)
    async with ClusterClient([Address("127.0.0.1", node.port)], system_runtime(), options) as client:
        assert await client.execute("GET", "first")
        yield client.pipeline


@pytest.mark.parametrize("through", [through_proxy, through_client], ids=["proxy", "client"])
@pytest.mark.parametrize("name", CASES)
async def test_case(name: str, through: Any) -> None:
    case = CASES[name]
    async with scripted_node() as node, through(node) as run:
        node.received.clear()
        node.executed.clear()
        node.script = list(case.script)
        async with asyncio.timeout(10):
            replies = await run([line.encode().split() for line in case.pipeline.split("|")])
        if name == "a read before a write of unknown fate" and through is through_client:
            # The client knows it by the connection's end, not by a refusal.
            assert [kind(reply) for reply in replies] == ["unknown", "unknown", "ok"]
        else:
            assert " ".join(kind(reply) for reply in replies) == case.replies
        assert b"|".join(node.executed).decode() == case.executed


async def test_transaction_is_sent_again_as_a_whole() -> None:
    async with scripted_node() as node, through_proxy(node) as run:
        node.received.clear()
        refused = (OK, AGAIN, b"-EXECABORT Transaction discarded because of previous errors.\r\n")
        done = (OK, b"+QUEUED\r\n", b"*1\r\n+OK\r\n")
        node.script = [*refused, *done]
        replies = await run([[b"MULTI"], [b"SET", b"a", b"1"], [b"EXEC"]])
        assert replies == [b"OK", b"QUEUED", [b"OK"]]
        assert node.received == [b"MULTI", b"SET a 1", b"EXEC"] * 2
        # One that was sent and not answered is not.
        node.script = [OK, CLOSE]
        replies = await run([[b"MULTI"], [b"SET", b"a", b"1"], [b"EXEC"]])
        assert kind(replies[-1]) == "unknown"
        # And the reason why the node would not queue a command is not lost.
        node.script = [OK, b"-OOM command not allowed\r\n", refused[-1]]
        replies = await run([[b"MULTI"], [b"SET", b"a", b"1"], [b"EXEC"]])
        assert isinstance(replies[-1], Error)
        assert replies[-1].text == b"EXECABORT Transaction discarded because of: OOM command not allowed"


async def test_node_that_answers_too_much_is_not_trusted() -> None:
    async with scripted_node() as node, through_proxy(node) as run:
        node.script = [b"+OK\r\n+one more\r\n"]
        assert await run([[b"SET", b"a", b"1"]]) == [b"OK"]
        assert await run([[b"GET", b"a"]]) == [b"OK"]
