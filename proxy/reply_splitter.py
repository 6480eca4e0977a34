"""Where replies end, without decoding them.

The proxy forwards replies as the bytes they came in; all it needs to know is how many whole replies a chunk holds, and
which of them are errors (an error may be a redirection, which the client must never see). An aggregate needs no stack:
one counter of elements still to come says when the outermost reply is complete. State survives between chunks, so a
reply of many megabytes is scanned once and copied once, however small the pieces in which it arrives.
"""

from __future__ import annotations

# A server announces lengths to us, and a broken one could announce anything (Redis' own limits are lower).
_LENGTH_MAX = 1 << 40

# Headers of the bulk strings that the quick scanner takes.
_LENGTH_OF = {b"$%d" % length: length for length in range(4096)}

_BULK = frozenset(b"$=!")
_LINE = frozenset(b"+-:_,#(")
_ARRAY = frozenset(b"*~>")
_PAIRS = frozenset(b"%|")
_ERROR = 0x2D
_ATTRIBUTE = 0x7C


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
        ends: list[int] = []
        position = 0
        if not self._left:
            position = self._scan_quickly(data, ends)
            if position == len(data):
                self.data = data
                return ends
        position = self._scan(data, position, ends)
        if ends and self._scanned:
            shift = self._scanned_size
            self._scanned.append(data)
            data = b"".join(self._scanned)
            self._scanned.clear()
            self._scanned_size = 0
            ends = [end + shift for end in ends]
            position += shift
        start = ends[-1] if ends else 0
        if position > start:
            self._scanned.append(data[start:position])
            self._scanned_size += position - start
        if position < len(data):
            self._chunks.append(data[position:])
            self._size = len(data) - position
        self.data = data
        return ends

    def _scan_quickly(self, data: bytes, ends: list[int]) -> int:
        """Take simple replies from the head of `data` for as long as there are any; returns where they end.

        One split finds every line end at C's speed. A value with CRLF inside shows as a length that does not agree."""
        parts = data.split(b"\r\n")
        # What follows the last CRLF is incomplete.
        parts.pop()
        length_of = _LENGTH_OF.get
        add = ends.append
        position = 0
        rest = iter(parts)
        for part in rest:
            length = length_of(part)
            if length is not None:
                value = next(rest, None)
                if value is None or len(value) != length:
                    break
                position += len(part) + length + 4
            elif part and part[0] in _LINE:
                if part[0] == _ERROR:
                    self.errors.append(len(ends))
                position += len(part) + 2
            elif part == b"$-1":
                position += 5
            else:
                break
            add(position)
        return position

    def _scan(self, data: bytes, position: int, ends: list[int]) -> int:
        """Read element by element from `position`; returns where the first incomplete one begins."""
        add = ends.append
        find = data.find
        size, left = len(data), self._left
        try:
            while position < size:
                stop = find(b"\r\n", position)
                if stop < 0:
                    break
                kind = data[position]
                if kind in _BULK:
                    length = int(data[position + 1 : stop])
                    after = stop + 4 + length if length >= 0 else stop + 2
                    if after > size:
                        self._need = self._checked(length) + stop + 4 - position
                        break
                elif kind in _LINE:
                    after = stop + 2
                    if kind == _ERROR and not left:
                        self.errors.append(len(ends))
                elif kind in _ARRAY or kind in _PAIRS:
                    count = self._checked(int(data[position + 1 : stop]))
                    # The element itself goes, what it holds comes. An attribute stands in front of the real element.
                    left = (left or 1) + (2 * count if kind in _PAIRS else count) + (kind == _ATTRIBUTE)
                    after = stop + 2
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
        return position

    @staticmethod
    def _checked(length: int) -> int:
        if not -1 <= length <= _LENGTH_MAX:
            raise ReplyError(f"length out of range: {length}")
        return max(length, 0)
