"""What is drawn by chance: elements that are there, in the numbers asked for, and what replicas hear of it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.node.conftest import Pair
from tests.node.fake_replica import FakeReplica
from tests.node.raw_client import RawClient, bulk_strings, parse_reply

# A dict, and a table.
SIZES = [20, 2000]


def _members(size: int) -> list[str]:
    return [f"m{number}" for number in range(size)]


@pytest.fixture
def ours(pair: Pair) -> RawClient:
    """A client of our server, in which there are hashes and sets."""
    client, _ = pair.connect()
    for size in SIZES:
        members = _members(size)
        client.ask("SADD", f"set{size}", *members)
        client.ask("HSET", f"hash{size}", *[word for member in members for word in (member, member.upper())])
    return client


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("verb", ["SRANDMEMBER set", "HRANDFIELD hash"])
def test_draws(ours: RawClient, size: int, verb: str) -> None:
    command, kind = verb.split()
    key = f"{kind}{size}"
    names = {name.encode() for name in _members(size)}
    assert parse_reply(ours.ask(command, key)) in names
    for count in (1, 3, size // 2, size - 1, size, size + 5):
        drawn = bulk_strings(ours.ask(command, key, str(count)))
        assert len(drawn) == len(set(drawn)) == min(count, size)
        assert set(drawn) <= names
        repeating = bulk_strings(ours.ask(command, key, str(-count)))
        assert len(repeating) == count
        assert set(repeating) <= names
    # With so many draws each is missed with a chance of size * e ** -20.
    counts = Counter(bulk_strings(ours.ask(command, key, str(-20 * size))))
    assert set(counts) == names
    assert ours.ask(command, key, "-4000000000000") == b"-ERR value is out of range\r\n"


@pytest.mark.parametrize("proto", ["2", "3"])
@pytest.mark.parametrize("count", ["5", "-5", "50"])
def test_fields_with_their_values(ours: RawClient, proto: str, count: str) -> None:
    ours.ask("HELLO", proto)
    drawn: list[Any] = parse_reply(ours.ask("HRANDFIELD", "hash20", count, "WITHVALUES"))
    pairs = list(zip(drawn[::2], drawn[1::2], strict=True)) if proto == "2" else [tuple(pair) for pair in drawn]
    assert len(pairs) == min(abs(int(count)), 20)
    assert all(value == field.upper() for field, value in pairs)


def test_replicas_hear_what_was_popped(ours: RawClient, replica: FakeReplica) -> None:
    one = parse_reply(ours.ask("SPOP", "set20"))
    some = bulk_strings(ours.ask("SPOP", "set20", "3"))
    rest = bulk_strings(ours.ask("SPOP", "set20", "100"))
    assert sorted([one, *some, *rest]) == sorted(name.encode() for name in _members(20))
    assert ours.ask("EXISTS", "set20") == b":0\r\n"
    ours.ask("PUBLISH", "the end", "the end")
    told = replica.read_until(b"the end")
    start = told.index([b"SREM", b"set20", one])
    assert told[start + 1 : -1] == [
        [b"MULTI"],
        *([b"SREM", b"set20", member] for member in some),
        [b"EXEC"],
        [b"DEL", b"set20"],
    ]


def test_popping_all_leaves_nothing(ours: RawClient) -> None:
    popped = [parse_reply(reply) for reply in ours.ask_all([("SPOP", "set2000")] * 2001)]
    assert popped.pop() is None
    assert sorted(popped) == sorted(name.encode() for name in _members(2000))
    assert ours.ask("EXISTS", "set2000") == b":0\r\n"


def _walk(client: RawClient, *words: str) -> tuple[list[bytes], int]:
    """All that a walk gives, and its longest step."""
    found: list[bytes] = []
    longest = 0
    cursor = "0"
    verb, key, *options = words
    while True:
        after, items = parse_reply(client.ask(verb, key, cursor, *options))
        found += items
        longest = max(longest, len(items))
        cursor = after.decode()
        if cursor == "0":
            return found, longest


@pytest.mark.parametrize("size", SIZES)
def test_walks(ours: RawClient, size: int) -> None:
    names = sorted(name.encode() for name in _members(size))
    members, step = _walk(ours, "SSCAN", f"set{size}", "COUNT", "10")
    assert sorted(members) == names
    assert step < 60
    items, _ = _walk(ours, "HSCAN", f"hash{size}", "COUNT", "10")
    assert sorted(items[::2]) == names
    assert items[1::2] == [field.upper() for field in items[::2]]
    fields, _ = _walk(ours, "HSCAN", f"hash{size}", "NOVALUES", "MATCH", "m1*")
    assert sorted(fields) == [name for name in names if name.startswith(b"m1")]


def test_a_set_counts_as_a_sorted_set_of_ones(pair: Pair) -> None:
    ours, theirs = pair.connect()
    for client in (ours, theirs):
        client.ask("SADD", "s", "a", "b", "3")
        client.ask("ZADD", "z", "5", "a", "7", "c")
    for words in (("ZUNION", "2", "s", "z", "WITHSCORES"), ("ZINTER", "2", "z", "s", "WITHSCORES")):
        assert ours.ask(*words) == theirs.ask(*words)


def test_encodings_survive_a_reload_by_the_directives_of_then(pair: Pair) -> None:
    keys = ("h", "long", "s", "z", "long-z", "restored")
    replies = []
    for client in pair.connect():
        client.ask("HSET", "h", *[str(number) for number in range(40)])
        client.ask("HSET", "long", "field", "x" * 30)
        client.ask("SADD", "s", *[str(number) for number in range(20)])
        client.ask("ZADD", "z", *[str(number) for number in range(40)])
        client.ask("ZADD", "long-z", "1", "x" * 30)
        client.ask("CONFIG", "SET", "hash-max-ziplist-entries", "19", "hash-max-listpack-value", "29")
        client.ask("CONFIG", "SET", "set-max-intset-entries", "19", "zset-max-listpack-entries", "19")
        client.ask("CONFIG", "SET", "zset-max-listpack-value", "29")
        dump = client.ask("DUMP", "h")
        payload = dump[dump.index(b"\r\n") + 2 : -2]
        client.ask("RESTORE", "restored", "0", payload)
        assert client.ask("DEBUG", "RELOAD") == b"+OK\r\n"
        replies.append([client.ask("OBJECT", "ENCODING", key) for key in keys])
        client.ask("CONFIG", "SET", "hash-max-ziplist-entries", "512", "hash-max-listpack-value", "64")
        client.ask("CONFIG", "SET", "set-max-intset-entries", "512", "zset-max-listpack-entries", "128")
        client.ask("CONFIG", "SET", "zset-max-listpack-value", "64")
    assert replies[0] == replies[1]
    assert b"$9\r\nhashtable\r\n" in replies[0]
