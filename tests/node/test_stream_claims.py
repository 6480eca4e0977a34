"""XREADGROUP with CLAIM, as Redis 8.4 has it by its sources: what others have had for too long comes first.

The real server of these tests is a 7.0 and has no such option.
"""

from __future__ import annotations

import time

import pytest

from tests.node.conftest import Pair
from tests.node.fake_replica import FakeReplica
from tests.node.raw_client import RawClient, parse_reply
from wire.encoder import encode_command

_READ = ("XREADGROUP", "GROUP", "g", "mine")


@pytest.fixture
def ours(pair: Pair) -> RawClient:
    """A client of our server, where the consumer other of the group g has 1-0, 2-0 and 3-0 of the stream s, since long.

    2-0 was delivered twice. 4-0 and 5-0 are new.
    """
    client, _ = pair.connect()
    for number in range(1, 6):
        client.ask("XADD", "s", str(number), "f", f"v{number}")
    client.ask("XGROUP", "CREATE", "s", "g", "0")
    client.ask("XREADGROUP", "GROUP", "g", "other", "COUNT", "3", "STREAMS", "s", ">")
    client.ask("XCLAIM", "s", "g", "other", "0", "2", "IDLE", "70000", "RETRYCOUNT", "2")
    client.ask("XCLAIM", "s", "g", "other", "0", "1", "IDLE", "60000", "RETRYCOUNT", "1")
    return client


def _request(*words: str) -> bytes:
    return encode_command([word.encode() for word in words])


def _given(reply: bytes) -> list[tuple[str, bool, int]]:
    """Of each entry its number, whether it was idle for long, and how often it had been delivered."""
    if reply == b"*-1\r\n":
        return []
    [[name, entries]] = parse_reply(reply)
    assert name == b"s"
    return [
        (id.decode().removesuffix("-0"), idle >= 60000, count) for id, (field, value), idle, count in entries if value
    ]


@pytest.mark.parametrize(
    ("options", "given"),
    [
        ("CLAIM 50000", [("2", True, 2), ("1", True, 1), ("4", False, 0), ("5", False, 0)]),
        ("CLAIM 50000 COUNT 1", [("2", True, 2)]),
        ("COUNT 2 CLAIM 50000", [("2", True, 2), ("1", True, 1)]),
        ("CLAIM 50000 COUNT 3", [("2", True, 2), ("1", True, 1), ("4", False, 0)]),
        ("CLAIM 65000 COUNT 2", [("2", True, 2), ("4", False, 0)]),
        ("claim 900000", [("4", False, 0), ("5", False, 0)]),
        ("CLAIM 0", [("2", True, 2), ("1", True, 1), ("3", False, 1), ("4", False, 0), ("5", False, 0)]),
    ],
)
def test_old_ones_come_first(ours: RawClient, options: str, given: list[tuple[str, bool, int]]) -> None:
    assert _given(ours.ask(*_READ, *options.split(), "STREAMS", "s", ">")) == given
    mine = parse_reply(ours.ask("XPENDING", "s", "g", "-", "+", "10", "mine"))
    assert [(id.decode().removesuffix("-0"), count) for id, _, _, count in mine] == sorted(
        (number, count + 1) for number, _, count in given
    )
    assert all(idle < 50000 for _, _, idle, _ in mine)


def test_without_news_only_what_is_claimed(ours: RawClient) -> None:
    ours.ask("XGROUP", "SETID", "s", "g", "$")
    assert _given(ours.ask(*_READ, "CLAIM", "50000", "STREAMS", "s", ">")) == [("2", True, 2), ("1", True, 1)]
    assert ours.ask(*_READ, "CLAIM", "50000", "STREAMS", "s", ">") == b"*-1\r\n"
    # Its own history is what it was.
    history = parse_reply(ours.ask(*_READ, "CLAIM", "0", "STREAMS", "s", "0"))
    assert history == [[b"s", [[b"1-0", [b"f", b"v1"]], [b"2-0", [b"f", b"v2"]]]]]


def test_what_is_deleted_is_passed_over_and_stays_pending(ours: RawClient) -> None:
    ours.ask("XDEL", "s", "2")
    assert _given(ours.ask(*_READ, "CLAIM", "50000", "COUNT", "2", "STREAMS", "s", ">")) == [
        ("1", True, 1),
        ("4", False, 0),
    ]
    assert len(parse_reply(ours.ask("XPENDING", "s", "g", "-", "+", "10", "other"))) == 2


