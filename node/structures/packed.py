"""Many short strings as one: what a long list keeps of the elements that nobody is working on.

A Python object costs some forty bytes beside what it holds, several times what a queued id or event is long. Packed,
the elements of a chunk are one string and a row of the places where each ends: about the size of Redis' listpack. It
is never changed, so copies share it.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import accumulate, repeat
from sys import getsizeof

# An end is written in 16 bits. Elements that take more bytes together are so long that packing would gain little.
_TYPE = "H"
_BYTES_MAX = (1 << 16) - 1


class PackedChunk:
    """Some hundreds of `bytes`, in order. What is not packed is a list: both are read in the same ways."""

    __slots__ = ("_data", "_ends")

    def __init__(self, data: bytes, ends: array[int]) -> None:
        self._data = data
        self._ends = ends

    @classmethod
    def of(cls, items: list[bytes]) -> PackedChunk | None:
        """`items` packed, if that is worth while."""
        data = b"".join(items)
        if len(data) > _BYTES_MAX:
            return None
        lengths = set(map(len, items))
        return cls(data, _even_ends(len(items[0]), len(items)) if len(lengths) == 1 else _ends(map(len, items)))

    def __len__(self) -> int:
        return len(self._ends)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self[:])

    def __contains__(self, item: bytes) -> bool:
        # Most are not there, and for that one search through the bytes is enough.
        return item in self._data and item in self[:]

    def __getitem__(self, which: slice) -> list[bytes]:
        """A range of the elements, without a step."""
        start, stop, _ = which.indices(len(self._ends))
        data = self._data
        begin = self._ends[start - 1] if start else 0
        items = []
        for end in self._ends[start:stop]:
            items.append(data[begin:end])
            begin = end
        return items

    def at(self, index: int) -> bytes:
        """The element at `index`, which is not negative."""
        return self._data[self._ends[index - 1] if index else 0 : self._ends[index]]

    def memory_bytes(self) -> int:
        return getsizeof(self) + getsizeof(self._data) + getsizeof(self._ends)


def _ends(lengths: Iterable[int]) -> array[int]:
    return array(_TYPE, list(accumulate(lengths)))


@lru_cache(maxsize=64)
def _even_ends(length: int, count: int) -> array[int]:
    """The same for many that are equally long, as ids are: their chunks share it."""
    return _ends(repeat(length, count))


# A part of a long list.
Chunk = list[bytes] | PackedChunk


def items_of(chunk: Chunk) -> list[bytes]:
    """The elements as a list: the chunk itself, or a new one."""
    return chunk[:] if isinstance(chunk, PackedChunk) else chunk


def chunk_bytes(chunk: Chunk, samples: int) -> int:
    """What it costs; elements that are objects are judged by the first `samples` of them (0: all)."""
    if isinstance(chunk, PackedChunk):
        return chunk.memory_bytes()
    looked_at = chunk[:samples] if samples else chunk
    elements = sum(map(getsizeof, looked_at)) * len(chunk) // len(looked_at) if looked_at else 0
    return getsizeof(chunk) + elements
