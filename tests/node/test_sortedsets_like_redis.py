"""Random sequences of sorted set commands, valid and not: our node and a real redis-server must agree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.node.conftest import Pair
from tests.node.differential import KEY, Replicas, Steps, Template, assert_alike, budget, options, steps_of
from tests.node.raw_client import bulk_strings, parse_reply

SCORE = st.sampled_from(
    [
        *("0", "1", "2", "-1", "1.5", "-0", "3.3", "0.1", "100", "1e17", "12345678901234567", "1e-7", "inf", "-inf"),
        *("+inf", "-Infinity", "nan", "", "x", " 1", "1 ", "1_0", "0x10", "0x1p-3", "1e400", "1e-400", "+5", ".5"),
    ]
)
PLAIN_SCORE = st.sampled_from(["0", "1", "2", "2", "3", "-1", "1.5", "0.1", "0.7", "inf", "-inf", "-0"])
MEMBER = st.sampled_from(["a", "b", "c", "d", "e", "", "1", "17", "x" * 65])
INTEGER = st.sampled_from(["0", "1", "-1", "2", "5", "-3", "100", "9223372036854775807", "9223372036854775808", "x"])
BOUND = st.sampled_from(
    [
        *("0", "1", "2", "(1", "(2", "-inf", "+inf", "(inf", "(-inf", "1.5", "(0.1", "", "(", " 1", "1 ", "nan", "x"),
        *("1e400", "0x2", "(-0", "1_0", " "),
    ]
)
LEX_BOUND = st.sampled_from(["-", "+", "[a", "(a", "[b", "(c", "[", "(", "[e", "(x", "a", "-a", "++", ""])
PAIRS = st.lists(st.tuples(PLAIN_SCORE, MEMBER), min_size=1, max_size=4).map(
    lambda pairs: [word for pair in pairs for word in pair]
)
# Sets of equal scores, for ranges of members mean nothing in others: in a skip list they depend on its dice.
EVEN_KEY = st.sampled_from(["even", "{even}2"])
KEYS = st.one_of(
    st.lists(KEY, min_size=1, max_size=3).map(lambda names: [str(len(names)), *names]),
    st.tuples(INTEGER, KEY, KEY).map(list),
)
COUNT = st.sampled_from(["0", "1", "2", "10", "-1", "x", "9223372036854775807"])

_CONDITIONS = options(["NX"], ["xx"], ["GT"], ["lt"], ["CH"], ["INCR"])
_RANGE = options(["BYSCORE"], ["REV"], ["WITHSCORES"], ["LIMIT", INTEGER, INTEGER], ["LIMIT"], ["FOO"])
_LIMITED = options(["WITHSCORES"], ["limit", INTEGER, INTEGER])
_WEIGHTED = options(
    ["WEIGHTS", PLAIN_SCORE],
    ["weights", PLAIN_SCORE, PLAIN_SCORE],
    ["WEIGHTS", SCORE, SCORE, SCORE],
    ["AGGREGATE", st.sampled_from(["SUM", "min", "MAX", "avg"])],
    ["WITHSCORES"],
)
_POPS = options(["COUNT", COUNT])
_SCAN = options(["MATCH", st.sampled_from(["*", "[a-c]", ""])], ["count", INTEGER], ["TYPE", "zset"], ["FOO"])

_TEMPLATES: tuple[Template, ...] = (
    ("ZADD", KEY, PAIRS),
    ("ZADD", KEY, PAIRS),
    ("ZADD", KEY, PLAIN_SCORE, MEMBER),
    ("ZADD", KEY, _CONDITIONS, PAIRS),
    ("ZADD", KEY, _CONDITIONS, SCORE, MEMBER),
    ("ZADD", KEY, SCORE, MEMBER),
    ("ZADD", KEY, PAIRS, MEMBER),
    ("ZADD", KEY, st.sampled_from(["nx", "XX", "incr"]), MEMBER),
    ("ZINCRBY", KEY, SCORE, MEMBER),
    ("ZINCRBY", KEY, st.sampled_from(["nx", "LT", "foo"]), MEMBER),
    ("ZREM", KEY, st.lists(MEMBER, min_size=1, max_size=3)),
    ("ZSCORE", KEY, MEMBER),
    ("ZMSCORE", KEY, st.lists(MEMBER, min_size=1, max_size=3)),
    ("ZCARD", KEY),
    ("ZRANK", KEY, MEMBER),
    ("ZREVRANK", KEY, MEMBER),
    ("ZCOUNT", KEY, BOUND, BOUND),
    ("ZLEXCOUNT", EVEN_KEY, LEX_BOUND, LEX_BOUND),
    ("ZRANGE", KEY, INTEGER, INTEGER, _RANGE),
    ("ZRANGE", KEY, BOUND, BOUND, "BYSCORE", _RANGE),
    (
        "ZADD",
        EVEN_KEY,
        st.lists(MEMBER, min_size=1, max_size=6).map(lambda names: [w for name in names for w in ("0", name)]),
    ),
    ("ZRANGE", EVEN_KEY, LEX_BOUND, LEX_BOUND, "BYLEX", _RANGE),
    ("ZREVRANGE", KEY, INTEGER, INTEGER, options(["WITHSCORES"], ["REV"])),
    ("ZRANGEBYSCORE", KEY, BOUND, BOUND, _LIMITED),
    ("ZREVRANGEBYSCORE", KEY, BOUND, BOUND, _LIMITED),
    ("ZRANGEBYLEX", EVEN_KEY, LEX_BOUND, LEX_BOUND, _LIMITED),
    ("ZREVRANGEBYLEX", EVEN_KEY, LEX_BOUND, LEX_BOUND, _LIMITED),
    ("ZRANGESTORE", KEY, KEY, INTEGER, INTEGER, _RANGE),
    ("ZRANGESTORE", KEY, KEY, BOUND, BOUND, "BYSCORE", _RANGE),
    ("ZREMRANGEBYRANK", KEY, INTEGER, INTEGER),
    ("ZREMRANGEBYSCORE", KEY, BOUND, BOUND),
    ("ZREMRANGEBYLEX", EVEN_KEY, LEX_BOUND, LEX_BOUND),
    ("ZPOPMIN", KEY),
    ("ZPOPMAX", KEY, COUNT),
    ("ZPOPMIN", KEY, COUNT, options(["x"])),
    ("ZMPOP", KEYS, st.sampled_from(["MIN", "max", "x"]), _POPS),
    # Nothing to wait for: it would hold up the client. What waits is tested by itself.
    ("MULTI",),
    ("BZPOPMIN", st.lists(KEY, min_size=1, max_size=2), st.sampled_from(["0.01", "-1", "x"])),
    ("BZMPOP", st.sampled_from(["0.01", "-1", "x"]), KEYS, st.sampled_from(["MIN", "max", "x"]), _POPS),
    ("ZUNION", KEYS, _WEIGHTED),
    ("ZINTER", KEYS, _WEIGHTED),
    ("ZDIFF", KEYS, options(["WITHSCORES"], ["FOO"])),
    ("ZUNIONSTORE", KEY, KEYS, _WEIGHTED),
    ("ZINTERSTORE", KEY, KEYS, _WEIGHTED),
    ("ZDIFFSTORE", KEY, KEYS, options(["WITHSCORES"])),
    ("ZINTERCARD", KEYS, options(["LIMIT", COUNT], ["LIMIT"], ["FOO"])),
    ("ZSCAN", KEY, st.sampled_from(["0", "0", "x", " 0"]), _SCAN),
    # All of a plain set's members count as scored 1.
    ("SADD", KEY, st.lists(MEMBER, min_size=1, max_size=4)),
    ("CONFIG", "SET", "zset-max-ziplist-entries", st.sampled_from(["0", "3", "128"])),
    ("SET", KEY, "string"),
    ("DEL", KEY),
    ("RENAME", KEY, KEY),
    ("COPY", KEY, KEY, options(["REPLACE"])),
    ("OBJECT", "ENCODING", KEY),
    ("TYPE", KEY),
    ("EXPIRE", KEY, "100"),
    ("PEXPIREAT", KEY, "1"),
    ("MULTI",),
    ("EXEC",),
    ("EXEC",),
    ("WATCH", KEY),
)


@given(steps=steps_of(_TEMPLATES), proto=st.sampled_from(["2", "3"]))
@budget(100)
def test_sorted_sets(pair: Pair, replicas: Replicas, steps: Steps, proto: str) -> None:
    for client in pair.connect():
        client.ask("CONFIG", "SET", "zset-max-listpack-entries", "128")
    assert_alike(pair, replicas, steps, proto)


_SMALL: tuple[Template, ...] = (
    (
        "ZADD",
        KEY,
        st.lists(st.tuples(st.sampled_from(["0", "1", "2"]), st.sampled_from("abcdef")), min_size=1).map(
            lambda pairs: [word for pair in pairs for word in pair]
        ),
    ),
    ("ZLEXCOUNT", KEY, LEX_BOUND, LEX_BOUND),
    ("ZRANGE", KEY, LEX_BOUND, LEX_BOUND, "BYLEX", options(["REV"], ["LIMIT", INTEGER, INTEGER], ["WITHSCORES"])),
    ("ZRANGESTORE", KEY, KEY, LEX_BOUND, LEX_BOUND, "BYLEX"),
    ("ZREMRANGEBYLEX", KEY, LEX_BOUND, LEX_BOUND),
)


@given(steps=steps_of(_SMALL), proto=st.just("2"))
@budget(30)
def test_small_sets_of_different_scores_by_member(pair: Pair, replicas: Replicas, steps: Steps, proto: str) -> None:
    for client in pair.connect():
        client.ask("CONFIG", "SET", "zset-max-listpack-entries", "128")
    assert_alike(pair, replicas, steps, proto)


@pytest.mark.parametrize("arguments", ["x", "1 x", "-9223372036854775808", "9223372036854775807 withscores", "1 2 3"])
def test_draws_are_refused_as_by_a_real_server(pair: Pair, arguments: str) -> None:
    ours, theirs = pair.connect()
    for client in (ours, theirs):
        client.ask("ZADD", "zset", "1", "a")
        client.ask("SADD", "set", "a")
    for name in ("zset", "set", "missing"):
        words = ("ZRANDMEMBER", name, *arguments.split())
        assert ours.ask(*words) == theirs.ask(*words)


@pytest.mark.parametrize("size", [5, 2000])
def test_draws_and_walks(pair: Pair, size: int) -> None:
    """Draws are members, different ones unless asked otherwise; a walk amid changes meets all that stay."""
    ours, theirs = pair.connect()
    names = [f"member {number}" for number in range(size)]
    for client in (ours, theirs):
        client.ask("ZADD", "zset", *(word for number, name in enumerate(names) for word in (str(number % 7), name)))
    known = set(bulk_strings(ours.ask("ZRANGE", "zset", "0", "-1")))
    few = bulk_strings(ours.ask("ZRANDMEMBER", "zset", "4"))
    assert len(set(few)) == 4
    assert known.issuperset(few)
    many = bulk_strings(ours.ask("ZRANDMEMBER", "zset", "-50"))
    assert len(many) == 50
    assert known.issuperset(many)
    scored = bulk_strings(ours.ask("ZRANDMEMBER", "zset", "3", "WITHSCORES"))
    assert scored[1::2] == bulk_strings(ours.ask("ZMSCORE", "zset", *scored[::2]))
    assert sorted(bulk_strings(ours.ask("ZRANDMEMBER", "zset", str(size + 1)))) == sorted(known)
    met: list[bytes] = []
    cursor, step = b"0", 0
    while cursor != b"0" or not step:
        cursor, found = parse_reply(ours.ask("ZSCAN", "zset", cursor))
        met += found[::2]
        step += 1
        ours.ask("ZADD", "zset", str(step), f"new {step}", str(-step), names[step % size])
        ours.ask("ZREM", "zset", f"new {step - 1}")
    assert known.issubset(met)
    assert (step > 1) == (size > 5)


@pytest.mark.parametrize(
    ("proto", "score", "missing"), [("2", b"$3\r\n1.5\r\n", b"*-1\r\n"), ("3", b",1.5\r\n", b"_\r\n")]
)
def test_ranks_with_scores_as_in_redis_7_2(pair: Pair, proto: str, score: bytes, missing: bytes) -> None:
    ours, _ = pair.connect()
    ours.ask("HELLO", proto)
    ours.ask("ZADD", "zset", "1", "a", "1.5", "b", "2", "c", "3", "d")
    assert ours.ask("ZRANK", "zset", "b", "withscore") == b"*2\r\n:1\r\n" + score
    assert ours.ask("ZREVRANK", "zset", "b", "WITHSCORE") == b"*2\r\n:2\r\n" + score
    assert ours.ask("ZRANK", "zset", "none", "WITHSCORE") == missing
    assert ours.ask("ZRANK", "none", "b", "WITHSCORE") == missing
    assert ours.ask("ZRANK", "zset", "b", "WITHSCORES") == b"-ERR syntax error\r\n"
    too_many = ours.ask("ZRANK", "zset", "b", "WITHSCORE", "x")
    assert too_many == b"-ERR wrong number of arguments for 'zrank' command\r\n"
