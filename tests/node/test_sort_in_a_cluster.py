"""SORT with other keys than its own in a cluster: as Redis 7.4, where they are sure to be in the same slot."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cluster.slots import key_slot
from node.commands.sort import slot_of_pattern
from tests.node.own_server import OwnServer
from tests.node.raw_client import RawClient, parse_reply
from tests.waiting import wait_for


@pytest.fixture
def client(start_server: Callable[..., OwnServer]) -> RawClient:
    server = start_server("--cluster-enabled", "yes").wait_ready()
    client = server.client()
    client.ask("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
    wait_for(lambda: b"cluster_state:ok" in client.ask("CLUSTER", "INFO"), what="the cluster")
    client.ask("RPUSH", "{x}l", "1", "2", "3")
    for number, weight in ((1, 5), (2, 9), (3, 7)):
        client.ask("SET", f"{{x}}w{number}", str(weight))
        client.ask("HSET", f"{{x}}h{number}", "f", f"text {number}")
    return client


def test_keys_in_the_same_slot(client: RawClient) -> None:
    assert parse_reply(client.ask("SORT", "{x}l", "BY", "{x}w*")) == [b"1", b"3", b"2"]
    by_hand = [b"2", b"9", b"text 2", b"3", b"7", b"text 3", b"1", b"5", b"text 1"]
    line = "SORT_RO {x}l BY {x}w* GET # GET {x}w* GET {x}h*->f DESC"
    assert parse_reply(client.ask(*line.split())) == by_hand
    assert client.ask("SORT", "{x}l", "BY", "{x}w*", "GET", "{x}w*", "STORE", "{x}s") == b":3\r\n"
    assert parse_reply(client.ask("SORT", "{x}l", "GET", "{x}none", "GET", "#", "LIMIT", "0", "1")) == [None, b"1"]


@pytest.mark.parametrize("pattern", ["w*", "{y}w*", "{x*}", "?{x}w*", "{}{x}*", "\\{x}w*"])
def test_keys_that_may_be_elsewhere(client: RawClient, pattern: str) -> None:
    for option in ("BY", "GET"):
        reply = client.ask("SORT", "{x}l", option, pattern)
        if "*" in pattern or option == "GET":
            assert reply == f"-ERR {option} option of SORT denied in Cluster mode.\r\n".encode()


@pytest.mark.parametrize(
    ("pattern", "key"),
    [
        (b"{x}*", b"x"),
        (b"a{x}b*c", b"x"),
        (b"{x}[ab]?", b"x"),
        (b"plain", b"plain"),
        (b"{x}plain", b"x"),
        (b"{}plain", b"{}plain"),
        (b"*{x}", None),
        (b"{x*}", None),
        (b"{}{x}*", None),
        (b"}{*", None),
        (b"{x\\}*", None),
    ],
)
def test_slot_of_a_pattern(pattern: bytes, key: bytes | None) -> None:
    assert slot_of_pattern(pattern) == (None if key is None else key_slot(key))
