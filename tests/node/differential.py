"""The harness of the differential tests: random commands, the same to our node and to a real redis-server.

A family of commands has a test module with its templates: tuples of words and Hypothesis strategies, which
`steps_of` makes sequences of. `assert_alike` runs a sequence by two clients on both servers. Replies are compared to
the byte, except times left (the servers' clocks are read at slightly different moments), and the order of what has none
(`UNORDERED`). At the end the keyspace events, what the replicas were told, and the data must agree, too; and each
server must be able to hold what the other has dumped.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tests.node.conftest import Pair
from tests.node.fake_replica import FakeReplica
from tests.node.raw_client import RawClient, Words, as_integer, bulk_strings, parse_reply

# A part of a command: a word, or how to draw a word or a list of words.
Template = tuple[str | st.SearchStrategy[Any], ...]
# Which of the two clients sends what.
Steps = list[tuple[int, Words]]
# A replica of ours and one of theirs.
Replicas = tuple[FakeReplica, FakeReplica]

KEY = st.sampled_from(["a", "b", "{a}c", "d"])

_CLOCK_TOLERANCE_MS = 3000
_TIMES_MS = ("PTTL", "PEXPIRETIME")
_TIMES_S = ("TTL", "EXPIRETIME")
# Commands that answer with items in an order that says nothing: sorted before they are compared. With True the items
# are pairs in one flat array under RESP2 (fields and their values).
UNORDERED: dict[str, bool] = {
    **dict.fromkeys(
        ("KEYS", "HKEYS", "HVALS", "SMEMBERS", "SINTER", "SUNION", "SDIFF", "SPOP", "SRANDMEMBER", "HRANDFIELD"), False
    ),
    "HGETALL": True,
}
# Walks through a collection, with True by pairs.
SCANS: dict[str, bool] = {"HSCAN": True, "SSCAN": False, "ZSCAN": True}
# How the whole of a value is read, by TYPE.
WHOLE: dict[bytes, tuple[str, ...]] = {
    b"string": ("GET",),
    b"list": ("LRANGE", "0", "-1"),
    b"hash": ("HGETALL",),
    b"set": ("SMEMBERS",),
    b"zset": ("ZRANGE", "0", "-1", "WITHSCORES"),
    b"stream": ("XRANGE", "-", "+"),
}

# Commands whose replies tell when something was, or how long ago.
_WITH_TIMES = ("XINFO", "XPENDING")

# A longer run than CI's: SHARDLAB_EXAMPLES=50 makes fifty times as many examples, other ones each time.
_MORE = int(os.environ.get("SHARDLAB_EXAMPLES", "1"))


def budget(examples: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """So many examples, the same ones in every run; more, and fresh ones, on request."""
    return settings(
        max_examples=examples * _MORE,
        deadline=None,
        derandomize=_MORE == 1,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


def options(*choices: Sequence[str | st.SearchStrategy[str]]) -> st.SearchStrategy[list[str]]:
    """Up to three of `choices`, in any order, each with its arguments."""
    one = st.one_of(*(st.tuples(*(st.just(part) if isinstance(part, str) else part for part in c)) for c in choices))
    return st.lists(one, max_size=3).map(lambda groups: [word for group in groups for word in group])


def steps_of(templates: Sequence[Template], *, max_size: int = 40) -> st.SearchStrategy[Steps]:
    """Sequences of commands made from the templates."""
    return st.lists(st.tuples(st.integers(0, 1), st.one_of(*map(command_of, templates))), min_size=1, max_size=max_size)


def command_of(template: Template) -> st.SearchStrategy[Words]:
    """One command made from a template."""
    parts = [st.just(part) if isinstance(part, str) else part for part in template]
    return st.tuples(*parts).map(_flat)


def _flat(parts: tuple[object, ...]) -> Words:
    words: list[str | bytes] = []
    for part in parts:
        if isinstance(part, list):
            words += part
        else:
            assert isinstance(part, str | bytes)
            words.append(part)
    return tuple(words)


def assert_alike(pair: Pair, replicas: Replicas, steps: Steps, proto: str) -> None:
    """Run the steps on both servers and compare everything."""
    try:
        clients = [pair.connect(), pair.connect()]
        for client in (client for both in clients for client in both):
            client.ask("HELLO", proto)
        watchers = pair.connect()
        for watcher in watchers:
            watcher.ask("FLUSHALL")
            watcher.ask("CONFIG", "SET", "notify-keyspace-events", "KEAmn")
            watcher.ask("PSUBSCRIBE", "*")
        for number, words in steps:
            ours, theirs = clients[number]
            assert_same(words, ours.ask(*words), theirs.ask(*words))
        for client in (client for both in clients for client in both):
            client.ask("DISCARD")
        for client in clients[0]:
            client.ask("PUBLISH", "the end", "the end")
        told, expected = events(watchers[0]), events(watchers[1])
        assert told == expected, (told, expected)
        assert_same_streams(*(replica.read_until(b"the end") for replica in replicas))
        ours, theirs = clients[0]
        for database in ("0", "1"):
            assert ours.ask("SELECT", database) == theirs.ask("SELECT", database)
            assert_same_data(ours, theirs)
        assert ours.ask("DEBUG", "DIGEST") == theirs.ask("DEBUG", "DIGEST")
        for replica, client in zip(replicas, clients[0], strict=True):
            client.ask("PUBLISH", "the very end", "the very end")
            replica.read_until(b"the very end")
    finally:
        pair.disconnect()


def assert_same(words: Words, ours: bytes, theirs: bytes) -> None:
    """Whether two replies to one command say the same."""
    name = str(words[0]).upper()
    if ours.startswith(b":") and name in (*_TIMES_MS, *_TIMES_S):
        mine, other = as_integer(ours), as_integer(theirs)
        tolerance = _CLOCK_TOLERANCE_MS if name in _TIMES_MS else _CLOCK_TOLERANCE_MS // 1000
        assert mine == other or (mine >= 0 and other >= 0 and abs(mine - other) <= tolerance), (words, ours, theirs)
    elif name in SCANS and ours.startswith(b"*") and theirs.startswith(b"*"):
        mine, other = parse_reply(ours), parse_reply(theirs)
        # A walk in several steps has no order that could be compared.
        if mine[0] == other[0] == b"0":
            pairs = SCANS[name]
            assert _sorted_items(mine[1], pairs=pairs) == _sorted_items(other[1], pairs=pairs), (words, ours, theirs)
    elif name in UNORDERED and ours[:1] == theirs[:1] and ours[:1] in b"*~%":
        pairs = UNORDERED[name] or str(words[-1]).upper() == "WITHVALUES"
        assert _sorted(ours, pairs=pairs) == _sorted(theirs, pairs=pairs), (words, ours, theirs)
    elif name == "EXEC" and ours.startswith(b"*") and theirs.startswith(b"*"):
        # Times and listings may stand anywhere inside; the lengths must agree, and so must all else in other runs.
        assert ours.split(b"\r\n", 1)[0] == theirs.split(b"\r\n", 1)[0], (words, ours, theirs)
    elif name in _WITH_TIMES:
        assert _without_times(name, ours) == _without_times(name, theirs), (words, ours, theirs)
    else:
        assert ours == theirs, (words, ours, theirs)


def _without_times(name: str, reply: bytes) -> bytes:
    """Unix times of now as one word, and how long ago something was in steps of the tolerance."""
    reply = re.sub(rb":\d{13}\r\n", b":now\r\n", reply)
    idle = rb"idle\r\n:(\d+)\r\n()" if name == "XINFO" else rb":(\d+)\r\n(:\d+\r\n)"
    return re.sub(idle, lambda found: b":%d ago %b" % (int(found[1]) // _CLOCK_TOLERANCE_MS, found[2]), reply)


def _sorted(reply: bytes, *, pairs: bool) -> list[Any]:
    value = parse_reply(reply)
    if isinstance(value, dict):
        return sorted(value.items())
    return _sorted_items(value, pairs=pairs and reply.startswith(b"*"))


def _sorted_items(items: list[Any], *, pairs: bool) -> list[Any]:
    # RESP3 nests the pairs of some replies.
    flat = pairs and items and not isinstance(items[0], list)
    return sorted(zip(items[::2], items[1::2], strict=True)) if flat else sorted(items)


def assert_same_data(ours: RawClient, theirs: RawClient) -> None:
    """Whether the selected databases hold the same, kept the same way."""
    names = sorted(bulk_strings(theirs.ask("KEYS", "*")))
    assert sorted(bulk_strings(ours.ask("KEYS", "*"))) == names
    for name in names:
        kind = theirs.ask("TYPE", name)
        assert ours.ask("TYPE", name) == kind
        verb, *arguments = WHOLE[kind[1:-2]]
        for words in ((verb, name, *arguments), ("OBJECT", "ENCODING", name), ("PEXPIRETIME", name)):
            mine, other = ours.ask(*words), theirs.ask(*words)
            if words[1] == "ENCODING" and b"embstr" in other and b"int" in mine:
                # Redis does not notice that what INCRBYFLOAT has left is an integer; we keep no other trace of it.
                continue
            assert_same(words, mine, other)
        _assert_dumps_are_read(name, ours, theirs, (verb, "restored", *arguments))


def _assert_dumps_are_read(name: bytes, ours: RawClient, theirs: RawClient, whole: Words) -> None:
    """What one server dumped means the same to the other."""
    for source, target in ((ours, theirs), (theirs, ours)):
        dump = source.ask("DUMP", name)
        payload = dump[dump.index(b"\r\n") + 2 : -2]
        assert target.ask("RESTORE", "restored", "0", payload, "REPLACE") == b"+OK\r\n", (name, payload)
        expected = theirs.ask(str(whole[0]), name, *whole[2:])
        assert_same(whole, target.ask(*whole), expected)
        target.ask("DEL", "restored")


def events(watcher: RawClient) -> list[bytes]:
    """What was published up to "the end"."""
    events: list[bytes] = []
    while not events or b"the end" not in events[-1]:
        events.append(watcher.read_reply())
    return events


def key_events(pair: Pair, ours: RawClient, classes: str, lines: Iterable[str]) -> list[str]:
    """The names of our server's events of these classes (``E...``) while a client of it runs commands."""
    watcher, _ = pair.connect()
    ours.ask("CONFIG", "SET", "notify-keyspace-events", classes)
    watcher.ask("PSUBSCRIBE", "*")
    for line in lines:
        ours.ask(*line.split())
    ours.ask("PUBLISH", "e:end", "")
    names = []
    while (name := parse_reply(watcher.read_reply())[2].partition(b":")[2].decode()) != "end":
        names.append(name)
    return names


def assert_same_streams(ours: list[list[bytes]], theirs: list[list[bytes]]) -> None:
    """Times may differ a little: the two servers heard a command at different moments."""
    assert len(ours) == len(theirs), (ours, theirs)
    for mine, other in zip(ours, theirs, strict=True):
        my_time, other_time = _take_time(mine), _take_time(other)
        assert mine == other
        assert abs(my_time - other_time) <= _CLOCK_TOLERANCE_MS, (mine, my_time, other_time)


def _take_time(words: list[bytes]) -> int:
    """Take the absolute time out of a command, if it has one."""
    if words[0].upper() in (b"PEXPIREAT", b"RESTORE"):
        return int(words.pop(2))
    if words[0].upper() == b"XCLAIM":
        return int(words.pop(words.index(b"TIME") + 1))
    return int(words.pop()) if words[-2:-1] == [b"PXAT"] else 0
