"""Random sequences of list commands, valid and not: our node and a real redis-server must agree.

Blocking commands that would wait have a test of their own, `test_blocking_like_redis`.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from node.persistence.rdb_types import QUICKLIST
from tests.node.conftest import Pair
from tests.node.differential import KEY, Replicas, Steps, Template, assert_alike, budget, options, steps_of

ITEM = st.sampled_from(["a", "b", "c", "", "1", "-17", "01", "x" * 70, "9223372036854775807"])
ITEMS = st.lists(ITEM, min_size=1, max_size=5)
# Enough for several chunks of ours and several nodes of theirs.
MANY = st.tuples(st.integers(300, 1600), ITEM).map(lambda drawn: [drawn[1], "b", *map(str, range(drawn[0]))])
# The lowest integer of all is no rank for us, as in Redis 7.2.
RANK = st.sampled_from(["0", "1", "2", "-1", "-2", "3", "-4", "511", "512", "-600", "1000", "9223372036854775807"])
INDEX = st.one_of(RANK, RANK, RANK, st.just("-9223372036854775808"))
BAD_INDEX = st.sampled_from(["x", "", "1.0", "9223372036854775808", " 1", "+1"])
COUNT = st.sampled_from(["0", "1", "2", "3", "600", "-1", "9223372036854775807", "x", ""])
END = st.sampled_from(["LEFT", "right", "Left", "RIGHT"])
ANY_END = st.one_of(END, END, END, st.sampled_from(["UP", ""]))
KEYS = st.lists(KEY, min_size=1, max_size=3)
COUNTED = st.one_of(
    KEYS.map(lambda names: [str(len(names)), *names]),
    st.tuples(st.sampled_from(["0", "-1", "2", "x", "9223372036854775807"]), KEY).map(list),
)
BAD_TIMEOUT = st.sampled_from(["-1", "x", "", "inf", "nan", "1e400", "9223372036854775807"])

_LPOS = options(["RANK", RANK], ["rank", "-1"], ["COUNT", COUNT], ["MAXLEN", COUNT], ["MAXLEN"], ["FOO", "1"])

_TEMPLATES: tuple[Template, ...] = (
    ("LPUSH", KEY, ITEM),
    ("RPUSH", KEY, ITEM),
    ("LPUSH", KEY, ITEMS),
    ("RPUSH", KEY, ITEMS),
    ("LPUSH", KEY, MANY),
    ("RPUSH", KEY, MANY),
    ("LPUSHX", KEY, ITEMS),
    ("RPUSHX", KEY, ITEMS),
    ("LPOP", KEY),
    ("RPOP", KEY),
    ("LPOP", KEY, COUNT),
    ("RPOP", KEY, COUNT),
    ("LPOP", KEY, COUNT, COUNT),
    ("LLEN", KEY),
    ("LINDEX", KEY, INDEX),
    ("LINDEX", KEY, BAD_INDEX),
    ("LSET", KEY, INDEX, ITEM),
    ("LSET", KEY, BAD_INDEX, ITEM),
    ("LRANGE", KEY, INDEX, INDEX),
    ("LRANGE", KEY, BAD_INDEX, INDEX),
    ("LTRIM", KEY, INDEX, INDEX),
    ("LTRIM", KEY, INDEX, BAD_INDEX),
    ("LTRIM", KEY, "1", "-2"),
    ("LREM", KEY, INDEX, ITEM),
    ("LREM", KEY, BAD_INDEX, ITEM),
    ("LINSERT", KEY, st.sampled_from(["BEFORE", "after", "before", "NEAR"]), ITEM, ITEM),
    ("LPOS", KEY, ITEM),
    ("LPOS", KEY, ITEM, _LPOS),
    ("LPOS", KEY, ITEM, _LPOS),
    ("LMOVE", KEY, KEY, END, END),
    ("LMOVE", KEY, KEY, ANY_END, ANY_END),
    ("RPOPLPUSH", KEY, KEY),
    ("LMPOP", COUNTED, ANY_END),
    ("LMPOP", COUNTED, END, options(["COUNT", COUNT], ["COUNT"], ["FOO", "1"])),
    ("BLPOP", KEYS, BAD_TIMEOUT),
    ("BLMOVE", KEY, KEY, ANY_END, ANY_END, BAD_TIMEOUT),
    ("BRPOPLPUSH", KEY, KEY, BAD_TIMEOUT),
    ("BLMPOP", BAD_TIMEOUT, COUNTED, ANY_END, options(["COUNT", COUNT], ["FOO", "1"])),
    ("SET", KEY, ITEM),
    ("GET", KEY),
    ("DEL", KEYS),
    ("RENAME", KEY, KEY),
    ("COPY", KEY, KEY, "REPLACE"),
    ("MOVE", KEY, "1"),
    ("SELECT", st.sampled_from(["0", "1"])),
    ("PEXPIRE", KEY, st.sampled_from(["-1", "5000000"])),
    ("TYPE", KEY),
    ("WATCH", KEYS),
    ("MULTI",),
    ("EXEC",),
    ("EXEC",),
)


@given(steps=steps_of(_TEMPLATES), proto=st.sampled_from(["2", "3"]))
@budget(120)
def test_lists(pair: Pair, replicas: Replicas, steps: Steps, proto: str) -> None:
    assert_alike(pair, replicas, steps, proto)


def test_the_lowest_integer_is_no_rank(pair: Pair) -> None:
    ours, _ = pair.connect()
    reply = ours.ask("LPOS", "list", "a", "RANK", "-9223372036854775808")
    assert reply == b"-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807\r\n"


def test_large_elements_and_long_lists_are_dumped_for_each_other(pair: Pair) -> None:
    """Of several nodes, some of them plain; and what a real server dumps of it."""
    ours, theirs = pair.connect()
    items = [b"", b"1", b"x" * 8180, b"y" * 8186, b"z" * 9000, *(b"%d" % number for number in range(3000)), b"last"]
    for client in (ours, theirs):
        client.ask("RPUSH", "list", *items)
    whole = theirs.ask("LRANGE", "list", "0", "-1")
    for source, target in ((ours, theirs), (theirs, ours)):
        dump = source.ask("DUMP", "list")
        payload = dump[dump.index(b"\r\n") + 2 : -2]
        assert payload[0] == QUICKLIST
        assert target.ask("RESTORE", "restored", "0", payload, "REPLACE") == b"+OK\r\n"
        assert target.ask("LRANGE", "restored", "0", "-1") == whole
