"""CLUSTER SLOT-STATS as Redis 8.2 and Valkey 8 have it, without what they keep only if they are told to."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.node.own_server import OwnServer
from tests.node.raw_client import RawClient, parse_reply

# Where the keys {a}, {b} and {foo} belong.
_A, _B, _FOO = 15495, 3300, 12182


@pytest.fixture
def client(start_server: Callable[..., OwnServer]) -> RawClient:
    server = start_server("--cluster-enabled", "yes", "--cluster-require-full-coverage", "no").wait_ready()
    client = server.client()
    client.ask("CLUSTER", "ADDSLOTS", str(_A), str(_B), "1", "2")
    for key in ("{a}1", "{a}2", "{b}1"):
        assert client.ask("SET", key, "x") == b"+OK\r\n"
    return client


def _stats(client: RawClient, *words: str) -> list[tuple[int, int]]:
    told = parse_reply(client.ask("CLUSTER", "SLOT-STATS", *words))
    assert all(stats[0] == b"key-count" for _, stats in told)
    return [(slot, stats[1]) for slot, stats in told]


def test_by_range_and_by_count(client: RawClient) -> None:
    assert _stats(client, "SLOTSRANGE", "0", "16383") == [(1, 0), (2, 0), (_B, 1), (_A, 2)]
    assert _stats(client, "slotsrange", "2", str(_B)) == [(2, 0), (_B, 1)]
    assert _stats(client, "SLOTSRANGE", str(_FOO), str(_FOO)) == []
    assert _stats(client, "ORDERBY", "key-count") == [(_A, 2), (_B, 1), (1, 0), (2, 0)]
    assert _stats(client, "ORDERBY", "KEY-COUNT", "asc", "LIMIT", "3") == [(1, 0), (2, 0), (_B, 1)]
    assert _stats(client, "ORDERBY", "key-count", "LIMIT", "1", "DESC") == [(_A, 2)]
    client.ask("HELLO", "3")
    assert (
        client.ask("CLUSTER", "SLOT-STATS", "SLOTSRANGE", "1", "1")
        == b"*1\r\n*2\r\n:1\r\n%1\r\n$9\r\nkey-count\r\n:0\r\n"
    )


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("SLOTSRANGE 1", "unknown subcommand or wrong number of arguments for 'SLOT-STATS'. Try CLUSTER HELP."),
        ("FOO key-count", "unknown subcommand or wrong number of arguments for 'SLOT-STATS'. Try CLUSTER HELP."),
        ("SLOTSRANGE 1 16384", "Invalid or out of range slot"),
        ("SLOTSRANGE 5 4", "Start slot number 5 is greater than end slot number 4"),
        ("ORDERBY cpu-usec", "Unrecognized sort metric for ORDERBY."),
        ("ORDERBY key-count LIMIT 0", "Limit has to lie in between 1 and 16384 (maximum number of slots)."),
        ("ORDERBY key-count ASC DESC", "Multiple filters of the same type are disallowed."),
        ("ORDERBY key-count LIMIT 1 LIMIT 2", "Multiple filters of the same type are disallowed."),
        ("ORDERBY key-count LIMIT", "syntax error"),
    ],
)
def test_errors(client: RawClient, words: str, error: str) -> None:
    assert client.ask("CLUSTER", "SLOT-STATS", *words.split()) == f"-ERR {error}\r\n".encode()
