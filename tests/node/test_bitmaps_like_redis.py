"""Random sequences of bitmap commands, valid and not: our node and a real redis-server must agree."""

from __future__ import annotations

import random
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.node.conftest import Pair
from tests.node.differential import KEY, Replicas, Steps, Template, assert_alike, budget, options, steps_of
from tests.node.raw_client import Words

_OFFSET = st.sampled_from(["0", "1", "7", "8", "13", "100", "4294967295", "4294967296", "-1", "x", "1000", "01"])
_INTEGER = st.sampled_from(["0", "1", "-1", "3", "-5", "255", "9223372036854775807", "-9223372036854775808", "x", "70"])
_BIT = st.sampled_from(["0", "1", "2", "x"])
_VALUE = st.binary(max_size=12)
_ENCODING = st.sampled_from(["u8", "i8", "u1", "i1", "u63", "i64", "u64", "i65", "u5", "i13", "x8", "u0", "8", "u"])
_PLACE = st.sampled_from(["0", "1", "#0", "#1", "#3", "7", "100", "-1", "#-1", "x", "#x", "4294967290"])
_UNIT = st.sampled_from(["BYTE", "bit", "x"])
_FIELD = options(
    ["GET", _ENCODING, _PLACE],
    ["SET", _ENCODING, _PLACE, _INTEGER],
    ["INCRBY", _ENCODING, _PLACE, _INTEGER],
    ["OVERFLOW", st.sampled_from(["WRAP", "sat", "FAIL", "x"])],
    ["GET"],
)

_TEMPLATES: tuple[Template, ...] = (
    ("SET", KEY, _VALUE),
    ("SET", KEY, _VALUE),
    ("SETBIT", KEY, st.sampled_from(["0", "7", "8", "100", "-1", "x", "4294967296"]), _BIT),
    ("GETBIT", KEY, _OFFSET),
    ("BITCOUNT", KEY),
    ("BITCOUNT", KEY, _INTEGER),
    ("BITCOUNT", KEY, _INTEGER, _INTEGER),
    ("BITCOUNT", KEY, _INTEGER, _INTEGER, _UNIT),
    ("BITPOS", KEY, _BIT),
    ("BITPOS", KEY, _BIT, _INTEGER),
    ("BITPOS", KEY, _BIT, _INTEGER, _INTEGER),
    ("BITPOS", KEY, _BIT, _INTEGER, _INTEGER, _UNIT),
    ("BITOP", st.sampled_from(["AND", "or", "XOR", "NOT", "x"]), KEY, st.lists(KEY, min_size=1, max_size=3)),
    ("BITFIELD", KEY, _FIELD),
    ("BITFIELD", KEY, _FIELD),
    ("BITFIELD_RO", KEY, _FIELD),
    ("EXPIRE", KEY, "100"),
    ("LPUSH", KEY, "x"),
    ("DEL", KEY),
    ("MULTI",),
    ("EXEC",),
)


@given(steps=steps_of(_TEMPLATES), proto=st.sampled_from(["2", "3"]))
@budget(60)
def test_bitmaps(pair: Pair, replicas: Replicas, steps: Steps, proto: str) -> None:
    assert_alike(pair, replicas, steps, proto)


@pytest.mark.parametrize(
    "words", [("SETBIT", "k", "0", "0"), ("BITFIELD", "k", "SET", "u8", "0", "48"), ("BITFIELD", "k", "GET", "u8", "0")]
)
def test_what_changes_nothing_may_change_the_encoding(pair: Pair, replicas: Replicas, words: Words) -> None:
    assert_alike(pair, replicas, [(0, ("SET", "k", "0")), (0, words)], "2")


def _long_strings() -> dict[str, bytes]:
    """Strings of several pieces, with a bit here and there in front of, on and behind where one piece ends."""
    piece = 1 << 16
    sparse = bytearray(3 * piece + 5)
    for place in (piece - 1, piece, 2 * piece + 7, 3 * piece + 4):
        sparse[place] = 0x11
    clear = bytes(2 * piece + 3)
    dense = bytes(byte ^ 0xFF for byte in sparse)
    mixed = random.Random(7).randbytes(2 * piece + 1)
    return {"sparse": bytes(sparse), "dense": dense, "clear": clear, "mixed": mixed, "short": mixed[:100]}


def test_long_bitmaps(pair: Pair) -> None:
    strings = _long_strings()
    requests: list[Words] = [("SET", name, value) for name, value in strings.items()]
    ends = ("0", "-1", "65535", "65536", "131071", "196612", "-65537", "524287", "524292", "1048570")
    for name in strings:
        requests.append(("BITCOUNT", name))
        requests += [("BITPOS", name, bit) for bit in "01"]
        for start, end in product(ends, repeat=2):
            unit = "BIT" if "5242" in start + end else "BYTE"
            requests.append(("BITCOUNT", name, start, end, unit))
            requests += [("BITPOS", name, bit, start, end, unit) for bit in "01"]
    for operation in ("AND", "OR", "XOR"):
        for first, second in product(strings, repeat=2):
            requests += [("BITOP", operation, "made", first, second, "sparse"), ("GET", "made")]
    requests += [(*words, name) for name in strings for words in (("BITOP", "NOT", "made"), ("STRLEN",))]
    requests.append(("GET", "made"))
    ours, real = pair.connect()
    for request in requests:
        assert ours.ask(*request) == real.ask(*request), [str(word)[:20] for word in request]
