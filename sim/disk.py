"""The twin of `runtime.disk`: files that survive a kill, and lose what was not synced at a power cut.

A file has what was written (the page cache) and knows how much of it is on the platter. A folder has its names, and the
changes of names that are not on the platter yet. A power cut keeps the platter and, of everything else, a random
beginning: a first part of the pending changes of names, a first part of each unsynced tail, sometimes with zeros at its
end. So create, write, sync, rename, sync of the folder is the only safe way to replace a file.

`MachineDisk` is the hardware and belongs to a host; `SimDisk` and `SimFile` are what one incarnation of a process
sees, and refuse to do anything once it is dead.
"""

from __future__ import annotations

import asyncio
import errno
import os
import posixpath
from collections.abc import Callable
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from runtime.disk import replace
from sim.errors import GoneError
from sim.process import Process, Resource

if TYPE_CHECKING:
    from sim.loop import SimLoop
    from sim.trace import Trace

# How long a sync takes, between the two, on a disk that is well.
SYNC_S = (100e-6, 1e-3)


class Inode:
    """What a file holds, whatever it is called."""

    __slots__ = ("data", "earlier", "locked_by", "synced")

    def __init__(self) -> None:
        # With what is not synced.
        self.data = bytearray()
        # So much of `data` is on the platter; and the platter's content, if that is more than it, because the file was
        # cut shorter since.
        self.synced = 0
        self.earlier: bytes | None = None
        # The open file that holds the lock.
        self.locked_by: SimFile | None = None

    def truncate(self, size: int) -> None:
        if size < self.synced:
            if self.earlier is None:
                self.earlier = bytes(self.data[: self.synced])
            self.synced = size
        del self.data[size:]

    def settle(self, size: int) -> None:
        """The first `size` bytes are on the platter, and nothing else."""
        self.synced = max(self.synced, min(size, len(self.data)))
        self.earlier = None

    def lose(self, chance: Random) -> None:
        """The power is cut."""
        self.locked_by = None
        if self.earlier is not None and chance.random() < 0.5:
            self.data[:] = self.earlier
        else:
            tail = len(self.data) - self.synced
            if tail > 0:
                kept = chance.randrange(tail + 1)
                del self.data[self.synced + kept :]
                if kept and chance.random() < 0.25:
                    # The file had grown, and its last blocks were not written.
                    zeros = chance.randrange(kept) + 1
                    self.data[-zeros:] = bytes(zeros)
        self.synced = len(self.data)
        self.earlier = None


class Folder:
    """Names of files."""

    __slots__ = ("_durable", "_pending", "changes", "names")

    def __init__(self) -> None:
        self.names: dict[str, Inode] = {}
        # What is on the platter, and what is not: (name, what it means now or None for nothing), in order. A rename is
        # one change of two names, which a journal does not tear.
        self._durable: dict[str, Inode] = {}
        self._pending: list[dict[str, Inode | None]] = []
        # How many there have been.
        self.changes = 0

    def change(self, names: dict[str, Inode | None]) -> None:
        _apply(self.names, names)
        self._pending.append(names)
        self.changes += 1

    def settle(self, changes: int) -> None:
        """So many of all changes there have been are on the platter."""
        count = changes - (self.changes - len(self._pending))
        for change in self._pending[: max(0, count)]:
            _apply(self._durable, change)
        del self._pending[: max(0, count)]

    def lose(self, chance: Random) -> None:
        lost = len(self._pending) - chance.randrange(len(self._pending) + 1)
        self.changes -= lost
        del self._pending[len(self._pending) - lost :]
        self.settle(self.changes)
        self.names = dict(self._durable)
        for inode in self.names.values():
            inode.lose(chance)


def _apply(names: dict[str, Inode], change: dict[str, Inode | None]) -> None:
    for name, inode in change.items():
        if inode is None:
            names.pop(name, None)
        else:
            names[name] = inode


