"""`client-output-buffer-limit` holds for what is collected in a turn, too, whatever the client would read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.node.conftest import Pair
from tests.node.raw_client import RawClient

_BIG = "x" * 10_000


@pytest.fixture
def limited(pair: Pair) -> Iterator[Pair]:
    """Both servers, with a hard limit of 100,000 bytes for usual clients and a list of 300,000."""
    for client in pair.connect():
        client.ask("RPUSH", "list", *[_BIG] * 30)
        client.ask_all([("HSET", "hash", "f", "v"), ("SADD", "set", "m"), ("ZADD", "zset", "1", "m")])
        client.ask("CONFIG", "SET", "client-output-buffer-limit", "normal 100000 0 0")
    yield pair
    for client in pair.connect():
        client.ask("CONFIG", "SET", "client-output-buffer-limit", "normal 0 0 0")


def _fate(client: RawClient, commands: list[tuple[str, ...]]) -> bytes:
    """What the client gets, and whether it is hung up on then."""
    try:
        replies = client.ask_all(commands)
    except AssertionError:
        return b"hung up"
    return b"%d replies" % len(replies)


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        ([("LRANGE", "list", "0", "-1")], b"hung up"),
        ([("LRANGE", "list", "0", "8")], b"1 replies"),
        ([("LINDEX", "list", "0")] * 30, b"hung up"),
        ([("LINDEX", "list", "0")] * 5, b"5 replies"),
        ([("MULTI",), *[("LINDEX", "list", "0")] * 30, ("EXEC",)], b"hung up"),
        ([("HRANDFIELD", "hash", "-999999999")], b"hung up"),
        ([("HRANDFIELD", "hash", "-999999999", "WITHVALUES")], b"hung up"),
        ([("SRANDMEMBER", "set", "-999999999")], b"hung up"),
        ([("ZRANDMEMBER", "zset", "-999999999")], b"hung up"),
        ([("EVAL", "return redis.call('lrange', 'list', 0, -1)", "0")], b"hung up"),
    ],
)
def test_one_turn(limited: Pair, commands: list[tuple[str, ...]], expected: bytes) -> None:
    assert [_fate(client, commands) for client in limited.connect()] == [expected] * 2


def test_a_transaction_is_run_to_its_end(limited: Pair) -> None:
    for client, other in zip(limited.connect(), limited.connect(), strict=True):
        commands = [
            ("MULTI",),
            ("SET", "before", "1"),
            ("LRANGE", "list", "0", "-1"),
            ("SET", "behind", "1"),
            ("EXEC",),
        ]
        assert _fate(client, commands) == b"hung up"
        assert other.ask("MGET", "before", "behind") == b"*2\r\n$1\r\n1\r\n$1\r\n1\r\n"


def test_what_stands_behind_in_a_pipeline_is_not_run(limited: Pair) -> None:
    for client, other in zip(limited.connect(), limited.connect(), strict=True):
        commands: list[tuple[str, ...]] = [
            ("SET", "before", "1"),
            *[("LINDEX", "list", "0")] * 30,
            ("SET", "after", "1"),
        ]
        assert _fate(client, commands) == b"hung up"
        assert other.ask("MGET", "before", "after") == b"*2\r\n$1\r\n1\r\n$-1\r\n"


def test_replies_that_are_taken_do_not_add_up(limited: Pair) -> None:
    for client in limited.connect():
        for _ in range(20):
            assert _fate(client, [("LINDEX", "list", "0"), ("LINDEX", "list", "1")]) == b"2 replies"


def test_lifted_for_who_is_connected(limited: Pair) -> None:
    for client, other in zip(limited.connect(), limited.connect(), strict=True):
        other.ask("CONFIG", "SET", "client-output-buffer-limit", "normal 0 0 0")
        assert _fate(client, [("LRANGE", "list", "0", "-1")]) == b"1 replies"
        other.ask("CONFIG", "SET", "client-output-buffer-limit", "normal 100000 0 0")
        assert _fate(client, [("LRANGE", "list", "0", "-1")]) == b"hung up"
