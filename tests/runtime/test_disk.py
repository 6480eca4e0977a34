"""Files: what is written is there, replacing is all or nothing, a lock is held by one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime.disk import RealDisk, RealFileSystem


def test_folders_must_exist(tmp_path: Path) -> None:
    files = RealFileSystem()
    with pytest.raises(FileNotFoundError):
        files.folder(str(tmp_path / "nosuch"))
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        files.folder(str(tmp_path / "file"))
    assert files.folder(str(tmp_path)).folder("made").path == str(tmp_path / "made")


async def test_writing_appending_truncating(tmp_path: Path) -> None:
    disk = RealDisk(str(tmp_path))
    file = disk.create("a")
    file.write(b"hello ")
    file.write(b"world")
    assert file.size == 11
    file.truncate(5)
    file.write(b"!")
    await file.sync()
    file.close()
    assert disk.read("a") == b"hello!"
    again = disk.open_append("a")
    assert again.size == 6
    again.write(b"?")
    again.sync_now()
    again.close()
    assert disk.read("a") == b"hello!?"
    disk.create("a").close()
    assert disk.read("a") == b""


async def test_names(tmp_path: Path) -> None:
    disk = RealDisk(str(tmp_path))
    for name in ("b", "a", "c"):
        disk.create(name).close()
    disk.rename("c", "a")
    disk.unlink("b")
    await disk.sync_dir()
    assert disk.listdir() == ["a"]
    assert disk.exists("a")
    assert not disk.exists("b")
    with pytest.raises(FileNotFoundError):
        disk.read("b")


def test_replacing_leaves_nothing_behind(tmp_path: Path) -> None:
    disk = RealDisk(str(tmp_path))
    disk.replace("a", b"one")
    disk.replace("a", b"two")
    assert disk.read("a") == b"two"
    assert disk.listdir() == ["a"]


def test_a_failed_replacement_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = RealDisk(str(tmp_path))
    disk.replace("a", b"one")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        disk.replace("a", b"two")
    monkeypatch.undo()
    assert disk.read("a") == b"one"
    assert disk.listdir() == ["a"]


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    disk = RealDisk(str(tmp_path))
    one, two = disk.open_append("lock"), disk.open_append("lock")
    assert one.lock()
    assert not two.lock()
    one.close()
    assert two.lock()
    two.close()