def test_replicas_are_told_of_claims(ours: RawClient, replica: FakeReplica) -> None:
    _, told = replica.told_of(ours, *_READ, "CLAIM", "65000", "COUNT", "2", "NOACK", "STREAMS", "s", ">")
    create, claim, position = [words for words in told if words not in ([b"MULTI"], [b"EXEC"])]
    assert create == [b"XGROUP", b"CREATECONSUMER", b"s", b"g", b"mine"]
    assert claim[:7] == [b"XCLAIM", b"s", b"g", b"mine", b"0", b"2-0", b"TIME"]
    assert claim[8:] == [b"RETRYCOUNT", b"3", b"FORCE", b"JUSTID", b"LASTID", b"3-0"]
    assert position[:5] == [b"XGROUP", b"SETID", b"s", b"g", b"4-0"]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("XREADGROUP GROUP g c CLAIM x STREAMS s >", "ERR min-idle-time is not an integer or out of range"),
        ("XREADGROUP GROUP g c CLAIM -1 STREAMS s >", "ERR min-idle-time must be a positive integer"),
        (
            "XREAD CLAIM 1 STREAMS s 0",
            "ERR The CLAIM option is only supported by XREADGROUP. You called XREAD instead.",
        ),
        (
            "XREADGROUP GROUP g c STREAMS s > CLAIM",
            "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.",
        ),
    ],
)
def test_errors(ours: RawClient, line: str, error: str) -> None:
    assert ours.ask(*line.split()) == f"-{error}\r\n".encode()


def test_where_the_keys_are(ours: RawClient) -> None:
    line = "XREADGROUP GROUP g c BLOCK 1 CLAIM 1 COUNT 1 STREAMS s t > >"
    assert parse_reply(ours.ask("COMMAND", "GETKEYS", *line.split())) == [b"s", b"t"]


def test_who_waits_is_given_what_becomes_old_enough(pair: Pair, ours: RawClient) -> None:
    waiting, _ = pair.connect()
    ours.ask("XGROUP", "SETID", "s", "g", "$")
    ours.ask("XACK", "s", "g", "1", "2")
    ours.ask("XCLAIM", "s", "g", "other", "0", "3", "IDLE", "400", "RETRYCOUNT", "1")
    started = time.monotonic()
    waiting.send(_request(*_READ, "BLOCK", "20000", "CLAIM", "1000", "STREAMS", "s", ">"))
    [[_, [[id, _, idle, count]]]] = parse_reply(waiting.read_reply())
    assert (id, count) == (b"3-0", 1)
    assert 1000 <= idle < 5000
    assert 0.4 < time.monotonic() - started < 5
    # What is new comes at once all the same.
    waiting.send(_request(*_READ, "BLOCK", "20000", "CLAIM", "15000", "STREAMS", "s", ">"))
    ours.ask("XADD", "s", "6", "f", "v6")
    assert _given(waiting.read_reply()) == [("6", False, 0)]


def test_who_waits_in_vain_is_told_so(pair: Pair, ours: RawClient) -> None:
    waiting, _ = pair.connect()
    ours.ask("XGROUP", "SETID", "s", "g", "$")
    assert waiting.ask(*_READ, "BLOCK", "100", "CLAIM", "900000", "STREAMS", "s", ">") == b"*-1\r\n"


def test_nothing_is_claimed_while_writes_are_paused(pair: Pair, ours: RawClient) -> None:
    waiting, _ = pair.connect()
    ours.ask("XGROUP", "SETID", "s", "g", "$")
    ours.ask("XACK", "s", "g", "1", "2")
    ours.ask("XCLAIM", "s", "g", "other", "0", "3", "IDLE", "900", "RETRYCOUNT", "1")
    waiting.send(_request(*_READ, "BLOCK", "20000", "CLAIM", "1000", "STREAMS", "s", ">"))
    ours.ask("CLIENT", "PAUSE", "600", "WRITE")
    [[_, [[id, _, idle, _]]]] = parse_reply(waiting.read_reply())
    assert id == b"3-0"
    assert idle >= 1400
