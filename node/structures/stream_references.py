"""Deleting entries of a stream with an eye to what groups of consumers know of them (Redis 8.2).

An entry is referenced while a group has not come to it, or one of its consumers has not acknowledged it. It is deleted
one of three ways: what groups know stays (KEEPREF, as XDEL does it), goes with it (DELREF), or protects it (ACKED).
"""

from __future__ import annotations

from collections.abc import Iterator

from node.structures.consumer_groups import Group
from node.structures.stream_ids import format_id
from node.structures.streams import Stream

KEEPREF, DELREF, ACKED = b"KEEPREF", b"DELREF", b"ACKED"
WAYS = (KEEPREF, DELREF, ACKED)

# What has become of an entry: there was none, it is deleted, it is still referenced and stays.
NO_ENTRY, DELETED, REFERENCED = -1, 1, 2


class Deletion:
    """Deletes entries of one stream, and knows afterwards what replicas are to be told."""

    __slots__ = ("_acknowledged", "_stream", "_way", "deleted")

    def __init__(self, stream: Stream, way: bytes) -> None:
        self._stream = stream
        self._way = way
        # Ids of what has been deleted, and, by the name of the group, of what is not pending there any more.
        self.deleted: list[int] = []
        self._acknowledged: dict[bytes, list[int]] = {}

    def delete(self, entry_id: int) -> int:
        """Delete an entry, if there is one and nothing speaks against it."""
        if self._way == ACKED and self._is_referenced(entry_id):
            return REFERENCED
        if self._way == DELREF:
            for name, group in self._stream.groups.items():
                self.acknowledge(name, group, entry_id)
        if not self._stream.delete(entry_id):
            return NO_ENTRY
        self.deleted.append(entry_id)
        return DELETED

    def _is_referenced(self, entry_id: int) -> bool:
        return any(group.last_id < entry_id or entry_id in group.deliveries for group in self._stream.groups.values())

    def acknowledge(self, name: bytes, group: Group, entry_id: int) -> bool:
        """Let an entry be pending in a group no more; False when it was not."""
        if not group.acknowledge(entry_id):
            return False
        self._acknowledged.setdefault(name, []).append(entry_id)
        return True

    def finish(self) -> int:
        """What has been deleted is deleted; returns how many changes there were, acknowledgements included."""
        if self.deleted:
            stream = self._stream
            stream.max_deleted_id = max(stream.max_deleted_id, *self.deleted)
            stream.find_first()
        return len(self.deleted) + sum(map(len, self._acknowledged.values()))

    def told(self, key: bytes) -> Iterator[tuple[bytes, ...]]:
        """What was done, in commands that every version knows."""
        for name, ids in self._acknowledged.items():
            yield b"XACK", key, name, *map(format_id, ids)
        if self.deleted:
            yield b"XDEL", key, *map(format_id, self.deleted)

    def trim(self, threshold: int, *, by_id: bool, limit: int) -> int:
        """Delete the oldest entries that may be, down to a length or an id; returns how many those were.

        Whole nodes are looked at, as long as they and what is deleted already are not more than `limit` (0: no limit).
        """
        stream = self._stream
        for node in list(stream.nodes()):
            entries = len(node)
            if (not by_id and stream.length <= threshold) or (limit and len(self.deleted) + entries > limit):
                break
            to_its_end = node.last_id < threshold if by_id else stream.length - entries >= threshold
            for entry_id in [node.id_at(place) for place in range(node.first, node.stop())]:
                if entry_id >= threshold if by_id else stream.length <= threshold:
                    break
                self.delete(entry_id)
            if not to_its_end:
                break
        return len(self.deleted)
