"""Clients that block on keys, against a real redis-server: who is served when, with what, and what replicas are told.

Three clients wait, one acts. After every step the same clients must be blocked on both servers, and those that are not
any more must have had the same replies.
"""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from tests.node.conftest import Pair
from tests.node.differential import (
    KEY,
    Replicas,
    Template,
    assert_same_data,
    assert_same_streams,
    budget,
    command_of,
    events,
)
from tests.node.raw_client import RawClient, Words, as_integer
from tests.waiting import wait_for
from wire.encoder import encode_command

_WAITERS = 3
# Which waiter, or None for the one who acts; and what.
Step = tuple[int | None, Words]

KEYS = st.lists(KEY, min_size=1, max_size=3)
COUNTED = KEYS.map(lambda names: [str(len(names)), *names])
ITEMS = st.lists(st.sampled_from(["1", "2", "3"]), min_size=1, max_size=4)
SCORED = st.lists(st.sampled_from(["1 x", "2 y", "3 z"]), min_size=1, max_size=3).map(
    lambda pairs: [word for pair in pairs for word in pair.split()]
)
END = st.sampled_from(["LEFT", "RIGHT"])

_FROM_STREAMS: tuple[Template, ...] = (
    ("XREAD", "BLOCK", "0", "STREAMS", KEY, st.sampled_from(["$", "2-1", "0"])),
    ("XREAD", "COUNT", "1", "BLOCK", "0", "STREAMS", KEY, KEY, "$", "2"),
    ("XREADGROUP", "GROUP", "g", "alice", "BLOCK", "0", "STREAMS", KEY, st.sampled_from([">", ">", "0"])),
    ("XREADGROUP", "GROUP", "g", "bob", "COUNT", "1", "BLOCK", "0", "NOACK", "STREAMS", KEY, KEY, ">", ">"),
)
_TO_STREAMS: tuple[Template, ...] = (
    *[("XADD", KEY, st.integers(1, 4).map("{}-*".format), "f", "v")] * 2,
    ("XADD", KEY, "MAXLEN", "0", "3-*", "f", "v"),
    ("XDEL", KEY, "1-0", "2-0", "2-1", "3-0"),
    *[("XGROUP", "CREATE", KEY, "g", "0", "MKSTREAM")] * 2,
    ("XGROUP", "SETID", KEY, "g", "0"),
    ("XGROUP", "DESTROY", KEY, "g"),
    ("XREADGROUP", "GROUP", "g", "carl", "STREAMS", KEY, ">"),
    ("XSETID", KEY, "4-9"),
)

_WAITING: tuple[Template, ...] = (
    ("BLPOP", KEYS, "0"),
    ("BLPOP", KEY, "1e6"),
    ("BRPOP", KEYS, "0"),
    ("BLMOVE", KEY, KEY, END, END, "0"),
    ("BRPOPLPUSH", KEY, KEY, "0"),
    ("BLMPOP", "0", COUNTED, END),
    ("BLMPOP", "0", COUNTED, END, "COUNT", st.sampled_from(["1", "2", "9"])),
    ("BZPOPMIN", KEYS, "0"),
    ("BZMPOP", "0", COUNTED, "MAX", "COUNT", "2"),
    *_FROM_STREAMS,
    ("ECHO", "next"),
    ("SELECT", st.sampled_from(["0", "0", "1"])),
)
# In a script nothing blocks, and nobody is served before its end.
_SCRIPT = (
    "local popped = redis.pcall('blmpop', 0, 2, KEYS[1], KEYS[2], 'LEFT') "
    "redis.pcall('rpush', KEYS[1], '7', '8') redis.pcall('lpush', KEYS[2], '9') "
    "return {popped, redis.pcall('llen', KEYS[1])}"
)
_ACTING: tuple[Template, ...] = (
    ("RPUSH", KEY, ITEMS),
    ("RPUSH", KEY, ITEMS),
    ("LPUSH", KEY, ITEMS),
    ("LPUSH", KEY, "1"),
    ("ZADD", KEY, SCORED),
    ("LPOP", KEY),
    ("LMOVE", KEY, KEY, END, END),
    ("SET", KEY, "string"),
    ("DEL", KEYS),
    ("RENAME", KEY, KEY),
    ("COPY", KEY, KEY, "REPLACE"),
    ("COPY", KEY, KEY, "DB", "1"),
    ("MOVE", KEY, st.sampled_from(["0", "1"])),
    ("SWAPDB", "0", "1"),
    ("SELECT", st.sampled_from(["0", "0", "1"])),
    ("FLUSHALL",),
    ("PEXPIRE", KEY, "-1"),
    ("ZUNIONSTORE", KEY, COUNTED),
    ("SORT", KEY, "BY", "nosort", "STORE", KEY),
    ("EVAL", _SCRIPT, "2", KEY, KEY),
    ("MULTI",),
    ("MULTI",),
    ("EXEC",),
    ("EXEC",),
    ("DISCARD",),
    ("BLPOP", KEY, "1e-9"),
    ("BLMOVE", KEY, KEY, END, END, "0.0001"),
    ("CLIENT", "UNBLOCK", "waiter", st.sampled_from(["TIMEOUT", "ERROR"])),
    *_TO_STREAMS,
)


def _steps(waiting: tuple[Template, ...], acting: tuple[Template, ...]) -> st.SearchStrategy[list[Step]]:
    by_waiters = st.tuples(st.integers(0, _WAITERS - 1), st.one_of(*map(command_of, waiting)))
    return st.lists(
        st.one_of(by_waiters, st.tuples(st.none(), st.one_of(*map(command_of, acting)))), min_size=1, max_size=30
    )


