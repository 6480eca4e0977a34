"""Files, as product code sees them: a folder of flat names, with explicit syncing.

Writes reach the page cache at once and do not await; only syncing takes time. The one safe way to
replace a file is create, write, sync, rename, sync of the folder, and `Disk.replace` does just that.
`sim.disk` has the twin that loses or tears whatever was not synced. Errors are `OSError` with errno.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from typing import Protocol


class DiskFile(Protocol):
    """One open file, written at its end."""

    @property
    def size(self) -> int:
        """Bytes in the file, counting those not synced."""
        ...

    def write(self, data: bytes) -> None:
        """Append all of `data`; raises OSError (ENOSPC, EIO) after a partial write, see `truncate`."""
        ...

    def truncate(self, size: int) -> None:
        """Cut the file to its first `size` bytes."""
        ...

    async def sync(self) -> None:
        """Return once everything written before the call would survive a power cut."""
        ...

    def sync_now(self) -> None:
        """Like `sync`, but stops the whole process meanwhile: for small files that votes rest on."""
        ...

    def lock(self) -> bool:
        """Take the file for this process alone until it is closed; False when another process has it."""
        ...

    def close(self) -> None: ...


class Disk(Protocol):
    """One folder."""

    @property
    def path(self) -> str:
        """Where the folder is, for messages to people."""
        ...

    def read(self, name: str) -> bytes:
        """The whole file; raises FileNotFoundError."""
        ...

    def exists(self, name: str) -> bool: ...

    def size(self, name: str) -> int:
        """The file's bytes; raises FileNotFoundError."""
        ...

    def listdir(self) -> list[str]:
        """Names in the folder, sorted."""
        ...

    def create(self, name: str) -> DiskFile:
        """A new empty file; an old one of that name is emptied."""
        ...

    def open_append(self, name: str) -> DiskFile: ...

    def rename(self, old: str, new: str) -> None: ...

    def unlink(self, name: str) -> None: ...

    async def sync_dir(self) -> None:
        """Make creations, renames and removals survive a power cut."""
        ...

    def sync_dir_now(self) -> None: ...

    def replace(self, name: str, data: bytes) -> None:
        """Put `data` under `name`, whole and durable, or leave the old file as it was."""
        ...

    def folder(self, name: str) -> Disk:
        """The sub-folder `name`, made if missing."""
        ...


class FileSystem(Protocol):
    """All folders of one host."""

    def folder(self, path: str) -> Disk:
        """The folder at `path`; raises FileNotFoundError or NotADirectoryError."""
        ...


def replace(disk: Disk, name: str, data: bytes, temporary: str) -> None:
    """What every `Disk.replace` does; `temporary` is a name that nobody else uses."""
    file = disk.create(temporary)
    try:
        file.write(data)
        file.sync_now()
    except OSError:
        file.close()
        disk.unlink(temporary)
        raise
    file.close()
    disk.rename(temporary, name)
    disk.sync_dir_now()


class RealFile:
    """A file of the operating system's."""

    __slots__ = ("_fd", "_size")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._size = os.fstat(fd).st_size

    @property
    def size(self) -> int:
        return self._size

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = os.write(self._fd, view)
            self._size += written
            view = view[written:]

    def truncate(self, size: int) -> None:
        os.ftruncate(self._fd, size)
        self._size = size

    async def sync(self) -> None:
        await asyncio.get_running_loop().run_in_executor(None, os.fdatasync, self._fd)

    def sync_now(self) -> None:
        os.fdatasync(self._fd)

    def lock(self) -> bool:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        os.close(self._fd)


class RealDisk:
    """A folder of the operating system's."""

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        if not os.path.exists(path):
            raise FileNotFoundError(2, os.strerror(2), path)
        if not os.path.isdir(path):
            raise NotADirectoryError(20, os.strerror(20), path)
        self._path = os.path.abspath(path)

    @property
    def path(self) -> str:
        return self._path

    def read(self, name: str) -> bytes:
        with open(self._at(name), "rb") as file:
            return file.read()

    def exists(self, name: str) -> bool:
        return os.path.exists(self._at(name))

    def size(self, name: str) -> int:
        return os.stat(self._at(name)).st_size

    def listdir(self) -> list[str]:
        return sorted(os.listdir(self._path))

    def create(self, name: str) -> RealFile:
        return self._open(name, os.O_TRUNC)

    def open_append(self, name: str) -> RealFile:
        return self._open(name, 0)

    def rename(self, old: str, new: str) -> None:
        os.replace(self._at(old), self._at(new))

    def unlink(self, name: str) -> None:
        os.unlink(self._at(name))

    async def sync_dir(self) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self.sync_dir_now)

    def sync_dir_now(self) -> None:
        fd = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def replace(self, name: str, data: bytes) -> None:
        replace(self, name, data, f"{name}.tmp-{os.getpid()}")

    def folder(self, name: str) -> RealDisk:
        os.makedirs(self._at(name), exist_ok=True)
        return RealDisk(self._at(name))

    def _at(self, name: str) -> str:
        return os.path.join(self._path, name)

    def _open(self, name: str, flags: int) -> RealFile:
        mode = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | flags
        return RealFile(os.open(self._at(name), mode, 0o644))


class RealFileSystem:
    """The operating system's folders."""

    __slots__ = ()

    def folder(self, path: str) -> RealDisk:
        return RealDisk(path)
