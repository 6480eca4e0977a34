"""A node that loads its data says who has which slots, as from Redis 7.4 on: that is no matter of data."""

from __future__ import annotations

from pathlib import Path

from tests.node.own_server import OwnServer
from tests.node.raw_client import RawClient
from tests.ports import free_base
from tests.waiting import wait_for


def test_clients_find_their_way(tmp_path: Path) -> None:
    port = free_base()
    options = ("--port", str(port), "--bind", "127.0.0.1", "--cluster-enabled", "yes", "--enable-debug-command", "yes")
    server = OwnServer(port, tmp_path, *options).wait_ready()
    client = server.client()
    assert client.ask("CLUSTER", "ADDSLOTSRANGE", "0", "16383") == b"+OK\r\n"
    assert client.ask("DEBUG", "POPULATE", "500") == b"+OK\r\n"
    assert client.ask("SAVE") == b"+OK\r\n"
    slots = client.ask("CLUSTER", "SLOTS")
    server.kill()
    # Ten seconds.
    slow = ("--key-load-delay", "20000", "--loading-process-events-interval-bytes", "1024")
    server = OwnServer(port, tmp_path, *options, *slow)
    try:
        client = wait_for(lambda: _connected(server), what="a server that loads")
        assert client.ask("CLUSTER", "INFO").startswith(b"-LOADING")
        assert client.ask("CLUSTER", "SLOTS") == slots
        assert b"16383" in client.ask("CLUSTER", "SHARDS")
    finally:
        server.kill()


def _connected(server: OwnServer) -> RawClient | None:
    try:
        return server.client()
    except OSError:
        return None
