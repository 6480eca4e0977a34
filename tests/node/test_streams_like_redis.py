"""Stream commands, random ones and some by themselves, the same to our node and to a real redis-server."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.node.conftest import Pair
from tests.node.differential import (
    KEY,
    Replicas,
    Steps,
    Template,
    assert_alike,
    assert_same_streams,
    budget,
    options,
    steps_of,
)

# Ids that are added and looked for: few and close together, so that they meet; and what is none.
ID = st.one_of(
    st.integers(0, 12).map(str),
    st.tuples(st.integers(0, 12), st.integers(0, 3)).map(lambda parts: f"{parts[0]}-{parts[1]}"),
)
NEW_ID = st.one_of(st.integers(1, 40).map(str), ID, st.integers(0, 30).map(lambda time: f"{time}-*"))
ODD_ID = st.sampled_from(
    [
        "x",
        "",
        "-",
        "+",
        "*",
        "$",
        ">",
        "-1",
        "1-",
        "1-x",
        "1--1",
        "1--01",
        "1- 1",
        " +1-01",
        "1-1-1",
        "(1",
        "(",
        "0-0",
        "18446744073709551615",
        "18446744073709551615-18446744073709551615",
        "18446744073709551616-1",
        "9" * 130,
    ]
)
ANY_ID = st.one_of(ID, ID, ID, ODD_ID)
BOUND = st.one_of(st.sampled_from("-+"), ID, ID, ID.map("({}".format), ODD_ID, ODD_ID.map("({}".format))
PAIRS = st.sampled_from(["f v", "f w g x", "f 12345", "g -1 f 2", "f v f", "f"]).map(str.split)
PLAIN_PAIRS = st.sampled_from(["f v", "f w g x", "f 12345", "g -1 f 2"]).map(str.split)
COUNT = st.sampled_from(["0", "1", "2", "10", "-1", "x"])
# Redis counts in signed numbers here; one beyond them is refused.
LIMIT = st.sampled_from(["0", "1", "5", "1000", "-1", "x"])
TRIM = st.one_of(
    st.tuples(st.sampled_from(["MAXLEN", "maxlen"]), st.sampled_from(["", "=", "~"]), COUNT),
    st.tuples(st.sampled_from(["MINID", "minid"]), st.sampled_from(["", "=", "~"]), ANY_ID),
).map(lambda words: [word for word in words if word])
LIMITED = options(["LIMIT", LIMIT], ["NOMKSTREAM"], ["FOO"], ["MAXLEN", "1"])

LOG: tuple[Template, ...] = (
    ("XADD", KEY, NEW_ID, PLAIN_PAIRS),
    ("XADD", KEY, NEW_ID, PLAIN_PAIRS),
    ("XADD", KEY, NEW_ID, PLAIN_PAIRS),
    # Beyond the servers' clocks, so that both choose the same id.
    ("XADD", "future", "*", PLAIN_PAIRS),
    ("XADD", "future", TRIM, "*", PLAIN_PAIRS),
    ("XADD", KEY, TRIM, NEW_ID, PLAIN_PAIRS),
    ("XADD", KEY, TRIM, options(["LIMIT", LIMIT]), NEW_ID, PLAIN_PAIRS),
    ("XADD", KEY, options(["NOMKSTREAM"]), NEW_ID, PAIRS),
    ("XADD", KEY, TRIM, LIMITED, NEW_ID, PAIRS),
    # An id that the clock gives is not the same on both.
    ("XADD", KEY, ANY_ID.filter(lambda text: text != "*"), PAIRS),
    ("XLEN", KEY),
    ("XRANGE", KEY, BOUND, BOUND, options(["COUNT", COUNT])),
    ("XRANGE", KEY, "-", "+", options(["COUNT", COUNT], ["FOO"])),
    ("XREVRANGE", KEY, BOUND, BOUND, options(["count", COUNT])),
    ("XDEL", KEY, st.lists(ANY_ID, min_size=1, max_size=3)),
    ("XDEL", KEY, st.lists(ID, min_size=1, max_size=3)),
    ("XTRIM", KEY, TRIM),
    ("XTRIM", KEY, TRIM, LIMITED),
    ("XSETID", KEY, ANY_ID, options(["ENTRIESADDED", COUNT], ["MAXDELETEDID", ANY_ID], ["FOO"])),
    ("SET", KEY, "string"),
    ("DEL", KEY),
    ("RENAME", KEY, KEY),
    ("COPY", KEY, KEY, options(["REPLACE"])),
    ("OBJECT", "ENCODING", KEY),
    ("TYPE", KEY),
    ("SORT", KEY),
    ("PEXPIREAT", KEY, "1"),
    ("MULTI",),
    ("EXEC",),
    ("EXEC",),
    ("WATCH", KEY),
)


@given(steps=steps_of(LOG), proto=st.sampled_from(["2", "3"]))
@budget(60)
def test_entries(pair: Pair, replicas: Replicas, steps: Steps, proto: str) -> None:
    first = (0, ("XADD", "future", "99999999999999-0", "f", "v"))
    assert_alike(pair, replicas, [first, *steps], proto)


# Nodes of few entries or bytes, so that there are many: what "~" removes shows where they begin.
_NODES: tuple[Template, ...] = (
    ("XADD", "a", "*", PLAIN_PAIRS),
    ("XADD", "a", "*", PLAIN_PAIRS),
    ("XADD", "a", "*", PLAIN_PAIRS),
    ("XADD", "a", "*", "f", st.sampled_from(["x" * 50, "x" * 63, "x" * 64, "123", "-4097", "99999999999", "1" * 21])),
    ("XADD", "a", "99999999999999-*", "f", "v"),
    ("XADD", "a", "MAXLEN", "~", st.sampled_from(["2", "5"]), "*", "g", "v"),
    ("XADD", "a", "MINID", st.integers(0, 20).map("99999999999999-{}".format), "*", "g", "v"),
    ("XDEL", "a", st.lists(st.integers(0, 30).map("99999999999999-{}".format), min_size=1, max_size=5)),
    ("XTRIM", "a", st.sampled_from(["MAXLEN", "MAXLEN ~"]).map(str.split), st.sampled_from(["1", "4", "9"])),
    ("XTRIM", "a", "MAXLEN", "~", "0", "LIMIT", st.sampled_from(["0", "1", "3", "6"])),
    ("XTRIM", "a", "MINID", st.sampled_from("~="), st.integers(0, 30).map("99999999999999-{}".format)),
    ("XLEN", "a"),
    ("CONFIG", "SET", "stream-node-max-entries", st.sampled_from(["0", "2", "3", "5"])),
    ("CONFIG", "SET", "stream-node-max-bytes", st.sampled_from(["0", "100", "200", "4096"])),
)


@given(steps=steps_of(_NODES, max_size=80), proto=st.just("2"))
@budget(40)
def test_nodes_are_divided_as_by_a_real_server(pair: Pair, replicas: Replicas, steps: Steps, proto: str) -> None:
    configured = [
        (0, ("CONFIG", "SET", "stream-node-max-entries", "3")),
        (0, ("CONFIG", "SET", "stream-node-max-bytes", "150")),
        (0, ("XADD", "a", "99999999999999-0", "f", "v")),
    ]
    assert_alike(pair, replicas, [*configured, *steps], proto)


GROUP = st.sampled_from(["g", "g", "g", "h"])
CONSUMER = st.sampled_from(["alice", "bob"])
# Long enough for no entry to be idle by itself, and nothing.
IDLE = st.sampled_from(["0", "0", "0", "1000000", "-1", "x"])
IDS = st.lists(ID, min_size=1, max_size=3)
GROUPS: tuple[Template, ...] = (
    *[("XADD", KEY, st.integers(1, 12).map("{}-*".format), PLAIN_PAIRS)] * 3,
    ("XADD", KEY, NEW_ID, PLAIN_PAIRS),
    ("XDEL", KEY, IDS),
    ("XTRIM", KEY, "MAXLEN", st.sampled_from("012")),
    ("XSETID", KEY, ID, options(["ENTRIESADDED", COUNT], ["MAXDELETEDID", ID])),
    ("DEL", KEY),
    ("COPY", KEY, KEY, "REPLACE"),
    *[("XGROUP", "CREATE", KEY, "g", st.sampled_from(["0", "$", "5"]), "MKSTREAM")] * 2,
    ("XGROUP", "CREATE", KEY, GROUP, st.one_of(ANY_ID, ID), options(["MKSTREAM"], ["ENTRIESREAD", COUNT], ["FOO"])),
    ("XGROUP", "SETID", KEY, GROUP, ANY_ID, options(["ENTRIESREAD", COUNT], ["MKSTREAM"])),
    ("XGROUP", st.sampled_from(["DESTROY", "FOO"]), KEY, GROUP),
    ("XGROUP", st.sampled_from(["CREATECONSUMER", "DELCONSUMER"]), KEY, GROUP, CONSUMER),
    *[("XREADGROUP", "GROUP", "g", CONSUMER, options(["COUNT", "2"]), "STREAMS", KEY, ">")] * 3,
    ("XREADGROUP", "GROUP", "g", CONSUMER, options(["COUNT", COUNT], ["NOACK"]), "STREAMS", KEY, KEY, ">", ">"),
    ("XREADGROUP", "GROUP", GROUP, CONSUMER, options(["COUNT", COUNT], ["NOACK"], ["FOO"]), "STREAMS", KEY, ANY_ID),
    ("XREADGROUP", "GROUP", "g", CONSUMER, options(["COUNT", COUNT]), "STREAMS", KEY, ID),
    ("XREADGROUP", "GROUP", "g", CONSUMER, "STREAMS", KEY, KEY, st.sampled_from("0>")),
    ("XREADGROUP", "COUNT", "1", "NOACK", "NOACK", "STREAMS", KEY, ">"),
    # "+" is an id here in later versions.
    (
        "XREAD",
        options(["COUNT", COUNT], ["NOACK"], ["GROUP", "g", "alice"], ["FOO"]),
        "STREAMS",
        KEY,
        ANY_ID.filter(lambda text: text != "+"),
    ),
    ("XREAD", "STREAMS", KEY, KEY, ID, ID),
    ("XREAD", "STREAMS", KEY, KEY, ID, st.sampled_from(["$", "0", ">"])),
    ("XREAD", "STREAMS", KEY, KEY, ID),
    ("XACK", KEY, GROUP, IDS),
    ("XACK", KEY, GROUP, st.lists(ANY_ID, min_size=1, max_size=2)),
    ("XPENDING", KEY, GROUP),
    ("XPENDING", KEY, "g", "-", "+", "10"),
    ("XPENDING", KEY, GROUP, BOUND, BOUND, COUNT, options([CONSUMER], ["carl"])),
    ("XPENDING", KEY, "g", "IDLE", IDLE, options(["-", "+", "5"], ["alice"])),
    ("XCLAIM", KEY, "g", CONSUMER, "0", IDS),
    ("XCLAIM", KEY, "g", CONSUMER, IDLE, IDS, options(["FORCE"], ["JUSTID"], ["RETRYCOUNT", COUNT])),
    (
        "XCLAIM",
        KEY,
        GROUP,
        CONSUMER,
        IDLE,
        IDS,
        options(["FORCE"], ["TIME", IDLE], ["IDLE", IDLE], ["LASTID", ANY_ID], ["RETRYCOUNT", "3"], ["FOO"]),
    ),
    ("XCLAIM", KEY, "g", CONSUMER, "0", ANY_ID),
    ("XAUTOCLAIM", KEY, "g", CONSUMER, "0", "0"),
    ("XAUTOCLAIM", KEY, GROUP, CONSUMER, IDLE, BOUND, options(["COUNT", COUNT], ["JUSTID"], ["FOO"])),
    ("XINFO", "STREAM", KEY),
    ("XINFO", "STREAM", KEY, "FULL", options(["COUNT", COUNT], ["FOO"])),
    ("XINFO", "GROUPS", KEY),
    ("XINFO", "CONSUMERS", KEY, GROUP),
    ("SET", KEY, "string"),
    ("DEL", KEY),
    ("MULTI",),
    ("EXEC",),
    ("EXEC",),
    ("WATCH", KEY),
)


@given(steps=steps_of(GROUPS), proto=st.sampled_from(["2", "3"]))
@budget(70)
def test_groups(pair: Pair, replicas: Replicas, steps: Steps, proto: str) -> None:
    for client in pair.connect():
        client.ask("CONFIG", "SET", "stream-node-max-entries", "3")
    begin = [(0, ("XGROUP", "CREATE", name, "g", "0", "MKSTREAM")) for name in ("a", "b")]
    end = [(0, ("XINFO", "STREAM", name, "FULL", "COUNT", "0")) for name in ("a", "b", "{a}c", "d")]
    assert_alike(pair, replicas, [*begin, *steps, (0, ("DISCARD",)), (1, ("DISCARD",)), *end], proto)


@pytest.mark.parametrize(
    "call",
    [
        "'XRANGE', KEYS[1], '-', '+'",
        "'XREVRANGE', KEYS[1], '+', '-', 'COUNT', '0'",
        "'XREAD', 'STREAMS', KEYS[1], '1-1'",
        "'XREAD', 'BLOCK', '0', 'STREAMS', KEYS[1], '$'",
        "'XREAD', 'STREAMS', KEYS[1], '$'",
        "'XREADGROUP', 'GROUP', 'g', 'c', 'STREAMS', KEYS[1], '>'",
        "'XREADGROUP', 'GROUP', 'g', 'c', 'BLOCK', '1', 'STREAMS', KEYS[1], '>'",
        "'XREADGROUP', 'GROUP', 'g', 'alice', 'STREAMS', KEYS[1], '0'",
        "'XADD', KEYS[1], 'MAXLEN', '1', '9-*', 'f', 'v'",
        "'XPENDING', KEYS[1], 'g'",
        "'XAUTOCLAIM', KEYS[1], 'g', 'bob', '0', '0'",
        "'XINFO', 'GROUPS', KEYS[1]",
        "'XINFO', 'STREAM', KEYS[1]",
    ],
)
@pytest.mark.parametrize("resp", ["2", "3"])
def test_scripts_see_what_a_real_servers_see(pair: Pair, replicas: Replicas, call: str, resp: str) -> None:
    """The replies as tables, written down with what they are made of."""
    show = (
        "local function show(v) if type(v) ~= 'table' then return tostring(v) end local parts = {} "
        "for k, each in pairs(v) do parts[#parts + 1] = show(k) .. '=' .. show(each) end "
        "table.sort(parts) return '{' .. table.concat(parts, ',') .. '}' end "
    )
    script = f"{show} redis.setresp({resp}) return show(redis.pcall({call}))"
    said = []
    for client in pair.connect():
        for line in ("XADD s 1-1 f v", "XADD s 1-2 f v g w", "XADD s 2-0 f v", "XGROUP CREATE s g 0"):
            client.ask(*line.split())
        client.ask("XREADGROUP", "GROUP", "g", "alice", "COUNT", "2", "STREAMS", "s", ">")
        client.ask("XDEL", "s", "1-2")
        said.append([client.ask("EVAL", script, "1", "s"), client.ask("XINFO", "GROUPS", "s")])
        client.ask("PUBLISH", "the end", "the end")
    assert said[0] == said[1]
    assert_same_streams(*(replica.read_until(b"the end") for replica in replicas))


@pytest.mark.parametrize(
    "line",
    [
        "XREAD BLOCK 0 STREAMS s $",
        "XREAD BLOCK 0 COUNT 1 STREAMS s 0",
        "XREADGROUP GROUP g c BLOCK 0 STREAMS s >",
        "XREADGROUP GROUP g c BLOCK 0 STREAMS s 0",
    ],
)
@pytest.mark.parametrize("proto", ["2", "3"])
def test_nothing_blocks_in_a_transaction(pair: Pair, line: str, proto: str) -> None:
    said = []
    for client in pair.connect():
        client.ask("HELLO", proto)
        for each in ("XADD s 1-1 f v", "XGROUP CREATE s g $", "MULTI", line):
            client.ask(*each.split())
        said.append(client.ask("EXEC"))
    assert said[0] == said[1]


@pytest.mark.parametrize("line", ["XGROUP HELP", "XINFO HELP", "XGROUP NOSUCH s", "XINFO NOSUCH s", "XGROUP", "XINFO"])
def test_help(pair: Pair, line: str) -> None:
    ours, theirs = pair.connect()
    assert ours.ask(*line.split()) == theirs.ask(*line.split())


def test_reading_the_last_entry(pair: Pair) -> None:
    """XREAD with "+", of Redis 7.4."""
    ours, _ = pair.connect()
    for number in (1, 2):
        ours.ask("XADD", "s", f"{number}-0", "f", "v")
    last = b"*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n2-0\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n"
    assert ours.ask("XREAD", "STREAMS", "s", "+") == b"*1\r\n" + last
    assert ours.ask("XREAD", "STREAMS", "nothing", "s", "+", "+") == b"*1\r\n" + last
    assert ours.ask("XREAD", "STREAMS", "nothing", "+") == b"*-1\r\n"
