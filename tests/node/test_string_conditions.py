"""Strings that are compared before they are set or deleted, and MSETEX: as Redis 8.4 has them, by its sources.

The real server of these tests is a 7.0: a replica that knows nothing of all this, and must have the same data.
"""

from __future__ import annotations

import pytest

from tests.node.conftest import Pair
from tests.node.differential import key_events
from tests.node.fake_replica import FakeReplica
from tests.node.raw_client import RawClient, parse_reply

# Of "hello".
_DIGEST = "9555e8555c62dcfd"
_FAR = "69999999999999"
_WRONG = "0123456789abcdef"


@pytest.fixture
def ours(pair: Pair) -> RawClient:
    """A client of our server, where a string, one with a time to live, and a list are."""
    client, _ = pair.connect()
    client.ask("SET", "s", "hello")
    client.ask("SET", "t", "hello", "PXAT", _FAR)
    client.ask("RPUSH", "l", "hello")
    return client


@pytest.mark.parametrize(
    ("line", "reply", "repeated"),
    [
        ("SET s new IFEQ hello", b"OK", ["SET s new"]),
        ("SET s new ifeq other", None, []),
        ("SET s new IFEQ other IFEQ hello", b"OK", ["SET s new"]),
        ("SET nokey new IFEQ hello", None, []),
        ("SET s new IFNE other", b"OK", ["SET s new"]),
        ("SET s new IFNE hello", None, []),
        ("SET nokey new IFNE hello", b"OK", ["SET nokey new"]),
        (f"SET s new IFDEQ {_DIGEST}", b"OK", ["SET s new"]),
        (f"SET s new IFDEQ {_DIGEST.upper()}", b"OK", ["SET s new"]),
        (f"SET s new IFDEQ {_WRONG}", None, []),
        ("SET nokey new IFDEQ 1", None, []),
        (f"SET s new IFDNE {_DIGEST}", None, []),
        (f"SET s new IFDNE {_WRONG}", b"OK", ["SET s new"]),
        ("SET nokey new IFDNE 1", b"OK", ["SET nokey new"]),
        ("SET s new IFEQ hello GET", b"hello", ["SET s new"]),
        ("SET s new GET IFEQ other", b"hello", []),
        ("SET nokey new IFEQ hello GET", None, []),
        ("SET nokey new IFNE hello GET", None, ["SET nokey new"]),
        ("SET t new IFEQ hello", b"OK", ["SET t new"]),
        ("SET t new IFEQ hello KEEPTTL", b"OK", ["SET t new KEEPTTL"]),
        ("SET s new EXAT 69999999999 IFEQ hello", b"OK", ["SET s new PXAT 69999999999000"]),
        ("DELEX s", 1, ["DEL s"]),
        ("DELEX l", 1, ["DEL l"]),
        ("DELEX nokey", 0, []),
        ("DELEX s IFEQ hello", 1, ["DEL s"]),
        ("DELEX s ifeq other", 0, []),
        ("DELEX s IFNE other", 1, ["DEL s"]),
        ("DELEX s IFNE hello", 0, []),
        (f"DELEX s IFDEQ {_DIGEST.upper()}", 1, ["DEL s"]),
        (f"DELEX s IFDEQ {_WRONG}", 0, []),
        (f"DELEX s IFDNE {_WRONG}", 1, ["DEL s"]),
        (f"DELEX s IFDNE {_DIGEST}", 0, []),
        ("DELEX nokey IFNE hello", 0, []),
        ("DELEX nokey FOO hello", 0, []),
        ("DIGEST s", _DIGEST.encode(), []),
        ("DIGEST nokey", None, []),
        ("MSETEX 2 a 1 b 2", 1, ["MSET a 1 b 2"]),
        ("MSETEX 2 a 1 s 2 NX", 0, []),
        ("MSETEX 2 a 1 b 2 nx", 1, ["MSET a 1 b 2"]),
        ("MSETEX 2 a 1 s 2 XX", 0, []),
        ("MSETEX 2 t 1 s 2 XX KEEPTTL", 1, ["MULTI", "SET t 1 KEEPTTL", "SET s 2 KEEPTTL", "EXEC"]),
        (f"MSETEX 2 a 1 b 2 PXAT {_FAR}", 1, ["MULTI", f"SET a 1 PXAT {_FAR}", f"SET b 2 PXAT {_FAR}", "EXEC"]),
        ("MSETEX 1 l 1 EXAT 69999999999 XX", 1, ["SET l 1 PXAT 69999999999000"]),
        ("MSETEX 2 a 1 a 2", 1, ["MSET a 1 a 2"]),
    ],
)
def test_replies_and_what_is_repeated(
    ours: RawClient, replica: FakeReplica, line: str, reply: object, repeated: list[str]
) -> None:
    answered, told = replica.told_of(ours, *line.split())
    assert (answered, [b" ".join(command).decode() for command in told]) == (reply, repeated)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("SET s new IFEQ hello NX", "ERR syntax error"),
        ("SET s new XX IFEQ hello", "ERR syntax error"),
        ("SET s new IFEQ hello IFNE other", "ERR syntax error"),
        ("SET s new IFEQ", "ERR syntax error"),
        ("GETEX s IFEQ hello", "ERR syntax error"),
        ("SET l new IFEQ hello", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SET l new IFDNE 1", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        (f"SET s new IFDEQ 0{_DIGEST}", "ERR must be exactly 16 hexadecimal characters"),
        (f"SET s new IFDNE {_DIGEST[1:]}", "ERR must be exactly 16 hexadecimal characters"),
        ("SET s new IFEQ hello EX 0", "ERR invalid expire time in 'set' command"),
        ("DELEX s IFEQ", "ERR wrong number of arguments for 'delex' command"),
        ("DELEX nokey IFEQ a b", "ERR wrong number of arguments for 'delex' command"),
        ("DELEX l IFEQ hello", "ERR Key should be of string type if conditions are specified"),
        ("DELEX s FOO hello", "ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE"),
        ("DELEX s IFDEQ 1", "ERR must be exactly 16 hexadecimal characters"),
        ("DIGEST l", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("MSETEX 0 a 1", "ERR invalid numkeys value"),
        ("MSETEX a 1 b", "ERR invalid numkeys value"),
        ("MSETEX 2147483648 a 1", "ERR invalid numkeys value"),
        ("MSETEX 2 a 1 b", "ERR wrong number of key-value pairs"),
        ("MSETEX 1 a 1 b 2", "ERR syntax error"),
        ("MSETEX 1 a 1 NX XX", "ERR syntax error"),
        ("MSETEX 1 a 1 EX 1 KEEPTTL", "ERR syntax error"),
        ("MSETEX 1 a 1 GET", "ERR syntax error"),
        ("MSETEX 1 a 1 EX 0", "ERR invalid expire time in 'msetex' command"),
    ],
)
def test_errors(ours: RawClient, line: str, error: str) -> None:
    assert ours.ask(*line.split()) == f"-{error}\r\n".encode()
    assert ours.ask("GET", "s") == b"$5\r\nhello\r\n"
    assert ours.ask("EXISTS", "a") == b":0\r\n"


