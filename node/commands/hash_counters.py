"""Fields of hashes that are numbers."""

from __future__ import annotations

from node.call import Call
from node.commands.hash_access import find_field
from node.commands.hashes import store_field
from node.long_double import add, format_long_double, parse_long_double
from node.notifications import HASH
from wire.arguments import INT64_MAX, INT64_MIN, parse_integer
from wire.command import DENYOOM, FAST, WRITE, command, key
from wire.errors import NOT_A_FLOAT, OVERFLOW, Error
from wire.reply import Reply


@command(
    "HINCRBY",
    arity=4,
    flags=WRITE | DENYOOM | FAST,
    keys=key(1, "RW", "access", "update"),
    group="hash",
    since="2.0.0",
    complexity="O(1)",
    summary="Increment the integer value of a hash field by the given number",
    syntax="key field increment",
)
def hincrby(call: Call) -> Reply:
    _, name, field, text = call.argv
    increment = parse_integer(text)
    hash_, value = find_field(call, name, field)
    number = increment if value is None else parse_integer(value, b"ERR hash value is not an integer") + increment
    if not INT64_MIN <= number <= INT64_MAX:
        raise Error(OVERFLOW)
    store_field(call, hash_, field, b"%d" % number)
    call.notify(HASH, b"hincrby", name)
    return number


@command(
    "HINCRBYFLOAT",
    arity=4,
    flags=WRITE | DENYOOM | FAST,
    keys=key(1, "RW", "access", "update"),
    group="hash",
    since="2.6.0",
    complexity="O(1)",
    summary="Increment the float value of a hash field by the given amount",
    syntax="key field increment:double",
)
def hincrbyfloat(call: Call) -> Reply:
    _, name, field, increment = call.argv
    try:
        change = parse_long_double(increment)
    except ValueError:
        raise Error(NOT_A_FLOAT) from None
    if change is None:
        raise Error(b"ERR value is NaN or Infinity")
    hash_, value = find_field(call, name, field)
    try:
        before = (0, 0) if value is None else parse_long_double(value)
    except ValueError:
        raise Error(b"ERR hash value is not a float") from None
    after = None if before is None else add(before, change)
    if after is None:
        raise Error(b"ERR increment would produce NaN or Infinity")
    text = format_long_double(after)
    expires_at_ms = store_field(call, hash_, field, text)
    call.notify(HASH, b"hincrbyfloat", name)
    # The result, since a replica on other hardware might add differently.
    call.propagate(b"HSET", name, field, text)
    if expires_at_ms is not None:
        call.propagate(b"HPEXPIREAT", name, b"%d" % expires_at_ms, b"FIELDS", b"1", field)
    return text
