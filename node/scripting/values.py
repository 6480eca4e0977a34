"""Values on their way from Python to Lua and back: replies of commands, and what a script returns.

The rules are Redis' ("Data type conversion" in its Lua API reference). In RESP2, a script's default, it sees null as
false, and maps and sets as arrays; after `redis.setresp(3)` as tables that name their kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, cycle, repeat
from typing import Any

import hiredis
from lupa.lua51 import lua_type

from node.scripting.sandbox import LuaTable, LuaValue, Sandbox
from wire.encoder import encode, format_double
from wire.errors import Error, until_nul
from wire.reply import NIL_ARRAY, BulkMap, BulkSet, Digits, PairMap, Raw, Reply, ReplySet, Simple, Verbatim

# How deep tables may lie in tables in a script's result; a table may contain itself. Redis converts them on Lua's
# stack, which has 8000 places for it: an array takes one, a set three, a map three and one more for keys; a few must
# be left.
_PLACES_MAX = 7995
# From here on they are encoded one by one: Python's own stack is not made for so many.
_PLACES_NEAR = 200
_SLICE = 1000
_INT64_MIN = -(1 << 63)
_TOO_DEEP = b"ERR reached lua stack limit"


class CountedError(Error):
    """An error that statistics have already."""

    __slots__ = ()


def to_lua(sandbox: Sandbox, reply: Reply, proto: int) -> LuaValue:
    """A command's reply, as the script sees it."""
    kind = type(reply)
    if kind is bytes or kind is int:
        return reply
    if reply is None or reply is NIL_ARRAY:
        return False if proto == 2 else None
    if kind is list or kind is tuple:
        return sandbox.table([_in_table(sandbox, item, proto) for item in reply])
    if kind is Simple:
        return sandbox.table({b"ok": reply.text})
    if isinstance(reply, Error):
        return error_table(sandbox, reply.text)
    if kind is float:
        return format_double(reply) if proto == 2 else sandbox.table({b"double": reply})
    if kind is Digits and proto == 3:
        return sandbox.table({b"double": float(reply)})
    if kind is bool:
        return int(reply) if proto == 2 else reply
    if isinstance(reply, Verbatim):
        if proto == 2:
            return bytes(reply)
        return sandbox.table({b"verbatim_string": sandbox.table({b"format": b"txt", b"string": bytes(reply)})})
    if isinstance(reply, PairMap) and proto == 3:
        reply = dict(reply)
    if isinstance(reply, dict):
        if proto == 2:
            flat = [_in_table(sandbox, item, proto) for pair in reply.items() for item in pair]
            return sandbox.table(flat)
        entries = {to_lua(sandbox, key, proto): _in_table(sandbox, value, proto) for key, value in reply.items()}
        return sandbox.table({b"map": sandbox.table(entries)})
    if isinstance(reply, BulkMap) and proto == 3:
        return sandbox.table({b"map": sandbox.table(dict(zip(reply[::2], reply[1::2], strict=True)))})
    if isinstance(reply, ReplySet | BulkSet) and proto == 3:
        return sandbox.table({b"set": sandbox.table({to_lua(sandbox, item, proto): True for item in reply})})
    if isinstance(reply, Raw):
        if reply.startswith(b"("):
            return sandbox.table({b"big_number": reply[1:-2]})
        reader = hiredis.Reader()
        reader.feed(reply)
        value = reader.gets()
        if reply.startswith(b"|"):
            # Attributes are not for scripts.
            value = reader.gets()
        return to_lua(sandbox, value, proto)
    if isinstance(reply, bytes | bytearray):
        return bytes(reply)
    assert isinstance(reply, list), f"no value for Lua can be made of {reply!r}"
    return sandbox.table([_in_table(sandbox, item, proto) for item in reply])


def _in_table(sandbox: Sandbox, item: Reply, proto: int) -> LuaValue:
    """As an element. In RESP3 null is nil, and an array has a hole there."""
    value = to_lua(sandbox, item, proto)
    return False if value is None and proto == 2 else value


def error_table(sandbox: Sandbox, text: bytes, *, counted: bool = True) -> LuaTable:
    """An error as scripts have it. One made by a command has been counted already."""
    return sandbox.table({b"err": text, b"ignore_error_stats_update": True} if counted else {b"err": text})


