"""Several sets made into one: intersections, unions and differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from node.call import Call
from node.notifications import GENERIC, SET
from node.structures.algebra import difference, intersection
from node.structures.sets import Members, Set, set_of
from wire.arguments import parse_integer
from wire.command import DENYOOM, READONLY, WRITE, command, key, keys, numkeys
from wire.errors import SYNTAX, Error
from wire.reply import BulkSet, Reply

_UNORDERED = ("nondeterministic_output_order",)
_NUMKEYS = b"ERR numkeys should be greater than 0"
_LIMIT = b"ERR LIMIT can't be negative"

_INTERSECTING = "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets."
_ADDING = "O(N) where N is the total number of elements in all given sets."

# Combines the members of some sets; a set that does not exist is empty.
_Combine = Callable[[Sequence[Members]], list[bytes]]


def _sources(call: Call, names: list[bytes]) -> list[Members]:
    """The members of the sets at `names`; raises WRONGTYPE for any of them."""
    read_as = call.db.read_as
    found = [read_as(name, Set) for name in names]
    return [{} if set_ is None else set_.members for set_ in found]


def union(sources: Sequence[Members]) -> list[bytes]:
    """The members of any, each once."""
    members: dict[bytes, None] = {}
    for source in sources:
        members.update(dict.fromkeys(source))
    return list(members)


def _answer(call: Call, combine: _Combine) -> Reply:
    return BulkSet(combine(_sources(call, call.argv[1:])))


def _store(call: Call, combine: _Combine, event: bytes) -> Reply:
    """Put the result in the place of whatever the destination holds; how many members it has."""
    argv = call.argv
    name = argv[1]
    db = call.db
    members = combine(_sources(call, argv[2:]))
    if members:
        db.put(name, set_of(members, call.keyspace.limits.intset_entries))
        call.notify(SET, event, name)
    elif db.delete(name):
        call.notify(GENERIC, b"del", name)
    return len(members)


@command(
    "SINTER",
    arity=-2,
    flags=READONLY,
    keys=keys(1, -1, 1, "RO", "access"),
    group="set",
    since="1.0.0",
    complexity=_INTERSECTING,
    summary="Intersect multiple sets",
    syntax="key [key ...]",
    tips=_UNORDERED,
)
def sinter(call: Call) -> Reply:
    return _answer(call, intersection)


@command(
    "SINTERSTORE",
    arity=-3,
    flags=WRITE | DENYOOM,
    keys=key(1, "RW", "update") + keys(2, -1, 1, "RO", "access"),
    group="set",
    since="1.0.0",
    complexity=_INTERSECTING,
    summary="Intersect multiple sets and store the resulting set in a key",
    syntax="destination key [key ...]",
)
def sinterstore(call: Call) -> Reply:
    return _store(call, intersection, b"sinterstore")


@command(
    "SINTERCARD",
    arity=-3,
    flags=READONLY,
    keys=numkeys(1, "RO", "access"),
    group="set",
    since="7.0.0",
    complexity=_INTERSECTING,
    summary="Intersect multiple sets and return the cardinality of the result",
    syntax="numkeys key [key ...] [LIMIT limit]",
)
def sintercard(call: Call) -> Reply:
    argv = call.argv
    count = parse_integer(argv[1], _NUMKEYS)
    if count < 1:
        raise Error(_NUMKEYS)
    if count > len(argv) - 2:
        raise Error(b"ERR Number of keys can't be greater than number of args")
    limit = 0
    options = argv[2 + count :]
    while options:
        if len(options) == 1 or options[0].upper() != b"LIMIT":
            raise Error(SYNTAX)
        limit = parse_integer(options[1], _LIMIT)
        if limit < 0:
            raise Error(_LIMIT)
        options = options[2:]
    return len(intersection(_sources(call, argv[2 : 2 + count]), limit))


@command(
    "SUNION",
    arity=-2,
    flags=READONLY,
    keys=keys(1, -1, 1, "RO", "access"),
    group="set",
    since="1.0.0",
    complexity=_ADDING,
    summary="Add multiple sets",
    syntax="key [key ...]",
    tips=_UNORDERED,
)
def sunion(call: Call) -> Reply:
    return _answer(call, union)


@command(
    "SUNIONSTORE",
    arity=-3,
    flags=WRITE | DENYOOM,
    keys=key(1, "OW", "update") + keys(2, -1, 1, "RO", "access"),
    group="set",
    since="1.0.0",
    complexity=_ADDING,
    summary="Add multiple sets and store the resulting set in a key",
    syntax="destination key [key ...]",
)
def sunionstore(call: Call) -> Reply:
    return _store(call, union, b"sunionstore")


@command(
    "SDIFF",
    arity=-2,
    flags=READONLY,
    keys=keys(1, -1, 1, "RO", "access"),
    group="set",
    since="1.0.0",
    complexity=_ADDING,
    summary="Subtract multiple sets",
    syntax="key [key ...]",
    tips=_UNORDERED,
)
def sdiff(call: Call) -> Reply:
    return _answer(call, difference)


@command(
    "SDIFFSTORE",
    arity=-3,
    flags=WRITE | DENYOOM,
    keys=key(1, "OW", "update") + keys(2, -1, 1, "RO", "access"),
    group="set",
    since="1.0.0",
    complexity=_ADDING,
    summary="Subtract multiple sets and store the resulting set in a key",
    syntax="destination key [key ...]",
)
def sdiffstore(call: Call) -> Reply:
    return _store(call, difference, b"sdiffstore")
