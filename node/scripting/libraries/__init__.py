"""The modules that scripts find beside Lua's own: cjson, cmsgpack, struct and bit, as Redis 7.0 has them.

Each has `module`, which gives what belongs into the module's table: functions of Python, and constants. Such a
function answers ``(True, result ...)`` or ``(False, message)``, see `node.scripting.prelude`; `guarded` makes one of a
function that raises `LibraryError`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lupa.lua51 import lua_type


class LibraryError(Exception):
    """What a script did wrong with a library; the message is what it is told."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message.encode("utf-8", "surrogateescape")


def guarded(function: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
    """`function`, which gives a tuple of results, in the form that the prelude expects."""

    def guard(*arguments: Any) -> tuple[Any, ...]:
        try:
            return (True, *map(_as_number, function(*arguments)))
        except LibraryError as error:
            return (False, error.message)

    return guard


def _as_number(value: Any) -> Any:
    """Lua's numbers are doubles; its makers take a Python int only if it fits into 64 bits."""
    return float(value) if type(value) is int and not -(1 << 63) <= value < 1 << 63 else value


def number(function: str, position: int, arguments: tuple[Any, ...]) -> float:
    """The argument as Lua's `luaL_checknumber` takes it: a number, or a text that is one."""
    value = arguments[position - 1] if position <= len(arguments) else None
    if type(value) is int or type(value) is float:
        return value
    if type(value) is bytes:
        try:
            return float(value)
        except ValueError:
            pass
    raise bad_argument(function, position, f"number expected, got {lua_name(value, position, arguments)}")


def bad_argument(function: str, position: int, what: str) -> LibraryError:
    """What Lua's `luaL_argerror` says."""
    return LibraryError(f"bad argument #{position} to '{function}' ({what})")


def text(function: str, position: int, arguments: tuple[Any, ...]) -> bytes:
    """The argument as Lua's `luaL_checklstring` takes it: a string, or a number as text."""
    value = arguments[position - 1] if position <= len(arguments) else None
    if type(value) is bytes:
        return value
    if type(value) is int or type(value) is float:
        return b"%.14g" % value
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