def test_a_string_changed_in_place_is_compared_too(ours: RawClient) -> None:
    ours.ask("SET", "s", "hel")
    ours.ask("APPEND", "s", "lo")
    assert ours.ask("DIGEST", "s") == f"$16\r\n{_DIGEST}\r\n".encode()
    assert ours.ask("SET", "s", "12", "IFEQ", "hello") == b"+OK\r\n"
    assert ours.ask("DELEX", "s", "IFEQ", "12") == b":1\r\n"
    # Leading zeros belong to a digest.
    text = "v8lf0c11xh8ymlqztfd3eeq16kfn4sspw7fqmnuuq3k3t75em5wdizgcdw7uc26nnf961u2jkfzkjytls2kwlj7626sd"
    ours.ask("SET", "s", text)
    assert ours.ask("DIGEST", "s") == b"$16\r\n00006c38adf31777\r\n"


def test_times_of_several(ours: RawClient) -> None:
    ours.ask("MSETEX", "2", "s", "1", "t", "2", "KEEPTTL")
    assert [parse_reply(ours.ask("PEXPIRETIME", key)) for key in ("s", "t")] == [-1, int(_FAR)]
    ours.ask("MSETEX", "2", "s", "1", "t", "2", "EX", "100")
    assert all(99 <= parse_reply(ours.ask("TTL", key)) <= 100 for key in ("s", "t"))
    ours.ask("MSETEX", "2", "s", "1", "t", "2")
    assert [parse_reply(ours.ask("TTL", key)) for key in ("s", "t")] == [-1, -1]


def test_events(pair: Pair, ours: RawClient) -> None:
    lines = (
        "SET s new IFEQ hello EX 10",
        "SET s new IFEQ hello",
        "DELEX s IFEQ new",
        "DELEX s",
        "MSETEX 2 s 1 t 2 EX 10",
        "MSETEX 2 s 1 t 2",
    )
    expected = [
        *("set", "expire"),
        "del",
        *("new", "expire", "set", "expire", "set"),
        *("set", "set"),
    ]
    assert key_events(pair, ours, "Eg$n", lines) == expected


@pytest.mark.parametrize(
    ("line", "keys"),
    [
        ("SET s new IFEQ hello", [[b"s", [b"RW", b"access", b"update"]]]),
        ("DELEX s", [[b"s", [b"RM", b"delete"]]]),
        ("DELEX s IFEQ hello", [[b"s", [b"RW", b"access", b"delete"]]]),
        ("DIGEST s", [[b"s", [b"RO", b"access"]]]),
        ("MSETEX 2 a 1 b 2 NX", [[b"a", [b"OW", b"update"]], [b"b", [b"OW", b"update"]]]),
    ],
)
def test_where_the_keys_are(ours: RawClient, line: str, keys: list[list[object]]) -> None:
    assert parse_reply(ours.ask("COMMAND", "GETKEYSANDFLAGS", *line.split())) == keys


def test_watched_keys(pair: Pair, ours: RawClient) -> None:
    other, _ = pair.connect()
    for line, broken in (("DELEX s IFEQ other", False), ("DELEX s IFEQ hello", True), ("MSETEX 1 s 1", True)):
        ours.ask("WATCH", "s")
        other.ask(*line.split())
        ours.ask("MULTI")
        ours.ask("PING")
        assert (ours.ask("EXEC") == b"*-1\r\n") is broken, line