class MachineDisk:
    """The disk of one host."""

    __slots__ = (
        "_chance",
        "_folders",
        "_loop",
        "_name",
        "_power_cuts",
        "_trace",
        "capacity",
        "failing",
        "forgets",
        "refusals",
        "slowness",
    )

    def __init__(self, loop: SimLoop, trace: Trace, name: str, chance: Random) -> None:
        self._loop = loop
        self._trace = trace
        # The host's, for the trace.
        self._name = name
        self._chance = chance
        # By path. Folders themselves are durable from the start: what product code makes at run time are files.
        self._folders: dict[str, Folder] = {"/": Folder()}
        # A sync that was under way at one of them never ends.
        self._power_cuts = 0
        # Bytes that all files may hold together; None: no limit.
        self.capacity: int | None = None
        # Every sync fails.
        self.failing = False
        # How often something was refused for want of room, or because syncs fail.
        self.refusals = 0
        # How many times as long as usual a sync takes.
        self.slowness = 1.0
        # Whether a program of a planted bug (`sim.planted`) forgets to sync the file or folder at a path.
        self.forgets: Callable[[str], bool] = _nothing

    @property
    def in_trouble(self) -> bool:
        """What is written to it may be refused."""
        return self.failing or self.capacity is not None

    @property
    def used(self) -> int:
        return sum(len(inode.data) for folder in self._folders.values() for inode in folder.names.values())

    def make_folder(self, path: str) -> Folder:
        return self._folders.setdefault(posixpath.normpath(path), Folder())

    def folder(self, path: str) -> Folder:
        found = self._folders.get(posixpath.normpath(path))
        if found is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return found

    def put(self, path: str, data: bytes) -> None:
        """Have a file there from the beginning, whole and durable."""
        folder = self.make_folder(posixpath.dirname(path))
        inode = Inode()
        inode.data[:] = data
        inode.settle(len(data))
        folder.change({posixpath.basename(path): inode})
        folder.settle(folder.changes)

    def content(self, path: str) -> bytes:
        """What is in a file; raises FileNotFoundError."""
        inode = self.folder(posixpath.dirname(path)).names.get(posixpath.basename(path))
        if inode is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return bytes(inode.data)

    def folders_in(self, path: str) -> list[str]:
        """The names of a folder's own folders."""
        return [posixpath.basename(other) for other in self._folders if posixpath.dirname(other) == path != other]

    def cut_power(self) -> None:
        """Keep what is on the platter, and a random part of what is not."""
        self._power_cuts += 1
        for path, folder in self._folders.items():
            folder.lose(self._chance)
            for name, inode in folder.names.items():
                self._trace.event(self._name, "keeps %s %d bytes", posixpath.join(path, name), len(inode.data))

    async def sync(self, process: Process, settle: Callable[[], None]) -> None:
        """Return when the platter has what `settle` says. The kernel sees to it, whatever becomes of the process."""
        error: asyncio.Future[int] = self._loop.create_future()
        due = self._loop.now + process.lag_s + self.draw_sync_s()
        self._loop.at(due, self._synced, settle, error, self._power_cuts)
        if await error:
            raise self.refusal(errno.EIO)

    def _synced(self, settle: Callable[[], None], error: asyncio.Future[int], power_cuts: int) -> None:
        if power_cuts != self._power_cuts:
            return
        if not self.failing:
            settle()
        if not error.done():
            error.set_result(errno.EIO if self.failing else 0)

    def draw_sync_s(self) -> float:
        low, high = SYNC_S
        return (low + (high - low) * self._chance.random()) * self.slowness

    def check_space(self, size: int) -> int:
        """How much of `size` more bytes there is room for."""
        return size if self.capacity is None else max(0, min(size, self.capacity - self.used))

    def check_sync(self) -> None:
        if self.failing:
            raise self.refusal(errno.EIO)

    def refusal(self, number: int) -> OSError:
        """What a program is told that asks for what this disk cannot do."""
        self.refusals += 1
        return OSError(number, os.strerror(number))


def _nothing(path: str) -> bool:  # noqa: ARG001 - what a program without planted bug forgets
    return False


