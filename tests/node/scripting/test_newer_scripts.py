"""What scripts may do since Redis 7.4. The real server of these tests is a 7.0, and refuses it."""

from __future__ import annotations

import pytest

from tests.node.conftest import Pair


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("'BLPOP', 'no', 0", b"$-1\r\n"),
        ("'BRPOP', 'no', 'list', 0", b"*2\r\n$4\r\nlist\r\n$1\r\nb\r\n"),
        ("'BLMOVE', 'no', 'other', 'LEFT', 'LEFT', 0", b"$-1\r\n"),
        ("'BRPOPLPUSH', 'list', 'other', 0", b"$1\r\nb\r\n"),
        ("'BLMPOP', 0, 1, 'no', 'LEFT'", b"$-1\r\n"),
        ("'BZPOPMIN', 'no', 0", b"$-1\r\n"),
        ("'BZPOPMAX', 'zset', 0", b"*3\r\n$4\r\nzset\r\n$1\r\nb\r\n$1\r\n2\r\n"),
        ("'BZMPOP', 0, 1, 'no', 'MIN'", b"$-1\r\n"),
        ("'WAIT', 1, 0", b":0\r\n"),
        ("'WAITAOF', 0, 1, 0", b"*2\r\n:0\r\n:0\r\n"),
        ("'XREAD', 'BLOCK', 0, 'STREAMS', 'stream', '$'", b"$-1\r\n"),
        ("'XREAD', 'BLOCK', 'x', 'STREAMS', 'stream', '$'", b"-ERR timeout is not an integer or out of range"),
        ("'XREADGROUP', 'GROUP', 'g', 'c', 'BLOCK', 0, 'STREAMS', 'stream', '>'", b"$-1\r\n"),
        ("'BLPOP', 'zset', 0", b"-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ],
)
def test_what_would_wait_answers_at_once(pair: Pair, command: str, reply: bytes) -> None:
    client, _ = pair.connect()
    client.ask("RPUSH", "list", "a", "b")
    client.ask("ZADD", "zset", "1", "a", "2", "b")
    client.ask("XGROUP", "CREATE", "stream", "g", "$", "MKSTREAM")
    assert client.ask("EVAL", f"return redis.call({command})", "0").startswith(reply)


def test_a_script_measures_time(pair: Pair) -> None:
    client, _ = pair.connect()
    script = "local began = os.clock() while os.clock() == began do end return os.clock() > began"
    assert client.ask("EVAL", script, "0") == b":1\r\n"
    names = "local names = {} for name in pairs(os) do names[#names + 1] = name end return names"
    assert client.ask("EVAL", names, "0") == b"*1\r\n$5\r\nclock\r\n"
    assert b"readonly table" in client.ask("EVAL", "os.clock = nil", "0")
