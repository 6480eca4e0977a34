"""Many clients that send the same command at once, which our node runs together (`node.crowds`).

Which of them came first is for the server to say, and its stream for replicas tells: told the same in that order, a
real server must give the same replies, and have the same data in the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from node.node import Node
from tests.node.conftest import Pair
from tests.node.raw_client import RawClient, Words
from tests.node.replication.nodes import Client, Nodes, Running, nodes_in
from wire.connection import Connection
from wire.decoder import Decoder
from wire.encoder import encode_command
from wire.table import Stretch

_CLIENTS = 12
# Mostly one key, and keys of every kind.
_KEYS = ("aaaa", "aaaa", "aaaa", "bbbb", "{a}c", "list", "sets", "hash", "text", "long", "zset")
_WORDS = ("1", "2", "x", "y", "w" * 70)
_SHORT = ("1", "2", "3", "x")
_NUMBERS = tuple(map(str, range(990, 1020)))
_REPEATED: tuple[tuple[str | tuple[str, ...], ...], ...] = (
    ("PING",),
    ("GET", _KEYS),
    ("SET", _KEYS, _SHORT),
    ("SET", "bbbb", _WORDS),
    ("INCR", _KEYS),
    ("INCR", "long"),
    ("LPUSH", _KEYS, _SHORT),
    ("LPUSH", "list", "item"),
    ("RPUSH", "list", _WORDS),
    ("LPOP", _KEYS),
    ("RPOP", "list"),
    ("SADD", "sets", _NUMBERS),
    ("SADD", _KEYS, _WORDS),
    ("HSET", "hash", _NUMBERS, "1"),
    ("HSET", _KEYS, _WORDS, _SHORT),
    ("ZADD", _KEYS, "1", _SHORT),
    ("APPEND", _KEYS, _SHORT),
)
_BETWEEN = (
    ("DEL", _KEYS),
    ("EXPIRE", _KEYS, "1000"),
    ("SET", _KEYS, ("9998", "1022", "9223372036854775807")),
)
_PREPARED: list[Words] = [
    ("FLUSHALL",),
    ("RPUSH", "list", *map(str, range(600))),
    ("SADD", "sets", *map(str, range(1000))),
    ("HSET", "hash", *map(str, range(20))),
    ("ZADD", "zset", "1", "x"),
    ("SET", "text", "12", "EX", "1000"),
    ("SET", "long", "9997"),
]


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[Nodes]:
    async for started in nodes_in(tmp_path):
        yield started


class Crowd:
    """A node, and clients of it that send at once."""

    def __init__(self, running: Running, clients: list[Client]) -> None:
        self.node = running.node
        self.clients = clients
        self.together = _count_together(running.node)
        # From where on the stream has not been read.
        replicas = self.node.replication.replicas
        if replicas.feed.backlog is None:
            replicas.open_backlog()
        self._read_to = self.node.replication.offset

    async def send(self, commands: list[Words]) -> list[tuple[Words, bytes]]:
        """Each command by a client of its own; with its reply, as it came."""
        senders = self.clients[: len(commands)]
        for client, words in zip(senders, commands, strict=True):
            client.send(*words)
        return [(words, await client.raw()) for client, words in zip(senders, commands, strict=True)]

    def stream(self) -> list[Words]:
        """The commands for replicas since it was last read."""
        feed = self.node.replication.replicas.feed
        feed.flush()
        assert feed.backlog is not None
        data = feed.backlog.since(self._read_to + 1)
        self._read_to += len(data)
        return [tuple(word.decode() for word in argv) for argv in Decoder().feed(data).commands]


@asynccontextmanager
async def crowd_of(nodes: Nodes, protos: str = "22", **settings: Any) -> AsyncIterator[Crowd]:
    running = await nodes.start("crowd", **settings)
    clients = [await Client.connect(running.port) for _ in range(_CLIENTS)]
    for at, client in enumerate(clients):
        await client("HELLO", protos[at % 2])
    yield Crowd(running, clients)
    for client in clients:
        await client.close()


@asynccontextmanager
async def a_client(crowd: Crowd) -> AsyncIterator[Client]:
    client = await Client.connect(crowd.node.settings.port)
    yield client
    await client.close()


def _count_together(node: Node) -> list[int]:
    """Notes how many commands of different clients `node` runs together, each time."""
    counts: list[int] = []
    for command in node.table.every():
        run = command.stretch
        if run is not None:

            def counted(*arguments: Any, run: Stretch = run) -> int:
                done = run(*arguments)
                if arguments[3].apart:
                    counts.append(done)
                return done

            command.stretch = counted
    return counts


def _drawn(chance: Random, template: tuple[str | tuple[str, ...], ...]) -> Words:
    return tuple(part if isinstance(part, str) else chance.choice(part) for part in template)


@pytest.mark.parametrize("protos", ["22", "33", "23"])
@pytest.mark.parametrize("seed", range(4))
async def test_commands_at_once(nodes: Nodes, pair: Pair, seed: int, protos: str) -> None:
    chance = Random(seed)
    _, theirs = pair.connect()
    async with crowd_of(nodes, protos, enable_debug_command="yes") as crowd:
        for words in _PREPARED:
            await crowd.clients[0](*words)
            theirs.ask(*words)
        crowd.stream()
        for _ in range(100):
            template = chance.choice(_REPEATED)
            for _ in range(5):
                commands = [_drawn(chance, template) for _ in range(chance.randrange(1, _CLIENTS + 1))]
                if chance.random() < 0.1:
                    commands[0] = _drawn(chance, chance.choice(_REPEATED + _BETWEEN))
                crowd.node.executor.singles.reopen()
                _compare(await crowd.send(commands), crowd.stream(), theirs)
        assert sum(crowd.together) > 100
        digest = theirs.ask("DEBUG", "DIGEST").strip(b"+\r\n")
        assert await crowd.clients[0]("DEBUG", "DIGEST") == digest


def _compare(told: list[tuple[Words, bytes]], stream: list[Words], theirs: RawClient) -> None:
    """Tell the real server the same, in the order in which it happened here, and behind it what changed nothing."""
    left = Counter(words for words, _ in told)
    replies: Counter[tuple[Words, bytes]] = Counter()
    for words in stream:
        if left[words]:
            left[words] -= 1
            replies[words, theirs.ask(*words)] += 1
    for words in left.elements():
        replies[words, theirs.ask(*words)] += 1
    assert replies == Counter((words, reply.replace(b"_\r\n", b"$-1\r\n")) for words, reply in told)


_ROUNDS = 60


async def _gathered(crowd: Crowd, *words: str) -> None:
    """Have the command known and run together before a test looks."""
    before = len(crowd.together)
    for _ in range(10):
        # As the clockwork does from time to time.
        crowd.node.executor.singles.reopen()
        await crowd.send([words] * _CLIENTS)
    assert len(crowd.together) > before


async def test_they_are_counted_like_others(nodes: Nodes) -> None:
    async with crowd_of(nodes) as crowd, a_client(crowd) as client:
        await _gathered(crowd, "SET", "key", "00")
        await client("CONFIG", "RESETSTAT")
        before = await client.info("stats")
        for number in range(_ROUNDS):
            told = await crowd.send([("SET", "key", f"{number:02}")] * _CLIENTS)
            assert [reply for _, reply in told] == [b"+OK\r\n"] * _CLIENTS
        after = await client.info("stats")
        count = _ROUNDS * _CLIENTS
        stats = (await client.info("commandstats"))["cmdstat_set"]
        assert stats.startswith(f"calls={count},")
        assert int(after["total_commands_processed"]) - int(before["total_commands_processed"]) == count + 1
        for name, size in (("input", len(encode_command([b"SET", b"key", b"00"]))), ("output", len(b"+OK\r\n"))):
            grown = int(after[f"total_net_{name}_bytes"]) - int(before[f"total_net_{name}_bytes"])
            assert count * size <= grown < count * size + 5000
        # The calls are in the distribution, too.
        histogram = await client("LATENCY", "HISTOGRAM", "set")
        assert histogram[1][1] == count
        listed = (await client("CLIENT", "LIST")).decode().splitlines()
        assert sum(" cmd=set " in line for line in listed) == _CLIENTS
        # What WAIT would wait for.
        ends = [session.write_offset for session in crowd.node.clients if session.last_command == "set"]
        assert ends == [crowd.node.replication.offset] * _CLIENTS


async def test_who_wants_to_know_is_told_of_each(nodes: Nodes) -> None:
    async with crowd_of(nodes) as crowd, a_client(crowd) as client, a_client(crowd) as listener:
        await _gathered(crowd, "LPUSH", "list", "item")
        # The slow log.
        await client("CONFIG", "SET", "slowlog-log-slower-than", "0", "slowlog-max-len", "1000")
        await client("SLOWLOG", "RESET")
        await crowd.send([("LPUSH", "list", "slow")] * _CLIENTS)
        entries = [entry for entry in await client("SLOWLOG", "GET", "-1") if entry[3][0] == b"LPUSH"]
        assert len({entry[4] for entry in entries}) == len(entries) == _CLIENTS
        await client("CONFIG", "SET", "slowlog-log-slower-than", "10000")
        # Somebody who watches the key, and somebody who waits for another.
        await listener("WATCH", "list")
        await listener("MULTI")
        await listener("PING")
        await crowd.send([("LPUSH", "list", "seen")] * _CLIENTS)
        assert await listener("EXEC") is None
        listener.send("BLPOP", "lisp", "0")
        await client("PING")
        told = await crowd.send([("LPUSH", "lisp", "item")] * _CLIENTS)
        assert sorted(reply for _, reply in told) == sorted([b":1\r\n", *(b":%d\r\n" % n for n in range(1, _CLIENTS))])
        assert await listener.reply() == [b"lisp", b"item"]
        # Keyspace events, and a monitor.
        await _gathered(crowd, "LPUSH", "list", "item")
        await client("CONFIG", "SET", "notify-keyspace-events", "KA")
        await listener("PSUBSCRIBE", "*")
        await crowd.send([("LPUSH", "list", "told")] * _CLIENTS)
        for _ in range(_CLIENTS):
            assert await listener.reply() == [b"pmessage", b"*", b"__keyspace@0__:list", b"lpush"]
        await client("CONFIG", "SET", "notify-keyspace-events", "")
        await client("MONITOR")
        await crowd.send([("LPUSH", "list", "read")] * _CLIENTS)
        for _ in range(_CLIENTS):
            assert (await client.reply()).endswith(b'"LPUSH" "list" "read"')


def _connections(crowd: Crowd) -> list[Connection]:
    """The crowd's, on the node's side: the first client that came is the node's own, others come later."""
    found = [session.connection for session in crowd.node.clients if session.connection is not None]
    return found[1 : _CLIENTS + 1]


