"""Lists: taking elements out at the ends, at once or as soon as there are any.

What a blocking command does is propagated as the pop that it came to; whether the client had to wait for it, replicas
need not know.
"""

from __future__ import annotations

from functools import partial

from node.arguments import parse_timeout_ms
from node.blocking import NOT_YET, first_served
from node.call import Call
from node.commands.lists import end_removal
from node.notifications import GENERIC, LIST
from node.structures.lists import Quicklist
from wire.arguments import parse_integer
from wire.command import BLOCKING, FAST, NOSCRIPT, WRITE, command, key, keys, numkeys
from wire.errors import SYNTAX, WRONGTYPE, Error, wrong_arity
from wire.reply import NIL_ARRAY, Bulks, Reply

_NOT_POSITIVE = b"ERR value is out of range, must be positive"
_NO_KEYS = b"ERR numkeys should be greater than 0"
_NO_COUNT = b"ERR count should be greater than 0"
_POP_HISTORY = (("6.2.0", "Added the `count` argument."),)
_DOUBLE_HISTORY = (("6.0.0", "`timeout` is interpreted as a double instead of an integer."),)
_POPPED = "Deletes the list if the last element was popped."


@command(
    "LPOP",
    arity=-2,
    flags=WRITE | FAST,
    keys=key(1, "RW", "access", "delete"),
    group="list",
    since="1.0.0",
    complexity="O(N) where N is the number of elements returned",
    summary="Returns the first elements in a list after removing it. " + _POPPED,
    syntax="key [count]",
    history=_POP_HISTORY,
    brief_words=2,
)
def lpop(call: Call) -> Reply:
    argv = call.argv
    if len(argv) > 2:
        return _pop_several(call, left=True)
    name = argv[1]
    value = call.db.get(name)
    if value is None:
        return None
    if type(value) is not Quicklist:
        raise Error(WRONGTYPE)
    item = value.pop_left()
    _popped(call, name, value, b"lpop")
    return item


@command(
    "RPOP",
    arity=-2,
    flags=WRITE | FAST,
    keys=key(1, "RW", "access", "delete"),
    group="list",
    since="1.0.0",
    complexity="O(N) where N is the number of elements returned",
    summary="Returns and removes the last elements of a list. " + _POPPED,
    syntax="key [count]",
    history=_POP_HISTORY,
    brief_words=2,
)
def rpop(call: Call) -> Reply:
    argv = call.argv
    if len(argv) > 2:
        return _pop_several(call, left=False)
    name = argv[1]
    value = call.db.get(name)
    if value is None:
        return None
    if type(value) is not Quicklist:
        raise Error(WRONGTYPE)
    item = value.pop_right()
    _popped(call, name, value, b"rpop")
    return item


def _popped(call: Call, name: bytes, value: Quicklist, event: bytes) -> None:
    """One element has been taken out."""
    if value.length:
        call.db.changed(name)
        if call.keyspace.notifier.flags:
            call.notify(LIST, event, name)
    else:
        call.db.remove(name)
        if call.keyspace.notifier.flags:
            call.notify(LIST, event, name)
            call.notify(GENERIC, b"del", name)


def _pop_several(call: Call, *, left: bool) -> Reply:
    """LPOP or RPOP with a count."""
    argv = call.argv
    if len(argv) > 3:
        raise wrong_arity(call.command.name)
    count = parse_integer(argv[2], _NOT_POSITIVE)
    if count < 0:
        raise Error(_NOT_POSITIVE)
    value = call.db.get_as(argv[1], Quicklist)
    if value is None:
        return NIL_ARRAY
    return _take(call, argv[1], value, count, left=left) if count else []


def _take(call: Call, name: bytes, value: Quicklist, count: int, *, left: bool) -> Bulks:
    """Take up to `count` elements out, in the order in which single pops would."""
    length = len(value)
    count = min(count, length)
    if left:
        items = value.slice(0, count)
        value.drop_left(count)
    else:
        items = value.slice(length - count, length)
        items.reverse()
        value.drop_right(count)
    call.notify(LIST, b"lpop" if left else b"rpop", name)
    end_removal(call, name, value, count)
    return Bulks(items)


