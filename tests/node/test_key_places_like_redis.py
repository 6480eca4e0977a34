"""Where both servers look for the keys of commands that are malformed: what is refused, and in which words.

Each is a master of half the slots of a cluster without any other; a key in the other half is not served. So the replies
tell whether a key was found, and which was the first.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from cluster.slots import key_slot
from tests.node.conftest import Pair, started_pair
from tests.node.raw_client import Words
from tests.waiting import wait_for

HALF = 8191
# Two that are served and belong together, two that are not, one of another slot, and one that is easily overlooked.
KEYS = ["{b}1", "{b}2", "{a}1", "{a}2", "bar", ""]
COUNTS = ["1", "1", "2", "0", "3", "-1", "x", "", "1.5", " 1", "+1", "01", "9999999999999999999"]
SCRIPT, NO_SCRIPT = "return 1", "f" * 40
WEIGHTS = ["WEIGHTS", "AGGREGATE", "1", "SUM"]
STREAMS = ["BLOCK", "COUNT", "STREAMS", "streams", "STREAMS", "0", "$", "NOACK"]
SORTED = ["STORE", "store", "GET", "BY", "LIMIT", "0", "1", "nosort", "#", "ALPHA"]
STORED = ["STORE", "STOREDIST", "store", "COUNT", "1", "ASC"]

# How a command begins; "count" and "key" stand for one that is drawn. Then what else, besides keys, may follow.
BEGINNINGS: list[tuple[tuple[str, ...], list[str]]] = [
    (("EVAL", SCRIPT, "count"), []),
    (("EVALSHA_RO", NO_SCRIPT, "count"), []),
    (("FCALL", "f", "count"), []),
    (("XREAD",), [*STREAMS, "GROUP"]),
    (("XREADGROUP", "GROUP", "g", "c"), STREAMS),
    (("XREADGROUP", "GROUP", "STREAMS", "c"), STREAMS),
    (("XREADGROUP",), [*STREAMS, "GROUP"]),
    (("SORT",), SORTED),
    (("SORT_RO",), SORTED),
    (("MIGRATE", "127.0.0.1", "1", "key", "0", "100"), ["COPY", "REPLACE", "AUTH", "AUTH2", "KEYS", "keys"]),
    (("MIGRATE", "127.0.0.1", "1", "", "0", "100"), ["COPY", "AUTH", "AUTH2", "KEYS", "KEYS"]),
    (("GEORADIUS", "key", "1", "1", "1", "m"), STORED),
    (("GEORADIUSBYMEMBER", "key", "m", "1", "m"), STORED),
    (("GEORADIUS_RO", "key", "1", "1", "1", "m"), STORED),
    *(((name, "key", "count"), WEIGHTS) for name in ("ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE")),
    *(((name, "count"), [*WEIGHTS, "WITHSCORES"]) for name in ("ZUNION", "ZINTER", "ZDIFF")),
    *(((name, "count"), ["LIMIT", "1"]) for name in ("ZINTERCARD", "SINTERCARD")),
    *(((name, "count"), ["LEFT", "MIN", "COUNT", "1"]) for name in ("LMPOP", "ZMPOP")),
    *(((name, "0.01", "count"), ["LEFT", "MIN", "COUNT", "1"]) for name in ("BLMPOP", "BZMPOP")),
    (("PFMERGE",), []),
    (("BITOP", "AND"), []),
    (("MSET",), []),
    (("SET",), ["GET", "NX"]),
    (("BITFIELD",), ["GET", "SET", "u8", "0", "INCRBY", "1", "OVERFLOW", "WRAP"]),
    (("MEMORY", "USAGE", "bar"), ["SAMPLES", "0", "x"]),
    (("SPUBLISH",), []),
]


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with started_pair(tmp_path_factory, "--cluster-enabled", "yes", "--cluster-require-full-coverage", "no") as pair:
        for client in pair.connect():
            assert client.ask("CLUSTER", "ADDSLOTSRANGE", "0", str(HALF)) == b"+OK\r\n"
            wait_for(lambda client=client: b"cluster_state:ok" in client.ask("CLUSTER", "INFO"), what="a cluster")
        yield pair


def commands(seed: int, number: int) -> Iterator[Words]:
    rng = random.Random(seed)
    for _ in range(number):
        beginning, words = rng.choice(BEGINNINGS)
        drawn = {"count": rng.choice(COUNTS), "key": rng.choice(KEYS)}
        command = [drawn.get(word, word) for word in beginning] + rng.choices([*KEYS, *words], k=rng.randrange(7))
        yield (*rng.choice([(), (), ("COMMAND", "GETKEYS"), ("COMMAND", "GETKEYSANDFLAGS")]), *command)


def test_malformed_commands(halves: Pair) -> None:
    assert [key_slot(key.encode()) <= HALF for key in KEYS] == [True, True, False, False, True, True]
    ours, theirs = halves.connect()
    asked = list(commands(1, 6000))
    replies = list(zip(asked, ours.ask_all(asked), theirs.ask_all(asked), strict=True))
    size_of_a_value = ("MEMORY", "USAGE")
    differing = [each for each in replies if each[1] != each[2] and each[0][:2] != size_of_a_value]
    assert not differing, differing[:10]
    kinds = {theirs.split(b"\r\n")[0] for _, _, theirs in replies}
    expected = (b"-CLUSTERDOWN Hash slot", b"-CROSSSLOT", b"-ERR syntax", b"-ERR Unbalanced", b"-ERR Invalid arguments")
    assert all(any(kind.startswith(one) for kind in kinds) for one in expected), kinds


def test_transactions_of_malformed_commands(halves: Pair) -> None:
    ours, theirs = halves.connect()
    for command in commands(2, 500):
        asked = [("MULTI",), command, ("SET", "{b}1", "1"), ("EXEC",)]
        mine, other = ours.ask_all(asked), theirs.ask_all(asked)
        assert mine[:3] == other[:3], command
        assert mine[3][:4] == other[3][:4], command