async def test_what_a_client_sends_behind_it_runs_behind_it(nodes: Nodes) -> None:
    async with crowd_of(nodes) as crowd:
        await _gathered(crowd, "INCR", "number")
        await crowd.clients[0]("SET", "number", "0")
        await crowd.send([("INCR", "number")] * _CLIENTS)
        # Two chunks of each in one turn, the first of which is put off.
        for name in (b"INCR", b"DECR"):
            for connection in _connections(crowd):
                connection.data_received(encode_command([name, b"number"]))
        replies = [(await client.reply(), await client.reply()) for client in crowd.clients]
        up, down = range(_CLIENTS + 1, 2 * _CLIENTS + 1), range(2 * _CLIENTS - 1, _CLIENTS - 1, -1)
        assert sorted(replies) == sorted(zip(up, down, strict=True))


async def test_who_hangs_up_has_still_been_heard(nodes: Nodes) -> None:
    async with crowd_of(nodes) as crowd, a_client(crowd) as client:
        connections = _connections(crowd)
        await _gathered(crowd, "INCR", "number")
        await client("SET", "number", "0")
        await crowd.send([("INCR", "number")] * _CLIENTS)
        for connection in connections:
            connection.data_received(encode_command([b"INCR", b"number"]))
            assert connection.eof_received()
        for each in crowd.clients:
            assert await each.reply() > _CLIENTS
            with pytest.raises(ConnectionResetError):
                await each.reply()
        assert await client("GET", "number") == b"%d" % (2 * _CLIENTS)
