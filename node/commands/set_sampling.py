"""Members drawn by chance: SPOP, SRANDMEMBER."""

from __future__ import annotations

from node.arguments import parse_draws
from node.call import Call
from node.commands.sampling import draw
from node.commands.sets import take_out
from node.structures.sets import Set
from node.structures.table import random_key
from wire.arguments import parse_integer
from wire.command import FAST, READONLY, WRITE, command, key
from wire.errors import SYNTAX, Error
from wire.reply import Bulks, BulkSet, Reply

_NOT_POSITIVE = b"ERR value is out of range, must be positive"


@command(
    "SPOP",
    arity=-2,
    flags=WRITE | FAST,
    keys=key(1, "RW", "access", "delete"),
    group="set",
    since="1.0.0",
    complexity="Without the count argument O(1), otherwise O(N) where N is the value of the passed count.",
    summary="Remove and return one or multiple random members from a set",
    syntax="key [count]",
    tips=("nondeterministic_output",),
    history=(("3.2.0", "Added the `count` argument."),),
    brief_words=2,
)
def spop(call: Call) -> Reply:
    argv = call.argv
    name = argv[1]
    if len(argv) > 2:
        return _pop_several(call, name)
    set_ = call.db.get_as(name, Set)
    if set_ is None:
        return None
    member = random_key(set_.members, call.node.runtime.random.stream("spop"))
    take_out(call, name, set_, [member], b"spop")
    call.propagate(b"SREM", name, member)
    return member


def _pop_several(call: Call, name: bytes) -> Reply:
    argv = call.argv
    if len(argv) > 3:
        raise Error(SYNTAX)
    count = parse_integer(argv[2], _NOT_POSITIVE)
    if count < 0:
        raise Error(_NOT_POSITIVE)
    set_ = call.db.get_as(name, Set)
    if set_ is None or not count:
        return BulkSet()
    if count >= len(set_):
        members = set_.listed()
        take_out(call, name, set_, members, b"spop")
        call.propagate(b"DEL", name)
    else:
        members = draw(call, set_.members, count)
        take_out(call, name, set_, members, b"spop")
        for member in members:
            call.propagate(b"SREM", name, member)
    return BulkSet(members)


@command(
    "SRANDMEMBER",
    arity=-2,
    flags=READONLY,
    keys=key(1, "RO", "access"),
    group="set",
    since="1.0.0",
    complexity="Without the count argument O(1), otherwise O(N) where N is the absolute value of the passed count.",
    summary="Get one or multiple random members from a set",
    syntax="key [count]",
    tips=("nondeterministic_output",),
    history=(("2.6.0", "Added the optional `count` argument."),),
)
def srandmember(call: Call) -> Reply:
    argv = call.argv
    if len(argv) > 3:
        raise Error(SYNTAX)
    if len(argv) == 2:
        set_ = call.db.read_as(argv[1], Set)
        return None if set_ is None else random_key(set_.members, call.node.runtime.random.stream("srandmember"))
    count = parse_draws(argv[2])
    set_ = call.db.read_as(argv[1], Set)
    return Bulks() if set_ is None else Bulks(draw(call, set_.members, count))
