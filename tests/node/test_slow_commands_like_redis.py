"""A slow command is in the slow log and in the latency monitor's history, however many quick ones came before it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.node.conftest import Pair
from tests.node.raw_client import RawClient, Words
from tests.waiting import wait_for
from wire.encoder import encode_command

# One that is quick, which comes often, and its like that is not.
_QUICK_AND_SLOW: dict[str, tuple[Words, Words]] = {
    "LPOP": (("LPOP", "list"), ("LPOP", "list", "60000")),
    "RPOP": (("RPOP", "list"), ("RPOP", "list", "60000")),
    "SPOP": (("SPOP", "set"), ("SPOP", "set", "50000")),
    "ZPOPMIN": (("ZPOPMIN", "zset"), ("ZPOPMIN", "zset", "50000")),
    "SADD": (("SADD", "set", "x"), ("SADD", "new", *map(str, range(10_000, 30_000)))),
    "SETBIT": (("SETBIT", "bits", "1", "1"), ("SETBIT", "more", "4294967295", "1")),
    "GET": (("GET", "short"), ("GET", "long")),
    "LRANGE": (("LRANGE", "list", "0", "1"), ("LRANGE", "list", "0", "-1")),
}


@pytest.fixture
def clients(pair: Pair) -> Iterator[tuple[RawClient, RawClient]]:
    """Of both servers, each with data that are a work of milliseconds, and told to take note of those."""
    both = pair.connect()
    for client in both:
        for first in range(0, 60_000, 20_000):
            numbers = list(map(str, range(first, first + 20_000)))
            client.ask("RPUSH", "list", *numbers)
            client.ask("RPUSH", "list", *numbers)
            client.ask("SADD", "set", *(f"m{number}" for number in numbers))
            client.ask("ZADD", "zset", *(word for number in numbers for word in (number, f"m{number}")))
        client.ask("SETRANGE", "long", "200000000", "x")
        client.ask("SET", "short", "x")
        client.ask("CONFIG", "SET", "slowlog-log-slower-than", "1000", "latency-monitor-threshold", "1")
        client.ask("SLOWLOG", "RESET")
        client.ask("LATENCY", "RESET")
    yield both
    for client in both:
        client.ask("CONFIG", "SET", "slowlog-log-slower-than", "10000", "latency-monitor-threshold", "0")
        client.ask("SLOWLOG", "RESET")
        client.ask("LATENCY", "RESET")
        client.ask("FLUSHALL")


def _as_bytes(word: str | bytes) -> bytes:
    return word.encode() if isinstance(word, str) else word


def _is_noted(client: RawClient, words: Words) -> bool:
    wanted = b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in map(_as_bytes, words[:3]))
    history = client.ask("LATENCY", "HISTORY", "command") + client.ask("LATENCY", "HISTORY", "fast-command")
    return wanted in client.ask("SLOWLOG", "GET", "-1") and history != b"*0\r\n*0\r\n"


@pytest.mark.parametrize(("quick", "slow"), _QUICK_AND_SLOW.values(), ids=_QUICK_AND_SLOW)
def test_a_slow_one_among_quick_ones(
    pair: Pair, clients: tuple[RawClient, RawClient], quick: Words, slow: Words
) -> None:
    for client, sender in zip(clients, pair.connect(), strict=True):
        for _ in range(100):
            sender.ask(*quick)
        # Nobody waits for its reply, which may be long.
        sender.send(encode_command([_as_bytes(word) for word in slow]))
        wait_for(lambda: _is_noted(client, slow), what=f"a note of {slow[:2]}")  # noqa: B023 - called here


def test_slow_ones_in_a_pipeline(pair: Pair, clients: tuple[RawClient, RawClient]) -> None:
    for client, sender in zip(clients, pair.connect(), strict=True):
        sender.send(encode_command([b"LPOP", b"list", b"30000"]) * 3)
        wait_for(lambda: client.ask("SLOWLOG", "LEN") == b":3\r\n", what="a note of each")  # noqa: B023 - called here
