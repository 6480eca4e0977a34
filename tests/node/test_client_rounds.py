"""A node with many clients looks at them a part at a time, and misses nobody."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

from node.client_rounds import ClientRounds
from node.settings import NodeSettings
from tests.node.own_server import OwnServer
from tests.node.raw_client import RawClient, as_integer
from tests.waiting import wait_for
from wire.clients import Clients

_MANY = 1500


def _rounds(count: int) -> tuple[Clients[Any], list[int], ClientRounds]:
    clients = Clients[Any]()
    for _ in range(count):
        clients.add(cast(Any, SimpleNamespace(id=clients.next_id())))
    seen: list[int] = []
    return clients, seen, ClientRounds(NodeSettings(), clients, lambda session: seen.append(session.id))


def test_few_are_looked_at_together() -> None:
    _, seen, rounds = _rounds(400)
    rounds.beat()
    assert seen == list(range(1, 401))


def test_many_are_looked_at_within_a_second() -> None:
    clients, seen, rounds = _rounds(20_000)
    rounds.beat()
    assert len(seen) == 2000
    for id in (2001, 19_999):
        clients.remove(clients.by_id[id])
    for _ in range(NodeSettings().hz - 1):
        rounds.beat()
    assert seen == [id for id in range(1, 20_001) if id not in (2001, 19_999)]
    rounds.beat()
    assert seen[-1] == 2000


def _held(client: RawClient) -> int:
    fields = dict(line.split(b":", 1) for line in client.ask("INFO", "memory").split(b"\r\n") if b":" in line)
    return as_integer(b":" + fields[b"mem_clients_normal"] + b"\r\n")


def test_what_many_clients_hold(start_server: Callable[..., OwnServer]) -> None:
    server = start_server("--maxmemory-clients", "100mb", "--hz", "50").wait_ready()
    first = server.client()
    # A client alone holds as much as another one.
    each = _held(first)
    clients = [server.client() for _ in range(_MANY)]
    wait_for(lambda: _held(first) >= (_MANY + 1) * each, what="all to be looked at")
    assert _held(first) < (_MANY + 2) * each
    for client in clients[1:]:
        client.close()
    wait_for(
        lambda: as_integer(first.ask("DBSIZE")) == 0 and _held(first) <= 3 * each,
        what="those that left to count no more",
    )
    # Those that are silent are found in turn, too.
    more = [server.client() for _ in range(_MANY)]
    first.ask("CONFIG", "SET", "timeout", "1")

    def left() -> int:
        return first.ask("CLIENT", "LIST").count(b"\n")

    wait_for(lambda: left() <= 3, what="all that are silent to be let go")
    for client in (*more, clients[0]):
        client.close()
