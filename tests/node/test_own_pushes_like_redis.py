"""What a command pushes to the very client that sent it comes behind its reply.

So it is in Redis 7.2, and for tracked keys in 7.0, too. Other pushes came in 7.0 when they happened, even in the middle
of a reply, so there the reply and the pushes of one command are taken from two clients.
"""

from __future__ import annotations

import socket

import pytest

from tests.node.conftest import Pair
from tests.node.raw_client import RawClient, Words
from wire.encoder import encode_command

_WRITES = """
SET s 1
SET s 2 GET
GETEX s EX 100
RPUSH l 1 2 3
BLPOP l 0
BLMOVE l l2 LEFT RIGHT 0
LMPOP 1 l LEFT
ZADD z 1 a 2 b
ZPOPMIN z
BZMPOP 0 1 z MIN
HSET h f 1
HINCRBYFLOAT h f 1.5
SADD set a
SPOP set
XADD x 1-1 f v
XGROUP CREATE x g 0
XREADGROUP GROUP g c STREAMS x >
XAUTOCLAIM x g d 0 0
PUBLISH __keyspace_other text
DEL s h
"""


def _listen(client: RawClient) -> None:
    client.ask("HELLO", "3")
    client.ask("CONFIG", "SET", "notify-keyspace-events", "KEA")
    client.ask("PSUBSCRIBE", "__keyspace*")


def _all(client: RawClient) -> bytes:
    """What has come, up to the answer to a PING."""
    end = client.ask("PING", "the end")
    told = b""
    while b"the end" not in end:
        told += end
        end = client.read_reply()
    return told


def test_a_listener_hears_of_itself_behind_the_reply(pair: Pair) -> None:
    ours, asker = pair.connect()
    _, listener = pair.connect()
    asker.ask("HELLO", "3")
    _listen(listener)
    _listen(ours)
    different = []
    for line in _WRITES.strip().splitlines():
        words = tuple(line.split())
        expected = asker.ask(*words) + _all(listener)
        told = ours.ask(*words) + _all(ours)
        if words[0] == "PUBLISH":
            assert told.startswith(b":1\r\n>")
        if told != expected:
            different.append((line, told, expected))
    assert not different


def test_transactions_and_scripts(pair: Pair) -> None:
    client, _ = pair.connect()
    client.ask("HELLO", "3")
    client.ask("SUBSCRIBE", "foo")
    push = b">3\r\n$7\r\nmessage\r\n$3\r\nfoo\r\n$3\r\n%b\r\n"
    queue: list[Words] = [("MULTI",), ("PUBLISH", "foo", "bar"), ("PING", "a"), ("PUBLISH", "foo", "vaz"), ("EXEC",)]
    assert client.ask_all(queue)[-1] == b"*3\r\n:1\r\n$1\r\na\r\n:1\r\n"
    assert [client.read_reply(), client.read_reply()] == [push % b"bar", push % b"vaz"]
    script = "redis.call('publish', 'foo', 'bar'); return 'end'"
    assert client.ask_all([("EVAL", script, "0"), ("PING", "b")]) == [b"$3\r\nend\r\n", push % b"bar"]
    assert client.read_reply() == b"$1\r\nb\r\n"


def test_a_transaction_that_subscribes(pair: Pair) -> None:
    """In RESP2, too, where nothing else can be both."""
    client, _ = pair.connect()
    queue: list[Words] = [("MULTI",), ("SUBSCRIBE", "foo"), ("PUBLISH", "foo", "bar"), ("EXEC",)]
    assert client.ask_all(queue)[-1] == b"*2\r\n*3\r\n$9\r\nsubscribe\r\n$3\r\nfoo\r\n:1\r\n:1\r\n"
    assert client.read_reply() == b"*3\r\n$7\r\nmessage\r\n$3\r\nfoo\r\n$3\r\nbar\r\n"


def test_a_client_that_waits_hears_others_at_once(pair: Pair) -> None:
    client, _ = pair.connect()
    other, _ = pair.connect()
    _listen(client)
    client.send(b"BLPOP l 0\r\n")
    assert other.ask("PUBLISH", "__keyspace_other", "text") == b":1\r\n"
    assert client.read_reply().endswith(b"$4\r\ntext\r\n")
    other.ask("RPUSH", "l", "1")
    told = [client.read_reply() for _ in range(4)]
    assert [reply.endswith(b"lpop\r\n") for reply in told] == [False, False, True, False]
    assert told[1] == b"*2\r\n$1\r\nl\r\n$1\r\n1\r\n"


@pytest.mark.parametrize("options", ["", "NOLOOP", "OPTIN", "OPTOUT"])
def test_what_a_client_tracks_and_changes_itself(pair: Pair, options: str) -> None:
    lines = """
GET a|SET a 1|GET a|SET a 2|MGET a b|MSET a 3 b 4|PING
CLIENT CACHING YES|GET a|SET a 1|GET a|SET a 2
MULTI|GET a|SET a 2|GET a|EXEC|GET a|FLUSHDB|GET a
SUBSCRIBE ch|GET a|SET a 5|GET a|CLIENT REPLY OFF|GET a|SET a 6|CLIENT REPLY ON
UNSUBSCRIBE ch|GET a|EVAL redis.call('get',KEYS[1]);redis.call('set',KEYS[1],2) 1 a|GET a|DEL a|PING
"""
    for client in (both := pair.connect()):
        client.ask("HELLO", "3")
        client.ask("CLIENT", "TRACKING", "on", *options.split())
    for pipeline in lines.strip().splitlines():
        commands = b"".join(encode_command(line.encode().split()) for line in pipeline.split("|"))
        for client in both:
            client.send(commands)
        assert _all(both[0]) == _all(both[1]), pipeline


def test_who_has_said_no_more_is_no_listener(pair: Pair) -> None:
    """At once: the next who publishes does not find it."""
    publisher, _ = pair.connect()
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", pair.ours)) as listener:
            listener.sendall(b"SUBSCRIBE foo\r\n")
            assert listener.recv(100)
        assert publisher.ask("PUBLISH", "foo", "bar") == b":0\r\n"
