"""`cluster-preferred-endpoint-type`: what clients are told of a node, compared with the real server's words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.conftest import Pair, started_pair
from tests.node.own_server import OwnServer
from tests.ports import free_base


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with started_pair(tmp_path_factory, "--cluster-enabled", "yes", "--cluster-announce-ip", "10.0.0.1") as pair:
        for client in pair.connect():
            assert client.ask("CLUSTER", "ADDSLOTSRANGE", "0", "16383") == b"+OK\r\n"
        yield pair


@pytest.mark.parametrize("proto", ["2", "3"])
@pytest.mark.parametrize("hostname", ["", "node.example"])
@pytest.mark.parametrize("preferred", ["ip", "hostname", "unknown-endpoint"])
def test_a_node_as_it_is_told(members: Pair, preferred: str, hostname: str, proto: str) -> None:
    told = []
    for client, port in zip(members.connect(), (members.ours, members.theirs), strict=True):
        client.ask("HELLO", proto)
        client.ask("CONFIG", "SET", "cluster-preferred-endpoint-type", preferred)
        client.ask("CONFIG", "SET", "cluster-announce-hostname", hostname)
        replies = client.ask("CLUSTER", "SLOTS") + client.ask("CLUSTER", "SHARDS")
        told.append(re.sub(rb"[0-9a-f]{40}", b"id", replies.replace(b":%d\r" % port, b":port\r")))
    assert told[0] == told[1]


def test_a_script_is_told_what_its_client_is(tmp_path: Path) -> None:
    """Of a node that nobody has told yet what it is called."""
    port = free_base()
    server = OwnServer(port, tmp_path, "--port", str(port), "--bind", "127.0.0.1", "--cluster-enabled", "yes")
    try:
        client = server.wait_ready().client()
        assert client.ask("CLUSTER", "ADDSLOTSRANGE", "0", "16383") == b"+OK\r\n"
        slots = client.ask("CLUSTER", "SLOTS")
        assert b"127.0.0.1" in slots
        assert client.ask("EVAL", "return redis.call('CLUSTER', 'SLOTS')", "0") == slots
    finally:
        server.kill()