class _Side:
    """One server and its clients."""

    def __init__(self, clients: list[RawClient], proto: str) -> None:
        self.actor, self.watcher, self._observer, *self._waiters = clients
        self.actor.ask("FLUSHALL")
        self.watcher.ask("CONFIG", "SET", "notify-keyspace-events", "KEAmn")
        self.watcher.ask("PSUBSCRIBE", "*")
        for waiter in self._waiters:
            waiter.ask("HELLO", proto)
        self._ids = [waiter.ask("CLIENT", "ID")[1:-2] for waiter in self._waiters]
        # Commands each waiter has sent and has no reply to.
        self._unanswered = [0] * len(self._waiters)

    def do(self, step: Step) -> list[tuple[str, bytes]]:
        """All replies that the step brought, with who got them."""
        number, words = step
        replies = []
        if number is None:
            replies.append(("actor", self.actor.ask(*(self._ids[0] if word == "waiter" else word for word in words))))
        else:
            # Behind a command that blocks, this one has to wait.
            self._waiters[number].send(encode_command([str(word).encode() for word in words]))
            self._unanswered[number] += 1
        return replies + self._settle()

    def end(self) -> list[tuple[str, bytes]]:
        """Send everybody home; what they say then."""
        self.actor.ask("DISCARD")
        replies = []
        while any(self._unanswered):
            for number, client_id in enumerate(self._ids):
                if self._unanswered[number]:
                    assert self._observer.ask("CLIENT", "UNBLOCK", client_id) == b":1\r\n"
                    replies += self._settle()
        self.actor.ask("PUBLISH", "the end", "the end")
        return replies

    def _settle(self) -> list[tuple[str, bytes]]:
        """Read replies until every waiter is blocked or has nothing more to be answered.

        One who was served goes on with its next command, which may serve another.
        """
        replies: list[tuple[str, bytes]] = []
        before = -1
        while len(replies) != before:
            before = len(replies)
            for number, waiter in enumerate(self._waiters):
                while self._unanswered[number] and self._has_reply(number):
                    replies.append((f"waiter {number}", waiter.read_reply()))
                    self._unanswered[number] -= 1
        return replies

    def _has_reply(self, number: int) -> bool:
        """False when the client is blocked."""
        wait_for(
            lambda: self._waiters[number].has_reply() or self._is_blocked(number),
            what=f"a reply for waiter {number}, or its blocking",
        )
        return self._waiters[number].has_reply()

    def _is_blocked(self, number: int) -> bool:
        return b" flags=b " in self._observer.ask("CLIENT", "LIST", "ID", self._ids[number])


@given(steps=_steps(_WAITING, _ACTING), proto=st.sampled_from(["2", "3"]))
@budget(60)
def test_who_is_served_when_and_with_what(pair: Pair, replicas: Replicas, steps: list[Step], proto: str) -> None:
    _assert_alike(pair, replicas, steps, proto)


# What else happens to keys, whatever they hold.
_HAPPENING: tuple[Template, ...] = (
    ("SET", KEY, "string"),
    ("DEL", KEY),
    ("RENAME", KEY, KEY),
    ("FLUSHALL",),
    ("MULTI",),
    ("EXEC",),
    ("EXEC",),
    ("CLIENT", "UNBLOCK", "waiter"),
)


@given(steps=_steps(_FROM_STREAMS, (*_TO_STREAMS, *_HAPPENING)), proto=st.sampled_from(["2", "3"]))
@budget(40)
def test_who_is_served_from_streams(pair: Pair, replicas: Replicas, steps: list[Step], proto: str) -> None:
    _assert_alike(pair, replicas, steps, proto)


def _assert_alike(pair: Pair, replicas: Replicas, steps: list[Step], proto: str) -> None:
    try:
        connected = [pair.connect() for _ in range(3 + _WAITERS)]
        ours, theirs = (_Side([both[at] for both in connected], proto) for at in (0, 1))
        for step in steps:
            assert ours.do(step) == theirs.do(step), step
        assert ours.end() == theirs.end()
        assert events(ours.watcher) == events(theirs.watcher)
        assert_same_streams(*(replica.read_until(b"the end") for replica in replicas))
        for database in ("0", "1"):
            for side in (ours, theirs):
                side.actor.ask("SELECT", database)
            assert_same_data(ours.actor, theirs.actor)
        for replica, side in zip(replicas, (ours, theirs), strict=True):
            side.actor.ask("PUBLISH", "the very end", "the very end")
            replica.read_until(b"the very end")
    finally:
        pair.disconnect()


def test_a_key_that_expires_before_it_is_swapped_in(pair: Pair, replicas: Replicas) -> None:
    """Who waits is not served, but looks, which is what deletes the key."""
    for client, waiter in zip(pair.connect(), pair.connect(), strict=True):
        client.ask("SELECT", "1")
        client.ask("RPUSH", "k", "1")
        client.ask("PEXPIRE", "k", "50")
        number = as_integer(waiter.ask("CLIENT", "ID"))
        waiter.send(encode_command([b"BLPOP", b"k", b"0"]))
        time.sleep(0.1)
        assert client.ask("SWAPDB", "0", "1") == b"+OK\r\n"
        assert client.ask("CLIENT", "UNBLOCK", str(number)) == b":1\r\n"
        client.ask("PUBLISH", "the end", "the end")
    assert_same_streams(*(replica.read_until(b"the end") for replica in replicas))
