"""The modules that scripts find beside Lua's own: cjson, cmsgpack, struct and bit, as Redis 7.0 has them.

Each has `module`, which gives what belongs into the module's table: functions of Python, and constants. Such a
function answers ``(True, result ...)`` or ``(False, message, placed)``, see `node.scripting.prelude`; `guarded` makes
one of a function that raises `LibraryError`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from math import copysign
from typing import Any

from lupa.lua51 import lua_type

_HEX = re.compile(rb"[+-]?0[xX]")
_BLANKS = b" \t\n\v\f\r"
_INT64_MIN = -(1 << 63)


class LibraryError(Exception):
    """What a script did wrong with a library; the message is what it is told.

    Most are `placed`: the line of the script stands in front.
    """

    def __init__(self, message: str, *, placed: bool = True) -> None:
        super().__init__(message)
        self.message = message.encode("utf-8", "surrogateescape")
        self.placed = placed


def guarded(function: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
    """`function`, which gives a tuple of results, in the form that the prelude expects."""

    def guard(*arguments: Any) -> tuple[Any, ...]:
        try:
            return (True, *map(_as_number, function(*arguments)))
        except LibraryError as error:
            return (False, error.message, error.placed)

    return guard


def _as_number(value: Any) -> Any:
    """Lua's numbers are doubles; its makers take a Python int only if it fits into 64 bits."""
    return float(value) if type(value) is int and not -(1 << 63) <= value < 1 << 63 else value


def number(function: str, position: int, arguments: tuple[Any, ...]) -> float:
    """The argument as Lua's `luaL_checknumber` takes it: a number, or a text that is one."""
    value = arguments[position - 1] if position <= len(arguments) else None
    if type(value) is int or type(value) is float:
        return value
    parsed = number_in(value) if type(value) is bytes else None
    if parsed is not None:
        return parsed
    raise bad_argument(function, position, f"number expected, got {lua_name(value, position, arguments)}")


def number_in(value: bytes) -> float | None:
    """The number that C's ``strtod`` reads, up to a NUL, and with nothing but blanks around it."""
    digits = value.partition(b"\0")[0].strip(_BLANKS)
    try:
        if _HEX.match(digits):
            return float.fromhex(digits.decode("ascii"))
        return None if b"_" in digits else float(digits)
    except OverflowError:
        return float("-inf" if digits.startswith(b"-") else "inf")
    except ValueError:
        return None


def integer(function: str, position: int, arguments: tuple[Any, ...]) -> int:
    """The argument as Lua's `luaL_checkinteger` takes it: a number without its fraction, in 64 bits.

    What does not fit there becomes what the processor makes of it.
    """
    value = number(function, position, arguments)
    return int(value) if _INT64_MIN <= value < -_INT64_MIN else _INT64_MIN


def as_int(value: int) -> int:
    """What is left of it in an ``int`` of C."""
    return (value + (1 << 31)) % (1 << 32) - (1 << 31)


def bad_argument(function: str, position: int, what: str) -> LibraryError:
    """What Lua's `luaL_argerror` says."""
    return LibraryError(f"bad argument #{position} to '{function}' ({what})")


def text(function: str, position: int, arguments: tuple[Any, ...]) -> bytes:
    """The argument as Lua's `luaL_checklstring` takes it: a string, or a number as text."""
    value = arguments[position - 1] if position <= len(arguments) else None
    if type(value) is bytes:
        return value
    if type(value) is int or type(value) is float:
        # C knows a negative one of what is no number.
        return b"-nan" if value != value and copysign(1, value) < 0 else b"%.14g" % value
    raise bad_argument(function, position, f"string expected, got {lua_name(value, position, arguments)}")


def lua_name(value: Any, position: int, arguments: tuple[Any, ...]) -> str:
    """What Lua calls the type of an argument, ``no value`` where there is none."""
    if position > len(arguments):
        return "no value"
    return type_name(value)


def type_name(value: Any) -> str:
    """What Lua calls the type of a value."""
    if value is None:
        return "nil"
    if type(value) is bool:
        return "boolean"
    if type(value) is int or type(value) is float:
        return "number"
    if type(value) is bytes:
        return "string"
    return lua_type(value) or "userdata"
