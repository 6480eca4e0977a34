"""A file that is written from beginning to end: durable when that is done, and gone when it cannot be done.

All of a large file at once is more than a disk takes in a moment: whoever syncs another file meanwhile, as the log is
every second, would wait for it. So it is synced piece by piece while it is being written (`rdb-save-incremental-fsync`,
`aof-rewrite-incremental-fsync`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from runtime.disk import Disk, DiskFile

# Bytes between two syncs, as many as Redis writes (REDIS_AUTOSYNC_BYTES).
_PIECE = 4 * 1024 * 1024


@contextmanager
def writing(disk: Disk, name: str, *, incremental: bool) -> Iterator[Callable[[bytes], None]]:
    """A new file `name`, given as the function that writes to it; raises OSError."""
    file = disk.create(name)
    try:
        try:
            yield _Pieces(file).write if incremental else file.write
            file.sync_now()
        finally:
            file.close()
    except BaseException:
        with suppress(OSError):
            disk.unlink(name)
        raise


class _Pieces:
    """A file that is synced every so many bytes."""

    __slots__ = ("_file", "_unsynced")

    def __init__(self, file: DiskFile) -> None:
        self._file = file
        self._unsynced = 0

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._unsynced += len(data)
        if self._unsynced >= _PIECE:
            self._file.sync_now()
            self._unsynced = 0
