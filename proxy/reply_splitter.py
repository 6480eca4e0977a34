"""Where replies end, without decoding them.

The proxy forwards replies as the bytes they came in; all it needs to know is how many whole replies a chunk holds, and
which of them are errors (an error may be a redirection, which the client must never see). An aggregate needs no stack:
one counter of elements still to come says when the outermost reply is complete. State survives between chunks, so a
reply of many megabytes is scanned once and copied once, however small the pieces in which it arrives.
"""

from __future__ import annotations

# A server announces lengths to us, and a broken one could announce anything (Redis' own limits are lower).
_LENGTH_MAX = 1 << 40

_BULK = frozenset(b"$=!")
_LINE = frozenset(b"+-:_,#(")
_ARRAY = frozenset(b"*~>")
_PAIRS = frozenset(b"%|")


class ReplyError(Exception):
    """The server sent what is not RESP."""


class ReplySplitter:
    """The reading side of one connection to a server."""

    __slots__ = ("_chunks", "_left", "_need", "_scanned", "_scanned_size", "_size", "data", "errors")

    def __init__(self) -> None:
        # After `feed`: the bytes that its offsets refer to, and the places (in the list of ends) of error replies.
        self.data = b""
        self.errors: list[int] = []
        # The beginning of an incomplete reply that has been scanned already.
        self._scanned: list[bytes] = []
        self._scanned_size = 0
        # Bytes behind it that do not make an element yet, and how many are needed before looking again.
        self._chunks: list[bytes] = []
        self._size = 0
        self._need = 0
        # Elements the incomplete reply still lacks; 0 between replies.
        self._left = 0

    @property
    def buffered(self) -> int:
        """Bytes held of a reply that is not complete."""
        return self._scanned_size + self._size

    def feed(self, data: bytes) -> list[int]:
        """The offsets in `self.data` behind each reply that `data` completes; raises ReplyError."""
        self.errors = []
        if self._size:
            self._chunks.append(data)
            self._size += len(data)
            if self._size < self._need:
                return []
            data = b"".join(self._chunks)
            self._chunks.clear()
            self._size = 0
        self._need = 0
        ends, position = self._scan(data)
        if ends:
            if self._scanned:
                shift = self._scanned_size
                self._scanned.append(data)
                data = b"".join(self._scanned)
                self._scanned.clear()
                self._scanned_size = 0
                ends = [end + shift for end in ends]
                position += shift
            start = ends[-1]
        else:
            start = 0
        if position > start:
            self._scanned.append(data[start:position])
            self._scanned_size += position - start
        if position < len(data):
            self._chunks.append(data[position:])
            self._size = len(data) - position
        self.data = data
        return ends

    def _scan(self, data: bytes) -> tuple[list[int], int]:
        """The ends of complete replies, and where the first incomplete element begins."""
        ends: list[int] = []
        add = ends.append
        find = data.find
        position, size, left = 0, len(data), self._left
        try:
            while position < size:
                stop = find(b"\r\n", position)
                if stop < 0:
                    break
                kind = data[position]
                if kind == 0x24:  # $, the commonest
                    length = int(data[position + 1 : stop])
                    after = stop + 4 + length if length >= 0 else stop + 2
                    if after > size:
                        self._need = self._checked(length) + stop + 4 - position
                        break
                elif kind in _LINE:
                    after = stop + 2
                    if kind == 0x2D and not left:
                        self.errors.append(len(ends))
                elif kind in _ARRAY or kind in _PAIRS:
                    count = self._checked(int(data[position + 1 : stop]))
                    # The element itself goes, what it holds comes. An attribute is a pair list in front of an element.
                    left = (left or 1) + (2 * count if kind in _PAIRS else count) + (kind == 0x7C)
                    after = stop + 2
                elif kind in _BULK:
                    length = self._checked(int(data[position + 1 : stop]))
                    after = stop + 4 + max(length, 0)
                    if after > size:
                        self._need = length + stop + 4 - position
                        break
                else:
                    raise ReplyError(f"no reply begins with {data[position : position + 1]!r}")
                position = after
                if left:
                    left -= 1
                    if left:
                        continue
                add(position)
        except ValueError:
            raise ReplyError(f"not a length: {data[position : position + 24]!r}") from None
        self._left = left
        return ends, position

    @staticmethod
    def _checked(length: int) -> int:
        if not -1 <= length <= _LENGTH_MAX:
            raise ReplyError(f"length out of range: {length}")
        return max(length, 0)
