"""SORT, SORT_RO and LCS with random arguments: our node and a real redis-server must agree."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.node.conftest import Pair
from tests.node.differential import Replicas, Steps, Template, assert_alike, budget, options, steps_of
from tests.node.own_server import OwnServer
from tests.waiting import wait_for

KEY = st.sampled_from(["list", "set", "zset", "result"])
ELEMENT = st.sampled_from(["1", "2", "3", "10", "-1", "1.5", "2.0", "inf", "-inf"])
WORD = st.sampled_from(["a", "b", "B", "", " 7", "x*y", "0x10"])
INTEGER = st.sampled_from(["0", "1", "2", "-1", "100", "x"])
BY = st.sampled_from(["w_*", "nosort", "*", "h_*->f", "h_*->", "#", "no*", "w_*->f"])
GET = st.sampled_from(["#", "w_*", "h_*->f", "h_*->none", "w_1", "*", "list*", "h_*"])

_OPTIONS = options(
    ["ASC"], ["desc"], ["ALPHA"], ["BY", BY], ["GET", GET], ["limit", INTEGER, INTEGER], ["FOO"], ["GET"]
)
# The order in which a sorted set's members are weighed is the dice's, too, and a missing key is an event.
_BY_ITSELF = options(["ASC"], ["desc"], ["ALPHA"], ["BY", "nosort"], ["GET", GET], ["limit", INTEGER, INTEGER])
# A set that is not sorted has no order.
_SORTED = options(["ASC"], ["desc"], ["ALPHA"], ["BY", st.sampled_from(["w_*", "h_*->f"])], ["GET", GET])

_SORTS: tuple[Template, ...] = (
    ("RPUSH", "list", st.lists(ELEMENT, min_size=1, max_size=5)),
    ("RPUSH", "list", st.one_of(ELEMENT, WORD)),
    # Integers only: the order in which the keys of other members are missed is the dice's.
    ("SADD", "set", st.lists(st.sampled_from(["1", "2", "3", "10", "-1"]), min_size=1, max_size=5)),
    ("ZADD", "zset", st.sampled_from(["1", "2", "3"]), ELEMENT),
    ("ZADD", "zset", st.sampled_from(["1", "2", "3"]), ELEMENT),
    ("SET", st.sampled_from(["w_1", "w_2", "w_3", "w_10"]), st.one_of(ELEMENT, WORD)),
    ("HSET", st.sampled_from(["h_1", "h_2", "h_3"]), "f", ELEMENT),
    ("SORT", st.sampled_from(["list", "w_1", "missing"]), _OPTIONS),
    ("SORT", "zset", _BY_ITSELF),
    ("SORT", "list", "BY", BY, "ALPHA", _OPTIONS),
    ("SORT", "list", "BY", BY, "GET", "#", "GET", GET),
    ("SORT_RO", "list", _OPTIONS),
    ("SORT", "set", _SORTED),
    ("SORT_RO", "set", "ALPHA", "STORE", "result"),
    ("SORT", st.sampled_from(["list", "missing"]), _OPTIONS, "STORE", KEY),
    ("SORT", "zset", _BY_ITSELF, "STORE", KEY),
    ("SORT", "set", _SORTED, st.one_of(st.just([]), st.just(["BY", "nosort"])), "STORE", "result"),
    ("OBJECT", "ENCODING", "zset"),
    ("DEL", KEY),
    ("MULTI",),
    ("EXEC",),
    ("EXEC",),
)


@given(steps=steps_of(_SORTS), proto=st.sampled_from(["2", "3"]))
@budget(80)
def test_sort(pair: Pair, replicas: Replicas, steps: Steps, proto: str) -> None:
    assert_alike(pair, replicas, steps, proto)


@pytest.mark.parametrize("kind", ["SADD", "ZADD"])
@pytest.mark.parametrize(
    "options",
    ["BY w_*", "BY w_* DESC", "BY w_* ALPHA", "BY h_*->f GET # GET w_*", "BY w_* LIMIT 1 2 GET h_*->f", "BY w_*->f"],
)
def test_weights_of_what_has_no_order(pair: Pair, kind: str, options: str) -> None:
    elements = ["1", "2", "3", "10", "a", "b"]
    for client in pair.connect():
        client.ask(kind, "key", *(word for element in elements for word in (["0"] * (kind == "ZADD") + [element])))
        client.ask("MSET", "w_1", "5", "w_2", "3", "w_3", "3.0", "w_a", "-1.5", "w_b", "7")
        client.ask("HSET", "h_10", "f", "100")
    ours, theirs = pair.connect()
    for verb in ("SORT", "SORT_RO"):
        assert ours.ask(verb, "key", *options.split()) == theirs.ask(verb, "key", *options.split())


def test_a_script_sees_an_unsorted_set_in_order(pair: Pair) -> None:
    for client in pair.connect():
        client.ask("SADD", "set", *"qwertzuiopasdf")
    ours, theirs = pair.connect()
    for more in ("", ", 'DESC'", ", 'LIMIT', 2, 3"):
        words = ("EVAL", f"return redis.call('SORT', KEYS[1], 'BY', 'nosort'{more})", "1", "set")
        assert ours.ask(*words) == theirs.ask(*words)


_TEXT = st.text("abc", max_size=12)
_LCS: tuple[Template, ...] = (
    ("SET", st.sampled_from(["a", "b"]), _TEXT),
    ("SET", st.sampled_from(["a", "b"]), _TEXT),
    ("APPEND", "a", _TEXT),
    ("RPUSH", "list", "x"),
    ("LCS", "a", "b"),
    ("LCS", "a", "b", "IDX"),
    ("LCS", "a", "b", options(["IDX"], ["len"], ["MINMATCHLEN", INTEGER], ["WITHMATCHLEN"], ["FOO"], ["MINMATCHLEN"])),
    ("LCS", st.sampled_from(["a", "list"]), st.sampled_from(["b", "list", "missing"]), options(["LEN"], ["IDX"])),
)


@given(steps=steps_of(_LCS), proto=st.sampled_from(["2", "3"]))
@budget(60)
def test_lcs(pair: Pair, replicas: Replicas, steps: Steps, proto: str) -> None:
    assert_alike(pair, replicas, steps, proto)


def test_lcs_of_long_strings(pair: Pair) -> None:
    """The lengths at which a row of the table is long; and those that a real server refuses."""
    for client in pair.connect():
        client.ask("SET", "a", "".join(f"{number * number}," for number in range(400)))
        client.ask("SET", "b", "".join(f"{number * 7}." for number in range(500)))
        client.ask("SET", "long", "x" * 20000)
    ours, theirs = pair.connect()
    for line in ("LCS a b", "LCS a b IDX MINMATCHLEN 3 WITHMATCHLEN", "LCS a b LEN", "LCS long long"):
        assert ours.ask(*line.split()) == theirs.ask(*line.split())


def test_in_a_cluster_no_keys_elsewhere_are_read(start_server: Callable[..., OwnServer]) -> None:
    server = start_server("--cluster-enabled", "yes", "--cluster-require-full-coverage", "no").wait_ready()
    client = server.client()
    assert client.ask("CLUSTER", "ADDSLOTSRANGE", "0", "16383") == b"+OK\r\n"
    wait_for(lambda: b"cluster_state:ok" in client.ask("CLUSTER", "INFO"), what="the state of the cluster")
    for line in ("SORT l BY w_*", "SORT_RO l GET w_*"):
        denied = b"-ERR %b option of SORT denied in Cluster mode.\r\n" % line.split()[2].encode()
        assert client.ask(*line.split()) == denied
    assert (
        client.ask("SORT", "l", "BY", "x", "STORE", "k")
        == b"-CROSSSLOT Keys in request don't hash to the same slot\r\n"
    )
    assert client.ask("SORT", "{l}1", "STORE", "k", "STORE", "{l}2") == b":0\r\n"
