"""Pipelines that repeat one command, which our node runs in one go (`node.stretches`), on keys of every kind.

Nobody listens to keyspace events here, since with a listener nothing is run in one go.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.node.conftest import Pair
from tests.node.differential import Replicas, Template, assert_same, assert_same_streams, budget, command_of
from tests.node.raw_client import Words

# Mostly one key, and now and then one of another type, with a time to live, or with a tag.
KEY = st.sampled_from(["a", "a", "a", "b", "{a}c", "list", "set", "hash", "text", "big"])
WORD = st.sampled_from(["1", "2", "-3", "x", "y", "", "w" * 70, "v" * 1100])

_REPEATED: tuple[Template, ...] = (
    ("PING",),
    ("PING", WORD),
    ("GET", KEY),
    ("SET", KEY, WORD),
    ("SET", KEY, WORD, "GET"),
    ("INCR", KEY),
    ("LPUSH", KEY, WORD),
    ("RPUSH", KEY, WORD),
    ("LPUSH", KEY, WORD, WORD),
    ("LPOP", KEY),
    ("RPOP", KEY),
    ("RPOP", KEY, "2"),
    ("SADD", KEY, WORD),
    ("SADD", KEY, st.integers(0, 9).map(str)),
    ("HSET", KEY, WORD, WORD),
    ("HSET", KEY, WORD, WORD, WORD),
)
_BETWEEN: tuple[Template, ...] = (
    ("DEL", KEY),
    ("SELECT", st.sampled_from(["0", "1"])),
    ("EXPIRE", KEY, "1000"),
    ("APPEND", KEY, WORD),
    ("SET", KEY, st.sampled_from(["9998", "1022", "9223372036854775807"])),
    ("MULTI",),
    ("EXEC",),
    ("WATCH", KEY),
)
_REPEATS = st.one_of([st.lists(command_of(template), min_size=4, max_size=12) for template in _REPEATED])
_OTHERS = st.lists(st.one_of([command_of(template) for template in _BETWEEN]), max_size=3)
# A chunk holds one repeated command, or whatever comes.
_CHUNKS = st.lists(st.one_of(_REPEATS, _REPEATS, _REPEATS, _OTHERS), min_size=1, max_size=6)
_PREPARED: list[Words] = [
    ("RPUSH", "list", *map(str, range(600))),
    ("SADD", "set", "1", "2"),
    ("HSET", "hash", "x", "1"),
    ("SET", "text", "12", "EX", "1000"),
    ("SET", "big", "9997"),
]


@budget(20)
@given(chunks=_CHUNKS, proto=st.sampled_from(["2", "3"]))
def test_repeated_commands(pair: Pair, replicas: Replicas, chunks: list[list[Words]], proto: str) -> None:
    try:
        both = pair.connect()
        for client in both:
            client.ask("HELLO", proto)
            client.ask("FLUSHALL")
            client.ask_all(_PREPARED)
        for commands in chunks:
            ours, theirs = (client.ask_all(commands) for client in both)
            for words, mine, other in zip(commands, ours, theirs, strict=True):
                assert_same(words, mine, other)
        for client in both:
            client.ask("DISCARD")
            client.ask("PUBLISH", "the end", "the end")
        assert_same_streams(*(replica.read_until(b"the end") for replica in replicas))
        ours_digest, theirs_digest = (client.ask("DEBUG", "DIGEST") for client in both)
        assert ours_digest == theirs_digest
    finally:
        pair.disconnect()


_FIELD = st.sampled_from(["f", "f", "f", "g", ""])
_ENTRIES = st.lists(st.tuples(st.sampled_from(["s", "s", "s", "t", "list"]), _FIELD, WORD), min_size=4, max_size=40)


@budget(20)
@given(
    chunks=st.lists(_ENTRIES, min_size=1, max_size=3),
    entries_max=st.sampled_from(["0", "3", "100"]),
    pairs=st.integers(1, 2),
)
def test_entries_under_ids_that_we_choose(
    pair: Pair, replicas: Replicas, chunks: list[list[Words]], entries_max: str, pairs: int
) -> None:
    """What we tell our replicas makes the same streams in Redis, node by node."""
    try:
        ours, theirs = pair.connect()
        for client in (ours, theirs):
            client.ask("FLUSHALL")
            client.ask("CONFIG", "SET", "stream-node-max-entries", entries_max)
            client.ask("CONFIG", "SET", "stream-node-max-bytes", "200")
        ours.ask("RPUSH", "list", "x")
        for chunk in chunks:
            words = [("XADD", key, "*", *(field, word) * pairs) for key, field, word in chunk]
            # The first one is not run in one go with the others, since there is no stream yet.
            replies = ours.ask_all([("XADD", "s", "*", "f", "1"), *words])
            assert all((b" " in reply) is (key == "list") for (key, *_), reply in zip(chunk, replies[1:], strict=True))
        ours.ask("PUBLISH", "the end", "the end")
        for command in replicas[0].read_until(b"the end"):
            if command[0].upper() in (b"XADD", b"RPUSH"):
                theirs.ask(*command)
        asked: list[Words] = [("DEBUG", "DIGEST"), *[("XINFO", "STREAM", key) for key in ("s", "t")]]
        asked += [("XRANGE", key, "-", "+") for key in ("s", "t")]
        for question in asked:
            assert_same(question, ours.ask(*question), theirs.ask(*question))
    finally:
        pair.disconnect()
