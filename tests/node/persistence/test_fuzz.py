"""Bytes that nobody wrote: payloads and logs, made up and mutated. A node refuses them or loads them, and lives on.

Neither may take much longer, or much more memory, than bytes of that number can be worth.
"""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node import commands as families
from node.gates import gates_of
from node.persistence.aof.reading import CommandReader, FormatError, TornError
from node.persistence.payload import deserialized, sealed
from node.persistence.rdb_errors import RdbError
from node.persistence.rdb_reader import RdbReader
from node.persistence.rdb_types import DECODERS
from node.structures.limits import DEFAULT_LIMITS
from runtime import process
from tests.node.differential import budget
from tests.node.persistence.aof.test_with_real_redis import WRITES
from tests.node.persistence.test_rdb_files import Told
from tests.node.replication.nodes import Nodes, Running
from wire.encoder import encode_command
from wire.errors import Error
from wire.table import CommandTable

# LZF makes 88 bytes of one, and the smallest entry of a listpack a Python object.
EXPANSION_MAX = 4000
OVERHEAD = 2_000_000
# Of CPU time; nearly all are a hundredth of it.
TIME_MAX_S = 2.0

# Bytes with what the formats consist of: lengths of all forms, ends, small numbers.
PIECES = st.one_of(
    st.binary(max_size=12),
    st.sampled_from(
        [b"\x80\xff\xff\xff\xff", b"\x81" + b"\x7f" * 8, b"\xc3\x04\x3f", b"\xc0\x01", b"\xc2", b"\xff", b"\0"]
    ),
    st.integers(0, 255).map(lambda number: bytes((number,))),
    st.integers(0, 1 << 32).map(lambda number: number.to_bytes(5, "little")),
)
BODIES = st.lists(PIECES, max_size=30).map(b"".join)


@contextmanager
def bounded(size: int) -> Iterator[None]:
    """What happens inside takes no more memory and time than so many bytes may."""
    began_s = time.process_time()
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < size * EXPANSION_MAX + OVERHEAD
    assert time.process_time() - began_s < TIME_MAX_S


@given(kind=st.sampled_from(sorted(DECODERS)), body=BODIES)
@budget(1500)
def test_payloads(kind: int, body: bytes) -> None:
    with bounded(len(body)), suppress(Error):
        deserialized(sealed(bytes((kind,)) + body), DEFAULT_LIMITS, lambda line: line)


@given(st.lists(st.tuples(st.integers(0, 255), PIECES, PIECES), max_size=8))
@budget(1500)
def test_files(records: list[tuple[int, bytes, bytes]]) -> None:
    data = b"REDIS0011" + b"".join(bytes((kind,)) + key + body for kind, key, body in records)
    with bounded(len(data)), suppress(RdbError):
        RdbReader(data, Told()).read_all()


class Loader:
    """A node that is made to load logs."""

    def __init__(self, folder: Path) -> None:
        self._runner = asyncio.Runner(loop_factory=process.make_loop)
        self._nodes = Nodes(folder)
        self.node: Running = self._runner.run(self._nodes.start("loader", databases=4))
        self._log = folder / "loader" / "appendonlydir"
        self._log.mkdir()
        (self._log / "appendonly.aof.manifest").write_text("file i seq 1 type i\n")

    def load(self, data: bytes) -> bool:
        """Whether it could be loaded; raises what a node would end with."""
        (self._log / "i").write_bytes(data)

        async def in_the_loop() -> bool:
            try:
                list(self.node.node.append_only.reload())
            except Error:
                return False
            await asyncio.sleep(0)
            return True

        return self._runner.run(in_the_loop())

    def answers(self) -> bool:
        async def ask() -> bool:
            return bool(await self.node.client("PING") == b"PONG")

        return self._runner.run(ask())

    def end(self) -> None:
        self._runner.run(self._nodes.stop_all())
        self._runner.close()


@pytest.fixture(scope="module")
def loader() -> Iterator[Loader]:
    # In memory: a file is written thousands of times, and, where it ends in the midst of a transaction, cut and synced.
    with TemporaryDirectory(dir="/dev/shm") as folder:
        yield from _loader_in(Path(folder))


def _loader_in(folder: Path) -> Iterator[Loader]:
    loader = Loader(folder)
    # The collector would look at all of its keyspace each time that it is emptied.
    gc.freeze()
    gc.disable()
    yield loader
    gc.enable()
    gc.unfreeze()
    loader.end()


