"""Lists: short ones are one Python list, long ones a row of chunks.

Both ends of a chunk of a few hundred elements are cheap for a Python list (what moves fits the cache), so every push
and pop is O(1), and whatever touches the middle of a long list touches one chunk. Where the chunks begin is kept in a
list of its own, for bisection: an element is found by its position in O(log n), where Redis walks.

The first chunk is kept apart: it is all there is of a short list, and while the head of a long one grows or shrinks
nothing else changes. Positions of the other chunks count from an origin of their own for the same reason: a new first
chunk pushes the old one in front of them, and no number moves.

Chunks that have come to lie in the midst of a long list are packed (`node.structures.packed`): that is where most of
its elements are, and hardly anybody asks for them there. Who changes one finds a list again.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate, chain
from sys import getsizeof
from typing import ClassVar

from node.structures.packed import Chunk, PackedChunk, chunk_bytes, items_of

# Elements in a chunk, at most. More make the middle dearer (an insertion moves half of it), fewer the row of chunks.
CHUNK_MAX = 512
# After removals neighbours that have together no more than this become one.
_MERGED_MAX = CHUNK_MAX // 2


class Quicklist:
    """The value of a list key, named as Redis names its own; never empty while a key holds it."""

    __slots__ = ("_rest", "_starts", "head", "length")

    kind: ClassVar[bytes] = b"list"
    # Redis 7.0 knows one encoding of lists, short or long.
    encoding: ClassVar[bytes] = b"quicklist"

    def __init__(self, items: list[bytes]) -> None:
        """Takes `items` over."""
        # Elements in all.
        self.length = len(items)
        # The first chunk, empty only if all is. Who pushes there by himself counts it.
        self.head = items
        # The chunks behind it, none of them empty and the last one never packed, and the position of the first element
        # of each, which grows by the length of the one before. Both are None, or neither.
        self._rest: list[Chunk] | None = None
        self._starts: list[int] | None = None
        if len(items) > CHUNK_MAX:
            self._build([items])

    # Reading

    def __len__(self) -> int:
        return self.length

    def items(self) -> list[bytes]:
        """All elements, for who does not change the list that it is."""
        return self.head if self._rest is None else list(self)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.head) if self._rest is None else chain(self.head, *self._rest)

    def at(self, index: int) -> bytes:
        """The element at `index`, which is not negative and below the length."""
        if index < len(self.head):
            return self.head[index]
        at, offset = self._find(index)
        chunk = self._chunk(at)
        return chunk.at(offset) if isinstance(chunk, PackedChunk) else chunk[offset]

    def slice(self, start: int, stop: int) -> list[bytes]:
        """The elements from `start` up to `stop`, both within the list; a list of its own."""
        head = self.head
        if stop <= len(head) or self._rest is None:
            return head[start:stop]
        at, offset = self._find(start) if start >= len(head) else (-1, start)
        items: list[bytes] = []
        missing = stop - start
        while True:
            part = self._chunk(at)[offset : offset + missing]
            items += part
            missing -= len(part)
            if not missing:
                return items
            at += 1
            offset = 0

    def index(self, value: bytes) -> int:
        """The position of the first element equal to `value`; -1 when there is none."""
        before = 0
        for chunk in self._chunks():
            if value in chunk:
                return before + items_of(chunk).index(value)
            before += len(chunk)
        return -1

    def positions(self, value: bytes, rank: int, count: int, compared_max: int) -> list[int]:
        """Where elements equal to `value` are: from the `rank`-th one on, at most `count`.

        A negative rank counts from the tail, and so does the order. No more than `compared_max` elements are looked at.
        """
        found: list[int] = []
        skip = abs(rank) - 1
        forward = rank > 0
        edge = 0 if forward else self.length
        chunks = self._chunks()
        for chunk in chunks if forward else reversed(chunks):
            length = len(chunk)
            looked_at = min(length, compared_max)
            if not forward:
                edge -= length
            begin = 0 if forward else length - looked_at
            window = chunk if looked_at == length else chunk[begin : begin + looked_at]
            if value in window:
                matches = [edge + begin + offset for offset, item in enumerate(window) if item == value]
                if not forward:
                    matches.reverse()
                found += matches[skip : skip + count - len(found)]
                skip = max(skip - len(matches), 0)
            compared_max -= looked_at
            if len(found) == count or not compared_max:
                break
            if forward:
                edge += length
        return found

    def copy(self) -> Quicklist:
        copied = Quicklist(self.head.copy())
        if self._rest is not None and self._starts is not None:
            copied._rest = [chunk if isinstance(chunk, PackedChunk) else chunk.copy() for chunk in self._rest]
            copied._starts = self._starts.copy()
            copied.length = self.length
        return copied

    def memory_bytes(self, samples: int) -> int:
        """An estimate by `samples` chunks of the middle, and as many elements where they are not packed (0: by all)."""
        size = getsizeof(self) + (2 * getsizeof(self._rest) if self._rest is not None else 0)
        chunks = self._chunks()
        # Between these are those that may be packed; the others are not.
        middle = chunks[2:-2]
        size += sum(chunk_bytes(chunk, samples) for chunk in chunks[:2] + chunks[2:][-2:])
        if middle:
            looked_at = middle[:: max(len(middle) // samples, 1)] if samples else middle
            size += sum(chunk_bytes(chunk, samples) for chunk in looked_at) * len(middle) // len(looked_at)
        return size

    # Changing

    def push_left(self, item: bytes) -> int:
        """Put one element in front of all; returns the length."""
        head = self.head
        if len(head) < CHUNK_MAX:
            head.insert(0, item)
        else:
            self._shelve_head()
            self.head = [item]
        length = self.length = self.length + 1
        return length

    def push_right(self, item: bytes) -> int:
        """Put one element behind all; returns the length."""
        rest = self._rest
        tail = self.head if rest is None else rest[-1]
        if type(tail) is list and len(tail) < CHUNK_MAX:
            tail.append(item)
        else:
            self._begin_tail(item)
        length = self.length = self.length + 1
        return length

    def pop_left(self) -> bytes:
        """Take the first element out."""
        head = self.head
        item = head.pop(0)
        self.length -= 1
        if not head and self._rest is not None:
            self.head = items_of(self._rest[0])
            self._drop_chunks(0, 1)
        return item

    def pop_right(self) -> bytes:
        """Take the last element out."""
        self.length -= 1
        rest = self._rest
        if rest is None:
            return self.head.pop()
        tail = self._open(len(rest) - 1)
        item = tail.pop()
        if not tail:
            self._drop_chunks(len(rest) - 1, len(rest))
        return item

    def drop_left(self, count: int) -> None:
        """Remove the first `count` elements; there are as many."""
        self.length -= count
        head = self.head
        if count < len(head) or self._rest is None:
            del head[:count]
        elif not self.length:
            self.head = []
            self._rest = self._starts = None
        else:
            at, offset = self._find(count)
            self.head = self._rest[at][offset:]
            self._drop_chunks(0, at + 1)

    def drop_right(self, count: int) -> None:
        """Remove the last `count` elements; there are as many."""
        length = self.length = self.length - count
        if length <= len(self.head):
            del self.head[length:]
            self._rest = self._starts = None
        elif self._rest is not None:
            at, offset = self._find(length - 1)
            del self._open(at)[offset + 1 :]
            self._drop_chunks(at + 1, len(self._rest))

    def set(self, index: int, item: bytes) -> None:
        """Replace the element at `index`, which is not negative and below the length."""
        if index < len(self.head):
            self.head[index] = item
        else:
            at, offset = self._find(index)
            self._open(at)[offset] = item

    def insert(self, index: int, item: bytes) -> None:
        """Put an element before the one that is at `index`; at the length: behind all."""
        if not index:
            self.push_left(item)
        elif index == self.length:
            self.push_right(item)
        else:
            self.length += 1
            # Behind the element before it, so that it stays in a chunk that exists.
            at, offset = self._find(index - 1) if index > len(self.head) else (-1, index - 1)
            chunk = self._open(at)
            chunk.insert(offset + 1, item)
            if len(chunk) > CHUNK_MAX:
                half = len(chunk) // 2
                self._build([*self._chunks()[: at + 1], chunk[:half], chunk[half:], *self._chunks()[at + 2 :]])
            elif at >= 0 and self._starts is not None:
                self._starts[at + 1 :] = [start + 1 for start in self._starts[at + 1 :]]

    def remove(self, value: bytes, count: int) -> int:
        """Remove elements equal to `value`: the first `count`, the last ones if negative, all if 0. Returns how many
        there were."""
        chunks = self._chunks()
        left = abs(count) or self.length
        removed = 0
        for at in range(len(chunks)) if count >= 0 else range(len(chunks) - 1, -1, -1):
            if value not in chunks[at]:
                continue
            chunk = items_of(chunks[at])
            matches = chunk.count(value)
            if matches <= left:
                chunks[at] = [item for item in chunk if item != value]
            else:
                matches = left
                _remove_some(chunk, value, left, from_right=count < 0)
                chunks[at] = chunk
            removed += matches
            left -= matches
            if not left:
                break
        if removed:
            self.length -= removed
            self._build(chunks)
        return removed

    def extend_left(self, items: list[bytes]) -> int:
        """Put elements in front of all, one after the other, so that the last one is first; returns the length."""
        if len(self.head) + len(items) <= CHUNK_MAX:
            self.head[:0] = reversed(items)
            self.length += len(items)
        else:
            for item in items:
                self.push_left(item)
        return self.length

    def extend_right(self, items: list[bytes]) -> int:
        """Put elements behind all, in their order; returns the length."""
        tail = self.head if self._rest is None else self._open(len(self._rest) - 1)
        if len(tail) + len(items) <= CHUNK_MAX:
            tail += items
            self.length += len(items)
        else:
            for item in items:
                self.push_right(item)
        return self.length

    # Chunks

    def _chunks(self) -> list[Chunk]:
        """All of them."""
        return [self.head] if self._rest is None else [self.head, *self._rest]

    def _chunk(self, at: int) -> Chunk:
        """One of the rest; -1 is the head."""
        if at < 0:
            return self.head
        assert self._rest is not None, "a position beyond the end"
        return self._rest[at]

    def _open(self, at: int) -> list[bytes]:
        """The same, to be changed."""
        if at < 0:
            return self.head
        assert self._rest is not None, "a position beyond the end"
        chunk = self._rest[at] = items_of(self._rest[at])
        return chunk

    def _pack(self, at: int) -> None:
        """Pack a chunk of the rest if it is far enough from the ends.

        A full one stays open at either, so that a list which shrinks and grows by an element again and again packs and
        opens nothing; and the ends are what is read.
        """
        assert self._rest is not None
        if 0 < at < len(self._rest) - 2:
            chunk = self._rest[at]
            if not isinstance(chunk, PackedChunk):
                self._rest[at] = PackedChunk.of(chunk) or chunk

    def _find(self, index: int) -> tuple[int, int]:
        """Which chunk of the rest has the element at `index`, and where in it."""
        starts = self._starts
        assert starts is not None, "a position beyond the end"
        position = index - len(self.head) + starts[0]
        at = bisect_right(starts, position) - 1
        return at, position - starts[at]

    def _shelve_head(self) -> None:
        """Put the first chunk in front of the rest."""
        if self._rest is None or self._starts is None:
            self._rest, self._starts = [self.head], [0]
        else:
            self._rest.insert(0, self.head)
            self._starts.insert(0, self._starts[0] - len(self.head))
            self._pack(1)

    def _begin_tail(self, item: bytes) -> None:
        """Put a new chunk behind the others, with one element."""
        rest, starts = self._rest, self._starts
        if rest is None or starts is None:
            self._rest, self._starts = [[item]], [0]
        else:
            starts.append(starts[-1] + len(rest[-1]))
            rest.append([item])
            self._pack(len(rest) - 3)

    def _drop_chunks(self, start: int, stop: int) -> None:
        """Take chunks out at one end of the rest."""
        assert self._rest is not None
        assert self._starts is not None
        del self._rest[start:stop]
        del self._starts[start:stop]
        if self._rest:
            self._open(len(self._rest) - 1)
        else:
            self._rest = self._starts = None

    def _build(self, chunks: list[Chunk]) -> None:
        """Become what these chunks hold: empty ones left out, small neighbours joined, large ones cut."""
        row: list[Chunk] = []
        for chunk in chunks:
            if row and len(row[-1]) + len(chunk) <= _MERGED_MAX:
                row[-1] = [*row[-1], *chunk]
            elif len(chunk) > CHUNK_MAX:
                row += [chunk[at : at + CHUNK_MAX] for at in range(0, len(chunk), CHUNK_MAX)]
            elif chunk:
                row.append(chunk)
        self.head = items_of(row[0]) if row else []
        rest = row[1:]
        if not rest:
            self._rest = self._starts = None
            return
        self._rest = rest
        self._starts = list(accumulate(map(len, rest[:-1]), initial=0))
        self._open(len(rest) - 1)
        for at in range(len(rest)):
            self._pack(at)

    def _check(self) -> None:
        """For tests: whether everything above holds."""
        assert self.length == sum(map(len, self._chunks())), self.length
        if self._rest is None:
            assert self._starts is None
            assert len(self.head) <= CHUNK_MAX, len(self.head)
            return
        assert self._starts is not None
        assert type(self.head) is type(self._rest[-1]) is list
        lengths = [len(chunk) for chunk in self._chunks()]
        assert all(0 < length <= CHUNK_MAX for length in lengths), lengths
        starts = list(accumulate(lengths[1:-1], initial=self._starts[0]))
        assert starts == self._starts, (starts, self._starts)


def _remove_some(chunk: list[bytes], value: bytes, count: int, *, from_right: bool) -> None:
    """Remove `count` elements equal to `value` from one end of a chunk; it has more."""
    if from_right:
        chunk.reverse()
    at = 0
    for _ in range(count):
        at = chunk.index(value, at)
        del chunk[at]
    if from_right:
        chunk.reverse()
