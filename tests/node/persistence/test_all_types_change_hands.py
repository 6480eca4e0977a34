"""A set of data of every type and encoding goes from a real server to ours and back, by every way that data can go.

Equal is what DEBUG DIGEST calls equal, and, since that says nothing of their groups, what XINFO tells of streams.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from tests.node.own_server import OwnServer
from tests.node.raw_client import RawClient, Words, bulk_strings, parse_reply
from tests.real_redis import RealRedis
from tests.waiting import wait_for

DATABASES = (0, 3, 15)
# Nothing expires while the tests run.
LATER_MS = (int(time.time()) + 86400) * 1000
DEBUG = ("--enable-debug-command", "yes", "--save", "")
LIBRARY = "#!lua name=lib\nredis.register_function('one', function() return 1 end)"
# A server's folder, and its options: started there.
Start = Callable[[Path, tuple[str, ...]], int]


def dataset(seed: int) -> list[Words]:
    """Commands that make it, the same for the same seed."""
    chance = Random(seed)
    commands: list[Words] = [("FUNCTION", "LOAD", LIBRARY)]
    for database in DATABASES:
        commands.append(("SELECT", str(database)))
        for kind in (strings, lists, sets, hashes, zsets, streams, others):
            # Below, and far above, every limit of an encoding.
            for size in (1, 5, 130, 600):
                commands += kind(b"%b:%d" % (kind.__name__.encode(), size), size, chance)
    return commands


def word(chance: Random) -> bytes:
    """A number of any size, or text: short, long, binary, compressible."""
    kind = chance.randrange(6)
    if kind < 2:
        return b"%d" % chance.choice([chance.randrange(-200, 200), chance.randrange(-(1 << 63), 1 << 63)])
    if kind == 2:
        return chance.choice([b"", b"007", b"-0", b"1.5", b"99999999999999999999", b"\r\n"])
    return chance.randbytes(chance.choice([1, 5, 20, 63, 64, 65, 300])) if kind < 5 else b"ab" * chance.randrange(40)


def words(size: int, chance: Random) -> list[bytes]:
    """So many different ones, half of the time only numbers."""
    if chance.random() < 0.5:
        return [b"%d" % number for number in chance.sample(range(-(1 << 40), 1 << 40), size)]
    return [b"%b%d" % (word(chance), number) for number in range(size)]


def strings(key: bytes, size: int, chance: Random) -> Iterator[Words]:
    yield "SET", key, word(chance)
    yield "SET", key + b":large", word(chance) * size
    yield "SET", key + b":volatile", word(chance), "PXAT", str(LATER_MS + size)
    yield "APPEND", key, word(chance)
    yield "SET", chance.randbytes(9), chance.randbytes(9)


def lists(key: bytes, size: int, chance: Random) -> Iterator[Words]:
    yield "RPUSH", key, *[word(chance) for _ in range(size)]
    yield "LPUSH", key, "x" * 10_000, *words(3, chance)


def sets(key: bytes, size: int, chance: Random) -> Iterator[Words]:
    yield "SADD", key, *words(size, chance)


def hashes(key: bytes, size: int, chance: Random) -> Iterator[Words]:
    yield "HSET", key, *[part for name in words(size, chance) for part in (name, word(chance))]
    yield "PEXPIREAT", key, str(LATER_MS)


def zsets(key: bytes, size: int, chance: Random) -> Iterator[Words]:
    # Not -0: whether a real server keeps the sign depends on how many members it has been told of before.
    scores = ["inf", "-inf", "0", "1.5", "1e300", "5e-324", "123456789012", "3"]
    yield (
        "ZADD",
        key,
        *[part for name in words(size, chance) for part in (chance.choice([*scores, repr(chance.random())]), name)],
    )


def streams(key: bytes, size: int, chance: Random) -> Iterator[Words]:
    for number in range(1, size + 1):
        fields = chance.choice([["f"], ["f"], ["f", "g"], ["g"]])
        yield "XADD", key, f"{number * 3}-{number % 4 + 1}", *[part for name in fields for part in (name, word(chance))]
    yield "XDEL", key, *[f"{number * 3}-{number % 4 + 1}" for number in range(2, size + 1, 7)], "999999-1"
    yield "XGROUP", "CREATE", key, "group", "0"
    yield "XGROUP", "CREATE", key, "idle", "$", "ENTRIESREAD", "1"
    yield "XGROUP", "CREATECONSUMER", key, "group", "nobody"
    for consumer in ("alice", "bob"):
        yield "XREADGROUP", "GROUP", "group", consumer, "COUNT", str(size // 3 + 1), "STREAMS", key, ">"
    yield "XACK", key, "group", "3-2"
    yield "XADD", key + b":empty", "5-5", "f", "v"
    yield "XDEL", key + b":empty", "5-5"


def others(key: bytes, size: int, chance: Random) -> Iterator[Words]:
    yield "SETBIT", key + b":bits", str(size * 9), "1"
    yield "PFADD", key + b":hll", *words(size, chance)
    yield (
        "GEOADD",
        key + b":places",
        *[
            part
            for number in range(size)
            for part in (f"{chance.uniform(-180, 180)}", f"{chance.uniform(-85, 85)}", str(number))
        ],
    )


def fill(client: RawClient, commands: list[Words]) -> None:
    for at in range(0, len(commands), 200):
        for command, reply in zip(commands[at : at + 200], client.ask_all(commands[at : at + 200]), strict=True):
            assert not reply.startswith(b"-"), (command[:3], reply)


def seen(client: RawClient) -> tuple[bytes, bytes, list[bytes]]:
    """The digest of everything, the library, and the streams of one database."""
    client.ask("SELECT", "0")
    names = sorted(name for name in bulk_strings(client.ask("KEYS", "streams:*")))
    told = [client.ask("XINFO", "STREAM", name, "FULL", "COUNT", "0") for name in names]
    # When a consumer was last heard of is the one thing that a log of commands does not say.
    streams_ = [re.sub(rb"seen-time\r\n:\d+", b"", each) for each in told]
    return client.ask("DEBUG", "DIGEST"), client.ask("FUNCTION", "LIST", "WITHCODE"), streams_


class Server:
    """Either of the two, in a folder that the other may have used before."""

    def __init__(self, process: OwnServer | RealRedis) -> None:
        self._process = process
        self.port = process.port
        self.folder = process.folder
        self.client = RawClient(process.port)

    def end(self) -> None:
        """At once: what is not on the disk is lost."""
        self.client.close()
        self._process.kill()


@pytest.fixture
def start(
    start_server: Callable[..., OwnServer], start_redis: Callable[..., RealRedis], tmp_path: Path
) -> Iterator[Callable[..., Server]]:
    """Start one of either, with files in its folder that are there already."""
    count = iter(range(100))
    started: list[Server] = []

    def start_one(name: str, *options: str, files: Path | None = None) -> Server:
        if name == "theirs":
            where = ("--dir", str(files)) if files is not None else ()
            server = Server(start_redis(*DEBUG, *options, *where))
            server.folder = files or server.folder
        else:
            folder = f"ours-{next(count)}"
            if files is not None:
                shutil.copytree(files, tmp_path / folder)
            server = Server(start_server(*DEBUG, *options, folder=folder).wait_ready())
        started.append(server)
        return server

    yield start_one
    for server in started:
        server.client.close()


WAYS = [("theirs", "ours"), ("ours", "theirs")]
IDS = ["theirs-to-ours", "ours-to-theirs"]


@pytest.mark.parametrize(("first", "second"), WAYS, ids=IDS)
@pytest.mark.parametrize("compression", ["yes", "no"])
def test_by_snapshot(start: Callable[..., Server], first: str, second: str, compression: str) -> None:
    source = start(first, "--rdbcompression", compression)
    fill(source.client, dataset(1))
    expected = seen(source.client)
    assert source.client.ask("SAVE") == b"+OK\r\n"
    source.end()
    target = start(second, files=source.folder)
    assert seen(target.client) == expected


@pytest.mark.parametrize(("first", "second"), WAYS, ids=IDS)
@pytest.mark.parametrize("preamble", ["yes", "no"])
@pytest.mark.parametrize("timestamps", ["yes", "no"])
def test_by_log(start: Callable[..., Server], first: str, second: str, preamble: str, timestamps: str) -> None:
    """Half of it in the base, half in the increment."""
    options = ("--appendonly", "yes", "--aof-use-rdb-preamble", preamble, "--aof-timestamp-enabled", timestamps)
    source = start(first, *options)
    commands = dataset(2)
    half = len(commands) // 2
    fill(source.client, commands[:half])
    source.client.ask("BGREWRITEAOF")

    def rewritten() -> bool:
        told = source.client.ask("INFO", "persistence")
        return b"aof_rewrite_in_progress:0" in told and b"aof_rewrites:1" in told

    wait_for(rewritten, what="the base")
    fill(source.client, [*select_of(commands, half), *commands[half:]])
    expected = seen(source.client)
    source.client.ask("CONFIG", "SET", "appendonly", "no")
    source.end()
    target = start(second, *options, files=source.folder)
    # As commands, entries that were deleted are gone for good, and so is what groups knew of them.
    compared = 3 if preamble == "yes" else 2
    assert seen(target.client)[:compared] == expected[:compared]


def select_of(commands: list[Words], at: int) -> list[Words]:
    """The SELECT that holds for the command there."""
    return [[command for command in commands[:at] if command[0] == "SELECT"][-1]]


@pytest.mark.parametrize(("first", "second"), WAYS, ids=IDS)
@pytest.mark.parametrize("compression", ["yes", "no"])
def test_key_by_key(start: Callable[..., Server], first: str, second: str, compression: str) -> None:
    source, target = start(first, "--rdbcompression", compression), start(second, "--sanitize-dump-payload", "yes")
    fill(source.client, dataset(3))
    for database in DATABASES:
        for client in (source.client, target.client):
            client.ask("SELECT", str(database))
        for name in bulk_strings(source.client.ask("KEYS", "*")):
            payload = parse_reply(source.client.ask("DUMP", name))
            expires_at_ms = max(parse_reply(source.client.ask("PEXPIRETIME", name)), 0)
            restored = target.client.ask("RESTORE", name, str(expires_at_ms), payload, "ABSTTL")
            assert restored == b"+OK\r\n", name
    libraries = parse_reply(source.client.ask("FUNCTION", "DUMP"))
    assert target.client.ask("FUNCTION", "RESTORE", libraries) == b"+OK\r\n"
    assert seen(target.client) == seen(source.client)


@pytest.mark.parametrize(("first", "second"), WAYS, ids=IDS)
def test_by_migration(start: Callable[..., Server], first: str, second: str) -> None:
    source, target = start(first), start(second)
    fill(source.client, dataset(4))
    target.client.ask("FUNCTION", "LOAD", LIBRARY)
    expected = seen(source.client)
    for database in DATABASES:
        source.client.ask("SELECT", str(database))
        names = bulk_strings(source.client.ask("KEYS", "*"))
        where = ("127.0.0.1", str(target.port), "", str(database), "20000")
        assert source.client.ask("MIGRATE", *where, "KEYS", *names) == b"+OK\r\n"
        assert source.client.ask("DBSIZE") == b":0\r\n"
    # A time left is not a time, but the digest only asks whether there is one.
    assert seen(target.client) == expected
