"""bit: operations on 32-bit numbers, as LuaJIT's BitOp has them: arguments modulo 2**32, results signed."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from struct import Struct
from typing import Any

from node.scripting.libraries import guarded, number

_MASK = 0xFFFFFFFF
# A double of this size has the whole numbers in its low bits: adding it rounds, and takes what is too large modulo
# 2**32 (or, beyond 2**51, what the library itself makes of it).
_ROUNDING = float((1 << 52) + (1 << 51))
_DOUBLE, _LOW_WORD = Struct("<d"), Struct("<I")


def module() -> dict[bytes, object]:
    """The functions of the module by name."""
    functions: dict[str, Callable[..., tuple[Any, ...]]] = {
        "tobit": lambda *a: (_signed(_word("tobit", 1, a)),),
        "bnot": lambda *a: (_signed(~_word("bnot", 1, a)),),
        "bswap": lambda *a: (_signed(int.from_bytes(_word("bswap", 1, a).to_bytes(4, "little"), "big")),),
        "tohex": _tohex,
        "band": _folding("band", lambda one, other: one & other),
        "bor": _folding("bor", lambda one, other: one | other),
        "bxor": _folding("bxor", lambda one, other: one ^ other),
        "lshift": _shifting("lshift", lambda word, by: word << by),
        "rshift": _shifting("rshift", lambda word, by: word >> by),
        "arshift": _shifting("arshift", lambda word, by: _signed(word) >> by),
        "rol": _shifting("rol", lambda word, by: word << by | word >> (32 - by)),
        "ror": _shifting("ror", lambda word, by: word >> by | word << (32 - by)),
    }
    return {name.encode(): guarded(function) for name, function in functions.items()}


def _word(function: str, position: int, arguments: tuple[Any, ...]) -> int:
    word: int = _LOW_WORD.unpack_from(_DOUBLE.pack(number(function, position, arguments) + _ROUNDING))[0]
    return word


def _signed(word: int) -> int:
    word &= _MASK
    return word - (1 << 32) if word >> 31 else word


def _folding(name: str, operation: Callable[[int, int], int]) -> Callable[..., tuple[int]]:
    def fold(*arguments: Any) -> tuple[int]:
        # The first of them, and then from the last one on: so the library finds out which one is no number.
        words = [_word(name, position, arguments) for position in (1, *range(len(arguments), 1, -1))]
        return (_signed(reduce(operation, words)),)

    return fold


def _shifting(name: str, operation: Callable[[int, int], int]) -> Callable[..., tuple[int]]:
    def shift(*arguments: Any) -> tuple[int]:
        word = _word(name, 1, arguments)
        return (_signed(operation(word, _word(name, 2, arguments) & 31)),)

    return shift


def _tohex(*arguments: Any) -> tuple[bytes]:
    word = _word("tohex", 1, arguments)
    digits = _signed(_word("tohex", 2, arguments)) if len(arguments) > 1 else 8
    form = "%08X" if digits < 0 else "%08x"
    count = min(abs(digits), 8)
    return ((form % word)[8 - count :].encode(),)
