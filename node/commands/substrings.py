"""Strings in parts. A value that is changed in place becomes a `bytearray` and stays one (Redis' encoding ``raw``)."""

from __future__ import annotations

from node.call import Call
from node.notifications import STRING
from wire.arguments import parse_integer
from wire.command import DENYOOM, FAST, READONLY, WRITE, command, key
from wire.errors import STRING_TOO_LONG, Error
from wire.reply import Reply


@command(
    "APPEND",
    arity=3,
    flags=WRITE | DENYOOM | FAST,
    keys=key(1, "RW", "insert"),
    group="string",
    since="2.0.0",
    complexity="O(1) amortized, since the space of a value that grows is enlarged by more than was asked for.",
    summary="Appends a string to the value of a key. Creates the key if it doesn't exist.",
    syntax="key value",
    brief_words=0,
)
def append(call: Call) -> Reply:
    _, name, addition = call.argv
    db = call.db
    value = db.get_string(name)
    if value is None:
        db.put(name, addition)
        length = len(addition)
    else:
        length = len(value) + len(addition)
        check_length(call, length)
        value = changeable(value)
        value += addition
        db.replace(name, value)
    call.notify(STRING, b"append", name)
    return length


@command(
    "SETRANGE",
    arity=4,
    flags=WRITE | DENYOOM,
    keys=key(1, "RW", "update"),
    group="string",
    since="2.2.0",
    complexity="O(M) with M being the length of the value argument, and of the zeros put in before it.",
    summary="Overwrites a part of a string value with another by an offset. Creates the key if it doesn't exist.",
    syntax="key offset value",
)
def setrange(call: Call) -> Reply:
    _, name, where, part = call.argv
    offset = parse_integer(where)
    if offset < 0:
        raise Error(b"ERR offset is out of range")
    db = call.db
    value = db.get_string(name)
    if not part:
        return 0 if value is None else len(value)
    end = offset + len(part)
    check_length(call, end)
    if value is None:
        value = bytearray(end)
        value[offset:] = part
        db.put(name, value)
    else:
        value = changeable(value)
        if len(value) < offset:
            value += bytes(offset - len(value))
        value[offset:end] = part
        db.replace(name, value)
    call.notify(STRING, b"setrange", name)
    return len(value)


def changeable(value: bytes | bytearray) -> bytearray:
    """The value as one that can be changed in place."""
    return value if type(value) is bytearray else bytearray(value)


def check_length(call: Call, length: int) -> None:
    """`proto-max-bulk-len` bounds what can be built up, too; our master's word counts for more."""
    if length > call.node.service.bulk_max and not call.session.from_master:
        raise Error(STRING_TOO_LONG)


@command(
    "STRLEN",
    arity=2,
    flags=READONLY | FAST,
    keys=key(1, "RO"),
    group="string",
    since="2.2.0",
    complexity="O(1)",
    summary="Returns the length of a string value.",
    syntax="key",
)
def strlen(call: Call) -> Reply:
    return len(call.db.read_string(call.argv[1]) or b"")


@command(
    "GETRANGE",
    arity=4,
    flags=READONLY,
    keys=key(1, "RO", "access"),
    group="string",
    since="2.4.0",
    complexity="O(N) where N is the length of the returned string.",
    summary="Returns a substring of the string stored at a key.",
    syntax="key start end",
)
def getrange(call: Call) -> Reply:
    return _substring(call)


@command(
    "SUBSTR",
    arity=4,
    flags=READONLY,
    keys=key(1, "RO", "access"),
    group="string",
    since="1.0.0",
    complexity="O(N) where N is the length of the returned string.",
    summary="Returns a substring from a string value.",
    syntax="key start end",
    deprecated=("2.0.0", "`GETRANGE`"),
)
def substr(call: Call) -> Reply:
    return _substring(call)


def _substring(call: Call) -> bytes:
    start = parse_integer(call.argv[2])
    end = parse_integer(call.argv[3])
    value = call.db.read_string(call.argv[1])
    if not value or (start < 0 and end < 0 and start > end):
        return b""
    length = len(value)
    if start < 0:
        start = max(start + length, 0)
    if end < 0:
        # Redis stops at the first byte, not before it: GETRANGE k 0 -100 gives one byte.
        end = max(end + length, 0)
    return bytes(value[start : end + 1])
