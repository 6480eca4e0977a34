"""Entries of streams that are deleted with an eye to groups of consumers, as Redis 8.2 does it, by its sources.

The real server of these tests is a 7.0: a replica that knows nothing of all this, and must have the same data.
"""

from __future__ import annotations

from random import Random

import pytest

from tests.node.conftest import Pair
from tests.node.differential import key_events
from tests.node.fake_replica import FakeReplica
from tests.node.raw_client import RawClient, parse_reply


@pytest.fixture
def ours(pair: Pair) -> RawClient:
    """A client of our server, where the stream ``s`` has the entries 1-0 to 6-0.

    The group g has read up to 4-0 and acknowledged 1-0 and 2-0; the group h has read up to 5-0, and acknowledged all
    of it but 1-0.
    """
    client, _ = pair.connect()
    for number in range(1, 7):
        client.ask("XADD", "s", str(number), "f", "v")
    for group, count in (("g", "4"), ("h", "5")):
        client.ask("XGROUP", "CREATE", "s", group, "0")
        client.ask("XREADGROUP", "GROUP", group, "c", "COUNT", count, "STREAMS", "s", ">")
    client.ask("XACK", "s", "g", "1", "2")
    client.ask("XACK", "s", "h", "2", "3", "4", "5")
    client.ask("SET", "string", "x")
    return client


def _entries(client: RawClient) -> str:
    return " ".join(entry[0].decode().removesuffix("-0") for entry in parse_reply(client.ask("XRANGE", "s", "-", "+")))


def _pending(client: RawClient, group: str) -> str:
    pending = parse_reply(client.ask("XPENDING", "s", group, "-", "+", "100"))
    return " ".join(entry[0].decode().removesuffix("-0") for entry in pending)


@pytest.mark.parametrize(
    ("line", "reply", "entries", "pending", "repeated"),
    [
        ("XDELEX s IDS 2 1 9", [1, -1], "2 3 4 5 6", ("3 4", "1"), ["XDEL s 1-0"]),
        ("XDELEX s keepref IDS 1 3", [1], "1 2 4 5 6", ("3 4", "1"), ["XDEL s 3-0"]),
        ("XDELEX s DELREF IDS 2 1 3", [1, 1], "2 4 5 6", ("4", ""), ["XACK s h 1-0", "XACK s g 3-0", "XDEL s 1-0 3-0"]),
        ("XDELEX s IDS 6 1 2 3 4 5 6 ACKED", [2, 1, 2, 2, 2, 2], "1 3 4 5 6", ("3 4", "1"), ["XDEL s 2-0"]),
        ("XDELEX s ACKED IDS 2 0-1 9", [-1, 2], "1 2 3 4 5 6", ("3 4", "1"), []),
        ("XDELEX s IDS 2 2 2", [1, -1], "1 3 4 5 6", ("3 4", "1"), ["XDEL s 2-0"]),
        ("XDELEX nokey IDS 2 x y", [-1, -1], "1 2 3 4 5 6", ("3 4", "1"), []),
        ("XACKDEL s g IDS 3 1 3 9", [-1, 1, -1], "1 2 4 5 6", ("4", "1"), ["XACK s g 3-0", "XDEL s 3-0"]),
        ("XACKDEL s h IDS 1 1", [1], "2 3 4 5 6", ("3 4", ""), ["XACK s h 1-0", "XDEL s 1-0"]),
        ("XACKDEL s g ACKED IDS 2 3 4", [1, 1], "1 2 5 6", ("", "1"), ["XACK s g 3-0 4-0", "XDEL s 3-0 4-0"]),
        ("XACKDEL s nogroup IDS 1 x", [-1], "1 2 3 4 5 6", ("3 4", "1"), []),
        ("XTRIM s MAXLEN 2 KEEPREF", 4, "5 6", ("3 4", "1"), ["XTRIM s MAXLEN 2"]),
        ("XTRIM s DELREF MINID = 4", 3, "4 5 6", ("4", ""), ["XACK s h 1-0", "XACK s g 3-0", "XDEL s 1-0 2-0 3-0"]),
        ("XTRIM s MAXLEN 2 ACKED", 1, "1 3 4 5 6", ("3 4", "1"), ["XDEL s 2-0"]),
        ("XTRIM s MINID 3 ACKED", 1, "1 3 4 5 6", ("3 4", "1"), ["XDEL s 2-0"]),
        ("XTRIM s MINID 2 ACKED", 0, "1 2 3 4 5 6", ("3 4", "1"), []),
        ("XADD s KEEPREF 7 f v", b"7-0", "1 2 3 4 5 6 7", ("3 4", "1"), ["XADD s 7 f v"]),
        ("XADD s KEEPREF MAXLEN ~ 2 7 f v", b"7-0", "1 2 3 4 5 6 7", ("3 4", "1"), ["XADD s MAXLEN = 7 7 f v"]),
        ("XADD s NOMKSTREAM MAXLEN 5 ACKED 7 f v", b"7-0", "1 3 4 5 6 7", ("3 4", "1"), ["XADD s 7 f v", "XDEL s 2-0"]),
        (
            "XADD s MINID 2 DELREF 7-* f v",
            b"7-0",
            "2 3 4 5 6 7",
            ("3 4", ""),
            ["XADD s 7-0 f v", "XACK s h 1-0", "XDEL s 1-0"],
        ),
    ],
)
def test_what_goes_and_what_stays(
    ours: RawClient,
    replica: FakeReplica,
    line: str,
    reply: object,
    entries: str,
    pending: tuple[str, str],
    repeated: list[str],
) -> None:
    answered, told = replica.told_of(ours, *line.split())
    assert answered == reply
    assert _entries(ours) == entries
    assert (_pending(ours, "g"), _pending(ours, "h")) == pending
    lines = [b" ".join(command).decode() for command in told]
    assert [line for line in lines if line not in ("MULTI", "EXEC")] == repeated


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("XDELEX s IDS 1", "ERR wrong number of arguments for 'xdelex' command"),
        ("XDELEX s IDS 0 1", "ERR Number of IDs must be a positive integer"),
        ("XDELEX s IDS x 1", "ERR Number of IDs must be a positive integer"),
        ("XDELEX s IDS 2 1", "ERR The `numids` parameter must match the number of arguments"),
        ("XDELEX s IDS 1 1 2", "ERR syntax error"),
        ("XDELEX s KEEPREF ACKED IDS 1 1", "ERR syntax error"),
        ("XDELEX s IDS 2 1 x", "ERR Invalid stream ID specified as stream command argument"),
        ("XDELEX string FOO 1 1", "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("XACKDEL s g KEEPREF IDS", "ERR wrong number of arguments for 'xackdel' command"),
        ("XACKDEL s g IDS 1 1 IDS", "ERR syntax error"),
        ("XTRIM s MAXLEN 1 ACKED DELREF", "ERR syntax error"),
        ("XTRIM s ACKED x 1", "ERR syntax error"),
        ("XADD s ACKED DELREF * f v", "ERR Invalid stream ID specified as stream command argument"),
    ],
)
def test_errors(ours: RawClient, line: str, error: str) -> None:
    assert ours.ask(*line.split()) == f"-{error}\r\n".encode()
    assert _entries(ours) == "1 2 3 4 5 6"


