"""BITFIELD: integers of any width up to 64 bits, anywhere in a string."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from node.call import Call
from node.commands.bitmaps import bit_offset, grown
from node.notifications import STRING
from wire.arguments import parse_integer
from wire.command import DENYOOM, FAST, READONLY, WRITE, command, key
from wire.errors import SYNTAX, Error
from wire.key_places import KeyPlace
from wire.reply import Reply

_BAD_TYPE = b"ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is."
_SIGNED_BITS_MAX = 64
_UNSIGNED_BITS_MAX = 63


@dataclass(frozen=True, slots=True)
class _Operation:
    """GET, SET or INCRBY."""

    verb: bytes
    signed: bool
    bits: int
    # In bits.
    offset: int
    # The new value, or what is added.
    number: int
    overflow: bytes

    @property
    def bounds(self) -> tuple[int, int]:
        """The least and the greatest value."""
        if self.signed:
            return -(1 << self.bits - 1), (1 << self.bits - 1) - 1
        return 0, (1 << self.bits) - 1


def _field_key(argv: Sequence[bytes]) -> list[KeyPlace]:
    """BITFIELD only reads when it has nothing but GET."""
    index = 2
    while index < len(argv):
        word, left = argv[index].upper(), len(argv) - index - 1
        if word == b"GET" and left >= 2:
            index += 3
        elif word == b"OVERFLOW" and left >= 1:
            index += 2
        else:
            return [(1, ("RW", "access", "update"))]
    return [(1, ("RO", "access"))]


@command(
    "BITFIELD",
    arity=-2,
    flags=WRITE | DENYOOM,
    keys=key(
        1,
        "RW",
        "access",
        "update",
        "variable_flags",
        notes="This command allows both access and modification of the key",
    ),
    group="bitmap",
    since="3.2.0",
    complexity="O(1) for each subcommand specified",
    summary="Performs arbitrary bitfield integer operations on strings.",
    syntax="key [GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>] <SET encoding offset value:integer | "
    "INCRBY encoding offset increment> ...]",
    find_keys=_field_key,
)
def bitfield(call: Call) -> Reply:
    return _bitfield(call, _parsed(call, readonly=False))


@command(
    "BITFIELD_RO",
    arity=-2,
    flags=READONLY | FAST,
    keys=key(1, "RO", "access"),
    group="bitmap",
    since="6.0.0",
    complexity="O(1) for each subcommand specified",
    summary="Performs arbitrary read-only bitfield integer operations on strings.",
    syntax="key [GET encoding offset [GET encoding offset ...]]",
)
def bitfield_ro(call: Call) -> Reply:
    return _bitfield(call, _parsed(call, readonly=True))


def _parsed(call: Call, *, readonly: bool) -> list[_Operation]:
    argv = call.argv
    operations: list[_Operation] = []
    overflow = b"WRAP"
    at = 2
    while at < len(argv):
        verb = argv[at].upper()
        left = len(argv) - at - 1
        if verb == b"OVERFLOW" and left >= 1:
            overflow = argv[at + 1].upper()
            if overflow not in (b"WRAP", b"SAT", b"FAIL"):
                raise Error(b"ERR Invalid OVERFLOW type specified")
            at += 2
            continue
        taken = {b"GET": 2, b"SET": 3, b"INCRBY": 3}.get(verb)
        if taken is None or left < taken:
            raise Error(SYNTAX)
        signed, bits = _encoding(argv[at + 1])
        offset = _offset(call, argv[at + 2], bits)
        number = 0 if verb == b"GET" else parse_integer(argv[at + 3])
        operations.append(_Operation(verb, signed, bits, offset, number, overflow))
        at += taken + 1
    if readonly and any(operation.verb != b"GET" for operation in operations):
        raise Error(b"ERR BITFIELD_RO only supports the GET subcommand")
    return operations


def _encoding(text: bytes) -> tuple[bool, int]:
    """Whether it is signed, and how many bits it has."""
    signed = text[:1] == b"i"
    if not signed and text[:1] != b"u":
        raise Error(_BAD_TYPE)
    bits = parse_integer(text[1:], _BAD_TYPE)
    if not 1 <= bits <= (_SIGNED_BITS_MAX if signed else _UNSIGNED_BITS_MAX):
        raise Error(_BAD_TYPE)
    return signed, bits


def _offset(call: Call, text: bytes, bits: int) -> int:
    """In bits; ``#3`` is the fourth integer of this width."""
    if text.startswith(b"#"):
        return bit_offset(call, text[1:], unit=bits)
    return bit_offset(call, text)


def _bitfield(call: Call, operations: list[_Operation]) -> Reply:
    name = call.argv[1]
    db = call.db
    writes = [operation for operation in operations if operation.verb != b"GET"]
    if not writes:
        value: bytes | bytearray = db.read_string(name) or b""
        return [_get(value, operation) for operation in operations]
    highest = max(operation.offset + operation.bits - 1 for operation in writes)
    field, has_grown = grown(call, name, (highest >> 3) + 1)
    replies: list[int | None] = []
    changes = 0
    for operation in operations:
        old = _get(field, operation)
        if operation.verb == b"GET":
            replies.append(old)
            continue
        wanted = operation.number if operation.verb == b"SET" else old + operation.number
        new = _fitted(operation, wanted)
        if new is None:
            replies.append(None)
            continue
        replies.append(old if operation.verb == b"SET" else new)
        if new != old or has_grown:
            _set(field, operation, new)
            changes += 1
    if changes:
        db.replace(name, field)
        call.keyspace.dirty += changes - 1
        call.notify(STRING, b"setbit", name)
    elif has_grown:
        # Every write failed, and yet the string is longer than it was, of which Redis tells nobody.
        db.replace(name, field)
        call.keyspace.dirty -= 1
    return replies


def _fitted(operation: _Operation, value: int) -> int | None:
    """The value as the field can hold it; None where it must not be written."""
    least, most = operation.bounds
    if operation.verb == b"SET" and not operation.signed:
        # Redis takes the number for an unsigned one of 64 bits.
        value &= (1 << 64) - 1
    if least <= value <= most:
        return value
    if operation.overflow == b"FAIL":
        return None
    if operation.overflow == b"SAT":
        return most if value > most else least
    value &= (1 << operation.bits) - 1
    return value - (1 << operation.bits) if operation.signed and value > most else value


def _get(value: bytes | bytearray, operation: _Operation) -> int:
    first, bits = operation.offset, operation.bits
    last = first + bits - 1
    part = value[first >> 3 : (last >> 3) + 1]
    # What lies behind the end of the string is zero.
    missing = (last >> 3) + 1 - (first >> 3) - len(part)
    number = int.from_bytes(part, "big") << 8 * missing
    number = number >> (7 - (last & 7)) & ((1 << bits) - 1)
    return number - (1 << bits) if operation.signed and number >> (bits - 1) else number


def _set(field: bytearray, operation: _Operation, value: int) -> None:
    first, bits = operation.offset, operation.bits
    last = first + bits - 1
    start, stop = first >> 3, (last >> 3) + 1
    shift = 7 - (last & 7)
    mask = ((1 << bits) - 1) << shift
    number = int.from_bytes(field[start:stop], "big") & ~mask | (value << shift & mask)
    field[start:stop] = number.to_bytes(stop - start, "big")
