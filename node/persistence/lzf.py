"""LZF, the compression of strings in an RDB file.

A compressed string is a row of two kinds of items. A control byte below 32 announces 1 to 32 literal
bytes. Any other refers back: its high three bits are the length less 2 (7 means that one more byte is
added), its low five bits and the last byte the distance less 1, so 3 to 264 bytes from at most 8192 back.
A reference may overlap what it produces; that is how a long run of one byte is written.

LibLZF's own code does it where the package `python-lzf` is installed (the extra `fast`), a hundred times as fast; what
is written here stands in for it elsewhere. They choose other references, so their files differ in a few bytes.
"""

from __future__ import annotations

try:
    import lzf as liblzf
except ImportError:
    liblzf = None

_DISTANCE_MAX = 8192
_MATCH_MAX = 264
_LITERALS_MAX = 32
# Three bytes of input make at most 264 of output; anything announced above that is not LZF.
EXPANSION_MAX = _MATCH_MAX // 3
# The finder forgets what it has seen after this many bytes, so that its memory stays bounded.
_WINDOW = 4 * _DISTANCE_MAX


class LzfError(ValueError):
    """The bytes are not a compressed string of the announced length."""


def decompress(data: bytes, size: int) -> bytes:
    """The `size` bytes that `data` stands for; raises LzfError when they are not that."""
    return _decompress(data, size) if liblzf is None else _decompress_in_c(data, size)


def compress(data: bytes) -> bytes | None:
    """`data` compressed, or None when that would not save at least 4 bytes (what Redis asks of it)."""
    if liblzf is None:
        return _compress(data)
    compressed: bytes | None = liblzf.compress(data, len(data) - 4) if len(data) > 4 else None
    return compressed


def _decompress_in_c(data: bytes, size: int) -> bytes:
    try:
        whole: bytes | None = liblzf.decompress(data, size)
    except ValueError as error:
        raise LzfError(str(error)) from None
    if whole is None or len(whole) != size:
        raise LzfError("not of the announced length")
    return whole


def _decompress(data: bytes, size: int) -> bytes:
    out = bytearray()
    position = 0
    end = len(data)
    try:
        while position < end:
            control = data[position]
            position += 1
            if control < _LITERALS_MAX:
                stop = position + control + 1
                if stop > end:
                    raise LzfError("literals beyond the end")
                out += data[position:stop]
                position = stop
                continue
            length = control >> 5
            if length == 7:
                length += data[position]
                position += 1
            start = len(out) - ((control & 31) << 8 | data[position]) - 1
            position += 1
            length += 2
            if start < 0:
                raise LzfError("reference before the beginning")
            if len(out) + length > size:
                raise LzfError("longer than announced")
            chunk = out[start : start + length]
            if len(chunk) < length:
                # The source runs into what is being written: repeat the part that exists.
                chunk = (chunk * (length // len(chunk) + 1))[:length]
            out += chunk
    except IndexError:
        raise LzfError("cut inside a reference") from None
    if len(out) != size:
        raise LzfError("not of the announced length")
    return bytes(out)


def _compress(data: bytes) -> bytes | None:
    """About 0.2 µs a byte: this is for files, not for the hot path."""
    size = len(data)
    last = size - 2
    out = bytearray()
    literals_at = 0
    position = 0
    while position < last:
        stop = min(position + _WINDOW, last)
        seen: dict[bytes, int] = {}
        while position < stop:
            word = data[position : position + 3]
            candidate = seen.get(word)
            seen[word] = position
            if candidate is None or position - candidate > _DISTANCE_MAX:
                position += 1
                continue
            length = _match_length(data, candidate, position)
            _put_literals(out, data, literals_at, position)
            _put_reference(out, length, position - candidate)
            position += length
            literals_at = position
        if len(out) + position - literals_at > position - 4:
            # A whole window (or everything) without gain: what follows is not likely to be better.
            return None
    _put_literals(out, data, literals_at, size)
    return bytes(out) if len(out) <= size - 4 else None


def _match_length(data: bytes, earlier: int, here: int) -> int:
    limit = min(len(data) - here, _MATCH_MAX)
    length = 3
    while (
        length + 16 <= limit
        and data[earlier + length : earlier + length + 16] == data[here + length : here + length + 16]
    ):
        length += 16
    while length < limit and data[earlier + length] == data[here + length]:
        length += 1
    return length


def _put_literals(out: bytearray, data: bytes, start: int, end: int) -> None:
    while start < end:
        stop = min(start + _LITERALS_MAX, end)
        out.append(stop - start - 1)
        out += data[start:stop]
        start = stop


def _put_reference(out: bytearray, length: int, distance: int) -> None:
    distance -= 1
    length -= 2
    if length < 7:
        out.append(length << 5 | distance >> 8)
    else:
        out.append(7 << 5 | distance >> 8)
        out.append(length - 7)
    out.append(distance & 0xFF)
