"""Any command, called as its documentation says and with mistakes: our node's replies are a real server's, to the byte.

The calls are made from COMMAND DOCS of the real server (`tests.node.documented`), on keys of all types.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.node.conftest import Pair
from tests.node.differential import assert_same, budget
from tests.node.documented import SETUP, Caller, Documented, documented
from tests.node.raw_client import Words

# What has no single right reply, stops or waits, or changes more than data: families with tests of their own.
_FAMILIES = (
    *("acl", "auth", "bgrewriteaof", "bgsave", "client", "cluster", "command", "config", "debug", "exec", "failover"),
    *(
        "hello",
        "info",
        "lastsave",
        "latency",
        "lolwut",
        "memory",
        "migrate",
        "module",
        "monitor",
        "multi",
        "pfselftest",
    ),
    *("psubscribe", "psync", "punsubscribe", "quit", "randomkey", "replconf", "replicaof", "reset", "role", "save"),
    *("shutdown", "slaveof", "slowlog", "ssubscribe", "subscribe", "sunsubscribe", "swapdb", "sync", "time"),
    *("unsubscribe", "wait"),
)
_SINGLE = ("function kill", "function stats", "object freq", "object idletime", "script debug", "script kill")
# Their choice is as good as ours; encodings are compared elsewhere.
_BY_CHANCE = ("hrandfield", "spop", "srandmember", "zrandmember")
# Known differences: RANK and WITHSCORE are Redis 7.2's; entries get the time of now, cursors are no other server's.
_DIFFERENT = (
    "dump",
    "lpos",
    "object encoding",
    "scan",
    "sort",
    "sort_ro",
    "xadd",
    "xautoclaim",
    "xclaim",
    "zrank",
    "zrevrank",
)
_CURSORS = ("HSCAN", "SSCAN", "ZSCAN")
_READS = ("XREAD", "XREADGROUP")


@pytest.fixture(scope="module")
def choose(servers: Pair) -> Callable[[Random], Documented]:
    """Chooses one of the commands that can be compared."""
    client = servers.connect()[1]
    client.ask("HELLO", "3")
    found = documented(client)
    without = (*_FAMILIES, *_BY_CHANCE, *_DIFFERENT, *_SINGLE)
    # A server lists its commands in an order of its own, another one each time it starts.
    calls = [call for name, call in sorted(found.items()) if name not in without and call.name[0] not in without]
    return lambda random: random.choice(calls)


@given(seed=st.integers(0, 1 << 32), proto=st.sampled_from(["2", "3"]))
@budget(80)
def test_any_command(pair: Pair, choose: Callable[[Random], Documented], seed: int, proto: str) -> None:
    random = Random(seed)
    ours, theirs = pair.connect()
    caller = Caller(random)
    try:
        for client in (ours, theirs):
            client.ask("FLUSHALL")
            client.ask("HELLO", proto)
            client.ask_all(list(SETUP))
        for _ in range(40):
            words = caller.call(choose(random))
            if _is_comparable(words):
                assert_same(words, ours.ask(*words), theirs.ask(*words))
    finally:
        pair.disconnect()


def _is_comparable(words: Words) -> bool:
    """No step from within a walk, no bitmap of half a gigabyte, no long wait, no id that only Redis 7.4 knows."""
    name = str(words[0]).upper()
    if name in _CURSORS:
        return words[2:3] == ("0",)
    if name in ("SETBIT", "BITFIELD", "SETRANGE"):
        return "4294967295" not in words
    if name == "XREAD" and "+" in words:
        return False
    blocks = name.startswith(("BL", "BR", "BZ")) or (name in _READS and "BLOCK" in map(str.upper, map(str, words)))
    return not (blocks and any(_waits_long(str(word)) for word in words[1:]))


def _waits_long(word: str) -> bool:
    try:
        return float(word) == 0 or float(word) > 0.1
    except ValueError:
        return False
