"""Conversations of a subscriber, frame by frame as a real server's: confirmations, messages, what it may still send.

A line is one command; those that start with ``2>`` are another client's. After each line the subscriber reads all
that has come for it.
"""

from __future__ import annotations

import pytest

from tests.node.conftest import Pair
from tests.node.raw_client import RawClient
from wire.encoder import encode_command

CONVERSATIONS = {
    "channels": """
        SUBSCRIBE a b a
        2> PUBLISH a one
        2> PUBLISH c nobody
        UNSUBSCRIBE a c
        2> PUBLISH a two
        2> PUBLISH b three
        UNSUBSCRIBE
        UNSUBSCRIBE
        GET k
    """,
    "patterns": """
        PSUBSCRIBE n?ws* [ab]c
        SUBSCRIBE news
        2> PUBLISH news both
        2> PUBLISH bc x
        2> PUBLISH \\*c x
        PUNSUBSCRIBE n?ws*
        2> PUBLISH news once
        2> PUBSUB NUMPAT
        PUNSUBSCRIBE [ab]c
        PUNSUBSCRIBE
    """,
    "shard channels": """
        SSUBSCRIBE s
        SSUBSCRIBE s t
        2> SPUBLISH s one
        2> PUBLISH s other
        SUBSCRIBE s
        2> SPUBLISH s one
        2> PUBLISH s two
        SUNSUBSCRIBE u s t
        SUNSUBSCRIBE
    """,
    "what else a subscriber may send": """
        SUBSCRIBE a
        GET k
        PING
        PING hello
        PUBLISH a x
        SPUBLISH a x
        MULTI
        CLIENT ID
        RESET
        2> PUBSUB NUMSUB a
        2> PUBLISH a gone
        PING
    """,
    "a closed connection": """
        2> SUBSCRIBE a
        2> PSUBSCRIBE b
        2> SSUBSCRIBE c
        2> QUIT
        PUBSUB CHANNELS
        PUBSUB NUMPAT
        PUBSUB SHARDCHANNELS
    """,
}


def _converse(port: int, proto: str, lines: list[str]) -> list[tuple[str, list[bytes]]]:
    subscriber, other = RawClient(port), RawClient(port)
    try:
        subscriber.ask("HELLO", proto)
        heard = []
        for number, line in enumerate(lines):
            answers = []
            if line.startswith("2> "):
                answers.append(other.ask(*line[3:].split()))
            else:
                subscriber.send(encode_command([word.encode() for word in line.split()]))
            # PING's answer comes last; all that the line has caused came before it.
            mark = b"mark %d" % number
            subscriber.send(encode_command([b"PING", mark]))
            while mark not in (frame := subscriber.read_reply()):
                answers.append(frame)
            heard.append((line, answers))
        return heard
    finally:
        subscriber.close()
        other.close()


@pytest.mark.parametrize("proto", ["2", "3"])
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_conversations(name: str, proto: str, pair: Pair) -> None:
    lines = [line.strip() for line in CONVERSATIONS[name].strip().splitlines()]
    if proto == "3":
        # The client's id is another one on each server; in RESP2 the command is refused.
        lines = [line for line in lines if line != "CLIENT ID"]
        # What is published to oneself comes behind the reply (`test_own_pushes_like_redis`).
        lines = [line for line in lines if line not in ("MULTI", "PUBLISH a x")]
    assert _converse(pair.ours, proto, lines) == _converse(pair.theirs, proto, lines)


@pytest.mark.parametrize("proto", ["2", "3"])
def test_client_reply_holds_back_no_push(proto: str, pair: Pair) -> None:
    heard = []
    for client, other in zip(pair.connect(), pair.connect(), strict=True):
        client.ask("HELLO", proto)
        client.send(encode_command([b"CLIENT", b"REPLY", b"OFF"]))
        frames = [client.ask("SUBSCRIBE", "a")]
        other.ask("PUBLISH", "a", "message")
        frames.append(client.read_reply())
        frames.append(client.ask("UNSUBSCRIBE", "a"))
        client.send(encode_command([b"GET", b"k"]))
        frames.append(client.ask("CLIENT", "REPLY", "ON"))
        client.send(encode_command([b"CLIENT", b"REPLY", b"SKIP"]))
        frames.append(client.ask("SUBSCRIBE", "a"))
        frames.append(client.ask("UNSUBSCRIBE", "a"))
        frames.append(client.ask("ECHO", "heard"))
        heard.append(frames)
    assert heard[0] == heard[1]
