"""DEBUG DIGEST and DIGEST-VALUE of the same data, by us and by a real server."""

from __future__ import annotations

from tests.node.conftest import Pair
from tests.node.raw_client import RawClient, Words, parse_reply

_EMPTY = b"+" + b"0" * 40 + b"\r\n"
_NAMES = ("text", "number", "list", "intset", "set", "zset", "long-zset", "hash", "long-hash", "expiring")
_COMMANDS: list[Words] = [
    ("SET", "text", b"\x00\xff\r\n"),
    ("APPEND", "text", "more"),
    ("SET", "number", "17"),
    ("RPUSH", "list", "a", "b", "", "a", "3"),
    ("SADD", "intset", "3", "-1", "99999999999"),
    ("SADD", "set", "a", "b", "3"),
    ("ZADD", "zset", "1.1", "a", "-inf", "b", "3", "c", "1e300", "d", "0.1", "e", "-0", "f"),
    ("ZADD", "long-zset", "1.5", "x" * 100, "12345678901234567", "y", "-0", "z"),
    ("HSET", "hash", "a", "1", "b", "", "", "c"),
    ("HSET", "long-hash", "a", "x" * 100, "b", "2"),
    ("SET", "expiring", "1", "EX", "5000"),
    ("SELECT", "3"),
    ("SET", "text", "elsewhere"),
    ("SELECT", "0"),
]


def _digests(client: RawClient) -> list[bytes]:
    assert client.ask("DEBUG", "DIGEST") == _EMPTY
    whole = []
    for words in _COMMANDS:
        assert not client.ask(*words).startswith(b"-")
        whole.append(client.ask("DEBUG", "DIGEST"))
    return [*whole, client.ask("DEBUG", "DIGEST-VALUE", *_NAMES, "missing"), client.ask("DEBUG", "DIGEST-VALUE")]


def test_digests_are_a_real_servers(pair: Pair) -> None:
    ours, theirs = pair.connect()
    assert _digests(ours) == _digests(theirs)
    assert ours.ask("DEBUG", "DIGEST", "x") == theirs.ask("DEBUG", "DIGEST", "x")


def test_an_expired_key_counts_until_it_is_gone(pair: Pair) -> None:
    digests = []
    for client in pair.connect():
        client.ask("SET", "a", "1", "PXAT", "1")
        digests.append((client.ask("DEBUG", "DIGEST"), client.ask("DEBUG", "DIGEST-VALUE", "a")))
        assert digests[-1][0] != _EMPTY
        client.ask("GET", "a")
        assert client.ask("DEBUG", "DIGEST") == _EMPTY
    assert digests[0] == digests[1]


def test_every_type_has_a_digest_of_its_own(pair: Pair) -> None:
    ours, _ = pair.connect()
    _digests(ours)
    values = parse_reply(ours.ask("DEBUG", "DIGEST-VALUE", *_NAMES))
    assert len(set(values)) == len(_NAMES)