class SimFile(Resource):
    """An open file."""

    __slots__ = ("_disk", "_inode", "_loop", "_path", "_process")

    def __init__(self, loop: SimLoop, process: Process, disk: MachineDisk, inode: Inode, path: str) -> None:
        self._loop = loop
        self._process = process
        self._disk = disk
        self._inode = inode
        self._path = path
        process.resources[self] = None

    @property
    def size(self) -> int:
        return len(self._inode.data)

    def write(self, data: bytes) -> None:
        self._check_alive()
        fits = self._disk.check_space(len(data))
        self._inode.data += data[:fits]
        if fits < len(data):
            raise self._disk.refusal(errno.ENOSPC)

    def truncate(self, size: int) -> None:
        self._check_alive()
        self._inode.truncate(size)

    async def sync(self) -> None:
        self._check_alive()
        if self._disk.forgets(self._path):
            return
        # One that is under way when the power is cut may count or not, as the tail that it syncs may be kept or not.
        await self._disk.sync(self._process, partial(self._inode.settle, self.size))
        self._check_alive()

    def sync_now(self) -> None:
        self._check_alive()
        if self._disk.forgets(self._path):
            return
        self._process.stall(self._disk.draw_sync_s())
        self._disk.check_sync()
        self._inode.settle(self.size)

    def lock(self) -> bool:
        self._check_alive()
        if self._inode.locked_by not in (None, self):
            return False
        self._inode.locked_by = self
        return True

    def close(self) -> None:
        if self._process.alive:
            self._process.resources.pop(self, None)
            self.reclaim()

    def reclaim(self) -> None:
        if self._inode.locked_by is self:
            self._inode.locked_by = None

    def _check_alive(self) -> None:
        if not self._process.alive:
            raise GoneError(self._path)


class SimDisk:
    """A folder, as one process sees it."""

    __slots__ = ("_disk", "_folder", "_loop", "_path", "_process")

    def __init__(self, loop: SimLoop, process: Process, path: str) -> None:
        self._loop = loop
        self._process = process
        self._disk = process.host.disk
        self._path = posixpath.normpath(path)
        self._folder = self._disk.folder(self._path)

    @property
    def path(self) -> str:
        return self._path

    def read(self, name: str) -> bytes:
        return bytes(self._inode(name).data)

    def exists(self, name: str) -> bool:
        return name in self._folder.names or name in self._disk.folders_in(self._path)

    def size(self, name: str) -> int:
        return len(self._inode(name).data)

    def listdir(self) -> list[str]:
        return sorted([*self._folder.names, *self._disk.folders_in(self._path)])

    def create(self, name: str) -> SimFile:
        self._check_alive()
        inode = self._folder.names.get(name)
        if inode is None:
            inode = Inode()
            self._folder.change({name: inode})
        else:
            inode.truncate(0)
        return self._opened(name, inode)

    def open_append(self, name: str) -> SimFile:
        self._check_alive()
        inode = self._folder.names.get(name)
        if inode is None:
            inode = Inode()
            self._folder.change({name: inode})
        return self._opened(name, inode)

    def rename(self, old: str, new: str) -> None:
        self._check_alive()
        self._folder.change({new: self._inode(old), old: None})

    def unlink(self, name: str) -> None:
        self._check_alive()
        self._inode(name)
        self._folder.change({name: None})

    async def sync_dir(self) -> None:
        self._check_alive()
        if self._disk.forgets(self._path):
            return
        await self._disk.sync(self._process, partial(self._folder.settle, self._folder.changes))
        self._check_alive()

    def sync_dir_now(self) -> None:
        self._check_alive()
        if self._disk.forgets(self._path):
            return
        self._process.stall(self._disk.draw_sync_s())
        self._disk.check_sync()
        self._folder.settle(self._folder.changes)

    def replace(self, name: str, data: bytes) -> None:
        replace(self, name, data, f"{name}.tmp-{self._process.pid}")

    def folder(self, name: str) -> SimDisk:
        self._check_alive()
        path = posixpath.join(self._path, name)
        self._disk.make_folder(path)
        return SimDisk(self._loop, self._process, path)

    def _inode(self, name: str) -> Inode:
        found = self._folder.names.get(name)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), posixpath.join(self._path, name))
        return found

    def _opened(self, name: str, inode: Inode) -> SimFile:
        return SimFile(self._loop, self._process, self._disk, inode, posixpath.join(self._path, name))

    def _check_alive(self) -> None:
        if not self._process.alive:
            raise GoneError(self._path)


class SimFileSystem:
    """The folders of a host, as one process sees them."""

    __slots__ = ("_loop", "_process")

    def __init__(self, loop: SimLoop, process: Process) -> None:
        self._loop = loop
        self._process = process

    def folder(self, path: str) -> SimDisk:
        return SimDisk(self._loop, self._process, path)
