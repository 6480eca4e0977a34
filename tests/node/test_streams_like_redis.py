"""Random stream commands, the same to our node and to a real redis-server."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.node.conftest import Pair
from tests.node.differential import KEY, Replicas, Steps, Template, assert_alike, budget, options, steps_of

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
    ("XADD", KEY, ANY_ID, PAIRS),
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
@budget(80)
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
@budget(60)
def test_nodes_are_divided_as_by_a_real_server(pair: Pair, replicas: Replicas, steps: Steps, proto: str) -> None:
    configured = [
        (0, ("CONFIG", "SET", "stream-node-max-entries", "3")),
        (0, ("CONFIG", "SET", "stream-node-max-bytes", "150")),
        (0, ("XADD", "a", "99999999999999-0", "f", "v")),
    ]
    try:
        assert_alike(pair, replicas, [*configured, *steps], proto)
    finally:
        for client in pair.connect():
            client.ask("CONFIG", "SET", "stream-node-max-entries", "100")
            client.ask("CONFIG", "SET", "stream-node-max-bytes", "4096")
