"""struct: binary layouts, as the Lua module of that name has them: ``struct.pack('>I2s', 7, 'x')``.

A format is read from left to right: ``<`` and ``>`` choose the byte order, ``!n`` an alignment, a blank nothing; each
other letter is an item, some with a size behind it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from sys import byteorder
from typing import Any

from node.scripting.libraries import LibraryError, bad_argument, guarded, number, text

# Sizes of C's types where Redis runs.
_SIZES = {"b": 1, "B": 1, "h": 2, "H": 2, "l": 8, "L": 8, "T": 8, "i": 4, "I": 4, "f": 4, "d": 8, "x": 1}
_SIGNED = "bhli"
_INTEGER_SIZE_MAX = 32
_ALIGNMENT_MAX = 16


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
    letters = form.decode("latin-1")
    little = byteorder == "little"
    alignment = 1
    at = 0
    while at < len(letters):
        letter = letters[at]
        at += 1
        digits = ""
        while letter in "!cisIS" and at < len(letters) and letters[at].isdigit():
            digits += letters[at]
            at += 1
        if letter == "<" or letter == ">":
            little = letter == "<"
        elif letter == "!":
            alignment = int(digits or 8)
            if not 0 < alignment <= _ALIGNMENT_MAX or alignment & (alignment - 1):
                raise LibraryError("alignment is not a power of 2")
        elif letter == " ":
            continue
        elif letter == "s":
            yield _Item("s", 0, little, 0)
        elif letter == "c":
            yield _Item("c", int(digits) if digits else 1, little, 0)
        elif letter in _SIZES:
            size = int(digits) if digits and letter in "iI" else _SIZES[letter]
            if size > _INTEGER_SIZE_MAX:
                raise LibraryError(f"integral size {size} is larger than limit of {_INTEGER_SIZE_MAX}")
            padding = 0
            if letter != "x" and alignment > 1 and size > 1:
                to = min(size, alignment)
                if to & (to - 1):
                    raise LibraryError("alignment is not a power of 2")
                padding = -offset[0] % to
            yield _Item(letter, size, little, padding)
        else:
            raise bad_argument(function, 1, f"invalid format option '{letter}'")


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
    # Like C: what does not fit is cut off, whatever its sign.
    whole = int(given) if given == given and abs(given) < 1 << 63 else -(1 << 63)
    return (whole % (1 << 8 * item.size)).to_bytes(item.size, "little" if item.little else "big")


def _unpack(*arguments: Any) -> tuple[Any, ...]:
    """The values, and the position behind the last one."""
    data = text("unpack", 2, arguments)
    start = int(number("unpack", 3, arguments)) if len(arguments) > 2 else 1
    if start < 1:
        raise bad_argument("unpack", 3, "offset must be 1 or greater")
    offset = [start - 1]
    values: list[Any] = []
    for item in _items("unpack", text("unpack", 1, arguments), offset):
        position = offset[0] + item.padding
        size = item.size
        if item.letter == "s":
            end = data.find(b"\0", position)
            if end < 0:
                raise LibraryError("unfinished string in data")
            values.append(data[position:end])
            size = end - position + 1
        else:
            if item.letter == "c" and not size:
                if not values or type(values[-1]) not in (int, float):
                    raise LibraryError("format 'c0' needs a previous size")
                size = int(values.pop())
            if size < 0 or position > len(data) or size > len(data) - position:
                raise bad_argument("unpack", 2, "data string too short")
            piece = data[position : position + size]
            if item.letter == "c":
                values.append(piece)
            elif item.letter in "fd":
                values.append(struct.unpack(("<" if item.little else ">") + item.letter, piece)[0])
            elif item.letter != "x":
                values.append(_integer(item, piece))
        offset[0] = position + size
    return (*values, offset[0] + 1)


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
            raise bad_argument("size", 1, "variable-length format")
        offset[0] += item.padding + item.size
    return (offset[0],)
