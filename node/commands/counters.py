"""Strings that are numbers: INCR and its family. Redis stores a number as its text, and so do we."""

from __future__ import annotations

from node.call import Call
from node.long_double import LongDouble, add, format_long_double, parse_long_double
from node.notifications import STRING
from wire.arguments import INT64_MAX, INT64_MIN, parse_integer
from wire.command import DENYOOM, FAST, WRITE, command, key
from wire.errors import NOT_A_FLOAT, OVERFLOW, Error
from wire.reply import Reply

# Small numbers share their texts, as in Redis (OBJ_SHARED_INTEGERS), and need not be read digit by digit.
SHARED = 10_000
TEXTS = [b"%d" % number for number in range(SHARED)]
SMALL = {text: number for number, text in enumerate(TEXTS)}


@command(
    "INCR",
    arity=2,
    flags=WRITE | DENYOOM | FAST,
    keys=key(1, "RW", "access", "update"),
    group="string",
    since="1.0.0",
    complexity="O(1)",
    summary="Increments the integer value of a key by one. Uses 0 as initial value if the key doesn't exist.",
    syntax="key",
)
def incr(call: Call) -> Reply:
    return _increase(call, 1)


@command(
    "DECR",
    arity=2,
    flags=WRITE | DENYOOM | FAST,
    keys=key(1, "RW", "access", "update"),
    group="string",
    since="1.0.0",
    complexity="O(1)",
    summary="Decrements the integer value of a key by one. Uses 0 as initial value if the key doesn't exist.",
    syntax="key",
)
def decr(call: Call) -> Reply:
    return _increase(call, -1)


@command(
    "INCRBY",
    arity=3,
    flags=WRITE | DENYOOM | FAST,
    keys=key(1, "RW", "access", "update"),
    group="string",
    since="1.0.0",
    complexity="O(1)",
    summary="Increments the integer value of a key by a number. Uses 0 as initial value if the key doesn't exist.",
    syntax="key increment",
)
def incrby(call: Call) -> Reply:
    return _increase(call, parse_integer(call.argv[2]))


@command(
    "DECRBY",
    arity=3,
    flags=WRITE | DENYOOM | FAST,
    keys=key(1, "RW", "access", "update"),
    group="string",
    since="1.0.0",
    complexity="O(1)",
    summary="Decrements a number from the integer value of a key. Uses 0 as initial value if the key doesn't exist.",
    syntax="key decrement",
)
def decrby(call: Call) -> Reply:
    decrement = parse_integer(call.argv[2])
    if decrement == INT64_MIN:
        # Its opposite is no 64-bit integer.
        raise Error(b"ERR decrement would overflow")
    return _increase(call, -decrement)


def _increase(call: Call, increment: int) -> int:
    name = call.argv[1]
    db = call.db
    keyspace = call.keyspace
    # `Database.get`, without the call where nothing is to be looked at.
    if name is keyspace.key and not db.looks_closer:
        value = db.shards[keyspace.slot].get(name)
    else:
        value = db.get(name)
    before = 0 if value is None else SMALL.get(value) if type(value) is bytes else None
    if before is None:
        return _increase_any(call, name, increment)
    number = before + increment
    if number > INT64_MAX:
        raise Error(OVERFLOW)
    text = TEXTS[number] if 0 <= number < SHARED else b"%d" % number
    if value is None:
        db.put(name, text)
    else:
        db.replace(name, text)
    if keyspace.notifier.flags:
        call.notify(STRING, b"incrby", name)
    return number


def _increase_any(call: Call, name: bytes, increment: int) -> int:
    """Whatever the key holds."""
    value = call.db.get_string(name)
    assert value is not None, "what is missing counts as a zero"
    number = parse_integer(value) + increment
    if not INT64_MIN <= number <= INT64_MAX:
        raise Error(OVERFLOW)
    # The number stays as long as the key would have.
    call.db.replace(name, b"%d" % number)
    call.notify(STRING, b"incrby", name)
    return number


@command(
    "INCRBYFLOAT",
    arity=3,
    flags=WRITE | DENYOOM | FAST,
    keys=key(1, "RW", "access", "update"),
    group="string",
    since="2.6.0",
    complexity="O(1)",
    summary="Increments the floating point value of a key by a number. "
    "Uses 0 as initial value if the key doesn't exist.",
    syntax="key increment:double",
)
def incrbyfloat(call: Call) -> Reply:
    _, name, increment = call.argv
    value = call.db.get_string(name)
    before = _parse(value) if value is not None else (0, 0)
    change = _parse(increment)
    after = add(before, change) if before is not None and change is not None else None
    if after is None:
        raise Error(b"ERR increment would produce NaN or Infinity")
    text = format_long_double(after)
    if value is None:
        call.db.put(name, text)
    else:
        call.db.replace(name, text)
    call.notify(STRING, b"incrbyfloat", name)
    # The result, since a replica on other hardware might add differently.
    call.propagate(b"SET", name, text, b"KEEPTTL")
    return text


def _parse(text: bytes | bytearray) -> LongDouble | None:
    try:
        return parse_long_double(text)
    except ValueError:
        raise Error(NOT_A_FLOAT) from None
