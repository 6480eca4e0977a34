"""struct: binary layouts, as the Lua module of that name has them: ``struct.pack('>I2s', 7, 'x')``.

A format is read from left to right: ``<`` and ``>`` choose the byte order, ``!n`` an alignment, a blank nothing; each
other letter is an item, some with a size behind it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from string import digits
from sys import byteorder
from typing import Any

from node.scripting.libraries import LibraryError, bad_argument, guarded, integer, number, number_in, text

# Sizes of C's types where Redis runs.
_SIZES = {"b": 1, "B": 1, "h": 2, "H": 2, "l": 8, "L": 8, "T": 8, "i": 4, "I": 4, "f": 4, "d": 8, "x": 1}
_SIGNED = "bhli"
_INTEGER_SIZE_MAX = 32
_INT_MAX = (1 << 31) - 1
_WORD_END = 1 << 64


def module() -> dict[bytes, object]:
    """The functions of the module by name."""
    return {b"pack": guarded(_pack), b"unpack": guarded(_unpack), b"size": guarded(_size)}


class _Item:
    """One letter of a format with what has been chosen before it."""

    __slots__ = ("letter", "little", "padding", "size")

    def __init__(self, letter: str, size: int, little: bool, padding: int) -> None:
        self.letter = letter
        # Of ``c0`` it is what came before.
        self.size = size
        self.little = little
        # Bytes that the alignment puts before it.
        self.padding = padding


def _items(function: str, form: bytes, offset: list[int]) -> Iterator[_Item]:
    """The items of a format. `offset` holds the one place in which the caller keeps up where it stands."""
    letters = form.partition(b"\0")[0].decode("latin-1")
    little = byteorder == "little"
    alignment = 1
    at = 0
    while at < len(letters):
        letter = letters[at]
        at += 1
        given = None
        if letter in "!ciI":
            given, at = _number(letters, at)
        if letter == "<" or letter == ">":
            little = letter == "<"
        elif letter == "!":
            alignment = 8 if given is None else given
            if alignment <= 0 or alignment & (alignment - 1):
                raise LibraryError(f"alignment {alignment} is not a power of 2")
        elif letter == " ":
            continue
        elif letter == "s":
            yield _Item("s", 0, little, 0)
        elif letter == "c":
            yield _Item("c", 1 if given is None else given, little, 0)
        elif letter in _SIZES:
            size = _SIZES[letter] if given is None else given
            if size > _INTEGER_SIZE_MAX:
                raise LibraryError(f"integral size {size} is larger than limit of {_INTEGER_SIZE_MAX}")
            # As the library reckons, which is right for powers of two.
            to = min(size, alignment)
            yield _Item(letter, size, little, to - (offset[0] & to - 1) & to - 1 if size else 0)
        elif function != "size" or not letter.isalnum():
            raise bad_argument(function, 1, f"invalid format option '{letter}'")


def _number(letters: str, at: int) -> tuple[int | None, int]:
    """The number that stands there, if one does, and what comes behind it."""
    start = at
    while at < len(letters) and letters[at] in digits:
        at += 1
        # Redis takes care of what an `int` cannot hold, and so there are never many digits.
        if int(letters[start:at]) > _INT_MAX:
            raise LibraryError("integral size overflow")
    return int(letters[start:at]) if at > start else None, at


def _pack(*arguments: Any) -> tuple[bytes]:
    out = bytearray()
    offset = [0]
    position = 1
    for item in _items("pack", text("pack", 1, arguments), offset):
        out += bytes(item.padding)
        if item.letter == "x":
            out += b"\0"
        else:
            position += 1
            # What is missing is nil to this module.
            out += _packed(item, position, arguments if position <= len(arguments) else (*arguments, None))
        offset[0] = len(out)
    return (bytes(out),)


def _packed(item: _Item, position: int, arguments: tuple[Any, ...]) -> bytes:
    if item.letter == "s":
        return text("pack", position, arguments) + b"\0"
    if item.letter == "c":
        value = text("pack", position, arguments)
        size = item.size or len(value)
        if len(value) < size:
            raise bad_argument("pack", position + 1, "string too short")
        return value[:size]
    given = number("pack", position, arguments)
    order = "<" if item.little else ">"
    if item.letter in "fd":
        try:
            return struct.pack(order + item.letter, given)
        except OverflowError:
            return struct.pack(order + item.letter, float("inf") if given > 0 else float("-inf"))
    # Like C: what does not fit into the item is cut off, and a negative number has 64 bits and no more.
    if given < 0:
        whole = max(int(given), -(1 << 63)) if given > float("-inf") else -(1 << 63)
    elif given == given:
        whole = int(given) if given < _WORD_END else 0
    else:
        whole = 1 << 63
    return (whole % _WORD_END % (1 << 8 * item.size)).to_bytes(item.size, "little" if item.little else "big")


def _unpack(*arguments: Any) -> tuple[Any, ...]:
    """The values, and the position behind the last one."""
    data = text("unpack", 2, arguments)
    start = integer("unpack", 3, arguments) if len(arguments) > 2 and arguments[2] is not None else 1
    if start == 0:
        raise bad_argument("unpack", 3, "offset must be 1 or greater")
    # Below zero is far beyond the end: the library counts without a sign.
    start %= _WORD_END
    offset = [start - 1]
    values: list[Any] = []
    for item in _items("unpack", text("unpack", 1, arguments), offset):
        position = offset[0] + item.padding
        size = item.size
        if position > len(data):
            raise bad_argument("unpack", 2, "data string too short")
        if item.letter == "s":
            end = data.find(b"\0", position)
            if end < 0:
                raise LibraryError("unfinished string in data")
            values.append(data[position:end])
            size = end - position + 1
        else:
            if item.letter == "c" and not size:
                size = _size_of(values.pop() if values else b"")
            if size < 0 or size > len(data) - position:
                raise bad_argument("unpack", 2, "data string too short")
            piece = data[position : position + size]
            if item.letter == "c":
                values.append(piece)
            elif item.letter in "fd":
                values.append(struct.unpack(("<" if item.little else ">") + item.letter, piece)[0])
            elif item.letter != "x":
                values.append(_integer(item, piece))
        offset[0] = position + size
    end = offset[0] + 1
    return (*values, end if end < 1 << 63 else end - _WORD_END)


def _size_of(value: Any) -> int:
    """A size that was unpacked; -1 where it can be none."""
    number = number_in(value) if type(value) is bytes else value
    if number is None:
        raise LibraryError("format 'c0' needs a previous size")
    return int(number) if 0 <= number < 1 << 63 else -1


def _integer(item: _Item, piece: bytes) -> int:
    signed = item.letter in _SIGNED
    value = int.from_bytes(piece, "little" if item.little else "big", signed=signed)
    # C keeps it in 64 bits.
    value &= (1 << 64) - 1
    return value - (1 << 64) if signed and value >> 63 else value


def _size(*arguments: Any) -> tuple[int]:
    offset = [0]
    for item in _items("size", text("size", 1, arguments), offset):
        if item.letter == "s":
            raise bad_argument("size", 1, "option 's' has no fixed size")
        if item.letter == "c" and not item.size:
            raise bad_argument("size", 1, "option 'c0' has no fixed size")
        offset[0] += item.padding + item.size
    return (offset[0],)
