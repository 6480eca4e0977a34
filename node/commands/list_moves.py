"""Lists: one element from a list to another, at once or as soon as there is one."""

from __future__ import annotations

from node.arguments import parse_timeout_ms
from node.blocking import NOT_YET
from node.call import Call
from node.notifications import GENERIC, LIST
from node.structures.lists import Quicklist
from wire.command import BLOCKING, DENYOOM, NOSCRIPT, WRITE, command, key
from wire.errors import SYNTAX, Error
from wire.reply import Reply

_KEYS = key(1, "RW", "access", "delete") + key(2, "RW", "insert")
_ENDS = {b"LEFT": True, b"RIGHT": False}


@command(
    "LMOVE",
    arity=5,
    flags=WRITE | DENYOOM,
    keys=_KEYS,
    group="list",
    since="6.2.0",
    complexity="O(1)",
    summary="Returns an element after popping it from one list and pushing it to another. Deletes the list if the "
    "last element was moved.",
    syntax="source destination <LEFT | RIGHT> <LEFT | RIGHT>",
)
def lmove(call: Call) -> Reply:
    argv = call.argv
    return _move(call, argv[1], argv[2], from_left=_is_left(argv[3]), to_left=_is_left(argv[4]))


@command(
    "RPOPLPUSH",
    arity=3,
    flags=WRITE | DENYOOM,
    keys=_KEYS,
    group="list",
    since="1.2.0",
    complexity="O(1)",
    summary="Returns the last element of a list after removing and pushing it to another list. Deletes the list if "
    "the last element was popped.",
    syntax="source destination",
    deprecated=("6.2.0", "`LMOVE` with the `RIGHT` and `LEFT` arguments"),
)
def rpoplpush(call: Call) -> Reply:
    return _move(call, call.argv[1], call.argv[2], from_left=False, to_left=True)


def _is_left(word: bytes) -> bool:
    left = _ENDS.get(word.upper())
    if left is None:
        raise Error(SYNTAX)
    return left


def _move(call: Call, source: bytes, destination: bytes, *, from_left: bool, to_left: bool) -> bytes | None:
    """Move one element; None when there is no source. Raises WRONGTYPE before anything is changed."""
    db = call.db
    giver = db.get_as(source, Quicklist)
    if giver is None:
        return None
    taker = giver if destination == source else db.get_as(destination, Quicklist)
    dirty = call.keyspace.dirty
    item = giver.pop_left() if from_left else giver.pop_right()
    if taker is None:
        db.put(destination, Quicklist([item]))
    else:
        if to_left:
            taker.push_left(item)
        else:
            taker.push_right(item)
        db.changed(destination)
    call.notify(LIST, b"lpush" if to_left else b"rpush", destination)
    call.notify(LIST, b"lpop" if from_left else b"rpop", source)
    if giver:
        db.changed(source)
    else:
        db.remove(source)
        call.notify(GENERIC, b"del", source)
    call.keyspace.dirty = dirty + 1
    return item


@command(
    "BLMOVE",
    arity=6,
    flags=WRITE | DENYOOM | NOSCRIPT | BLOCKING,
    keys=_KEYS,
    group="list",
    since="6.2.0",
    complexity="O(1)",
    summary="Pops an element from a list, pushes it to another list and returns it. Blocks until an element is "
    "available otherwise. Deletes the list if the last element was moved.",
    syntax="source destination <LEFT | RIGHT> <LEFT | RIGHT> timeout:double",
)
def blmove(call: Call) -> Reply:
    _, source, destination, where_from, where_to, timeout = call.argv
    from_left, to_left = _is_left(where_from), _is_left(where_to)
    timeout_ms = parse_timeout_ms(timeout)
    item = _move(call, source, destination, from_left=from_left, to_left=to_left)
    if item is not None:
        call.propagate(b"LMOVE", source, destination, where_from, where_to)
        return item

    def serve(call: Call, source: bytes) -> Reply:
        item = _move(call, source, destination, from_left=from_left, to_left=to_left)
        if item is None:
            return NOT_YET
        # Redis 7.0 writes its own words here, not the client's.
        ends = (b"left" if from_left else b"right", b"left" if to_left else b"right")
        call.propagate(b"LMOVE", source, destination, *ends)
        return item

    return call.node.blocked.block(call, [source], Quicklist, serve, timeout_ms) if call.may_block else None


@command(
    "BRPOPLPUSH",
    arity=4,
    flags=WRITE | DENYOOM | NOSCRIPT | BLOCKING,
    keys=_KEYS,
    group="list",
    since="2.2.0",
    complexity="O(1)",
    summary="Pops an element from a list, pushes it to another list and returns it. Block until an element is "
    "available otherwise. Deletes the list if the last element was popped.",
    syntax="source destination timeout:double",
    deprecated=("6.2.0", "`BLMOVE` with the `RIGHT` and `LEFT` arguments"),
    history=(("6.0.0", "`timeout` is interpreted as a double instead of an integer."),),
)
def brpoplpush(call: Call) -> Reply:
    _, source, destination, timeout = call.argv
    timeout_ms = parse_timeout_ms(timeout)

    def serve(call: Call, source: bytes) -> Reply:
        item = _move(call, source, destination, from_left=False, to_left=True)
        if item is None:
            return NOT_YET
        call.propagate(b"RPOPLPUSH", source, destination)
        return item

    reply = serve(call, source)
    if reply is not NOT_YET:
        return reply
    return call.node.blocked.block(call, [source], Quicklist, serve, timeout_ms) if call.may_block else None
