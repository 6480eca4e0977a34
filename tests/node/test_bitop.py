"""The operations of BITOP that Redis 8.2 brought, beside a version that looks at one bit at a time.

The real server of these tests is a 7.0: a replica that does not know them, and must have the same data.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from tests.node.conftest import Pair
from tests.node.fake_replica import FakeReplica
from tests.node.raw_client import RawClient

# What the result has at a place, by the first operand's bit there and those of the others.
_RULES: dict[str, Callable[[int, list[int]], bool]] = {
    "DIFF": lambda first, others: bool(first) and not any(others),
    "DIFF1": lambda first, others: not first and any(others),
    "ANDOR": lambda first, others: bool(first) and any(others),
    "ONE": lambda first, others: first + sum(others) == 1,
}


@pytest.fixture
def ours(pair: Pair) -> RawClient:
    return pair.connect()[0]


def _expected(operation: str, values: list[bytes]) -> bytes:
    length = max(map(len, values))
    result = bytearray(length)
    for place in range(8 * length):
        bits = [value[place // 8] >> (7 - place % 8) & 1 if place // 8 < len(value) else 0 for value in values]
        if _RULES[operation](bits[0], bits[1:]):
            result[place // 8] |= 1 << (7 - place % 8)
    return bytes(result)


@pytest.mark.parametrize("operation", _RULES)
def test_bit_by_bit(ours: RawClient, operation: str) -> None:
    random = Random(operation)
    for _ in range(60):
        values = [random.randbytes(random.randrange(5)) for _ in range(random.randrange(2, 6))]
        names = [f"k{at}" for at in range(len(values))]
        ours.ask("DEL", "target", *names)
        for name, value in zip(names, values, strict=True):
            if value:
                ours.ask("SET", name, value)
        expected = _expected(operation, values)
        spelled = operation.lower() if random.random() < 0.5 else operation
        assert ours.ask("BITOP", spelled, "target", *names) == b":%d\r\n" % len(expected)
        assert ours.ask("GET", "target") == (b"$%d\r\n%b\r\n" % (len(expected), expected) if expected else b"$-1\r\n")


def test_one_of_one_is_a_copy(ours: RawClient) -> None:
    ours.ask("SET", "a", b"\xf0\x01")
    assert ours.ask("BITOP", "ONE", "target", "a") == b":2\r\n"
    assert ours.ask("GET", "target") == b"$2\r\n\xf0\x01\r\n"


@pytest.mark.parametrize("operation", ["DIFF", "diff1", "AndOr"])
def test_one_source_is_too_few(ours: RawClient, operation: str) -> None:
    expected = f"-ERR BITOP {operation.upper()} must be called with at least two source keys.\r\n"
    assert ours.ask("BITOP", operation, "target", "a") == expected.encode()


def test_other_types_are_refused(ours: RawClient) -> None:
    ours.ask("RPUSH", "l", "x")
    assert ours.ask("BITOP", "ONE", "target", "l").startswith(b"-WRONGTYPE")


def test_replicas_get_the_result(pair: Pair, ours: RawClient) -> None:
    replica = FakeReplica(pair.ours)
    try:
        ours.ask("SET", "a", b"\xf0")
        ours.ask("SET", "b", b"\x30")
        ours.ask("BITOP", "DIFF", "target", "a", "b")
        ours.ask("BITOP", "AND", "target", "a", "b")
        ours.ask("BITOP", "ONE", "target", "no", "no")
        ours.ask("BITOP", "ONE", "target", "no", "no")
        ours.ask("PUBLISH", "the end", "the end")
        told = replica.read_until(b"the end")
        assert told[-5:-1] == [
            [b"SET", b"b", b"\x30"],
            [b"SET", b"target", b"\xc0"],
            [b"BITOP", b"AND", b"target", b"a", b"b"],
            [b"DEL", b"target"],
        ]
    finally:
        replica.close()
