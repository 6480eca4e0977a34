"""The newest part of the replication stream, kept for replicas that come back.

A ring: appending copies the new bytes over the oldest. Offsets count the bytes of the stream from 1, so
a backlog that ends at offset 100 and holds 40 bytes begins with byte 61. Who may continue from it is
`psync`'s question.
"""

from __future__ import annotations


class Backlog:
    """The last `size` bytes of a stream."""

    __slots__ = ("_next", "_ring", "histlen", "offset")

    def __init__(self, size: int, offset: int) -> None:
        """Empty, of a stream whose last byte so far was number `offset`."""
        self._ring = bytearray(size)
        # Where in the ring the next byte goes.
        self._next = 0
        # How many bytes are held.
        self.histlen = 0
        # The number of the stream's last byte.
        self.offset = offset

    @property
    def size(self) -> int:
        return len(self._ring)

    @property
    def first_byte(self) -> int:
        """The number of the oldest byte held; of the next one to come, when empty."""
        return self.offset - self.histlen + 1

    def append(self, data: bytes) -> None:
        """`data` follows in the stream."""
        self.offset += len(data)
        ring = self._ring
        size = len(ring)
        if len(data) >= size:
            ring[:] = data[-size:]
            self._next = 0
            self.histlen = size
            return
        start = self._next
        stop = start + len(data)
        if stop <= size:
            ring[start:stop] = data
        else:
            cut = size - start
            ring[start:] = data[:cut]
            ring[: stop - size] = data[cut:]
        self._next = stop % size
        self.histlen = min(self.histlen + len(data), size)

    def covers(self, offset: int) -> bool:
        """Whether every byte from number `offset` on is here; true also for the very next one."""
        return self.first_byte <= offset <= self.offset + 1

    def since(self, offset: int) -> bytes:
        """All bytes from number `offset` on; it must be covered."""
        assert self.covers(offset), f"{offset} is outside {self.first_byte}..{self.offset + 1}"
        wanted = self.offset + 1 - offset
        start = self._next - wanted
        if start >= 0:
            return bytes(self._ring[start : self._next])
        return bytes(self._ring[start:]) + bytes(self._ring[: self._next])

    def resize(self, size: int) -> None:
        """Change `repl-backlog-size`, keeping as much as fits."""
        held = self.since(self.first_byte)[-size:]
        offset = self.offset
        self._ring = bytearray(size)
        self._next = 0
        self.histlen = 0
        self.offset = offset - len(held)
        self.append(held)
