"""Strings that are changed only if they are what a client takes them to be: SET IFEQ, DELEX, DIGEST (Redis 8.4).

A value is compared as it is, or by its digest: XXH3 of 64 bits, as 16 hexadecimal digits.
"""

from __future__ import annotations

from collections.abc import Sequence

from xxhash import xxh3_64_hexdigest

from node.arguments import COMPARISONS
from node.call import Call
from node.notifications import GENERIC
from wire.command import FAST, READONLY, WRITE, command, key
from wire.errors import Error, wrong_arity
from wire.key_places import KeyPlace
from wire.reply import Reply

_DIGEST_DIGITS = 16
_NO_DIGEST = b"ERR must be exactly %d hexadecimal characters" % _DIGEST_DIGITS
_NOT_A_STRING = b"ERR Key should be of string type if conditions are specified"
_NO_CONDITION = b"ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE"


def holds(value: bytes | bytearray, condition: bytes, operand: bytes) -> bool:
    """Whether a string meets IFEQ, IFNE, IFDEQ or IFDNE; raises Error for a digest of another length.

    Redis does not look whether the digits are any; what is no digest is not equal to one.
    """
    if condition == b"IFEQ":
        return value == operand
    if condition == b"IFNE":
        return value != operand
    if len(operand) != _DIGEST_DIGITS:
        raise Error(_NO_DIGEST)
    return (_digest(value) == operand.lower()) is (condition == b"IFDEQ")


def _digest(value: bytes | bytearray) -> bytes:
    return xxh3_64_hexdigest(value).encode()


@command(
    "DIGEST",
    arity=2,
    flags=READONLY | FAST,
    keys=key(1, "RO", "access"),
    group="string",
    since="8.4.0",
    complexity="O(N) where N is the length of the string value.",
    summary="Returns the XXH3 hash of a string value.",
    syntax="key",
    brief_words=0,
)
def digest(call: Call) -> Reply:
    value = call.db.read_string(call.argv[1])
    return None if value is None else _digest(value)


def _delex_key(argv: Sequence[bytes]) -> list[KeyPlace]:
    """DELEX reads its key only where it compares."""
    return [(1, ("RM", "delete") if len(argv) == 2 else ("RW", "access", "delete"))]


@command(
    "DELEX",
    arity=-2,
    flags=WRITE | FAST,
    keys=key(1, "RW", "delete", "variable_flags"),
    group="string",
    since="8.4.0",
    complexity="O(1) for IFEQ/IFNE, O(N) for IFDEQ/IFDNE where N is the length of the string value.",
    summary="Conditionally removes the specified key based on value or digest comparison.",
    syntax="key [IFEQ ifeq-value | IFNE ifne-value | IFDEQ ifdeq-digest | IFDNE ifdne-digest]",
    find_keys=_delex_key,
    # What compares may look at a long string.
    brief_words=2,
)
def delex(call: Call) -> Reply:
    argv = call.argv
    name = argv[1]
    if len(argv) > 2 and not _may_delete(call, name):
        return 0
    if not call.db.delete(name):
        return 0
    call.notify(GENERIC, b"del", name)
    call.propagate(b"DEL", name)
    return 1


def _may_delete(call: Call, name: bytes) -> bool:
    argv = call.argv
    if len(argv) != 4:
        raise wrong_arity(call.command.name)
    value = call.db.read(name)
    if value is None:
        return False
    if not isinstance(value, (bytes, bytearray)):
        raise Error(_NOT_A_STRING)
    condition = argv[2].upper()
    if condition not in COMPARISONS:
        raise Error(_NO_CONDITION)
    return holds(value, condition, argv[3])
