"""cjson: JSON as lua-cjson 2.1 reads and writes it, its error messages included.

A table is an array when all its keys are positive integers and not too many are missing; an empty table is an object.
JSON's null is a value of its own (`cjson.null`), because a table cannot hold nil.
"""

from __future__ import annotations

import re
from typing import Any

from node.scripting.libraries import LibraryError, as_int, bad_argument, guarded, integer, number_in, text, type_name

_NAME = b"cjson"
_VERSION = b"2.1.0"
# What C's ``strtod`` takes, and the part of it that is no JSON.
_NUMBER = re.compile(
    rb"[-+]?(?:0x(?:[0-9a-f]+\.?[0-9a-f]*|\.[0-9a-f]+)(?:p[+-]?\d+)?|(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|inf(?:inity)?|nan)",
    re.IGNORECASE,
)
_ODD_NUMBER = re.compile(rb"\+|-?(?:0[x\d]|inf|nan)", re.IGNORECASE)
_INT_MAX = (1 << 31) - 1
_PRECISION_MAX = 14
_SPACE = re.compile(rb"[ \t\n\r]*")
_PLAIN = re.compile(rb'[^"\\]*')
_ESCAPES = {b'"': b'"', b"\\": b"\\", b"/": b"/", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_LITERALS = ((b"true", True), (b"false", False))
# What encode writes for each byte that cannot stand for itself.
_ESCAPED = {byte: b"\\u%04x" % byte for byte in (*range(32), 127)} | {
    8: b"\\b",
    9: b"\\t",
    10: b"\\n",
    12: b"\\f",
    13: b"\\r",
    34: b'\\"',
    47: b"\\/",
    92: b"\\\\",
}
_TO_ESCAPE = re.compile(rb'[\x00-\x1f"/\\\x7f]')


class _Cjson:
    """The module's settings, and its functions."""

    def __init__(self, runtime: Any, null: Any) -> None:
        self._table_from = runtime.table_from
        self._null = null
        self._decode_depth_max = 1000
        self._encode_depth_max = 1000
        self._decode_invalid_numbers = True
        # False: an error; True: as they are; "null".
        self._encode_invalid_numbers: bool | str = False
        self._precision = 14
        self._keep_buffer = True
        # Whether sparse arrays become objects, how sparse they may be, and up to which index that does not matter.
        self._sparse_to_object = False
        self._sparse_ratio = 2
        self._sparse_safe = 10

    def functions(self) -> dict[str, Any]:
        return {
            "encode": self.encode,
            "decode": self.decode,
            "encode_sparse_array": self.encode_sparse_array,
            "encode_max_depth": self.encode_max_depth,
            "decode_max_depth": self.decode_max_depth,
            "encode_number_precision": self.encode_number_precision,
            "encode_keep_buffer": self.encode_keep_buffer,
            "encode_invalid_numbers": self.encode_invalid_numbers,
            "decode_invalid_numbers": self.decode_invalid_numbers,
        }

    # ---- settings

    def encode_max_depth(self, *arguments: Any) -> tuple[int]:
        self._encode_depth_max = _only_integer("encode_max_depth", arguments, self._encode_depth_max, _INT_MAX)
        return (self._encode_depth_max,)

    def decode_max_depth(self, *arguments: Any) -> tuple[int]:
        self._decode_depth_max = _only_integer("decode_max_depth", arguments, self._decode_depth_max, _INT_MAX)
        return (self._decode_depth_max,)

    def encode_number_precision(self, *arguments: Any) -> tuple[int]:
        self._precision = _only_integer("encode_number_precision", arguments, self._precision, _PRECISION_MAX)
        return (self._precision,)

    def encode_keep_buffer(self, *arguments: Any) -> tuple[bool]:
        self._keep_buffer = _only_flag("encode_keep_buffer", arguments, self._keep_buffer)
        return (self._keep_buffer,)

    def decode_invalid_numbers(self, *arguments: Any) -> tuple[bool]:
        self._decode_invalid_numbers = _only_flag("decode_invalid_numbers", arguments, self._decode_invalid_numbers)
        return (self._decode_invalid_numbers,)

    def encode_invalid_numbers(self, *arguments: Any) -> tuple[bool | bytes]:
        name = "encode_invalid_numbers"
        _check_count(name, arguments, 1)
        if arguments and arguments[0] is not None:
            self._encode_invalid_numbers = "null" if arguments[0] == b"null" else _flag_option(name, arguments, False)
        found = self._encode_invalid_numbers
        return (found if isinstance(found, bool) else found.encode(),)

    def encode_sparse_array(self, *arguments: Any) -> tuple[bool, int, int]:
        name = "encode_sparse_array"
        _check_count(name, arguments, 3)
        # One after the other: what stands in front of a mistake counts.
        self._sparse_to_object = _flag_option(name, arguments, self._sparse_to_object)
        self._sparse_ratio = _integer_option(name, arguments, 2, self._sparse_ratio, 0, _INT_MAX)
        self._sparse_safe = _integer_option(name, arguments, 3, self._sparse_safe, 0, _INT_MAX)
        return self._sparse_to_object, self._sparse_ratio, self._sparse_safe

    # ---- encoding

    def encode(self, *arguments: Any) -> tuple[bytes]:
        if len(arguments) != 1:
            raise LibraryError("bad argument #1 to 'encode' (expected 1 argument)")
        out: list[bytes] = []
        self._encode(out, arguments[0], 0)
        return (b"".join(out),)

    def _encode(self, out: list[bytes], value: Any, depth: int) -> None:
        kind = type_name(value)
        if kind == "string":
            out.append(_quoted(value))
        elif kind == "number":
            out.append(self._encode_number(value))
        elif kind == "boolean":
            out.append(b"true" if value else b"false")
        elif kind in ("nil", "userdata"):
            # The only userdata that a script can have is cjson.null.
            out.append(b"null")
        elif kind == "table":
            self._encode_table(out, value, depth + 1)
        else:
            raise LibraryError(f"Cannot serialise {kind}: type not supported")

    def _encode_number(self, value: float) -> bytes:
        if value != value or value in (float("inf"), float("-inf")):
            if self._encode_invalid_numbers == "null":
                return b"null"
            if not self._encode_invalid_numbers:
                raise LibraryError("Cannot serialise number: must not be NaN or Inf")
        return b"%.*g" % (self._precision, value)

    def _encode_table(self, out: list[bytes], table: Any, depth: int) -> None:
        if depth > self._encode_depth_max:
            raise LibraryError(f"Cannot serialise, excessive nesting ({depth})")
        items = list(table.items())
        length = self._array_length(items)
        if length > 0:
            values = dict(items)
            out.append(b"[")
            for index in range(1, length + 1):
                if index > 1:
                    out.append(b",")
                self._encode(out, values.get(index), depth)
            out.append(b"]")
            return
        out.append(b"{")
        for number, (key, value) in enumerate(items):
            if number:
                out.append(b",")
            kind = type_name(key)
            if kind == "string":
                out += (_quoted(key), b":")
            elif kind == "number":
                out += (b'"', self._encode_number(key), b'":')
            else:
                raise LibraryError(f"Cannot serialise {kind}: table key must be a number or string")
            self._encode(out, value, depth)
        out.append(b"}")

    def _array_length(self, items: list[tuple[Any, Any]]) -> int:
        """The highest index, if the table is an array; -1 if it is none."""
        highest = 0
        for key, _ in items:
            if type(key) is not int or not 1 <= key <= _INT_MAX:
                return -1
            highest = max(highest, key)
        ratio = self._sparse_ratio
        if ratio > 0 and highest > len(items) * ratio and highest > self._sparse_safe:
            if not self._sparse_to_object:
                raise LibraryError("Cannot serialise table: excessively sparse array")
            return -1
        return highest

    # ---- decoding

    def decode(self, *arguments: Any) -> tuple[Any]:
        if len(arguments) != 1:
            raise LibraryError("bad argument #1 to 'decode' (expected 1 argument)")
        data = text("decode", 1, arguments)
        if len(data) >= 2 and (not data[0] or not data[1]):
            raise LibraryError("JSON parser does not support UTF-16 or UTF-32")
        value, position = self._value(data, _skip(data, 0), 0)
        position = _skip(data, position)
        if position < len(data):
            raise _unexpected("the end", data, position)
        return (value,)

    def _value(self, data: bytes, position: int, depth: int) -> tuple[Any, int]:
        first = data[position : position + 1]
        if first == b'"':
            return _string(data, position)
        if first == b"{":
            return self._object(data, position, depth + 1)
        if first == b"[":
            return self._array(data, position, depth + 1)
        for word, value in _LITERALS:
            if data.startswith(word, position):
                return value, position + len(word)
        if data.startswith(b"null", position):
            return self._null, position + 4
        if first and first in b"-0123456789+iInN":
            return self._number(data, position)
        raise _unexpected("value", data, position)

    def _number(self, data: bytes, position: int) -> tuple[float, int]:
        odd = _ODD_NUMBER.match(data, position) is not None
        if data[position] not in b"-0123456789":
            # Anything else is looked at only when it is known to be such a number.
            if not odd or not self._decode_invalid_numbers:
                raise _unexpected("value", data, position)
        elif odd and not self._decode_invalid_numbers:
            raise _unexpected_token("value", "invalid number", position)
        match = _NUMBER.match(data, position)
        if match is None:
            raise _unexpected_token("value", "invalid number", position)
        number = number_in(match[0])
        assert number is not None, match
        return number, match.end()

    def _object(self, data: bytes, position: int, depth: int) -> tuple[Any, int]:
        self._check_depth(depth, position)
        fields: dict[bytes, Any] = {}
        position = _skip(data, position + 1)
        if data[position : position + 1] == b"}":
            return self._table_from(fields), position + 1
        while True:
            if data[position : position + 1] != b'"':
                raise _unexpected("object key string", data, position)
            key, position = _string(data, position)
            position = _skip(data, position)
            if data[position : position + 1] != b":":
                raise _unexpected("colon", data, position)
            fields[key], position = self._value(data, _skip(data, position + 1), depth)
            position = _skip(data, position)
            after = data[position : position + 1]
            if after == b"}":
                return self._table_from(fields), position + 1
            if after != b",":
                raise _unexpected("comma or object end", data, position)
            position = _skip(data, position + 1)

    def _array(self, data: bytes, position: int, depth: int) -> tuple[Any, int]:
        self._check_depth(depth, position)
        items: list[Any] = []
        position = _skip(data, position + 1)
        if data[position : position + 1] == b"]":
            return self._table_from(items), position + 1
        while True:
            item, position = self._value(data, position, depth)
            items.append(item)
            position = _skip(data, position)
            after = data[position : position + 1]
            if after == b"]":
                return self._table_from(items), position + 1
            if after != b",":
                raise _unexpected("comma or array end", data, position)
            position = _skip(data, position + 1)

    def _check_depth(self, depth: int, position: int) -> None:
        if depth > self._decode_depth_max:
            raise LibraryError(f"Found too many nested data structures ({depth}) at character {position + 1}")


def module(runtime: Any, null: Any) -> dict[bytes, object]:
    """The functions and constants of the module by name."""
    entries: dict[bytes, object] = {
        name.encode(): guarded(function) for name, function in _Cjson(runtime, null).functions().items()
    }
    return entries | {b"_NAME": _NAME, b"_VERSION": _VERSION}


def _quoted(value: bytes) -> bytes:
    return b'"%b"' % _TO_ESCAPE.sub(lambda match: _ESCAPED[match[0][0]], value)


def _skip(data: bytes, position: int) -> int:
    match = _SPACE.match(data, position)
    assert match is not None
    return match.end()


def _string(data: bytes, position: int) -> tuple[bytes, int]:
    """The string whose opening quote is at `position`, and where it ends."""
    pieces: list[bytes] = []
    at = position + 1
    while True:
        match = _PLAIN.match(data, at)
        assert match is not None
        pieces.append(match[0])
        at = match.end()
        sign = data[at : at + 1]
        if sign == b'"':
            return b"".join(pieces), at + 1
        if not sign:
            raise _unexpected_token("value", "unexpected end of string", at)
        escape = data[at + 1 : at + 2]
        if escape == b"u":
            piece, at = _unicode(data, at)
            pieces.append(piece)
        elif escape in _ESCAPES:
            pieces.append(_ESCAPES[escape])
            at += 2
        else:
            raise _unexpected_token("value", "invalid escape code", at)


def _unicode(data: bytes, at: int) -> tuple[bytes, int]:
    """The character of an escape with four hex digits, or of a pair of them; and what comes behind it."""
    code = _hex4(data, at)
    at += 6
    if 0xD800 <= code < 0xDC00:
        low = _hex4(data, at) if data[at : at + 2] == b"\\u" else 0
        if not 0xDC00 <= low < 0xE000:
            raise _unexpected_token("value", "invalid unicode escape code", at - 6)
        return chr(0x10000 + ((code - 0xD800) << 10 | low - 0xDC00)).encode(), at + 6
    if 0xDC00 <= code < 0xE000:
        raise _unexpected_token("value", "invalid unicode escape code", at - 6)
    return chr(code).encode(), at


def _hex4(data: bytes, at: int) -> int:
    digits = data[at + 2 : at + 6]
    if len(digits) != 4 or not re.fullmatch(rb"[0-9a-fA-F]{4}", digits):
        raise _unexpected_token("value", "invalid unicode escape code", at)
    return int(digits, 16)


def _unexpected(wanted: str, data: bytes, position: int) -> LibraryError:
    first = data[position : position + 1]
    names = {b"": "T_END", b"{": "T_OBJ_BEGIN", b"}": "T_OBJ_END", b"[": "T_ARR_BEGIN", b"]": "T_ARR_END"}
    names |= {b'"': "T_STRING", b":": "T_COLON", b",": "T_COMMA"}
    found = names.get(first)
    if found is None:
        if first in b"-0123456789":
            found = "T_NUMBER"
        elif data.startswith((b"true", b"false"), position):
            found = "T_BOOLEAN"
        elif data.startswith(b"null", position):
            found = "T_NULL"
        else:
            found = "invalid token"
    return _unexpected_token(wanted, found, position)


def _unexpected_token(wanted: str, found: str, position: int) -> LibraryError:
    return LibraryError(f"Expected {wanted} but found {found} at character {position + 1}")


def _check_count(name: str, arguments: tuple[Any, ...], most: int) -> None:
    if len(arguments) > most:
        raise bad_argument(name, most + 1, "found too many arguments")


def _only_integer(name: str, arguments: tuple[Any, ...], old: int, most: int) -> int:
    """The setting, after a function that has this one, from 1 to `most`."""
    _check_count(name, arguments, 1)
    return _integer_option(name, arguments, 1, old, 1, most)


def _only_flag(name: str, arguments: tuple[Any, ...], old: bool) -> bool:
    """The setting, after a function that has this one, on or off."""
    _check_count(name, arguments, 1)
    return _flag_option(name, arguments, old)


def _integer_option(name: str, arguments: tuple[Any, ...], position: int, old: int, least: int, most: int) -> int:
    if position > len(arguments) or arguments[position - 1] is None:
        return old
    value = as_int(integer(name, position, arguments))
    if not least <= value <= most:
        # To the library it is the first argument whichever it is.
        raise bad_argument(name, 1, f"expected integer between {least} and {most}")
    return value


def _flag_option(name: str, arguments: tuple[Any, ...], old: bool) -> bool:
    """The first argument."""
    if not arguments or arguments[0] is None:
        return old
    if type(arguments[0]) is bool:
        return arguments[0]
    word = text(name, 1, arguments).partition(b"\0")[0]
    if word not in (b"on", b"off"):
        raise bad_argument(name, 1, f"invalid option '{word.decode('utf-8', 'surrogateescape')}'")
    return word == b"on"