def test_ids_are_required(ours: RawClient) -> None:
    ours.ask("XGROUP", "CREATE", "s", "k", "$")
    assert ours.ask("XDELEX", "s", "KEEPREF", "DELREF", "IDS") == b"-ERR syntax error\r\n"
    assert parse_reply(ours.ask("XDELEX", "s", "IDS", "1", "1", "IDS", "1", "2")) == [1]
    assert _entries(ours) == "1 3 4 5 6"


@pytest.mark.parametrize("by_id", [False, True])
def test_trimming_by_what_is_acknowledged(ours: RawClient, by_id: bool) -> None:
    """Beside a walk through numbers, in nodes of three: a length is asked for node by node."""
    random = Random(by_id)
    ours.ask("CONFIG", "SET", "stream-node-max-entries", "3")
    for _ in range(40):
        ours.ask("DEL", "s")
        left = list(range(1, random.randrange(2, 14)))
        for number in left:
            ours.ask("XADD", "s", str(number), "f", "v")
        ours.ask("XGROUP", "CREATE", "s", "g", "0")
        read = random.randrange(len(left) + 1)
        if read:
            ours.ask("XREADGROUP", "GROUP", "g", "c", "COUNT", str(read), "STREAMS", "s", ">")
        free = [number for number in left[:read] if random.random() < 0.6]
        if free:
            ours.ask("XACK", "s", "g", *map(str, free))
        threshold = random.randrange(len(left) + 2)
        ours.ask("XTRIM", "s", "MINID" if by_id else "MAXLEN", str(threshold), "ACKED")
        if by_id:
            left = [number for number in left if number >= threshold or number not in free]
        else:
            for node in [left[at : at + 3] for at in range(0, len(left), 3)]:
                enough = len(left) - len(node) < threshold
                for number in node:
                    if len(left) > threshold and number in free:
                        left.remove(number)
                if enough:
                    break
        assert _entries(ours) == " ".join(map(str, left))
        assert ours.ask("XLEN", "s") == b":%d\r\n" % len(left)


def test_events(pair: Pair, ours: RawClient) -> None:
    lines = (
        "XDELEX s IDS 1 1",
        "XDELEX s IDS 1 1",
        "XACKDEL s g ACKED IDS 1 3",
        "XACKDEL s g ACKED IDS 1 3",
        "XTRIM s MINID 5 ACKED",
        "XTRIM s MINID 5 DELREF",
    )
    assert key_events(pair, ours, "Et", lines) == ["xdel", "xdel", "xtrim", "xtrim"]


def test_a_group_that_has_not_read_protects_what_is_acknowledged_elsewhere(ours: RawClient) -> None:
    ours.ask("XGROUP", "CREATE", "s", "late", "0")
    assert parse_reply(ours.ask("XDELEX", "s", "ACKED", "IDS", "1", "2")) == [2]
    ours.ask("XGROUP", "DESTROY", "s", "late")
    assert parse_reply(ours.ask("XDELEX", "s", "ACKED", "IDS", "1", "2")) == [1]
