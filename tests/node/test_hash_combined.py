"""HGETDEL, HGETEX and HSETEX as Redis 8.0.2 has them (the real server of these tests is a 7.0)."""

from __future__ import annotations

import pytest

from tests.node.conftest import Pair
from tests.node.differential import key_events
from tests.node.fake_replica import FakeReplica
from tests.node.raw_client import RawClient, parse_reply

_FAR = "69999999999999"


@pytest.fixture
def ours(pair: Pair) -> RawClient:
    """A client of our server, in which the hash ``h`` has fields a to d, the last with a time to live."""
    client, _ = pair.connect()
    client.ask("SET", "s", "x")
    client.ask("HSET", "h", "a", "1", "b", "2", "c", "3", "d", "4")
    client.ask("HPEXPIREAT", "h", _FAR, "FIELDS", "1", "d")
    return client


@pytest.mark.parametrize(
    ("line", "reply", "repeated"),
    [
        ("HGETDEL h FIELDS 3 a x a", [b"1", None, None], ["HDEL h a x a"]),
        ("HGETDEL h FIELDS 1 x", [None], []),
        ("HGETDEL nokey FIELDS 2 a b", [None, None], []),
        ("HGETEX h FIELDS 2 a x", [b"1", None], []),
        (f"HGETEX h PXAT {_FAR} FIELDS 2 a x", [b"1", None], [f"HPEXPIREAT h {_FAR} FIELDS 2 a x"]),
        ("HGETEX h EXAT 69999999999 FIELDS 1 a", [b"1"], ["HPEXPIREAT h 69999999999000 FIELDS 1 a"]),
        ("HGETEX h persist FIELDS 2 a d", [b"1", b"4"], ["HPERSIST h FIELDS 2 a d"]),
        ("HGETEX h PERSIST FIELDS 1 a", [b"1"], []),
        ("HGETEX h PXAT 1 FIELDS 2 a b", [b"1", b"2"], ["MULTI", "HDEL h a", "HDEL h b", "EXEC"]),
        ("HGETEX h EX 0 FIELDS 2 a x", [b"1", None], ["HDEL h a"]),
        ("HGETEX nokey EX 5 FIELDS 2 a b", [None, None], []),
        ("HSETEX h FIELDS 2 a 5 e 6", 1, ["HSETEX h FIELDS 2 a 5 e 6"]),
        ("HSETEX h FNX FIELDS 2 e 5 a 6", 0, []),
        ("HSETEX h FNX FIELDS 1 e 5", 1, ["HSETEX h FNX FIELDS 1 e 5"]),
        ("HSETEX h FXX FIELDS 2 a 5 e 6", 0, []),
        ("HSETEX h fxx keepttl FIELDS 1 d 5", 1, ["HSETEX h fxx keepttl FIELDS 1 d 5"]),
        ("HSETEX nokey FXX FIELDS 1 a 5", 0, []),
        ("HSETEX h EXAT 69999999999 FIELDS 1 a 5", 1, ["HSETEX h PXAT 69999999999000 FIELDS 1 a 5"]),
        (f"HSETEX h PXAT {_FAR} FNX FIELDS 1 e 5", 1, [f"HSETEX h PXAT {_FAR} FNX FIELDS 1 e 5"]),
        ("HSETEX h PX 0 FIELDS 2 a 5 e 6", 1, ["MULTI", "HDEL h a", "HDEL h e", "EXEC"]),
        ("HSETEX nokey PXAT 1 FIELDS 1 a 5", 1, ["HDEL nokey a"]),
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
        ("HGETDEL h FIELDS 1", "ERR wrong number of arguments for 'hgetdel' command"),
        ("HGETDEL s FOO 1 a", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("HGETDEL h FOO 1 a", "ERR Mandatory argument FIELDS is missing or not at the right position"),
        ("HGETDEL h FIELDS 0 a", "ERR Number of fields must be a positive integer"),
        ("HGETDEL h FIELDS 2 a", "ERR The `numfields` parameter must match the number of arguments"),
        ("HGETEX s EX x FIELDS 1 a", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("HGETEX h EX x FIELDS 1 a", "ERR value is not an integer or out of range"),
        ("HGETEX h PX -1 FIELDS 1 a", "ERR invalid expire time, must be >= 0"),
        ("HGETEX h EXAT 70368744178 FIELDS 1 a", "ERR invalid expire time in 'hgetex' command"),
        ("HGETEX h PERSIST EX FIELDS 1 a", "ERR Mandatory argument FIELDS is missing or not at the right position"),
        ("HGETEX h KEEPTTL FIELDS 1 a", "ERR Mandatory argument FIELDS is missing or not at the right position"),
        ("HGETEX h EX 1 FIELDS x a", "ERR Number of fields must be a positive integer"),
        ("HGETEX h FIELDS 1 a b", "ERR The `numfields` parameter must match the number of arguments"),
        ("HSETEX h FIELDS 1 a", "ERR wrong number of arguments for 'hsetex' command"),
        ("HSETEX h FIELDS 1 a 1 b", "ERR wrong number of arguments for 'hsetex' command"),
        ("HSETEX h FIELDS 2 a 1", "ERR wrong number of arguments for 'hsetex' command"),
        ("HSETEX h FNX EX FIELDS 1 a 1", "ERR value is not an integer or out of range"),
        ("HSETEX h FNX FNX FIELDS 1 a 1", "ERR Only one of FXX or FNX arguments can be specified"),
        (
            "HSETEX h EX 1 KEEPTTL FIELDS 1 a 1",
            "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified",
        ),
        ("HSETEX h PX 70368744177664 FIELDS 1 a 1", "ERR invalid expire time in 'hsetex' command"),
        ("HSETEX h FNX FIELDS 0 a 1", "ERR invalid number of fields"),
        ("HSETEX h FIELDS 2147483648 a 1", "ERR invalid number of fields"),
        ("HSETEX h FOO FIELDS 1 a 1", "ERR unknown argument: FOO"),
        ("HSETEX s FOO FIELDS 1 a 1", "ERR unknown argument: FOO"),
        ("HSETEX h FNX 1 2 EX", "ERR unknown argument: 1"),
        ("HSETEX h FNX FXX 2 EX", "ERR Only one of FXX or FNX arguments can be specified"),
        ("HSETEX h FNX PXAT 2 EX", "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified"),
        ("HSETEX s FIELDS 1 a 1", "WRONGTYPE Operation against a key holding the wrong kind of value"),
    ],
)
def test_errors(ours: RawClient, line: str, error: str) -> None:
    assert ours.ask(*line.split()) == f"-{error}\r\n".encode()
    assert parse_reply(ours.ask("HGETALL", "h")) == [b"a", b"1", b"b", b"2", b"c", b"3", b"d", b"4"]


def test_times(ours: RawClient) -> None:
    ours.ask("HSETEX", "h", "EXAT", "69999999999", "FIELDS", "2", "a", "5", "e", "6")
    ours.ask("HSETEX", "h", "KEEPTTL", "FIELDS", "2", "a", "7", "b", "8")
    ours.ask("HSETEX", "h", "FIELDS", "1", "d", "9")
    fields = ("FIELDS", "5", "a", "b", "c", "d", "e")
    assert parse_reply(ours.ask("HEXPIRETIME", "h", *fields)) == [69999999999, -1, -1, -1, 69999999999]
    assert parse_reply(ours.ask("HGETEX", "h", *fields)) == [b"7", b"8", b"3", b"9", b"6"]
    ours.ask("HGETEX", "h", "EX", "100", "FIELDS", "1", "c")
    assert 99 <= parse_reply(ours.ask("HTTL", "h", "FIELDS", "1", "c"))[0] <= 100


def test_events(pair: Pair, ours: RawClient) -> None:
    lines = (
        f"HGETEX h PXAT {_FAR} FIELDS 1 a",
        "HGETEX h PERSIST FIELDS 1 a",
        "HGETEX h FIELDS 1 a",
        "HSETEX h EX 100 FIELDS 1 a 1",
        "HSETEX new PX 0 FIELDS 1 a 1",
        "HGETEX h PX 0 FIELDS 1 a",
        "HGETDEL h FIELDS 3 b c d",
    )
    assert key_events(pair, ours, "Eghn", lines) == [
        *("hexpire", "hpersist"),
        *("hset", "hexpire"),
        *("new", "hset", "hdel", "del"),
        "hdel",
        *("hdel", "del"),
    ]


def test_where_the_keys_are(ours: RawClient) -> None:
    for line in ("HGETDEL h FIELDS 1 a", "HGETEX h PERSIST FIELDS 1 a", "HSETEX h FIELDS 1 a 1"):
        assert parse_reply(ours.ask("COMMAND", "GETKEYS", *line.split())) == [b"h"]
