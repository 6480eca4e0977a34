"""cjson: JSON as lua-cjson 2.1 reads and writes it, its error messages included.

A table is an array when all its keys are positive integers and not too many are missing; an empty table is an object.
JSON's null is a value of its own (`cjson.null`), because a table cannot hold nil.
"""

from __future__ import annotations

import re
from contextlib import suppress
from json import JSONDecoder
from math import isfinite
from typing import Any, NoReturn

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
_PLAIN = re.compile(rb'[^"\\\x00]*')
_HEX4 = re.compile(rb"[0-9a-fA-F]{4}")
_ESCAPES = {b'"': b'"', b"\\": b"\\", b"/": b"/", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
# Tokens by their first byte, and those that are words.
_SIGNS = {
    b"{": "T_OBJ_BEGIN",
    b"}": "T_OBJ_END",
    b"[": "T_ARR_BEGIN",
    b"]": "T_ARR_END",
    b",": "T_COMMA",
    b":": "T_COLON",
    b"\0": "T_END",
    b"": "T_END",
}
_DIGITS = b"-0123456789"
_WORDS = ((b"true", "T_BOOLEAN", True), (b"false", "T_BOOLEAN", False), (b"null", "T_NULL", None))
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


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not in the standard")


# Python's own reader, of which a part is in C: for what is JSON by the standard, and UTF-8, several times as fast. All
# numbers are doubles, and control characters may stand in strings, as in lua-cjson.
_STANDARD = JSONDecoder(parse_int=float, parse_constant=_refuse_constant, strict=False)


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
        kind = type(value)
        if kind is bytes:
            out.append(_quoted(value))
        elif kind is int or kind is float:
            out.append(self._encode_number(value))
        elif kind is bool:
            out.append(b"true" if value else b"false")
        elif (name := type_name(value)) == "table":
            self._encode_table(out, value, depth + 1)
        elif name in ("nil", "userdata"):
            # The only userdata that a script can have is cjson.null.
            out.append(b"null")
        else:
            raise LibraryError(f"Cannot serialise {name}: type not supported")

    def _encode_number(self, value: float) -> bytes:
        if not isfinite(value):
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
        # A NUL ends the text for C, and for the reader below.
        if b"\0" not in data:
            # What only lua-cjson takes, and what nobody does, is left to that reader, which knows which it is.
            with suppress(ValueError, RecursionError):
                return (self._taken_over(_STANDARD.decode(data.decode()), 0),)
        return (self._read(data),)

    def _read(self, data: bytes) -> Any:
        tokens = _Tokens(data, invalid_numbers=self._decode_invalid_numbers)
        tokens.advance()
        value = self._value(tokens, 0)
        tokens.advance()
        if tokens.found != "T_END":
            raise tokens.unexpected("the end")
        return value

    def _taken_over(self, value: Any, depth: int) -> Any:
        """What Python's reader has made of JSON, in Lua's types; raises ValueError where the two may not agree."""
        kind = type(value)
        if kind is str:
            # Half of a pair of \\u escapes has no bytes, which is a ValueError, too.
            return value.encode()
        if kind is not dict and kind is not list:
            return self._null if value is None else value
        if depth >= self._decode_depth_max:
            raise ValueError("nested too deeply")
        take = self._taken_over
        # Texts and numbers, which most are, without a call.
        items = [
            item.encode() if type(item) is str else item if type(item) is float else take(item, depth + 1)
            for item in (value if kind is list else value.values())
        ]
        if kind is list:
            return self._table_from(items)
        return self._table_from(dict(zip(map(str.encode, value), items, strict=True)))

    def _value(self, tokens: _Tokens, depth: int) -> Any:
        found = tokens.found
        if found in ("T_STRING", "T_NUMBER", "T_BOOLEAN"):
            return tokens.value
        if found == "T_OBJ_BEGIN":
            return self._object(tokens, depth + 1)
        if found == "T_ARR_BEGIN":
            return self._array(tokens, depth + 1)
        if found == "T_NULL":
            return self._null
        raise tokens.unexpected("value")

    def _object(self, tokens: _Tokens, depth: int) -> Any:
        self._check_depth(depth, tokens)
        fields: dict[bytes, Any] = {}
        tokens.advance()
        while tokens.found != "T_OBJ_END" or fields:
            if tokens.found != "T_STRING":
                raise tokens.unexpected("object key string")
            key = tokens.value
            tokens.advance()
            if tokens.found != "T_COLON":
                raise tokens.unexpected("colon")
            tokens.advance()
            fields[key] = self._value(tokens, depth)
            tokens.advance()
            if tokens.found == "T_OBJ_END":
                break
            if tokens.found != "T_COMMA":
                raise tokens.unexpected("comma or object end")
            tokens.advance()
        return self._table_from(fields)

    def _array(self, tokens: _Tokens, depth: int) -> Any:
        self._check_depth(depth, tokens)
        items: list[Any] = []
        tokens.advance()
        while tokens.found != "T_ARR_END" or items:
            items.append(self._value(tokens, depth))
            tokens.advance()
            if tokens.found == "T_ARR_END":
                break
            if tokens.found != "T_COMMA":
                raise tokens.unexpected("comma or array end")
            tokens.advance()
        return self._table_from(items)

    def _check_depth(self, depth: int, tokens: _Tokens) -> None:
        if depth > self._decode_depth_max:
            raise LibraryError(f"Found too many nested data structures ({depth}) at character {tokens.next_at}")


class _Tokens:
    """The tokens of a text, one after the other. What is wrong with one is known before what it stands for matters."""

    __slots__ = ("_data", "_invalid_numbers", "_start", "found", "next_at", "value")

    def __init__(self, data: bytes, *, invalid_numbers: bool) -> None:
        self._data = data
        # Whether numbers are taken that are none by the standard.
        self._invalid_numbers = invalid_numbers
        # The present token: its name, or what is wrong with it, where it begins, and its value if it has one.
        self.found = ""
        self.value: Any = None
        self._start = 0
        # Where the next one is looked for.
        self.next_at = 0

    def unexpected(self, wanted: str) -> LibraryError:
        return LibraryError(f"Expected {wanted} but found {self.found} at character {self._start + 1}")

    def advance(self) -> None:
        """Go on to the next token. The text ends at its first NUL, as texts in C do."""
        data = self._data
        at = self._start = _skip(data, self.next_at)
        sign = data[at : at + 1]
        name = _SIGNS.get(sign)
        if name is not None:
            self.found, self.next_at = name, at + 1
        elif sign == b'"':
            self._advance_string(at + 1)
        elif sign in _DIGITS:
            if not self._invalid_numbers and _ODD_NUMBER.match(data, at):
                self.found = "invalid number"
            else:
                self._advance_number(at)
        else:
            self._advance_word(at)

    def _advance_string(self, at: int) -> None:
        data = self._data
        pieces: list[bytes] = []
        while True:
            match = _PLAIN.match(data, at)
            assert match is not None
            pieces.append(match[0])
            at = match.end()
            sign = data[at : at + 1]
            if sign == b'"':
                self.found, self.value, self.next_at = "T_STRING", b"".join(pieces), at + 1
                return
            # What is wrong within a string is told with its own place.
            self._start = at
            if sign != b"\\":
                self.found = "unexpected end of string"
                return
            escape = data[at + 1 : at + 2]
            if escape == b"u":
                code, size = _unicode(data, at)
                if code is None:
                    self.found = "invalid unicode escape code"
                    return
                pieces.append(chr(code).encode())
                at += size
            elif escape in _ESCAPES:
                pieces.append(_ESCAPES[escape])
                at += 2
            else:
                self.found = "invalid escape code"
                return

    def _advance_number(self, at: int) -> None:
        match = _NUMBER.match(self._data, at)
        if match is None:
            self.found = "invalid number"
            return
        self.found, self.value, self.next_at = "T_NUMBER", number_in(match[0]), match.end()

    def _advance_word(self, at: int) -> None:
        for word, name, value in _WORDS:
            if self._data.startswith(word, at):
                self.found, self.value, self.next_at = name, value, at + len(word)
                return
        if self._invalid_numbers and _ODD_NUMBER.match(self._data, at):
            self._advance_number(at)
        else:
            self.found = "invalid token"


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


def _unicode(data: bytes, at: int) -> tuple[int | None, int]:
    """The character of an escape with four hex digits, or of a pair of them, and its size; None for no character."""
    code = _hex4(data, at)
    if code is None or not 0xD800 <= code < 0xE000:
        return code, 6
    low = _hex4(data, at + 6) if data[at + 6 : at + 8] == b"\\u" else None
    if code >= 0xDC00 or low is None or not 0xDC00 <= low < 0xE000:
        return None, 0
    return 0x10000 + ((code - 0xD800) << 10 | low - 0xDC00), 12


def _hex4(data: bytes, at: int) -> int | None:
    """The digits of an escape at a place; None if they are none."""
    digits = data[at + 2 : at + 6]
    return int(digits, 16) if _HEX4.fullmatch(digits) else None


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
