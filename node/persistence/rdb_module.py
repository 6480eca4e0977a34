"""What modules left in an RDB file: passed over, and named, since no server has a module's type without the module.

Every item of a module's data says of which kind it is, so that whoever does not know the module still finds the end.
"""

from __future__ import annotations

from node.persistence.rdb_encoding import Cursor
from node.persistence.rdb_errors import RdbError, RdbModuleError

# What kind of item follows; 0 ends the row.
_END, _SIGNED, _UNSIGNED, _FLOAT, _DOUBLE, _STRING = range(6)
# A type's name is in the high 54 bits of its id, six for each letter; below it is the version of its encoding.
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_NAME_SIZE = 9
_VERSION_BITS = 10


def decode_module(cursor: Cursor) -> object:
    """Type 7: raises RdbModuleError when it has been passed over."""
    name = _type_name(cursor.length())
    _pass_over(cursor)
    raise RdbModuleError(name, cursor.position)


def decode_old_module(cursor: Cursor) -> object:
    """Type 6, from before 4.0: raises RdbError. Its items do not say what they are, so nobody else finds the end."""
    raise RdbError(refusal(_type_name(cursor.length())), cursor.position)


def skip_module_aux(cursor: Cursor) -> str:
    """Pass over what a module left beside the data; returns the name of its type."""
    name = _type_name(cursor.length())
    # First, as an item like the others, whether it belongs before the keys or behind them.
    if cursor.length() != _UNSIGNED:
        raise RdbError("bad when_opcode", cursor.position)
    cursor.length()
    _pass_over(cursor)
    return name


def refusal(type_name: str) -> str:
    """Redis' words for a value of a module that is not there."""
    return f"The RDB file contains module data I can't load: no matching module type '{type_name}'"


def _type_name(identity: int) -> str:
    letters = identity >> _VERSION_BITS
    return "".join(_LETTERS[letters >> 6 * place & 63] for place in reversed(range(_NAME_SIZE)))


def _pass_over(cursor: Cursor) -> None:
    while True:
        kind = cursor.length()
        if kind == _END:
            return
        if kind in (_SIGNED, _UNSIGNED):
            cursor.length()
        elif kind == _FLOAT:
            cursor.take(4)
        elif kind == _DOUBLE:
            cursor.take(8)
        elif kind == _STRING:
            cursor.string()
        else:
            raise RdbError(f"Unknown module opcode {kind}", cursor.position)
