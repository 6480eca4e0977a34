"""The sparse encoding: the registers run-length coded, for values in which most are zero.

``00xxxxxx`` is 1 to 64 zeros, ``01xxxxxx yyyyyyyy`` 1 to 16,384 zeros, ``1vvvvvxx`` 1 to 4 registers with a value of
1 to 32. Which of several spellings stands there depends on the order of additions; ours come out as Redis' do.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import accumulate

from node.hyperloglog.estimate import REGISTERS

VALUE_MAX = 32
_ZERO_MAX = 64
_RUN_MAX = 4
# How many codes are looked at for neighbours that have become one.
_MERGE_CODES = 5


# A stretch of codes of one byte, and the code of two bytes (or what is left of it) that follows.
_STRETCH = re.compile(rb"([^\x40-\x7f]*)([\x40-\x7f].?)?", re.DOTALL)
# How many registers a code of one byte stands for, and which.
_LENGTHS = bytes((code & 3) + 1 if code & 0x80 else (code & 0x3F) + 1 for code in range(256))
_RUNS = tuple(bytes(((code >> 2 & 31) + 1 if code & 0x80 else 0,)) * length for code, length in enumerate(_LENGTHS))


class SparseError(Exception):
    """The codes are not 16,384 registers."""


class FullError(Exception):
    """It cannot be said in this encoding, or not within the size that it may have."""


def empty() -> bytes:
    """No register set."""
    return _zeros(REGISTERS)


def registers(codes: bytes | bytearray) -> bytes:
    """All registers, a byte each; raises SparseError."""
    stretches = _STRETCH.findall(codes)
    total = 0
    # What they come to is known before room is made for it.
    for stretch, zeros in stretches:
        total += sum(stretch.translate(_LENGTHS)) + (_decode(zeros, 0)[0] if zeros else 0)
    if total != REGISTERS:
        raise SparseError
    pieces: list[bytes] = []
    for stretch, zeros in stretches:
        pieces += map(_RUNS.__getitem__, stretch)
        if zeros:
            pieces.append(bytes(_decode(zeros, 0)[0]))
    return b"".join(pieces)


def readable(codes: bytes | bytearray) -> bytes:
    """The codes as PFDEBUG DECODE shows them: z and Z for zeros, v for values; raises SparseError."""
    words = []
    at = 0
    while at < len(codes):
        length, value, size = _decode(codes, at)
        if value:
            words.append(b"v:%d,%d" % (value, length))
        else:
            words.append(b"%b:%d" % (b"z" if size == 1 else b"Z", length))
        at += size
    return b" ".join(words)


class Codes:
    """The codes of one value while registers are raised, with where each begins: one walk serves any number of them."""

    __slots__ = ("_end", "_firsts", "_size_max", "codes")

    def __init__(self, codes: bytes | bytearray, size_max: int) -> None:
        self.codes = bytearray(codes)
        # How many bytes they may grow to.
        self._size_max = size_max
        # For each byte the first register of its code; the second byte of a long run of zeros has that of the first.
        firsts: list[int] = []
        # How many registers they say.
        end = 0
        for stretch, zeros in _STRETCH.findall(codes):
            if stretch:
                firsts += accumulate(stretch.translate(_LENGTHS), initial=end)
                end = firsts.pop()
            if zeros:
                firsts += (end,) * len(zeros)
                # One that is cut off stands for nothing.
                if len(zeros) == 2:
                    end += _decode(zeros, 0)[0]
        self._firsts = firsts
        self._end = end

    def raise_register(self, index: int, value: int) -> bool:
        """Let register `index` be `value` at least, as redis-server would; False when it is.

        Raises SparseError, and FullError when it does not fit: then nothing has changed.
        """
        if value > VALUE_MAX:
            raise FullError
        if index >= self._end:
            raise SparseError
        codes, firsts = self.codes, self._firsts
        at = self._begin(bisect_right(firsts, index) - 1)
        first = firsts[at]
        length, current, size = _decode(codes, at)
        if current >= value:
            return False
        before, after = _run(current, index - first), _run(current, first + length - 1 - index)
        grown = len(before) + 1 + len(after) - size
        if grown > 0 and len(codes) + grown > self._size_max:
            raise FullError
        codes[at : at + size] = before + _value(value, 1) + after
        firsts[at : at + size] = [first] * len(before) + [index] + [index + 1] * len(after)
        self._merge(self._begin(at - 1) if at else 0)
        return True

    def _begin(self, at: int) -> int:
        """Where the code begins that byte `at` belongs to."""
        return at - 1 if at and self._firsts[at - 1] == self._firsts[at] else at

    def _merge(self, at: int) -> None:
        """Join neighbours of one value, from `at` on, within a few codes."""
        codes = self.codes
        for _ in range(_MERGE_CODES):
            if at >= len(codes):
                break
            code = codes[at]
            if not code & 0x80:
                at += 2 if code & 0x40 else 1
                continue
            if at + 1 < len(codes) and codes[at + 1] & 0x80:
                length, value, _ = _decode(codes, at)
                next_length, next_value, _ = _decode(codes, at + 1)
                if value == next_value and length + next_length <= _RUN_MAX:
                    codes[at : at + 2] = _value(value, length + next_length)
                    del self._firsts[at + 1]
                    continue
            at += 1


def _decode(codes: bytes | bytearray, at: int) -> tuple[int, int, int]:
    """How many registers, their value, and how many bytes say so."""
    code = codes[at]
    if code & 0x80:
        return (code & 3) + 1, (code >> 2 & 31) + 1, 1
    if not code & 0x40:
        return (code & 0x3F) + 1, 0, 1
    if at + 1 >= len(codes):
        raise SparseError
    return ((code & 0x3F) << 8 | codes[at + 1]) + 1, 0, 2


def _run(value: int, length: int) -> bytes:
    if not length:
        return b""
    return _value(value, length) if value else _zeros(length)


def _value(value: int, length: int) -> bytes:
    return bytes((0x80 | value - 1 << 2 | length - 1,))


def _zeros(length: int) -> bytes:
    if length <= _ZERO_MAX:
        return bytes((length - 1,))
    return bytes((0x40 | length - 1 >> 8, length - 1 & 0xFF))