def from_lua(sandbox: Sandbox, value: LuaValue, proto: int, resp: int) -> Reply:
    """What a script returned, as the reply to a client that speaks RESP `proto`; `resp` is what the script chose."""
    return _from_lua(sandbox, value, proto, resp == 3, 0)


def _from_lua(sandbox: Sandbox, value: LuaValue, proto: int, booleans: bool, places: int) -> Reply:
    kind = type(value)
    if kind is bytes or value is None:
        return value
    if kind is bool:
        if not booleans:
            return 1 if value else None
        return int(value) if proto == 2 else Raw(b"#t\r\n" if value else b"#f\r\n")
    if kind is int:
        return value if _INT64_MIN <= value < -_INT64_MIN else _INT64_MIN
    if kind is float:
        return int(value) if abs(value) < -_INT64_MIN else _INT64_MIN
    if lua_type(value) != "table":
        return None
    if places >= _PLACES_NEAR:
        return _encoded(sandbox, value, proto, booleans, places)
    what, content, *rest = sandbox.classify(value)
    if what == b"array":
        items = _elements(sandbox, value, content)
        return [_from_lua(sandbox, item, proto, booleans, places + 1) for item in items]
    if what == b"set":
        return ReplySet(_from_lua(sandbox, key, proto, booleans, places + 3) for key in content)
    if what == b"map":
        flat = [
            _from_lua(sandbox, part, proto, booleans, places + more)
            for entry in content.items()
            for part, more in zip(entry, (4, 3), strict=True)
        ]
        if proto == 2:
            return flat
        # Encoded at once, because a key may be what no dict takes.
        return Raw(b"%%%d\r\n" % (len(flat) // 2) + b"".join(encode(part, proto) for part in flat))
    return _from_simple(what, content, rest, proto)


def _encoded(sandbox: Sandbox, value: LuaValue, proto: int, booleans: bool, places: int) -> Raw:
    """The same, with no call within a call, for what lies deep."""
    parts: list[bytes] = []
    # What is to be encoded, from the outside in, with the number of places that are taken there.
    levels: list[Iterator[tuple[LuaValue, int]]] = [iter(((value, places),))]
    while levels:
        following = next(levels[-1], None)
        if following is None:
            levels.pop()
            continue
        item, places = following
        if places >= _PLACES_MAX:
            parts.append(encode(Error(_TOO_DEEP), proto))
        elif lua_type(item) != "table":
            parts.append(encode(_from_lua(sandbox, item, proto, booleans, places), proto))
        else:
            what, content, *rest = sandbox.classify(item)
            if what == b"array":
                parts.append(b"*%d\r\n" % content)
                levels.append(zip(_elements(sandbox, item, content), repeat(places + 1)))
            elif what == b"set":
                keys = list(content)
                parts.append((b"~%d\r\n" if proto == 3 else b"*%d\r\n") % len(keys))
                levels.append(zip(keys, repeat(places + 3)))
            elif what == b"map":
                entries = list(content.items())
                parts.append(b"%%%d\r\n" % len(entries) if proto == 3 else b"*%d\r\n" % (2 * len(entries)))
                levels.append(zip(chain.from_iterable(entries), cycle((places + 4, places + 3))))
            else:
                parts.append(encode(_from_simple(what, content, rest, proto), proto))
    return Raw(b"".join(parts))


def _elements(sandbox: Sandbox, table: LuaTable, count: int) -> list[Any]:
    """The first elements of a table."""
    items: list[Any] = []
    for first in range(1, count + 1, _SLICE):
        part = sandbox.slice(table, first, min(first + _SLICE - 1, count))
        items += part if type(part) is tuple else (part,)
    return items


def _from_simple(what: bytes, content: Any, rest: list[Any], proto: int) -> Reply:
    """A table that stands for one value of RESP."""
    if what == b"err":
        return (CountedError if rest[0] else Error)(until_nul(content))
    if what == b"ok":
        return Simple(_one_line(content))
    if what == b"double":
        return float(content)
    if what == b"big_number":
        return Raw(b"(%b\r\n" % _one_line(content)) if proto == 3 else _one_line(content)
    assert what == b"verbatim_string", f"no reply can be made of {what!r}"
    (form,) = rest
    return Raw(b"=%d\r\n%b:%b\r\n" % (len(content) + 4, form[:3].ljust(3), content)) if proto == 3 else content


def _one_line(text: bytes) -> bytes:
    return text.replace(b"\r", b" ").replace(b"\n", b" ")
