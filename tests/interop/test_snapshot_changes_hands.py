"""dump.rdb changes hands: a real node starts with what ours saved, ours with what a real one saved.

In cluster mode both make the same of keys that nodes.conf knows nothing of.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from tests.interop.real_nodes import OURS, REDIS, RealNode, needs_redis, running
from tests.node.raw_client import RawClient
from tests.ports import free_base

# Tomorrow: nothing expires while the tests run.
LATER_MS = (int(time.time()) + 86400) * 1000
BINARY = bytes(range(256))
WRITES: list[tuple[bytes | str, ...]] = [
    ("SET", "plain", "value"),
    ("SET", "empty", ""),
    ("SET", "number", "12345"),
    ("SET", "negative", "-2147483649"),
    ("SET", "no-number", "007"),
    ("SET", BINARY, BINARY[::-1]),
    ("SET", "compressible", "ab" * 5000),
    ("SET", "long", "x" * 70000),
    ("SET", "volatile", "soon gone", "PXAT", str(LATER_MS)),
    ("APPEND", "plain", " and more"),
    ("SELECT", "3"),
    ("SET", "elsewhere", "1", "PXAT", str(LATER_MS)),
]
READS: list[tuple[bytes | str, ...]] = [
    ("DBSIZE",),
    *[("GET", write[1]) for write in WRITES[:10]],
    ("PEXPIRETIME", "volatile"),
    ("PEXPIRETIME", "plain"),
    ("SELECT", "3"),
    ("DBSIZE",),
    ("GET", "elsewhere"),
    ("PEXPIRETIME", "elsewhere"),
]


class Plain(RealNode):
    """A node outside cluster mode."""

    def start(self) -> None:
        self._options = (*self._options, "--cluster-enabled", "no")
        super().start()


def talk(port: int, requests: list[tuple[bytes | str, ...]]) -> list[bytes]:
    client = RawClient(port)
    try:
        return [client.ask(*request) for request in requests]
    finally:
        client.close()


@needs_redis
@pytest.mark.parametrize(
    ("saved_by", "loaded_by"), [(OURS, REDIS), (REDIS, OURS)], ids=["ours-to-real", "real-to-ours"]
)
async def test_what_one_saves_the_other_loads(
    tmp_path: Path, saved_by: tuple[str, ...], loaded_by: tuple[str, ...]
) -> None:
    base = free_base()
    first = Plain(tmp_path, base, program=saved_by)
    async with running(first):
        assert b"-ERR" not in b"".join(talk(base, [*WRITES, ("SAVE",)]))
        expected = talk(base, READS)
    second = Plain(tmp_path, base + 1, program=loaded_by)
    shutil.copy(first.folder / "dump.rdb", second.folder)
    async with running(second):
        assert talk(base + 1, READS) == expected


@pytest.fixture
async def snapshot(tmp_path: Path) -> Path:
    """A dump with two keys in slots 12182 (foo) and 5061 (bar)."""
    node = Plain(tmp_path, free_base(), program=REDIS)
    async with running(node):
        talk(node.port, [("MSET", "foo", "1", "bar", "2"), ("SAVE",)])
    return node.folder / "dump.rdb"


@needs_redis
@pytest.mark.parametrize("program", [OURS, REDIS], ids=["ours", "real"])
async def test_keys_that_nodes_conf_knows_nothing_of(tmp_path: Path, snapshot: Path, program: tuple[str, ...]) -> None:
    port = free_base() + 2
    me, other = "a" * 40, "b" * 40
    conf = (
        f"{me} 127.0.0.1:{port}@{port + 10000} myself,master - 0 0 1 connected 0\n"
        f"{other} 127.0.0.1:{port + 1}@{port + 10001} master - 0 0 2 connected 12182\n"
        "vars currentEpoch 2 lastVoteEpoch 0\n"
    )
    node = RealNode(tmp_path, port, conf=conf, program=program)
    shutil.copy(snapshot, node.folder)
    async with running(node):
        myself = next(line.split() for line in (await node.cluster("NODES")).splitlines() if line.startswith(me))
        assert myself[8:] == ["0", "5061", f"[12182-<-{other}]"]
        assert await node.client.dbsize() == 2


async def test_keys_in_another_database_are_refused_in_cluster_mode(tmp_path: Path) -> None:
    # The real one means to say the same; 7.0.15 crashes while it loads such a file.
    port = free_base()
    first = Plain(tmp_path, port, program=OURS)
    async with running(first):
        talk(port, [("SELECT", "1"), ("SET", "a", "1"), ("SAVE",)])
    node = RealNode(tmp_path, port + 1, program=OURS)
    shutil.copy(first.folder / "dump.rdb", node.folder)
    node.start()
    try:
        assert node.wait_end() == 1
    finally:
        await node.stop()
    log = (node.folder / "redis.log").read_text()
    assert "You can't have keys in a DB different than DB 0 when in Cluster mode. Exiting." in log
    assert "Traceback" not in log
