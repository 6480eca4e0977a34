"""nodes.conf on the disk, under a lock for the life of the process: two processes with one nodes.conf would be one node
with two wills.

A save replaces the file whole. What must survive a power cut (a vote, an epoch) is synced before the next effect. The
rest, every SETSLOT of a resharding among it, is not, as in Redis: a sync takes milliseconds, and a resharding has
thousands. But a file that got its name before its contents reached the platter may be found torn, and a node with a
torn nodes.conf cannot start. So before the first save without a sync the contents of before are kept in a file of their
own, synced, until `settle` has brought the latest to the platter. A start that finds nodes.conf torn goes on from
there, with what a node without the later saves would have known.
"""

from __future__ import annotations

import contextlib

from cluster.nodes_conf import NodesConfError, is_whole
from runtime import Disk, DiskFile

# To the letter what redis-server 7.0 logs before it exits.
IN_USE = (
    "Sorry, the cluster configuration file {} is already used by a different Redis Cluster node. "
    "Please make sure that different nodes use different cluster configuration files."
)


class NodesConfFile:
    """The file of one process, locked from `open` to `close`."""

    __slots__ = ("_contents", "_disk", "_file", "_name", "_settled", "_spare", "_spare_exists")

    def __init__(self, disk: Disk, name: str) -> None:
        self._disk = disk
        self._name = name
        # The file under our lock. It is replaced at each save, and the new one is locked before it gets the name.
        self._file: DiskFile | None = None
        # What is in it, and whether a power cut leaves it whole for all we know.
        self._contents = b""
        self._settled = True
        # Where the contents are that were settled last, while those in the file are not; and whether there is such a
        # file. One that a crash has left behind may be older than what has been settled since, and serves only `open`.
        self._spare = f"{name}.synced"
        self._spare_exists = False

    def open(self) -> bytes:
        """Lock the file and return what is in it, b"" for a new node; raises NodesConfError when that cannot be."""
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
        if self._disk.exists(self._spare):
            if is_new:
                # Somebody took nodes.conf away, to have a new node.
                self._disk.unlink(self._spare)
                return b""
            self._spare_exists = True
            if not is_whole(self._contents):
                self._contents = self._disk.read(self._spare)
        return self._contents

    def save(self, data: bytes, *, fsync: bool) -> None:
        """Replace the contents, whole or not at all; with `fsync`, they are the ones found after a power cut.

        Raises OSError; the old file then stays as it was.
        """
        assert self._file is not None, "saved before it was opened"
        if not fsync and self._settled:
            self._disk.replace(self._spare, self._contents)
            self._spare_exists, self._settled = True, False
        temporary = f"{self._name}.tmp"
        file = self._disk.create(temporary)
        try:
            # Nobody else knows the name, unless two processes share the folder, and one lock stops the second.
            locked = file.lock()
            assert locked, temporary
            file.write(data)
            if fsync:
                file.sync_now()
            self._disk.rename(temporary, self._name)
            if fsync:
                self._disk.sync_dir_now()
        except OSError:
            file.close()
            raise
        self._file.close()
        self._file, self._contents = file, data
        if fsync:
            self._now_settled()

    @property
    def settled(self) -> bool:
        """Whether what was saved last survives a power cut."""
        return self._settled

    def settle(self) -> None:
        """Have what was saved last survive a power cut; raises OSError."""
        if self._file is not None and not self._settled:
            self._file.sync_now()
            self._disk.sync_dir_now()
            self._now_settled()

    def _now_settled(self) -> None:
        self._settled = True
        if self._spare_exists:
            self._disk.unlink(self._spare)
            self._spare_exists = False

    def close(self) -> None:
        """Give up the lock."""
        # What the disk refuses to sync now, the next start finds all the same, or its spare.
        with contextlib.suppress(OSError):
            self.settle()
        if self._file is not None:
            self._file.close()
            self._file = None
