"""What MONITOR and the slow log show of commands, of those in transactions and scripts, and of secrets."""

from __future__ import annotations

import re

from tests.node.conftest import Pair
from tests.node.raw_client import RawClient
from tests.waiting import wait_for

_SHOWN = [
    ("SELECT", "0"),
    ("MULTI",),
    ("INCR", "n"),
    ("EXEC",),
    ("EVAL", "return redis.call('incr', KEYS[1])", "1", "n"),
    ("EVAL", "return 1", "many"),
    ("EVALSHA", "0" * 40, "0"),
    ("FCALL", "nope", "0"),
    ("MIGRATE", "127.0.0.1", "1", "nokey", "0", "100", "COPY", "AUTH", "secret", "REPLACE"),
    ("MIGRATE", "127.0.0.1", "1", "auth", "0", "100", "AUTH2", "someone", "secret"),
    ("MIGRATE", "127.0.0.1", "1", "", "0", "100", "AUTH", "secret", "KEYS", "auth", "shown"),
    ("MIGRATE", "127.0.0.1", "1", "nokey", "0", "100", "AUTH"),
    ("ACL", "SETUSER", "somebody", ">secret", "+get"),
    ("BLPOP", "nolist", "0.001"),
    ("SPOP", "noset", "1"),
]


def _monitored(client: RawClient, watcher: RawClient) -> list[bytes]:
    watcher.ask("MONITOR")
    for words in _SHOWN:
        client.ask(*words)
    client.ask("ECHO", "the end")
    lines = [b""]
    while b"the end" not in lines[-1]:
        lines.append(re.sub(rb"^\+[\d.]+|127\.0\.0\.1:\d+(?=\])", b"", watcher.read_reply()))
    return lines


def _slow(client: RawClient) -> bytes:
    """The slow log without numbers, times and addresses."""
    log = client.ask("SLOWLOG", "GET", "-1")
    return re.sub(rb"(?<=\*6\r\n):\d+\r\n:\d+\r\n:\d+|\$\d+\r\n127\.0\.0\.1:\d+", b"", log)


def _logged(client: RawClient, waiting: RawClient) -> tuple[bytes, bytes]:
    client.ask("CONFIG", "SET", "slowlog-log-slower-than", "0")
    client.ask("SLOWLOG", "RESET")
    for words in _SHOWN:
        client.ask(*words)
    first = _slow(client)
    waiting.send(b"BLPOP list 0\r\n")
    wait_for(lambda: b"blocked_clients:1\r" in client.ask("INFO", "clients"), what="the client that blocks")
    client.ask("SLOWLOG", "RESET")
    client.ask_all([("MULTI",), ("LPUSH", "list", "x"), ("EXEC",)])
    waiting.read_reply()
    second = _slow(client)
    for commands in ([("LPUSH", "list", "x")], [("PING",), ("LPUSH", "list", "x"), ("LPUSH", "other", "x")]):
        waiting.send(b"BLPOP list 0\r\n")
        wait_for(lambda: b"blocked_clients:1\r" in client.ask("INFO", "clients"), what="the client that blocks")
        client.ask("SLOWLOG", "RESET")
        client.ask_all(commands)
        waiting.read_reply()
        second += _slow(client)
    client.ask("CONFIG", "SET", "slowlog-log-slower-than", "10000")
    return first, second


def test_monitor(pair: Pair) -> None:
    ours, theirs = map(_monitored, pair.connect(), pair.connect())
    assert ours == theirs
    assert any(b" lua] " in line for line in ours)


def test_the_slow_log(pair: Pair) -> None:
    ours, theirs = map(_logged, pair.connect(), pair.connect())
    assert ours == theirs
    assert ours[1].count(b"BLPOP") == 3
