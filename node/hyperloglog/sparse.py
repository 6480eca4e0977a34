"""The sparse encoding: the registers run-length coded, for values in which most are zero.

``00xxxxxx`` is 1 to 64 zeros, ``01xxxxxx yyyyyyyy`` 1 to 16,384 zeros, ``1vvvvvxx`` 1 to 4 registers with a value of
1 to 32. Which of several spellings stands there depends on the order of additions; ours come out as Redis' do.
"""

from __future__ import annotations

from node.hyperloglog.estimate import REGISTERS

VALUE_MAX = 32
_ZERO_MAX = 64
_RUN_MAX = 4
# How many codes are looked at for neighbours that have become one.
_MERGE_CODES = 5


class SparseError(Exception):
    """The codes are not 16,384 registers."""


def empty() -> bytes:
    """No register set."""
    return _zeros(REGISTERS)


def registers(codes: bytes | bytearray) -> bytes:
    """All registers, a byte each; raises SparseError."""
    pieces = []
    at = 0
    total = 0
    while at < len(codes):
        length, value, size = _decode(codes, at)
        total += length
        if total > REGISTERS:
            raise SparseError
        pieces.append(bytes((value,)) * length)
        at += size
    if total != REGISTERS:
        raise SparseError
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


def raised(codes: bytes | bytearray, index: int, value: int) -> bytes | None:
    """The codes with register `index` at `value`, at most 32; None when it is as high already. Raises SparseError."""
    at = first = size = length = 0
    current = 0
    previous = -1
    while at < len(codes):
        length, current, size = _decode(codes, at)
        if index < first + length:
            break
        first += length
        previous = at
        at += size
    else:
        raise SparseError
    if current >= value:
        return None
    new = _value(value, 1)
    if length > 1:
        before, after = index - first, first + length - 1 - index
        new = _run(current, before) + new + _run(current, after)
    merged = _merged(codes[:at] + new + codes[at + size :], previous if previous >= 0 else 0)
    return bytes(merged)


def _merged(codes: bytes | bytearray, at: int) -> bytes | bytearray:
    """Join neighbours of one value, from `at` on, within a few codes."""
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
                codes = codes[:at] + _value(value, length + next_length) + codes[at + 2 :]
                continue
        at += 1
    return codes


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
