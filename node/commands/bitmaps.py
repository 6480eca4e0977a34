"""Strings as bitmaps. Bit 0 is the most significant one of the first byte."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import and_, or_, xor
from typing import Final

from node.call import Call
from node.commands.substrings import changeable
from node.notifications import GENERIC, STRING
from wire.arguments import parse_integer
from wire.command import DENYOOM, FAST, READONLY, WRITE, KeySpec, command, key
from wire.errors import SYNTAX, Error
from wire.reply import Reply

_BAD_OFFSET = b"ERR bit offset is not an integer or out of range"
_BAD_BIT = b"ERR bit is not an integer or out of range"
# A long string is gone through in pieces of so many bytes: numbers of that size stay in the processor's cache, a piece
# of equal bits is known by a comparison, and a search ends where it has found something.
_PIECE: Final = 1 << 16
_ZEROS: Final = bytes(_PIECE)
_ONES: Final = b"\xff" * _PIECE
# Every byte with its bits inverted.
_INVERTED: Final = bytes(range(255, -1, -1))


@command(
    "SETBIT",
    arity=4,
    flags=WRITE | DENYOOM,
    keys=key(1, "RW", "access", "update"),
    group="bitmap",
    since="2.2.0",
    complexity="O(1)",
    summary="Sets or clears the bit at offset of the string value. Creates the key if it doesn't exist.",
    syntax="key offset value:integer",
    brief_words=0,
)
def setbit(call: Call) -> Reply:
    _, name, where, bit_text = call.argv
    offset = bit_offset(call, where)
    if bit_text not in (b"0", b"1"):
        raise Error(_BAD_BIT)
    value, has_grown = grown(call, name, (offset >> 3) + 1)
    mask = 0x80 >> (offset & 7)
    old = 1 if value[offset >> 3] & mask else 0
    if old == (bit_text == b"1") and not has_grown:
        return old
    value[offset >> 3] ^= 0 if old == (bit_text == b"1") else mask
    call.db.replace(name, value)
    call.notify(STRING, b"setbit", name)
    return old


@command(
    "GETBIT",
    arity=3,
    flags=READONLY | FAST,
    keys=key(1, "RO", "access"),
    group="bitmap",
    since="2.2.0",
    complexity="O(1)",
    summary="Returns a bit value by offset.",
    syntax="key offset",
)
def getbit(call: Call) -> Reply:
    _, name, where = call.argv
    offset = bit_offset(call, where)
    value = call.db.read_string(name)
    if value is None or offset >> 3 >= len(value):
        return 0
    return value[offset >> 3] >> (7 - (offset & 7)) & 1


def bit_offset(call: Call, text: bytes, *, unit: int = 1) -> int:
    """The bit that an argument names, in units of so many bits; raises Error where no string reaches it."""
    number = parse_integer(text, _BAD_OFFSET)
    offset = number * unit
    # Our master's word counts for more than our own limit.
    if offset < 0 or (offset >> 3 >= call.node.service.bulk_max and not call.session.from_master):
        raise Error(_BAD_OFFSET)
    return offset


def grown(call: Call, name: bytes, length: int) -> tuple[bytearray, bool]:
    """The string at `name`, to be changed and put back, with zeros behind it up to `length`; and whether it grew.

    Where its bits begin has been checked (`bit_offset`); the last of them may lie beyond the limit, as in Redis.
    """
    stored = call.db.get_string(name) or b""
    missing = length - len(stored)
    if missing <= 0:
        # Changed or not, Redis keeps it in the form that can be changed from now on (OBJECT ENCODING tells).
        return call.db.unshare_string(name), False
    value = changeable(stored)
    value += bytes(missing)
    return value, True


@command(
    "BITCOUNT",
    arity=-2,
    flags=READONLY,
    keys=key(1, "RO", "access"),
    group="bitmap",
    since="2.6.0",
    complexity="O(N)",
    summary="Counts the number of set bits (population counting) in a string.",
    syntax="key [start end [BYTE | BIT]]",
    history=(("7.0.0", "Added the `BYTE|BIT` option."),),
)
def bitcount(call: Call) -> Reply:
    argv = call.argv
    # Nothing is asked of the arguments when there is nothing to count.
    value = call.db.read_string(argv[1])
    if value is None:
        return 0
    if len(argv) == 2:
        return _count(value, 0, len(value))
    if len(argv) not in (4, 5):
        raise Error(SYNTAX)
    start, end = parse_integer(argv[2]), parse_integer(argv[3])
    by_bit = len(argv) == 5 and _is_bit_unit(argv[4])
    if not value or (start < 0 and end < 0 and start > end):
        return 0
    total = len(value) * 8 if by_bit else len(value)
    start, end = _clipped(start, end, total)
    if start > end:
        return 0
    if not by_bit:
        return _count(value, start, end + 1)
    first, last = start >> 3, end >> 3
    if first == last:
        return _bits(value, start, end).bit_count()
    edges = _bits(value, start, first * 8 + 7), _bits(value, last * 8, end)
    return _count(value, first + 1, last) + sum(edge.bit_count() for edge in edges)


def _count(value: bytes | bytearray, start: int, stop: int) -> int:
    """The set bits of bytes `start` to `stop`."""
    if stop - start <= _PIECE:
        return int.from_bytes(value[start:stop], "little").bit_count()
    found = 0
    for at in range(start, stop, _PIECE):
        piece = value[at : min(at + _PIECE, stop)]
        if piece != _ZEROS[: len(piece)]:
            found += int.from_bytes(piece, "little").bit_count()
    return found


def _is_bit_unit(text: bytes) -> bool:
    unit = text.upper()
    if unit not in (b"BYTE", b"BIT"):
        raise Error(SYNTAX)
    return unit == b"BIT"


def _clipped(start: int, end: int, total: int) -> tuple[int, int]:
    """A range counted from either end, within 0 to total - 1."""
    if start < 0:
        start = max(start + total, 0)
    if end < 0:
        end = max(end + total, 0)
    return start, min(end, total - 1)


def _bits(value: bytes | bytearray, first: int, last: int) -> int:
    """The bits from `first` to `last` as a number."""
    part = int.from_bytes(value[first >> 3 : (last >> 3) + 1], "big") >> (7 - (last & 7))
    return part & ((1 << last - first + 1) - 1)


@command(
    "BITPOS",
    arity=-3,
    flags=READONLY,
    keys=key(1, "RO", "access"),
    group="bitmap",
    since="2.8.7",
    complexity="O(N)",
    summary="Finds the first set (1) or clear (0) bit in a string.",
    syntax="key bit:integer [start [end [BYTE | BIT]]]",
    history=(("7.0.0", "Added the `BYTE|BIT` option."),),
)
def bitpos(call: Call) -> Reply:
    argv = call.argv
    bit = parse_integer(argv[2])
    if bit not in (0, 1):
        raise Error(b"ERR The bit argument must be 1 or 0.")
    value = call.db.read_string(argv[1])
    if value is None:
        return -1 if bit else 0
    if len(argv) > 6:
        raise Error(SYNTAX)
    start = parse_integer(argv[3]) if len(argv) > 3 else 0
    end = parse_integer(argv[4]) if len(argv) > 4 else -1
    by_bit = len(argv) == 6 and _is_bit_unit(argv[5])
    total = len(value) * 8 if by_bit else len(value)
    start, end = _clipped(start, end, total)
    if start > end:
        return -1
    if not by_bit:
        start, end = start * 8, end * 8 + 7
    found = _first(value, bit, start, end)
    # Without an end, the string goes on with zeros for ever.
    if found < 0 and not bit and len(argv) < 5:
        return len(value) * 8
    return found


def _first(value: bytes | bytearray, bit: int, first: int, last: int) -> int:
    """The first bit from `first` to `last` that is `bit`; -1 without one."""
    without = _ZEROS if bit else _ONES
    stop = (last >> 3) + 1
    for at in range(first >> 3, stop, _PIECE):
        piece = value[at : min(at + _PIECE, stop)]
        if piece != without[: len(piece)]:
            found = _first_in_piece(value, bit, max(first, at * 8), min(last, (at + len(piece)) * 8 - 1))
            if found >= 0:
                return found
    return -1


def _first_in_piece(value: bytes | bytearray, bit: int, first: int, last: int) -> int:
    width = last - first + 1
    bits = _bits(value, first, last)
    if not bit:
        bits ^= (1 << width) - 1
    return first + width - bits.bit_length() if bits else -1


_OPERATIONS: dict[bytes, Callable[[int, int], int]] = {b"AND": and_, b"OR": or_, b"XOR": xor}
# Those of Redis 8.2: of the first number and all bits of the others.
_FIRST_AND_OTHERS: dict[bytes, Callable[[int, int], int]] = {
    b"DIFF": lambda first, others: first & ~others,
    b"DIFF1": lambda first, others: others & ~first,
    b"ANDOR": and_,
}


@command(
    "BITOP",
    arity=-4,
    flags=WRITE | DENYOOM,
    keys=(KeySpec(2, ("OW", "update")), KeySpec(3, ("RO", "access"), last=-1)),
    group="bitmap",
    since="2.6.0",
    complexity="O(N)",
    summary="Performs bitwise operations on multiple strings, and stores the result.",
    syntax="operation destkey key [key ...]",
    history=(("8.2.0", "Added `DIFF`, `DIFF1`, `ANDOR`, and `ONE` operations."),),
)
def bitop(call: Call) -> Reply:
    operation = call.argv[1].upper()
    target, *names = call.argv[2:]
    if operation not in (*_OPERATIONS, *_FIRST_AND_OTHERS, b"NOT", b"ONE"):
        raise Error(SYNTAX)
    if operation == b"NOT" and len(names) != 1:
        raise Error(b"ERR BITOP NOT must be called with a single source key.")
    if operation in _FIRST_AND_OTHERS and len(names) < 2:
        raise Error(b"ERR BITOP %b must be called with at least two source keys." % operation)
    # Older replicas do not know these, and get their effect.
    is_newer = operation in _FIRST_AND_OTHERS or operation == b"ONE"
    db = call.db
    values = [db.read_string(name) or b"" for name in names]
    length = max(map(len, values))
    if not length:
        if db.delete(target):
            call.notify(GENERIC, b"del", target)
            if is_newer:
                call.propagate(b"DEL", target)
        return 0
    result = bytearray(length)
    for at in range(0, length, _PIECE):
        size = min(_PIECE, length - at)
        pieces = [value[at : at + size] for value in values]
        if operation == b"NOT":
            result[at : at + size] = pieces[0].translate(_INVERTED)
            continue
        # Shorter ones have zeros behind them, at the upper end of the number.
        numbers = [int.from_bytes(piece, "little") for piece in pieces]
        result[at : at + size] = _combined(operation, numbers).to_bytes(size, "little")
    db.put(target, result)
    call.notify(STRING, b"set", target)
    if is_newer:
        call.propagate(b"SET", target, bytes(result))
    return length


def _combined(operation: bytes, numbers: list[int]) -> int:
    if operation == b"ONE":
        # Bits that some number has, and those that more than one has.
        some = more = 0
        for number in numbers:
            more |= some & number
            some |= number
        return some & ~more
    if operation in _FIRST_AND_OTHERS:
        return _FIRST_AND_OTHERS[operation](numbers[0], reduce(or_, numbers[1:]))
    return reduce(_OPERATIONS[operation], numbers)
