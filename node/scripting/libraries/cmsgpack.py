"""cmsgpack: MessagePack as Redis' Lua module writes and reads it.

A table whose keys are exactly 1 to n becomes an array, any other a map. Tables nested deeper than 16 become nil.
"""

from __future__ import annotations

import struct
from struct import Struct
from typing import Any

from node.scripting.libraries import LibraryError, as_int, guarded, integer, text, type_name

_DEPTH_MAX = 16
_BAD = "Bad data format in input."
_MISSING = "Missing bytes in input."
_F32, _F64 = Struct(">f"), Struct(">d")
# First byte to the number behind it.
_NUMBERS = {
    0xCA: _F32,
    0xCB: _F64,
    0xCC: Struct(">B"),
    0xCD: Struct(">H"),
    0xCE: Struct(">I"),
    0xCF: Struct(">Q"),
    0xD0: Struct(">b"),
    0xD1: Struct(">h"),
    0xD2: Struct(">i"),
    0xD3: Struct(">q"),
}
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
# First byte to the width of the length behind it.
_STRINGS = {0xD9: 1, 0xDA: 2, 0xDB: 4}
_ARRAYS = {0xDC: 2, 0xDD: 4}
_MAPS = {0xDE: 2, 0xDF: 4}


def module(runtime: Any) -> dict[bytes, object]:
    """The functions and constants of the module by name."""
    table_from = runtime.table_from
    return {
        b"pack": guarded(_pack),
        b"unpack": guarded(lambda *arguments: _unpack(table_from, arguments)),
        b"unpack_one": guarded(lambda *arguments: _unpack_limit(table_from, "unpack_one", arguments, 1, 2)),
        b"unpack_limit": guarded(lambda *arguments: _unpack_some(table_from, arguments)),
        b"_NAME": b"cmsgpack",
        b"_VERSION": b"lua-cmsgpack 0.4.0",
        b"_COPYRIGHT": b"Copyright (C) 2012, Redis Ltd.",
        b"_DESCRIPTION": b"MessagePack C implementation for Lua",
    }


# ---- packing


def _pack(*arguments: Any) -> tuple[bytes]:
    if not arguments:
        raise LibraryError("bad argument #0 to 'pack' (MessagePack pack needs input.)")
    out: list[bytes] = []
    for argument in arguments:
        _encode(out, argument, 0)
    return (b"".join(out),)


def _encode(out: list[bytes], value: Any, depth: int) -> None:
    kind = type_name(value)
    if kind == "table" and depth < _DEPTH_MAX:
        _encode_table(out, value, depth)
    elif kind == "string":
        out += (_header(len(value), 0xA0, 31, 0xD9), value)
    elif kind == "boolean":
        out.append(b"\xc3" if value else b"\xc2")
    elif kind == "number":
        out.append(_encode_integer(value) if type(value) is int else _encode_float(value))
    else:
        out.append(b"\xc0")


def _encode_integer(value: int) -> bytes:
    if value >= 0:
        if value < 128:
            return bytes((value,))
        for code, width in ((0xCC, 1), (0xCD, 2), (0xCE, 4)):
            if value < 1 << 8 * width:
                return bytes((code,)) + value.to_bytes(width, "big")
        return b"\xcf" + value.to_bytes(8, "big")
    if value >= -32:
        return bytes((value + 256,))
    for code, width in ((0xD0, 1), (0xD1, 2), (0xD2, 4)):
        if value >= -1 << 8 * width - 1:
            return bytes((code,)) + value.to_bytes(width, "big", signed=True)
    return b"\xd3" + value.to_bytes(8, "big", signed=True)


def _encode_float(value: float) -> bytes:
    """In 4 bytes where they say it all."""
    try:
        short = _F32.pack(value)
    except OverflowError:
        return b"\xcb" + _F64.pack(value)
    return b"\xca" + short if _F32.unpack(short)[0] == value else b"\xcb" + _F64.pack(value)


def _encode_table(out: list[bytes], table: Any, depth: int) -> None:
    items = list(table.items())
    length = _array_length([key for key, _ in items])
    if length is not None:
        out.append(_header(length, 0x90, 15, 0xDC, narrow=False))
        values = dict(items)
        for index in range(1, length + 1):
            _encode(out, values[index], depth + 1)
        return
    out.append(_header(len(items), 0x80, 15, 0xDE, narrow=False))
    for key, value in items:
        _encode(out, key, depth + 1)
        _encode(out, value, depth + 1)


