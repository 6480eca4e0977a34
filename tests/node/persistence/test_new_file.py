"""Files written from beginning to end: when the disk is made to take them, and what is left of one that fails."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from node.persistence.new_file import writing
from runtime.disk import RealDisk, RealFile
from tests.node.replication.nodes import Nodes

MB = 1024 * 1024


class WatchedFile(RealFile):
    """Notes how large it was at each sync."""

    __slots__ = ("synced_at",)

    synced_at: list[int]

    def sync_now(self) -> None:
        super().sync_now()
        self.synced_at.append(self.size)


class WatchedDisk(RealDisk):
    """Its files note their syncs here."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.synced_at: list[int] = []

    def create(self, name: str) -> RealFile:
        file = WatchedFile(os.open(os.path.join(self.path, name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC))
        file.synced_at = self.synced_at
        return file


@pytest.mark.parametrize(("incremental", "synced_at"), [(True, [4 * MB, 8 * MB, 9 * MB]), (False, [9 * MB])])
def test_a_large_file_is_synced_piece_by_piece(tmp_path: Path, incremental: bool, synced_at: list[int]) -> None:
    disk = WatchedDisk(str(tmp_path))
    with writing(disk, "file", incremental=incremental) as write:
        for _ in range(9 * 16):
            write(bytes(MB // 16))
    assert disk.synced_at == synced_at
    assert disk.size("file") == 9 * MB


@pytest.mark.parametrize("error", [OSError, ValueError])
def test_one_that_fails_leaves_nothing(tmp_path: Path, error: type[Exception]) -> None:
    def fail() -> None:
        with writing(RealDisk(str(tmp_path)), "file", incremental=True) as write:
            write(b"half")
            raise error

    with pytest.raises(error):
        fail()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wanted", ["yes", "no"])
async def test_the_directives_choose(nodes: Nodes, monkeypatch: pytest.MonkeyPatch, wanted: str) -> None:
    node = await nodes.start("node", rdbcompression=False)
    for name in ("rdb-save-incremental-fsync", "aof-rewrite-incremental-fsync"):
        assert await node.client("CONFIG", "SET", name, wanted) == b"OK"
    for number in range(9):
        node.node.keyspace.database(0).put(b"key:%d" % number, bytes(MB))
    syncs: list[int] = []
    sync_now = RealFile.sync_now

    def noting(file: RealFile) -> None:
        sync_now(file)
        syncs.append(file.size)

    monkeypatch.setattr(RealFile, "sync_now", noting)
    assert await node.client("SAVE") == b"OK"
    assert (len(syncs) > 2) == (wanted == "yes")
    syncs.clear()
    # Without a log to begin with, the first base is written by the node itself.
    await node.client("CONFIG", "SET", "save", "")
    node.node.append_only.rewriter.make_first_base()
    assert (len(syncs) > 2) == (wanted == "yes")
