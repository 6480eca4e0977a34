"""HyperLogLogs: random commands, and values that grow large; bytes and estimates are a real server's."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.hyperloglog.estimate import REGISTERS
from node.hyperloglog.value import highest
from tests.node.conftest import Pair
from tests.node.differential import KEY, Replicas, Steps, Template, assert_alike, budget, steps_of

_ELEMENTS = st.lists(st.integers(0, 300).map(str), max_size=12)
_EMPTY = b"HYLL\1" + bytes(11) + b"\x7f\xff"
# Says less than all registers. It does so with a whole code: of one that is cut off, redis-server reads the second byte
# behind the end of the string, and goes on with what it finds there.
_TOO_SHORT = _EMPTY[:-2] + b"\0"
_VALUE = st.sampled_from(
    [b"x", _EMPTY, _TOO_SHORT, _EMPTY + b"\0", b"HYLL\0" + bytes(11 + 12288), b"HYLL\2" + bytes(20), b"HYLL\1"]
)

_TEMPLATES: tuple[Template, ...] = (
    ("PFADD", KEY, _ELEMENTS),
    ("PFADD", KEY, _ELEMENTS),
    ("PFCOUNT", KEY),
    ("PFCOUNT", st.lists(KEY, max_size=3)),
    ("PFMERGE", st.lists(KEY, max_size=3)),
    ("PFDEBUG", st.sampled_from(["ENCODING", "TODENSE", "DECODE", "x"]), KEY),
    ("SET", KEY, _VALUE),
    ("GET", KEY),
    ("DEL", KEY),
    ("LPUSH", KEY, "x"),
    ("EXPIRE", KEY, "100"),
    ("MULTI",),
    ("EXEC",),
)


@given(steps=steps_of(_TEMPLATES), proto=st.sampled_from(["2", "3"]))
@budget(50)
def test_hyperloglogs(pair: Pair, replicas: Replicas, steps: Steps, proto: str) -> None:
    assert_alike(pair, replicas, steps, proto)


@given(seed=st.integers(0, 1 << 32))
@budget(10)
def test_the_higher_of_two_is_that_of_each_register(seed: int) -> None:
    random = Random(seed)
    one, other = (bytes(random.choices(range(52), k=REGISTERS)) for _ in range(2))
    assert highest(one, other) == bytes(map(max, one, other))


@pytest.mark.parametrize("words", [("PFADD", "h", "0"), ("PFCOUNT", "h"), ("PFMERGE", "m", "h")])
def test_a_code_that_is_cut_off_is_damage(pair: Pair, words: tuple[str, ...]) -> None:
    (ours, _) = pair.connect()
    # With its estimate out of date.
    value = b"HYLL\1" + bytes(10) + b"\x80\x7f"
    ours.ask("SET", "h", value)
    assert ours.ask(*words) == b"-INVALIDOBJ Corrupted HLL object detected\r\n"
    assert ours.ask("GET", "h") == b"$17\r\n" + value + b"\r\n"


# One register and two zeros, again and again; and a last zero.
_FULL = b"HYLL\1" + bytes(11) + b"\x80\x01" * 5461 + b"\x00"


@pytest.mark.parametrize("above", [-2, 0, 1])
def test_the_size_at_which_it_becomes_dense(pair: Pair, above: int) -> None:
    """It counts how much longer the codes get, and not what is saved when neighbours join."""
    replies = []
    for client in pair.connect():
        client.ask("CONFIG", "SET", "hll-sparse-max-bytes", str(len(_FULL) + above))
        try:
            for element in range(60):
                client.ask("SET", f"h{element}", _FULL)
                client.ask("PFADD", f"h{element}", str(element))
            replies.append([client.ask("GET", f"h{element}") for element in range(60)])
        finally:
            client.ask("CONFIG", "SET", "hll-sparse-max-bytes", "3000")
    assert replies[0] == replies[1]


@pytest.mark.parametrize("sizes", [(100, 1000), (3000, 3000), (50_000, 10)])
def test_large_ones(pair: Pair, sizes: tuple[int, int]) -> None:
    """Through the change from sparse to dense."""
    ours, theirs = pair.connect()
    for number, size in enumerate(sizes):
        for start in range(0, size, 500):
            words = ("PFADD", f"h{number}", *(f"{number}-{i}" for i in range(start, min(start + 500, size))))
            assert ours.ask(*words) == theirs.ask(*words)
    for words in (
        ("GET", "h0"),
        ("PFCOUNT", "h0"),
        ("GET", "h0"),
        ("PFCOUNT", "h0", "h1"),
        ("PFMERGE", "m", "h0", "h1"),
        ("PFCOUNT", "m"),
        ("GET", "m"),
        ("PFDEBUG", "DECODE", "h1"),
        ("PFDEBUG", "GETREG", "h1"),
        ("GET", "h1"),
    ):
        assert ours.ask(*words) == theirs.ask(*words), words[:2]
    assert ours.ask("PFSELFTEST") == b"+OK\r\n"