def _array_length(keys: list[Any]) -> int | None:
    """How many elements a table with these keys has; None if it is no array."""
    if any(type(key) is not int or key < 1 for key in keys):
        return None
    return len(keys) if max(keys, default=0) == len(keys) else None


def _header(count: int, short: int, short_max: int, code: int, *, narrow: bool = True) -> bytes:
    """A count in its shortest form; `code` is the first of the longer ones, of one byte if `narrow`."""
    if count <= short_max:
        return bytes((short | count,))
    for width in (1, 2, 4) if narrow else (2, 4):
        if count < 1 << 8 * width:
            return bytes((code,)) + count.to_bytes(width, "big")
        code += 1
    raise LibraryError("too long")


# ---- unpacking


def _unpack(table_from: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    data = text("unpack", 1, arguments)
    return tuple(_values(table_from, data, 0, None)[0])


def _unpack_some(table_from: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    return _unpack_limit(table_from, "unpack_limit", arguments, integer("unpack_limit", 2, arguments), 3)


def _unpack_limit(
    table_from: Any, name: str, arguments: tuple[Any, ...], limit: int, offset_at: int
) -> tuple[Any, ...]:
    """Where to go on (-1 at the end), then the values; only these if there is neither a limit nor an offset."""
    given = len(arguments) >= offset_at and arguments[offset_at - 1] is not None
    offset = integer(name, offset_at, arguments) if given else 0
    data = text(name, 1, arguments)
    if offset < 0 or limit < 0:
        # What is called the limit is the length, to the library, too.
        raise LibraryError(f"Invalid request to unpack with offset of {as_int(offset)} and limit of {len(data)}.")
    if offset > len(data):
        raise LibraryError(f"Start offset {as_int(offset)} greater than input length {len(data)}.")
    if not limit and not offset:
        return tuple(_values(table_from, data, 0, None)[0])
    values, position = _values(table_from, data, offset, limit)
    return (-1 if position == len(data) else position, *values)


def _values(table_from: Any, data: bytes, position: int, limit: int | None) -> tuple[list[Any], int]:
    """Up to `limit` values (None: all) from `position` on, and the position behind them."""
    values: list[Any] = []
    while position < len(data) and (limit is None or len(values) < limit):
        try:
            value, position = _decode(table_from, data, position)
        except (IndexError, struct.error):
            raise LibraryError(_MISSING) from None
        except RecursionError:
            raise LibraryError(_BAD) from None
        values.append(value)
    return values, position


def _decode(table_from: Any, data: bytes, position: int) -> tuple[Any, int]:
    first = data[position]
    position += 1
    if first < 0x80:
        return first, position
    if first >= 0xE0:
        return first - 256, position
    if first in _NUMBERS:
        form = _NUMBERS[first]
        return form.unpack_from(data, position)[0], position + form.size
    if first in _CONSTANTS:
        return _CONSTANTS[first], position
    if first >= 0xA0 and first < 0xC0:
        return _take(data, position, first & 0x1F)
    if first in _STRINGS:
        length, position = _length(data, position, _STRINGS[first])
        return _take(data, position, length)
    if first < 0x90 or first in _MAPS:
        count, position = (first & 0x0F, position) if first < 0x90 else _length(data, position, _MAPS[first])
        return _map(table_from, data, position, count)
    if first < 0xA0 or first in _ARRAYS:
        count, position = (first & 0x0F, position) if first < 0xA0 else _length(data, position, _ARRAYS[first])
        return _array(table_from, data, position, count)
    raise LibraryError(_BAD)


def _length(data: bytes, position: int, width: int) -> tuple[int, int]:
    if position + width > len(data):
        raise LibraryError(_MISSING)
    return int.from_bytes(data[position : position + width], "big"), position + width


def _take(data: bytes, position: int, length: int) -> tuple[bytes, int]:
    if position + length > len(data):
        raise LibraryError(_MISSING)
    return data[position : position + length], position + length


def _array(table_from: Any, data: bytes, position: int, count: int) -> tuple[Any, int]:
    items = table_from({})
    for index in range(1, count + 1):
        value, position = _decode(table_from, data, position)
        items[index] = value
    return items, position


def _map(table_from: Any, data: bytes, position: int, count: int) -> tuple[Any, int]:
    items = table_from({})
    for _ in range(count):
        key, position = _decode(table_from, data, position)
        value, position = _decode(table_from, data, position)
        if key is None or key != key:
            raise LibraryError(f"table index is {'nil' if key is None else 'NaN'}", placed=False)
        items[key] = value
    return items, position
