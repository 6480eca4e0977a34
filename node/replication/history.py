"""Which history this node's data belongs to, and how far it has come.

A history is named by a random 40-digit id and measured by an offset: the count of all bytes ever fed to
its stream. Whoever has the same id and offset has the same data. After a promotion the old id is kept as
the second one, valid up to the offset at which the histories part, so that the other replicas of the dead
master can go on with the new one without a full copy (Redis: "PSYNC2").
"""

from __future__ import annotations

NO_REPLID = b"0" * 40


class History:
    """The replication ids and the offset of one node."""

    __slots__ = ("offset", "replid", "replid2", "second_offset")

    def __init__(self, replid: bytes) -> None:
        # The id of the history the data belongs to now.
        self.replid = replid
        # The id of the history it grew out of, and the first byte that is no longer common (-1: none).
        self.replid2 = NO_REPLID
        self.second_offset = -1
        # The number of the last byte of the stream (`master_repl_offset`).
        self.offset = 0

    def restart(self, replid: bytes) -> None:
        """A new history without a past: nobody can continue with it."""
        self.replid = replid
        self.replid2 = NO_REPLID
        self.second_offset = -1

    def branch(self, replid: bytes) -> None:
        """From here on the history goes by `replid`: this node was promoted, or its master was."""
        self.replid2 = self.replid
        self.second_offset = self.offset + 1
        self.replid = replid

    def adopt(self, replid: bytes, offset: int) -> None:
        """The data is a full copy of another node's."""
        self.restart(replid)
        self.offset = offset

    def grow_out_of(self, replid: bytes, offset: int) -> None:
        """A master restarts from a file of the history `replid` at `offset`: its replicas may continue."""
        self.replid2 = replid
        self.second_offset = offset + 1
        self.offset += offset
