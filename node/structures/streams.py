"""Streams: entries under ids that only grow, in nodes as Redis divides them, and groups of consumers.

Appending touches the last node, trimming the first ones; where an id is, is found by bisection among the nodes' first
ids, then inside a node. What no longer fits a node (`stream-node-max-entries`, `stream-node-max-bytes`) begins the
next one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from sys import getsizeof
from typing import ClassVar

from node.structures.consumer_groups import UNKNOWN, Group
from node.structures.stream_ids import ID_MAX
from node.structures.stream_nodes import StreamNode

# Redis' bound for the size of a node, whatever the directive says.
_NODE_BYTES_MAX = 1 << 30


class Stream:
    """The value of a stream key, which may have no entries."""

    __slots__ = ("_bases", "_nodes", "added", "first_id", "groups", "last_id", "length", "max_deleted_id")

    kind: ClassVar[bytes] = b"stream"
    encoding: ClassVar[bytes] = b"stream"

    def __init__(self) -> None:
        # The nodes, and the base of each.
        self._nodes: list[StreamNode] = []
        self._bases: list[int] = []
        # Entries there are, and entries there ever were.
        self.length = 0
        self.added = 0
        # The id of the first entry (0 without one), of the last one added, and the highest that was deleted by XDEL.
        self.first_id = 0
        self.last_id = 0
        self.max_deleted_id = 0
        # Groups of consumers by name.
        self.groups: dict[bytes, Group] = {}

    # Reading

    def __len__(self) -> int:
        return self.length

    def nodes(self) -> list[StreamNode]:
        return self._nodes

    def bases(self) -> list[int]:
        """The id from which each node's entries are counted."""
        return self._bases

    def entry(self, entry_id: int) -> bytes | None:
        """The encoded entry with this id."""
        at = bisect_right(self._bases, entry_id) - 1
        if at < 0:
            return None
        node = self._nodes[at]
        place = node.holds(entry_id)
        return None if place < 0 else node.entries(place, place + 1)

    def holds(self, entry_id: int) -> bool:
        """Whether there is an entry with this id."""
        at = bisect_right(self._bases, entry_id) - 1
        return at >= 0 and self._nodes[at].holds(entry_id) >= 0

    def spans(self, start: int, end: int) -> Iterator[tuple[StreamNode, int, int]]:
        """The entries from one id to another, both included: nodes, each with the first place and the one behind."""
        nodes, bases = self._nodes, self._bases
        at = max(bisect_right(bases, start) - 1, 0)
        while at < len(nodes) and bases[at] <= end:
            node = nodes[at]
            first = node.find(start)
            stop = node.stop() if node.last_id <= end else node.find(end + 1)
            if first < stop:
                yield node, first, stop
            at += 1

    def spans_back(self, start: int, end: int) -> Iterator[tuple[StreamNode, int, int]]:
        """The same, last node first."""
        nodes, bases = self._nodes, self._bases
        at = bisect_right(bases, end) - 1
        while at >= 0:
            node = nodes[at]
            if node.last_id < start:
                break
            first = node.find(start)
            stop = node.stop() if node.last_id <= end else node.find(end + 1)
            if first < stop:
                yield node, first, stop
            at -= 1

    def range(self, start: int, end: int, count: int) -> tuple[int, bytes]:
        """The first `count` (-1: all) entries from one id to another, both included: how many, and all encoded."""
        found = 0
        parts = []
        for node, first, stop in self.spans(start, end):
            if 0 <= count - found < stop - first:
                stop = first + count - found
            if first < stop:
                parts.append(node.entries(first, stop))
                found += stop - first
            if found == count:
                break
        return found, parts[0] if found and len(parts) == 1 else b"".join(parts)

    def range_back(self, start: int, end: int, count: int) -> tuple[int, bytes]:
        """The last `count` (-1: all) of them, last one first."""
        found = 0
        parts = []
        for node, first, stop in self.spans_back(start, end):
            if 0 <= count - found < stop - first:
                first = stop - (count - found)
            parts += [node.entries(place, place + 1) for place in range(stop - 1, first - 1, -1)]
            found += stop - first
            if found == count:
                break
        return found, b"".join(parts)

    def ids(self, start: int, end: int) -> Iterator[int]:
        """The ids from one to another, both included."""
        for node, first, stop in self.spans(start, end):
            for place in range(first, stop):
                yield node.id_at(place)

    def last_entry_id(self) -> int:
        """The highest id of an entry that is there; 0 without one."""
        for node in reversed(self._nodes):
            if len(node):
                return node.id_at(node.stop() - 1)
        return 0

    def has_gaps_since(self, entry_id: int) -> bool:
        """Whether XDEL may have taken out an entry that is not before `entry_id`, nor before all there are."""
        return self.length > 0 and max(entry_id, self.first_id, 1) <= self.max_deleted_id

    def position_of(self, entry_id: int) -> int:
        """How many entries were ever added up to this id; UNKNOWN when that cannot be told from the ids."""
        if not self.added:
            return 0
        if entry_id == self.last_id or (not self.length and entry_id < self.last_id):
            return self.added
        if entry_id > self.last_id:
            return UNKNOWN
        if not self.max_deleted_id or self.max_deleted_id < self.first_id:
            if entry_id < self.first_id:
                return self.added - self.length
            if entry_id == self.first_id:
                return self.added - self.length + 1
        return UNKNOWN

    def groups_by_name(self) -> list[tuple[bytes, Group]]:
        """In the order in which Redis lists them."""
        return sorted(self.groups.items(), key=lambda named: named[0])

    # Changing

    def append(self, entry_id: int, items: list[bytes], size: int, bytes_max: int, entries_max: int) -> bytes:
        """Add an entry, its fields and values in turns, of `size` bytes, under an id beyond `last_id`.

        A node has up to `entries_max` entries and less than `bytes_max` bytes (0: no limit). Returns the id as text.
        """
        nodes = self._nodes
        if not 0 < bytes_max < _NODE_BYTES_MAX:
            bytes_max = _NODE_BYTES_MAX
        if nodes and nodes[-1].has_room(size, bytes_max, entries_max):
            node = nodes[-1]
        else:
            node = StreamNode(entry_id, items[::2])
            self.attach(node)
        if not self.length:
            self.first_id = entry_id
        self.length += 1
        self.added += 1
        self.last_id = entry_id
        return node.append(entry_id, items)

    def append_run(
        self, entry_id: int, rows: list[list[bytes]], bytes_max: int, entries_max: int
    ) -> tuple[list[bytes], list[bytes]]:
        """Add entries with equally many fields under ids that follow each other; see the node's method."""
        nodes = self._nodes
        if not 0 < bytes_max < _NODE_BYTES_MAX:
            bytes_max = _NODE_BYTES_MAX
        if not self.length:
            self.first_id = entry_id
        total = len(rows)
        ids: list[bytes] = []
        contents: list[bytes] = []
        while len(ids) < total:
            left = rows[len(ids) :] if ids else rows
            if not nodes or not nodes[-1].has_room(sum(map(len, left[0])), bytes_max, entries_max):
                self.attach(StreamNode(entry_id + len(ids), left[0][::2]))
            more_ids, more_contents = nodes[-1].append_run(entry_id + len(ids), left, bytes_max, entries_max)
            ids += more_ids
            contents += more_contents
        self.length += total
        self.added += total
        self.last_id = entry_id + total - 1
        return ids, contents

    def attach(self, node: StreamNode) -> None:
        """Put a node behind all others."""
        self._nodes.append(node)
        self._bases.append(node.base)

    def delete(self, entry_id: int) -> bool:
        """Delete one entry; False when there is none. `first_id` and `max_deleted_id` are left to the caller."""
        at = bisect_right(self._bases, entry_id) - 1
        if at < 0:
            return False
        node = self._nodes[at]
        place = node.holds(entry_id)
        if place < 0:
            return False
        if len(node) == 1:
            del self._nodes[at], self._bases[at]
        else:
            node.delete(place)
        self.length -= 1
        return True

    def find_first(self) -> None:
        """Set `first_id`, after entries have been removed."""
        self.first_id = next(self.ids(0, ID_MAX), 0) if self.length else 0

    def trim_to(self, length: int, *, approximate: bool, limit: int = 0) -> int:
        """Remove the oldest entries until there are `length`; returns how many.

        Only whole nodes if `approximate`, and then no more than `limit` entries unless that is 0.
        """
        gone = removed = 0
        nodes = self._nodes
        while gone < len(nodes) and self.length > length:
            node = nodes[gone]
            entries = len(node)
            if limit and removed + entries > limit:
                break
            if self.length - entries < length:
                if not approximate:
                    removed += self._drop(node, self.length - length)
                break
            gone += 1
            self.length -= entries
            removed += entries
        self._forget(gone, removed)
        return removed

    def trim_before(self, entry_id: int, *, approximate: bool, limit: int = 0) -> int:
        """Remove the entries below `entry_id`; returns how many. The rest as for `trim_to`."""
        gone = removed = 0
        nodes = self._nodes
        while gone < len(nodes):
            node = nodes[gone]
            entries = len(node)
            if limit and removed + entries > limit:
                break
            if node.last_id >= entry_id:
                if not approximate:
                    removed += self._drop(node, node.find(entry_id) - node.first)
                break
            gone += 1
            self.length -= entries
            removed += entries
        self._forget(gone, removed)
        return removed

    def _drop(self, node: StreamNode, count: int) -> int:
        node.drop_first(count)
        self.length -= count
        return count

    def _forget(self, gone: int, removed: int) -> None:
        """The first `gone` nodes have been removed, and `removed` entries in all."""
        del self._nodes[:gone], self._bases[:gone]
        if removed:
            self.find_first()

    def copy(self) -> Stream:
        other = Stream()
        other._nodes = [node.copy() for node in self._nodes]
        other._bases = self._bases[:]
        other.length, other.added = self.length, self.added
        other.first_id, other.last_id, other.max_deleted_id = self.first_id, self.last_id, self.max_deleted_id
        other.groups = {name: group.copy() for name, group in self.groups.items()}
        return other

    def memory_bytes(self, samples: int) -> int:
        nodes = self._nodes[:samples] if samples else self._nodes
        each = sum(node.memory_bytes() for node in nodes) / max(len(nodes), 1)
        groups = sum(getsizeof(name) + group.memory_bytes() for name, group in self.groups.items())
        places = getsizeof(self._nodes) + getsizeof(self._bases) + getsizeof(self.groups)
        return getsizeof(self) + places + groups + int(each * len(self._nodes))

    def _check(self) -> None:
        """Raise AssertionError unless everything fits together."""
        before = -1
        for node in self._nodes:
            node._check()
            assert before < node.base
            before = node.last_id
        assert self._bases == [node.base for node in self._nodes]
        assert self.length == sum(map(len, self._nodes))
        assert before <= self.last_id
        assert self.first_id == next(self.ids(0, ID_MAX), 0)
        for group in self.groups.values():
            group._check()
