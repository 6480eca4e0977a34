"""The newest part of the replication stream: for replicas that come back, and for those whose copy is under way.

Offsets count the bytes of the stream from 1, so a backlog that ends at offset 100 and holds 40 bytes begins with byte
61. Who may continue from it is `psync`'s question.

As in Redis 7 there is one buffer for all: a replica that may not have the stream yet only says from where on it wants
it (`hold`), and what it still needs stays, however much that is. Meanwhile others can continue from there, too. The
bytes lie in blocks, which are dropped whole: a little more than `size` may be held.
"""

from __future__ import annotations

from collections import deque

# A block holds so much, or a sixteenth of a large backlog: neither many small ones nor a few that go slowly.
_BLOCK_MIN = 16 * 1024
_BLOCKS = 16


class Backlog:
    """At least the last `size` bytes of a stream, or all of them that somebody still needs."""

    __slots__ = ("_block", "_block_min", "_blocks", "_last", "_needed", "_room", "histlen", "offset", "size")

    def __init__(self, size: int, offset: int, block_min: int = _BLOCK_MIN) -> None:
        """Empty, of a stream whose last byte so far was number `offset`."""
        self.size = size
        self._block_min = block_min
        # What a new block may hold.
        self._block = max(size // _BLOCKS, block_min)
        self._last = bytearray()
        self._blocks = deque([self._last])
        # How much more goes into the last block.
        self._room = self._block
        # How many bytes are held.
        self.histlen = 0
        # The number of the stream's last byte.
        self.offset = offset
        # By who asked for it: the first byte that is still needed.
        self._needed: dict[object, int] = {}

    @property
    def first_byte(self) -> int:
        """The number of the oldest byte held; of the next one to come, when empty."""
        return self.offset - self.histlen + 1

    @property
    def memory(self) -> int:
        """What the blocks take, the last one as if it were full."""
        return sum(max(len(block), self._block) for block in self._blocks)

    def append(self, data: bytes) -> None:
        """`data` follows in the stream."""
        size, room = len(data), self._room
        self.offset += size
        self.histlen += size
        if size <= room:
            self._last += data
            self._room = room - size
            return
        self._last += data[:room]
        most = self._block
        self._blocks.extend(bytearray(data[at : at + most]) for at in range(room, size, most))
        self._last = self._blocks[-1]
        self._room = most - len(self._last)
        self._trim()

    def covers(self, offset: int) -> bool:
        """Whether every byte from number `offset` on is here; true also for the very next one."""
        return self.first_byte <= offset <= self.offset + 1

    def since(self, offset: int) -> bytes:
        """All bytes from number `offset` on; it must be covered."""
        assert self.covers(offset), f"{offset} is outside {self.first_byte}..{self.offset + 1}"
        left = self.offset + 1 - offset
        pieces: list[bytes | bytearray] = []
        for block in reversed(self._blocks):
            if left <= len(block):
                pieces.append(block[len(block) - left :])
                break
            pieces.append(block)
            left -= len(block)
        return b"".join(reversed(pieces))

    def hold(self, who: object) -> None:
        """Keep everything from the next byte on for somebody, until `let_go`."""
        self._needed[who] = self.offset + 1

    def kept_for(self, who: object) -> int:
        """How many bytes somebody has yet to be given."""
        needed = self._needed.get(who)
        return 0 if needed is None else self.offset + 1 - needed

    def let_go(self, who: object) -> bytes:
        """All that was kept for somebody, who needs nothing more."""
        needed = self._needed.pop(who, None)
        if needed is None:
            return b""
        kept = self.since(needed)
        self._trim()
        return kept

    def forget(self, who: object) -> None:
        """Somebody is gone."""
        if self._needed.pop(who, None) is not None:
            self._trim()

    def resize(self, size: int) -> None:
        """Change `repl-backlog-size`."""
        self.size = size
        self._block = max(size // _BLOCKS, self._block_min)
        self._room = max(self._block - len(self._last), 0)
        self._trim()

    def _trim(self) -> None:
        """Drop the oldest blocks, as long as enough is left; the last one stays."""
        first_needed = min(self._needed.values(), default=self.offset + 1)
        spare = min(self.histlen - self.size, first_needed - self.first_byte)
        blocks = self._blocks
        while blocks and len(blocks[0]) <= spare:
            size = len(blocks.popleft())
            spare -= size
            self.histlen -= size
