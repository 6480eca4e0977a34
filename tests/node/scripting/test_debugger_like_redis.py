"""SCRIPT DEBUG: the same conversations with our debugger and with Redis'."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.node.conftest import Pair
from tests.node.raw_client import RawClient
from tests.waiting import wait_for

SCRIPT = """local a = 1
local t = {1, 'x\\n', {k = 2, 'y'}, false, 1.5, 1e300}
redis.call('set', KEYS[1], ARGV[1])
redis.pcall('lpush', KEYS[1], 'v')
local function f(z)
  local y = z .. ''
  return y
end
local q = f('3')
redis.debug(a, t, q, nil)
if redis.breakpoint() then
  a = a + 1
end
for i = 1, 3 do
  a = a + i
end
return {a, q}
"""
LOOP = "local i = 0\nwhile true do\n  i = i + 1\nend"
DEEP = "local t = {}\nfor i = 1, 12 do t = {t} end\nlocal s = string.rep('x', 400)\nlocal u = redis\nreturn 1"
RESP3 = """redis.setresp(3)
redis.call('hset', 'h', 'f', '1.5')
redis.call('hgetall', 'h')
redis.call('zadd', 'z', 1, 'm')
redis.call('zscore', 'z', 'm')
redis.call('smembers', 'nosuch')
redis.call('get', 'nosuch')
return 1"""

# The script, and what is said to the debugger, word by word, split at blanks.
CONVERSATIONS = {
    "all that can be looked at": (
        SCRIPT,
        """l;l 3 1;l 0;l x y;w;s;p;p a;n;p t;p KEYS;p ARGV;p nope;p a b;s;s;t;b 7;b;c;t;p;p z;m;m 5;m 0;m 100;c;p q;n;c
        """,
    ),
    "breakpoints": (SCRIPT, "b;b 0;b 99;b -3;b x;b 3 4 5;b 4;b -4;b;b 0;b;b 15;c;c;p a;b -15;c;c"),
    "code and commands": (
        SCRIPT,
        "s;s;e a;e 1+1;e foo bar;e error('x');e redis.call('get','k');e local x=1;e x=1;e nil;r get k;"
        "r set k v;r lpush k v;r nosuch;r get;r subscribe x;r mset a 1 b 2 c 3 d 4 e 5 f 6;r;E 1;REDIS ping;c;c",
    ),
    "unknown words": (SCRIPT, "zzz;hello;step1;B;ABORT"),
    "abort": (SCRIPT, "s;s;s;a"),
    "an error of the script": ("local a = 1\nerror('no')", "s;c"),
    "an error of a command": ("local a = 1\nreturn redis.call('nosuch')", "s;s"),
    "it does not compile": ("local a =", ""),
    "values that are large": (DEEP, "s;s;b 5;c;p s;p s;m 0;p t;p s"),
    "RESP3": (RESP3, "s;s;s;s;s;s;s;s"),
    "one line": ("return 1", "t;p;s"),
    "no lines": ("\n\n", "c"),
    "tables": (
        "local t = {}\nt[1] = 1\nt[3] = 3\nlocal m = {a = {b = {}}}\nlocal f, n = tostring, cjson.null\nreturn 1",
        "b 6;c;p t;p m;p f;p n",
    ),
    "coroutines": ("local f = coroutine.wrap(function()\n return 1\nend)\nf()\nreturn 2", "s;s;s;c"),
}


def converse(port: int, mode: str, script: str, said: str) -> list[bytes]:
    """All replies up to the end of the session, which ends the connection."""
    client = RawClient(port)
    client.ask("FLUSHALL")
    replies = [client.ask("SCRIPT", "DEBUG", mode), client.ask("EVAL", script, "1", "k", "v")]
    words = [tuple(line.split()) for line in said.strip().split(";") if line.strip()]
    for line in [*words, *[("c",)] * 5]:
        if b"<endsession>" in replies[-1]:
            break
        replies.append(client.ask(*line))
    replies.append(client.read_reply())
    wait_for(client.is_hung_up, what="the end of the connection")
    client.close()
    return [re.sub(rb"@0x[0-9a-f]+", b"@address", reply) for reply in replies]


@pytest.mark.parametrize("mode", ["SYNC", "YES"])
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_conversations(pair: Pair, name: str, mode: str) -> None:
    script, said = CONVERSATIONS[name]
    ours, theirs = converse(pair.ours, mode, script, said), converse(pair.theirs, mode, script, said)
    assert ours == theirs


def test_a_fork_leaves_the_data_alone(pair: Pair) -> None:
    converse(pair.ours, "YES", "redis.call('set', 'k', 'v')\nreturn redis.call('get', 'k')", "s;s")
    ours, _ = pair.connect()
    assert ours.ask("GET", "k") == b"$-1\r\n"
    converse(pair.ours, "SYNC", "redis.call('set', 'k', 'v')\nreturn redis.call('get', 'k')", "s;s")
    assert ours.ask("GET", "k") == b"$1\r\nv\r\n"


def test_how_it_is_switched(pair: Pair) -> None:
    for ours, theirs in [pair.connect()]:
        for words in (("YES",), ("NO",), ("x",), (), ("YES", "NO"), ("no\0x",)):
            assert ours.ask("SCRIPT", "DEBUG", *words) == theirs.ask("SCRIPT", "DEBUG", *words)
        pipeline = [("PING",), ("SCRIPT", "DEBUG", "YES")]
        assert ours.ask_all(pipeline) == theirs.ask_all(pipeline)
        assert ours.ask("SCRIPT", "DEBUG", "SYNC") == theirs.ask("SCRIPT", "DEBUG", "SYNC")
        assert ours.ask("EVALSHA", "f" * 40, "0") == theirs.ask("EVALSHA", "f" * 40, "0")
        assert ours.ask("EVALSHA", "f", "0") == theirs.ask("EVALSHA", "f", "0")


@pytest.mark.parametrize("data", [b"PING\r\n", b"*0\r\n", b"*1\r\n+x\r\n", b"*1\r\n$0\r\n\r\n", b"*1\r\n$1\r\nxyz"])
def test_what_is_no_command_ends_the_script(pair: Pair, data: bytes) -> None:
    replies = []
    for client in pair.connect():
        client.ask("SCRIPT", "DEBUG", "SYNC")
        client.ask("EVAL", "return 1", "0")
        client.send(data)
        replies.append([client.read_reply(), client.read_reply()])
        wait_for(client.is_hung_up, what="the end of the connection")
    assert replies[0] == replies[1]


def test_a_command_in_pieces(pair: Pair) -> None:
    for client in pair.connect():
        client.ask("SCRIPT", "DEBUG", "SYNC")
        client.ask("EVAL", "local a = 1\nreturn 1", "0")
        for byte in b"*1\r\n$1\r\ns\r\n":
            assert not client.has_reply()
            client.send(bytes([byte]))
        assert b"Stopped at 2" in client.read_reply()
        client.ask("a")


def test_an_endless_loop_is_stopped(pair: Pair) -> None:
    replies = []
    for client, other in zip(pair.connect(), pair.connect(), strict=True):
        client.ask("CONFIG", "SET", "busy-reply-threshold", "50")
        client.ask("SCRIPT", "DEBUG", "SYNC")
        client.ask("EVAL", LOOP, "0")
        stopped = client.ask("c")
        # At which of the lines is a matter of chance.
        replies.append([stopped.split(b", ")[1].split(b"\r\n")[0], client.ask("a")])
        # Who hangs up in the middle of it has ended it.
        client = RawClient(pair.ours if not replies[1:] else pair.theirs)
        client.ask("SCRIPT", "DEBUG", "SYNC")
        client.ask("EVAL", LOOP, "0")
        client.close()
        wait_for(lambda other=other: other.ask("GET", "k") == b"$-1\r\n", what="the end of the script")
        other.ask("CONFIG", "SET", "busy-reply-threshold", "5000")
    assert replies[0] == replies[1]


def test_others_are_told_that_we_are_busy(pair: Pair) -> None:
    """Redis keeps them waiting, without a word; and nobody can end the session but who has begun it."""
    client, other = pair.connect()[0], pair.connect()[0]
    client.ask("SCRIPT", "DEBUG", "SYNC")
    client.ask("EVAL", "local a = 1\nreturn 1", "0")
    assert other.ask("GET", "k").startswith(b"-BUSY")
    assert other.ask("SCRIPT", "KILL") == b"+OK\r\n"
    assert b"<endsession>" in client.read_reply()
    assert client.read_reply().startswith(b"-ERR Script killed by user")
    assert other.ask("GET", "k") == b"$-1\r\n"
    # When the client goes, the script runs on by itself.
    client = RawClient(pair.ours)
    client.ask("SCRIPT", "DEBUG", "SYNC")
    client.ask("EVAL", "redis.call('set', 'k', 'v')\nreturn 1", "0")
    client.close()
    wait_for(lambda: other.ask("GET", "k") == b"$1\r\nv\r\n", what="the end of the script")


def test_within_a_transaction_nobody_is_asked(pair: Pair) -> None:
    ours, _ = pair.connect()
    ours.ask("SCRIPT", "DEBUG", "SYNC")
    asked = [("MULTI",), ("EVAL", "return 1", "0"), ("EXEC",)]
    assert ours.ask_all(asked)[-1] == b"*1\r\n:1\r\n"


def test_redis_cli(pair: Pair, tmp_path: object) -> None:
    """The real redis-cli --ldb with our debugger."""
    path = f"{tmp_path}/script.lua"
    with open(path, "w") as file:
        file.write(SCRIPT)
    said = "s\np a\nb 7\nc\nt\nc\nc\n"
    shown = []
    for port in (pair.ours, pair.theirs):
        command = ["redis-cli", "-p", str(port), "--ldb", "--eval", path, "k", ",", "v"]
        shown.append(subprocess.run(command, input=said, capture_output=True, text=True, timeout=20).stdout)
    assert shown[0] == shown[1]
    assert "->#7" in shown[0]
