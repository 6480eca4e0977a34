"""INCRBYFLOAT's arithmetic is C's: every sum, and every refusal, is a real server's."""

from __future__ import annotations

import random

from node.long_double import add, format_long_double, parse_long_double
from tests.node.conftest import Pair
from tests.node.raw_client import RawClient, Words

_NOT_A_FLOAT = b"-ERR value is not a valid float\r\n"
_INFINITE = b"-ERR increment would produce NaN or Infinity\r\n"

# Limits of the format, halves that go to the even neighbour, other spellings, and what is no number at all.
TEXTS = [
    *rb"0 -0 +1 1. .5 . - +-1 1e 1e+ 1e5 1_0 inf -INFINITY infin nan NaN(1)".split(),
    *rb"0.1 -0.3 3.0e-17 5e-18 1.5e-17 2.5e-17 -0.00000000000000000049 123456789012345678901234567890".split(),
    *rb"18446744073709551615 18446744073709551616 18446744073709551617 9223372036854775807.5".split(),
    *rb"1e4931 1.18e4932 1.19e4932 -1.18e4932 1e-4950 1e-4951 1e-4952 1e99999999999999999999 0e99999999999999".split(),
    *rb"0x10 0X.8P1 0x 0x. 0x1p16383 0x1p16384 0x1p-16445 0x1p-16446 0x1p-16447".split(),
    *(b"", b" 1", b"1 ", b"1\n", b"\x001", "\u0663".encode()),
    *(b"9" * 4930, b"9" * 4940, b"0" * 5000 + b"1", b"0" * 5119, b"0" * 5120, b"1" * 5119 + b".", b"0x" + b"f" * 4200),
]


def test_sums_of_all_kinds(pair: Pair) -> None:
    _, theirs = pair.connect()
    _compare(theirs, [(one, other) for one in TEXTS for other in TEXTS])


def test_random_sums(pair: Pair) -> None:
    chance = random.Random(7)
    _, theirs = pair.connect()
    _compare(theirs, [(_number(chance), _number(chance)) for _ in range(3000)])


def _number(chance: random.Random) -> bytes:
    match chance.randrange(4):
        case 0:
            size = 10 ** chance.randrange(20)
            return b"%.*f" % (chance.randrange(18), chance.uniform(-size, size))
        case 1:
            return b"%.*g" % (chance.randrange(1, 20), chance.uniform(-1, 1) * 10.0 ** chance.randrange(-25, 30))
        case 2:
            return chance.uniform(-1e9, 1e9).hex().encode()
        case _:
            return b"%d.%d" % (chance.randrange(-1000, 1000), chance.randrange(10 ** chance.randrange(1, 18)))


def _compare(theirs: RawClient, pairs: list[tuple[bytes, bytes]]) -> None:
    commands: list[Words] = []
    for one, other in pairs:
        commands += [("SET", "n", one), ("INCRBYFLOAT", "n", other)]
    for (one, other), reply in zip(pairs, theirs.ask_all(commands)[1::2], strict=True):
        assert (one, other, _sum(one, other)) == (one, other, reply)


def _sum(one: bytes, other: bytes) -> bytes:
    """What INCRBYFLOAT would answer."""
    try:
        numbers = parse_long_double(one), parse_long_double(other)
    except ValueError:
        return _NOT_A_FLOAT
    first, second = numbers
    total = add(first, second) if first is not None and second is not None else None
    if total is None:
        return _INFINITE
    text = format_long_double(total)
    return b"$%d\r\n%b\r\n" % (len(text), text)
