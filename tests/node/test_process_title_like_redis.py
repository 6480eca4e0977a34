"""`proc-title-template`: what `ps` shows, filled in like Redis does, under our own name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.node.conftest import Pair
from tests.node.own_server import OwnServer
from tests.waiting import wait_for

TEMPLATES = [
    "{title} {listen-addr} {server-mode}",
    "  x {listen-addr} {port} {tls-port} ({unixsocket}) {config-file}  ",
    "a{{b}c}} {port}",
    "{port}}",
    "}",
    "{",
    "a {",
    "a {foo}",
    "a {title",
    "{title}",
    "{server-mode} {unixsocket}",
    "{ title } x",
    "{Title} x",
    "",
    "   ",
    "{}",
]


def title_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[0]


@pytest.mark.parametrize("template", TEMPLATES)
def test_templates(pair: Pair, template: str) -> None:
    titles = []
    for client, port in zip(pair.connect(), (pair.ours, pair.theirs), strict=True):
        reply = client.ask("CONFIG", "SET", "proc-title-template", template)
        info = client.ask("INFO", "server").decode()
        pid = next(int(line.removeprefix("process_id:")) for line in info.split("\r\n") if "process_id" in line)
        titles.append((reply, title_of(pid).replace(str(port), "PORT")))
        client.ask("CONFIG", "SET", "proc-title-template", TEMPLATES[0])
    ours, theirs = titles
    assert ours[0] == theirs[0]
    # The program that ours was started by is Python.
    assert ours[1] == theirs[1].replace("redis-server", "shardlab server")


def test_by_settings(start_server: Callable[..., OwnServer]) -> None:
    server = start_server("--cluster-enabled", "yes", "--save", "").wait_ready()
    pid, client = server.process.pid, server.client()
    assert title_of(pid) == f"shardlab server 127.0.0.1:{server.port} [cluster]"
    client.ask("CONFIG", "SET", "port", "0")
    assert title_of(pid) == "shardlab server unixsocket: [cluster]"
    client.ask("CONFIG", "SET", "port", str(server.port))
    assert title_of(pid) == f"shardlab server 127.0.0.1:{server.port} [cluster]"
    # Without a key the child would be gone before anybody has seen it.
    client.ask("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
    wait_for(lambda: client.ask("SET", "key", "value") == b"+OK\r\n", what="a cluster of one node")
    client.ask("CONFIG", "SET", "rdb-key-save-delay", "10000000")
    client.ask("BGSAVE")
    children = Path(f"/proc/{pid}/task/{pid}/children")

    def child_is_named() -> bool:
        names = [title_of(int(child)) for child in children.read_text().split()]
        return names == [f"shardlab rdb-bgsave 127.0.0.1:{server.port} [cluster]"]

    wait_for(child_is_named, what="the child's title")


def test_can_be_switched_off(start_server: Callable[..., OwnServer]) -> None:
    server = start_server("--set-proc-title", "no", "--save", "").wait_ready()
    assert "python" in title_of(server.process.pid)
