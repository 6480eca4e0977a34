"""CONFIG SET port and bind: the server listens elsewhere, or says that it cannot and stays where it is."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import IN_CI
from tests.node.own_server import OwnServer
from tests.node.raw_client import RawClient
from tests.ports import free_base
from tests.waiting import wait_for


@pytest.fixture(params=["ours", "theirs"])
def port(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    """A server of our own, and a real one; the next ports are free."""
    base = free_base()
    options = ("--port", str(base), "--bind", "127.0.0.1", "--save", "")
    if request.param == "ours":
        server = OwnServer(base, tmp_path / "server", *options).wait_ready()
        process = server.process
    else:
        if shutil.which("redis-server") is None and not IN_CI:
            pytest.skip("redis-server is not installed (Debian: apt-get install redis-server)")
        process = subprocess.Popen(["redis-server", *options, "--dir", str(tmp_path)])
        wait_for(lambda: _serves(base), what="the real server")
    yield base
    process.kill()
    process.wait()


def _serves(port: int) -> bool:
    try:
        client = RawClient(port)
    except OSError:
        return False
    pong = client.ask("PING")
    client.close()
    return pong == b"+PONG\r\n"


def _set(client: RawClient, *words: str) -> bytes:
    return client.ask("CONFIG", "SET", *words)


def test_another_port(port: int) -> None:
    client = RawClient(port)
    assert _set(client, "port", str(port + 1)) == b"+OK\r\n"
    assert _serves(port + 1)
    assert not _serves(port)
    assert b"tcp_port:%d\r\n" % (port + 1) in client.ask("INFO", "server")
    assert _set(client, "port", "0") == b"+OK\r\n"
    assert not _serves(port + 1)
    assert _set(client, "port", str(port)) == b"+OK\r\n"
    assert _serves(port)
    client.close()


def test_a_cluster_is_told_of_another_port(tmp_path: Path) -> None:
    """As from Redis 7.2 on. The bus stays where it is."""
    base = free_base()
    options = ("--port", str(base), "--bind", "127.0.0.1", "--save", "", "--cluster-enabled", "yes")
    server = OwnServer(base, tmp_path / "server", *options).wait_ready()
    client = RawClient(base)
    assert _set(client, "port", str(base + 1)) == b"+OK\r\n"
    assert b":%d@%d myself" % (base + 1, base + 10000) in client.ask("CLUSTER", "NODES")
    with socket.create_server(("127.0.0.1", base + 2)):
        assert _set(client, "port", str(base + 2)).startswith(b"-ERR CONFIG SET failed")
    assert b":%d@%d myself" % (base + 1, base + 10000) in client.ask("CLUSTER", "NODES")
    assert _set(client, "cluster-announce-port", "7") == b"+OK\r\n"
    assert _set(client, "port", str(base)) == b"+OK\r\n"
    assert b":7@%d myself" % (base + 10000) in client.ask("CLUSTER", "NODES")
    client.close()
    server.process.kill()
    server.process.wait()


def test_an_occupied_port(port: int) -> None:
    client = RawClient(port)
    with socket.create_server(("127.0.0.1", port + 1)):
        assert _set(client, "port", str(port + 1)) == (
            b"-ERR CONFIG SET failed (possibly related to argument 'port') - Unable to listen on this port. "
            b"Check server logs.\r\n"
        )
    assert client.ask("CONFIG", "GET", "port") == b"*2\r\n$4\r\nport\r\n$5\r\n%d\r\n" % port
    assert _serves(port)
    client.close()


@pytest.mark.parametrize("addresses", ["999.999.999.999", "127.0.0.1 203.0.113.1"])
def test_addresses_that_are_not_ours(addresses: str, port: int) -> None:
    client = RawClient(port)
    assert _set(client, "bind", addresses) == (
        b"-ERR CONFIG SET failed (possibly related to argument 'bind') - Failed to bind to specified addresses.\r\n"
    )
    assert _serves(port)
    assert _set(client, "bind", "127.0.0.2 127.0.0.1 -203.0.113.1") == b"+OK\r\n"
    assert _serves(port)
    client.close()


def test_a_mistake_beside_it_moves_nothing(port: int) -> None:
    client = RawClient(port)
    assert _set(client, "port", str(port + 1), "maxmemory", "much").startswith(b"-ERR CONFIG SET failed")
    assert _serves(port)
    assert not _serves(port + 1)
    client.close()