@command(
    "LMPOP",
    arity=-4,
    flags=WRITE,
    keys=numkeys(1, "RW", "access", "delete"),
    group="list",
    since="7.0.0",
    complexity="O(N+M) where N is the number of provided keys and M is the number of elements returned.",
    summary="Returns multiple elements from a list after removing them. " + _POPPED,
    syntax="numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
)
def lmpop(call: Call) -> Reply:
    names, left, count = _parse_lmpop(call.argv, 1)
    reply = first_served(call, names, partial(_pop_counted, count=count, left=left))
    return NIL_ARRAY if reply is NOT_YET else reply


@command(
    "BLMPOP",
    arity=-5,
    flags=WRITE | BLOCKING,
    keys=numkeys(2, "RW", "access", "delete"),
    group="list",
    since="7.0.0",
    complexity="O(N+M) where N is the number of provided keys and M is the number of elements returned.",
    summary="Pops the first element from one of multiple lists. Blocks until an element is available otherwise. "
    + _POPPED,
    syntax="timeout:double numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
)
def blmpop(call: Call) -> Reply:
    names, left, count = _parse_lmpop(call.argv, 2)
    timeout_ms = parse_timeout_ms(call.argv[1])
    serve = partial(_pop_counted, count=count, left=left)
    return call.node.blocked.serve_or_block(call, names, Quicklist, serve, timeout_ms)


def _parse_lmpop(argv: list[bytes], at: int) -> tuple[list[bytes], bool, int]:
    """The keys, whose number is argument `at`; whether LEFT; and the count."""
    number = parse_integer(argv[at], _NO_KEYS)
    if number <= 0:
        raise Error(_NO_KEYS)
    options = [word.upper() for word in argv[at + 1 + number :]]
    if not options or options[0] not in (b"LEFT", b"RIGHT"):
        raise Error(SYNTAX)
    count = 1
    if len(options) > 1:
        if options[1] != b"COUNT" or len(options) == 2:
            raise Error(SYNTAX)
        count = parse_integer(options[2], _NO_COUNT)
        if count <= 0:
            raise Error(_NO_COUNT)
        if len(options) > 3:
            raise Error(SYNTAX)
    return argv[at + 1 : at + 1 + number], options[0] == b"LEFT", count


def _pop_counted(call: Call, name: bytes, *, count: int, left: bool) -> Reply:
    """The reply of LMPOP from this key, or NOT_YET if it does not exist."""
    value = call.db.get_as(name, Quicklist)
    if value is None:
        return NOT_YET
    items = _take(call, name, value, count, left=left)
    call.propagate(b"LPOP" if left else b"RPOP", name, b"%d" % len(items))
    return [name, items]


@command(
    "BLPOP",
    arity=-3,
    flags=WRITE | NOSCRIPT | BLOCKING,
    keys=keys(1, -2, 1, "RW", "access", "delete"),
    group="list",
    since="2.0.0",
    complexity="O(N) where N is the number of provided keys.",
    summary="Removes and returns the first element in a list. Blocks until an element is available otherwise. "
    + _POPPED,
    syntax="key [key ...] timeout:double",
    history=_DOUBLE_HISTORY,
)
def blpop(call: Call) -> Reply:
    return _pop_or_block(call, left=True)


@command(
    "BRPOP",
    arity=-3,
    flags=WRITE | NOSCRIPT | BLOCKING,
    keys=keys(1, -2, 1, "RW", "access", "delete"),
    group="list",
    since="2.0.0",
    complexity="O(N) where N is the number of provided keys.",
    summary="Removes and returns the last element in a list. Blocks until an element is available otherwise. "
    + _POPPED,
    syntax="key [key ...] timeout:double",
    history=_DOUBLE_HISTORY,
)
def brpop(call: Call) -> Reply:
    return _pop_or_block(call, left=False)


def _pop_or_block(call: Call, *, left: bool) -> Reply:
    timeout_ms = parse_timeout_ms(call.argv[-1])
    names = call.argv[1:-1]
    serve = _serve_first if left else _serve_last
    return call.node.blocked.serve_or_block(call, names, Quicklist, serve, timeout_ms)


def _serve_first(call: Call, name: bytes) -> Reply:
    value = call.db.get_as(name, Quicklist)
    if value is None:
        return NOT_YET
    item = value.pop_left()
    _popped(call, name, value, b"lpop")
    call.propagate(b"LPOP", name)
    return Bulks((name, item))


def _serve_last(call: Call, name: bytes) -> Reply:
    value = call.db.get_as(name, Quicklist)
    if value is None:
        return NOT_YET
    item = value.pop_right()
    _popped(call, name, value, b"rpop")
    call.propagate(b"RPOP", name)
    return Bulks((name, item))