def words(commands: list[tuple[str | bytes, ...]]) -> list[list[bytes]]:
    return [[word.encode() if isinstance(word, str) else word for word in command] for command in commands]


LOG = [argv for argv in words(WRITES) if len(argv) < 50]


def mutated(data: bytes, chance: Random) -> bytes:
    """Some bytes changed, cut out, doubled, or brought elsewhere."""
    for _ in range(chance.choice([1, 1, 2, 5])):
        start = chance.randrange(len(data) + 1)
        stop = min(start + chance.choice([1, 1, 3, 30, 300]), len(data))
        other = chance.randrange(len(data) + 1)
        changed = bytes(chance.choice(b"*$0123456789-+\r\n\0\xff#aA") for _ in range(stop - start))
        data = chance.choice(
            [
                data[:start] + data[stop:],
                data[:start] + changed + data[stop:],
                data[:start] + data[start:stop] * 2 + data[stop:],
                data[:other] + data[start:stop] + data[other:],
                data[:start],
            ]
        )
    return data


@given(chance=st.randoms(use_true_random=False))
@budget(400)
def test_mutated_logs(loader: Loader, chance: Random) -> None:
    some = chance.sample(LOG, 12)
    data = mutated(b"".join(map(encode_command, some)), chance)
    began_s = time.process_time()
    loader.load(data)
    assert time.process_time() - began_s < TIME_MAX_S


# What ends a process, makes it somebody's replica or writes files: a log that an operator wrote would do it, too.
ENDING = {
    "shutdown",
    "debug",
    "config",
    "replicaof",
    "slaveof",
    "failover",
    "save",
    "bgsave",
    "bgrewriteaof",
    "migrate",
}
CALLS = [
    [name.encode(), *subcommand]
    for name, command in CommandTable(families.MODULES, gates_of).all.items()
    if name not in ENDING
    for subcommand in ([[word] for word in command.subcommands] or [[]])
]
ARGUMENT = st.sampled_from(
    [
        b"k",
        b"s",
        b"list",
        b"hash",
        b"set",
        b"zset",
        b"stream",
        b"bits",
        b"0",
        b"1",
        b"-1",
        b"5",
        b"*",
        b"$",
        b"-",
        b"+",
        b"x",
    ]
    + [
        b"COUNT",
        b"BY",
        b"GET",
        b"STREAMS",
        b"GROUP",
        b"MATCH",
        b"WITHSCORES",
        b"inf",
        b"1-1",
        b"PX",
        b"100",
        b"FIELDS",
        b"g",
    ]
)


# A key of each type. No transaction is left open, else what follows would only be queued, and cut off with it.
SETUP = words(
    [
        ("SET", "s", "value"),
        ("SETBIT", "bits", "7", "1"),
        ("RPUSH", "list", "a", "b", "1"),
        ("HSET", "hash", "k", "v", "1", "1"),
        ("SADD", "set", "x", "1"),
        ("ZADD", "zset", "1.5", "k", "2", "s"),
        ("XADD", "stream", "1-1", "k", "v"),
        ("XGROUP", "CREATE", "stream", "g", "0"),
    ]
)


@given(st.lists(st.tuples(st.sampled_from(CALLS), st.lists(ARGUMENT, max_size=7)), max_size=10), st.booleans())
@budget(600)
def test_any_command_in_a_log(loader: Loader, commands: list[tuple[list[bytes], list[bytes]]], atomic: bool) -> None:
    """Also those that no server writes there: that block, subscribe, open or end a transaction."""
    argvs = [[*call, *arguments] for call, arguments in commands]
    if atomic:
        argvs = [[b"MULTI"], *argvs, [b"EXEC"]]
    loader.load(b"".join(map(encode_command, [*SETUP, *argvs])))
    assert loader.answers()


@given(st.lists(st.one_of(PIECES, st.sampled_from([b"*", b"$", b"\r\n", b"9" * 18, b"#"])), max_size=30).map(b"".join))
@budget(1000)
def test_logs_of_anything(data: bytes) -> None:
    reader = CommandReader(data)
    with bounded(len(data)), suppress(TornError, FormatError):
        while reader.next() is not None:
            pass


def test_the_fuzzers_load_some(loader: Loader) -> None:
    """Else they would show nothing."""
    assert loader.load(b"".join(map(encode_command, LOG)))
    assert not loader.load(b"".join(map(encode_command, LOG)) + b"x")
