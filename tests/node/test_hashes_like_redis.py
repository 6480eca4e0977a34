"""Random sequences of hash commands, valid and not: our node and a real redis-server must agree."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.node.conftest import Pair
from tests.node.differential import KEY, Replicas, Steps, Template, assert_alike, budget, options, steps_of

FIELD = st.sampled_from(["a", "b", "c", "d", "", "1", "f" * 64, "f" * 65])
VALUE = st.sampled_from(
    [
        *("", "1", "-7", "abc", "9223372036854775807", "-9223372036854775808", "1.5", " 1", "01", "+1", "-0", "1e2"),
        *("x" * 64, "x" * 65, "nan", "inf"),
    ]
)
INTEGER = st.sampled_from(
    ["0", "1", "-1", "5", "-3", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "x", "", "1.0"]
)
FLOAT = st.sampled_from(["0", "1.5", "-3.0e3", "0.1", "1e400", "inf", "nan", "0x10", "abc", " 1", "1e-20", "-0"])
PAIRS = st.lists(st.tuples(FIELD, VALUE), min_size=1, max_size=4).map(
    lambda pairs: [word for pair in pairs for word in pair]
)
# Beyond the limit of a listpack's entries in one go.
MANY = st.integers(0, 9).map(lambda first: [f"{first + number}" for number in range(1026)])
# Whatever is drawn, these answer the same: everything, nothing, or an error.
DRAWS = st.sampled_from(["0", "5000", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "x", ""])
CURSOR = st.sampled_from(["0", "0", "0", "00", "-0", "x", "1x", " 0"])

_SCAN = options(["MATCH", st.sampled_from(["*", "a*", "[a-c]", ""])], ["count", INTEGER], ["TYPE", "hash"], ["FOO"])
_CONDITIONS = options(["NX"], ["XX"], ["gt"], ["LT"])

_TEMPLATES: tuple[Template, ...] = (
    ("HSET", KEY, PAIRS),
    ("HSET", KEY, PAIRS),
    ("HSET", KEY, PAIRS),
    ("HSET", KEY, PAIRS, FIELD),
    ("HSET", KEY, MANY),
    ("HMSET", KEY, PAIRS),
    ("HMSET", KEY, PAIRS, FIELD),
    ("HSETNX", KEY, FIELD, VALUE),
    ("HGET", KEY, FIELD),
    ("HMGET", KEY, st.lists(FIELD, min_size=1, max_size=3)),
    ("HGETALL", KEY),
    ("HKEYS", KEY),
    ("HVALS", KEY),
    ("HDEL", KEY, st.lists(FIELD, min_size=1, max_size=6)),
    ("HDEL", KEY, "a", "b", "c", "d", "", "1", "f" * 64, "f" * 65),
    ("HLEN", KEY),
    ("HSTRLEN", KEY, FIELD),
    ("HEXISTS", KEY, FIELD),
    ("HINCRBY", KEY, FIELD, INTEGER),
    ("HINCRBYFLOAT", KEY, FIELD, FLOAT),
    ("HRANDFIELD", KEY, DRAWS),
    ("HRANDFIELD", KEY, DRAWS, st.sampled_from(["WITHVALUES", "withvalues", "FOO"])),
    ("HRANDFIELD", KEY, DRAWS, "WITHVALUES", "WITHVALUES"),
    ("HSCAN", KEY, CURSOR, _SCAN),
    ("SET", KEY, VALUE),
    ("DEL", st.lists(KEY, max_size=2)),
    ("TYPE", KEY),
    ("OBJECT", "ENCODING", KEY),
    ("EXISTS", KEY),
    ("RENAME", KEY, KEY),
    ("COPY", KEY, KEY),
    ("PEXPIRE", KEY, st.sampled_from(["5000000", "0"]), _CONDITIONS),
    ("PERSIST", KEY),
    ("GET", KEY),
    ("APPEND", KEY, VALUE),
    ("MULTI",),
    ("EXEC",),
    ("EXEC",),
    ("DISCARD",),
    ("WATCH", st.lists(KEY, min_size=1, max_size=2)),
)


@given(steps=steps_of(_TEMPLATES), proto=st.sampled_from(["2", "3"]))
@budget(120)
def test_hashes(pair: Pair, replicas: Replicas, steps: Steps, proto: str) -> None:
    assert_alike(pair, replicas, steps, proto)
