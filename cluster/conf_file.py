"""nodes.conf on the disk, under a lock for the life of the process: two processes with one nodes.conf would be one node
with two wills.

What must survive a power cut (a vote, an epoch) replaces the file whole, synced, before the next effect. The rest,
every SETSLOT of a resharding among it, need not, as in Redis: to replace a file takes milliseconds, and a resharding
has thousands of saves. Those are appended to a file beside it, each whole, and go into nodes.conf together when
`settle` is called. A start that finds such a file goes on from its last whole save, if it continues this nodes.conf:
one that a power cut has brought back may be older.
"""

from __future__ import annotations

import contextlib
import re
from zlib import crc32

from cluster.nodes_conf import NodesConfError
from runtime import Disk, DiskFile

# To the letter what redis-server 7.0 logs before it exits.
IN_USE = (
    "Sorry, the cluster configuration file {} is already used by a different Redis Cluster node. "
    "Please make sure that different nodes use different cluster configuration files."
)
# In front of each save that waits: its checksum (CRC-32) and size. The first is of nodes.conf, which is not repeated.
_RECORD = b"save %08x %d\n"
_RECORD_HEAD = re.compile(rb"save ([0-9a-f]{8}) (\d+)\n")


class NodesConfFile:
    """The file of one process, locked from `open` to `close`."""

    __slots__ = ("_contents", "_disk", "_file", "_latest", "_name", "_waiting", "_waiting_name")

    def __init__(self, disk: Disk, name: str) -> None:
        self._disk = disk
        self._name = name
        # The file under our lock, and what is in it. The one that replaces it is locked before it gets the name.
        self._file: DiskFile | None = None
        self._contents = b""
        # The file with what was saved since, while there is one, and the last of that.
        self._waiting_name = f"{name}.waiting"
        self._waiting: DiskFile | None = None
        self._latest: bytes | None = None

    def open(self) -> bytes:
        """Lock the file and return what was saved last, b"" for a new node; raises NodesConfError if that cannot be."""
        is_new = not self._disk.exists(self._name)
        try:
            file = self._disk.open_append(self._name)
        except OSError as error:
            raise NodesConfError(f"Can't open {self._name} in order to acquire a lock: {error.strerror}") from error
        if not file.lock():
            file.close()
            raise NodesConfError(IN_USE.format(self._name))
        self._file = file
        self._contents = self._disk.read(self._name)
        if self._disk.exists(self._waiting_name):
            # Without nodes.conf it is nothing: somebody took that away, to have a new node.
            latest = None if is_new else _last_save(self._disk.read(self._waiting_name), self._contents)
            try:
                if latest is not None:
                    self._put(latest)
                self._disk.unlink(self._waiting_name)
            except OSError as error:
                raise NodesConfError(f"Can't write {self._name}: {error.strerror}") from error
        return self._contents

    def save(self, data: bytes, *, fsync: bool) -> None:
        """Have `data` found by the next start; with `fsync`, after a power cut, too.

        Raises OSError; what was saved before is still found then.
        """
        if not fsync and self._contents:
            self._append(data)
        else:
            self._put(data)
            self._forget_waiting()

    def _put(self, data: bytes) -> None:
        """Replace the file, whole and durable, or not at all."""
        assert self._file is not None, "saved before it was opened"
        temporary = f"{self._name}.tmp"
        file = self._disk.create(temporary)
        try:
            # Nobody else knows the name, unless two processes share the folder, and one lock stops the second.
            locked = file.lock()
            assert locked, temporary
            file.write(data)
            file.sync_now()
            self._disk.rename(temporary, self._name)
            self._disk.sync_dir_now()
        except OSError:
            file.close()
            raise
        self._file.close()
        self._file, self._contents = file, data

    def _append(self, data: bytes) -> None:
        record = _RECORD % (crc32(data), len(data)) + data
        if self._waiting is None:
            self._waiting = self._disk.create(self._waiting_name)
        size = self._waiting.size
        if not size:
            record = _RECORD % (crc32(self._contents), 0) + record
        try:
            self._waiting.write(record)
        except OSError:
            # What follows half a save is not found.
            self._waiting.truncate(size)
            raise
        self._latest = data

    def _forget_waiting(self) -> None:
        """nodes.conf has the latest."""
        self._latest = None
        if self._waiting is not None:
            self._waiting.close()
            self._waiting = None
            self._disk.unlink(self._waiting_name)

    @property
    def settled(self) -> bool:
        """Whether what was saved last survives a power cut."""
        return self._latest is None

    def settle(self) -> None:
        """Have what was saved last survive a power cut; raises OSError."""
        if self._latest is not None:
            self._put(self._latest)
            self._forget_waiting()

    def close(self) -> None:
        """Give up the lock."""
        # What the disk refuses now, the next start finds all the same.
        with contextlib.suppress(OSError):
            self.settle()
        if self._waiting is not None:
            self._waiting.close()
            self._waiting = None
        if self._file is not None:
            self._file.close()
            self._file = None


def _last_save(waiting: bytes, contents: bytes) -> bytes | None:
    """The last whole save of a file with such, if they continue a nodes.conf with these contents."""
    latest: bytes | None = None
    at = 0
    while (match := _RECORD_HEAD.match(waiting, at)) is not None:
        checksum, size = int(match[1], 16), int(match[2])
        data = waiting[match.end() : match.end() + size]
        expected = crc32(contents) if at == 0 else crc32(data)
        if len(data) < size or checksum != expected:
            break
        if at:
            latest = data
        at = match.end() + size
    return latest
