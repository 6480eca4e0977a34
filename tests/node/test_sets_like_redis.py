"""Random sequences of set commands, valid and not: our node and a real redis-server must agree."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.node.conftest import Pair
from tests.node.differential import KEY, Replicas, Steps, Template, assert_alike, budget, options, steps_of

NUMBER = st.sampled_from(["0", "1", "-7", "300", "70000", "9223372036854775807", "-9223372036854775808"])
MEMBER = st.one_of(NUMBER, st.sampled_from(["a", "b", "", "01", "-0", "9223372036854775808", "x" * 65]))
MEMBERS = st.one_of(st.lists(NUMBER, min_size=1, max_size=5), st.lists(MEMBER, min_size=1, max_size=5))
# Beyond the limit of an intset in one go.
MANY = st.integers(0, 9).map(lambda first: [f"{first + number}" for number in range(513)])
KEYS = st.lists(KEY, min_size=1, max_size=3)
INTEGER = st.sampled_from(["0", "1", "-1", "2", "9223372036854775807", "9223372036854775808", "x", ""])
# Whatever is drawn, these answer the same: everything, nothing, or an error.
DRAWS = st.sampled_from(["0", "5000", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "x", ""])
POPS = st.sampled_from(["0", "5000", "9223372036854775807", "9223372036854775808", "-1", "x", ""])
CURSOR = st.sampled_from(["0", "0", "0", "00", "-0", "x", "1x", " 0"])

_SCAN = options(["MATCH", st.sampled_from(["*", "1*", "[a-c]", ""])], ["count", INTEGER], ["TYPE", "set"], ["FOO"])
_LIMIT = options(["LIMIT", INTEGER], ["limit"], ["FOO", "1"])

_TEMPLATES: tuple[Template, ...] = (
    ("SADD", KEY, MEMBERS),
    ("SADD", KEY, MEMBERS),
    ("SADD", KEY, MEMBERS),
    ("SADD", KEY, MANY),
    ("SREM", KEY, MEMBERS),
    ("SREM", KEY, "0", "1", "-7", "300", "70000", "9223372036854775807", "-9223372036854775808"),
    ("SISMEMBER", KEY, MEMBER),
    ("SMISMEMBER", KEY, MEMBERS),
    ("SMEMBERS", KEY),
    ("SCARD", KEY),
    ("SPOP", KEY, POPS),
    ("SPOP", KEY, POPS, "1"),
    ("SRANDMEMBER", KEY, DRAWS),
    ("SRANDMEMBER", KEY, DRAWS, "1"),
    ("SMOVE", KEY, KEY, MEMBER),
    ("SMOVE", KEY, KEY, MEMBER),
    ("SINTER", KEYS),
    ("SINTERSTORE", KEY, KEYS),
    ("SINTERCARD", KEYS.map(lambda names: [str(len(names)), *names]), _LIMIT),
    ("SINTERCARD", INTEGER, KEYS, _LIMIT),
    ("SUNION", KEYS),
    ("SUNIONSTORE", KEY, KEYS),
    ("SDIFF", KEYS),
    ("SDIFFSTORE", KEY, KEYS),
    ("SSCAN", KEY, CURSOR, _SCAN),
    ("SET", KEY, MEMBER),
    ("GET", KEY),
    ("DEL", st.lists(KEY, max_size=2)),
    ("TYPE", KEY),
    ("OBJECT", "ENCODING", KEY),
    ("RENAME", KEY, KEY),
    ("COPY", KEY, KEY),
    ("PEXPIRE", KEY, st.sampled_from(["5000000", "0"])),
    ("MULTI",),
    ("EXEC",),
    ("EXEC",),
    ("DISCARD",),
    ("WATCH", KEYS),
)


@given(steps=steps_of(_TEMPLATES), proto=st.sampled_from(["2", "3"]))
@budget(120)
def test_sets(pair: Pair, replicas: Replicas, steps: Steps, proto: str) -> None:
    assert_alike(pair, replicas, steps, proto)
