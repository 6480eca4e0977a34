"""Random sequences of string and key commands, valid and not: our node and a real redis-server must agree."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from node.persistence.payload import serialized
from tests.node.conftest import Pair
from tests.node.differential import KEY, Replicas, Steps, Template, assert_alike, budget, options, steps_of

VALUE = st.sampled_from(
    [
        "",
        "1",
        "-7",
        "abc",
        "9223372036854775807",
        "-9223372036854775808",
        "1.5",
        " 1",
        "01",
        "+1",
        "-0",
        "x" * 45,
        "1e2",
    ]
)
INTEGER = st.sampled_from(
    ["0", "1", "-1", "5", "-3", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "x", "", "1.0"]
)
# None of these ends while the test runs: the two servers are asked one after the other.
RELATIVE = st.sampled_from(["600000", "5000000", "0", "-1", "9223372036854775807", "9223372036854775", "foo", ""])
# Seconds and milliseconds: long past, far in the future, beyond the range.
MOMENT = st.sampled_from(["1", "99999999999", "9999999999999", "0", "-5", "9223372036854775807", "bar"])
COUNTER = st.sampled_from(["0", "1.5", "-3.0e3", "0.1", "1e400", "inf", "nan", "0x10", "abc", " 1", "1e-20", "-0"])
PAYLOAD = st.sampled_from([serialized(b"17", compress=False), serialized(b"abc", compress=False), b"damaged"])


_EXPIRES = (["EX", RELATIVE], ["px", RELATIVE], ["EXAT", MOMENT], ["PXAT", MOMENT])
_SET = options(["NX"], ["xx"], ["GET"], ["KEEPTTL"], ["EX"], ["PERSIST"], *_EXPIRES)
_GETEX = options(["PERSIST"], ["KEEPTTL"], *_EXPIRES)
_CONDITIONS = options(["NX"], ["XX"], ["gt"], ["LT"], ["FOO"])
_RESTORE = options(["REPLACE"], ["absttl"], ["FREQ", "5"], ["IDLETIME", "5"])
_COPY = options(["REPLACE"], ["DB", st.sampled_from(["0", "1", "99", "x"])])

_TEMPLATES: tuple[Template, ...] = (
    ("GET", KEY),
    ("SET", KEY, VALUE),
    ("SET", KEY, VALUE, _SET),
    ("SETNX", KEY, VALUE),
    ("SETEX", KEY, RELATIVE, VALUE),
    ("PSETEX", KEY, RELATIVE, VALUE),
    ("GETSET", KEY, VALUE),
    ("GETDEL", KEY),
    ("GETEX", KEY, _GETEX),
    ("MGET", st.lists(KEY, max_size=3)),
    ("MSET", st.lists(KEY, max_size=4)),
    ("MSETNX", st.lists(KEY, max_size=4)),
    ("APPEND", KEY, VALUE),
    ("STRLEN", KEY),
    ("GETRANGE", KEY, INTEGER, INTEGER),
    ("SUBSTR", KEY, INTEGER, INTEGER),
    ("SETRANGE", KEY, st.sampled_from(["0", "3", "-1", "536870912", "x"]), VALUE),
    ("INCR", KEY),
    ("DECR", KEY),
    ("INCRBY", KEY, INTEGER),
    ("DECRBY", KEY, INTEGER),
    ("INCRBYFLOAT", KEY, COUNTER),
    ("DEL", st.lists(KEY, max_size=3)),
    ("UNLINK", st.lists(KEY, max_size=3)),
    ("EXISTS", st.lists(KEY, max_size=3)),
    ("TOUCH", st.lists(KEY, max_size=3)),
    ("TYPE", KEY),
    ("RENAME", KEY, KEY),
    ("RENAMENX", KEY, KEY),
    ("COPY", KEY, KEY, _COPY),
    ("MOVE", KEY, st.sampled_from(["0", "1", "16", "-1", "x", "99999999999"])),
    ("SWAPDB", st.sampled_from(["0", "1", "16", "x"]), st.sampled_from(["0", "1", "y"])),
    ("SELECT", st.sampled_from(["0", "1"])),
    ("KEYS", st.sampled_from(["*", "a*", "[b-d]", "{*"])),
    ("DBSIZE",),
    ("FLUSHDB", options(["SYNC"], ["async"], ["x"])),
    ("FLUSHALL",),
    ("EXPIRE", KEY, RELATIVE, _CONDITIONS),
    ("PEXPIRE", KEY, RELATIVE, _CONDITIONS),
    ("EXPIREAT", KEY, MOMENT, _CONDITIONS),
    ("PEXPIREAT", KEY, MOMENT, _CONDITIONS),
    ("DUMP", KEY),
    ("RESTORE", KEY, RELATIVE, PAYLOAD, _RESTORE),
    ("TTL", KEY),
    ("PTTL", KEY),
    ("EXPIRETIME", KEY),
    ("PEXPIRETIME", KEY),
    ("PERSIST", KEY),
    ("MULTI",),
    ("EXEC",),
    ("EXEC",),
    ("DISCARD",),
    ("WATCH", st.lists(KEY, min_size=1, max_size=2)),
    ("UNWATCH",),
    ("PUBLISH", KEY, VALUE),
)


@given(steps=steps_of(_TEMPLATES), proto=st.sampled_from(["2", "3"]))
@budget(120)
def test_strings_and_keys(pair: Pair, replicas: Replicas, steps: Steps, proto: str) -> None:
    assert_alike(pair, replicas, steps, proto)
