"""`oom-score-adj`: the kernel is told by role, children have a score of their own, and all is put back in the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.node.own_server import OwnServer
from tests.node.raw_client import RawClient, as_integer
from tests.waiting import wait_for


def _score(pid: int) -> int:
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())


def _child_of(pid: int) -> int:
    """The process id of the only child; 0 without one."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else 0


def test_by_role(start_server: Callable[..., OwnServer]) -> None:
    server = start_server("--save", "").wait_ready()
    pid, client = server.process.pid, server.client()
    base = _score(pid)
    assert client.ask("CONFIG", "SET", "oom-score-adj-values", "10 20 30") == b"+OK\r\n"
    assert _score(pid) == base
    assert client.ask("CONFIG", "SET", "oom-score-adj", "yes") == b"+OK\r\n"
    assert _score(pid) == base + 10
    assert client.ask("CONFIG", "SET", "oom-score-adj-values", "15 20 30") == b"+OK\r\n"
    assert _score(pid) == base + 15
    client.ask("REPLICAOF", "127.0.0.1", "1")
    assert _score(pid) == base + 20
    client.ask("REPLICAOF", "NO", "ONE")
    assert client.ask("CONFIG", "SET", "oom-score-adj", "absolute") == b"+OK\r\n"
    assert _score(pid) == 15
    assert client.ask("CONFIG", "SET", "oom-score-adj", "no") == b"+OK\r\n"
    assert _score(pid) == base


def test_of_a_child(start_server: Callable[..., OwnServer]) -> None:
    server = start_server("--save", "", "--oom-score-adj", "relative", "--oom-score-adj-values", "10", "20", "30")
    server.wait_ready()
    pid, client = server.process.pid, server.client()
    base = _score(pid) - 10
    _save_slowly(client)
    wait_for(lambda: _child_of(pid) != 0 and _score(_child_of(pid)) == base + 30, what="the child's score")


def _save_slowly(client: RawClient) -> None:
    client.ask("SET", "key", "value")
    client.ask("CONFIG", "SET", "rdb-key-save-delay", "10000000")
    assert client.ask("BGSAVE").startswith(b"+Background saving started")
    assert as_integer(client.ask("DBSIZE")) == 1
