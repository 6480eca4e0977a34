"""Lists: adding at the ends, reading, and work on elements in between.

What takes elements out at the ends is in `node.commands.list_pops`, what moves them to another list in
`node.commands.list_moves`.
"""

from __future__ import annotations

from node.call import Call
from node.notifications import GENERIC, LIST
from node.structures.lists import CHUNK_MAX, Quicklist
from wire.arguments import INT64_MAX, INT64_MIN, parse_integer
from wire.command import DENYOOM, FAST, READONLY, WRITE, command, key
from wire.errors import NO_SUCH_KEY, SYNTAX, WRONGTYPE, Error
from wire.reply import OK, Bulks, Reply

_INDEX_OUT_OF_RANGE = b"ERR index out of range"
_RANK_ZERO = b"ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to "
_RANK_ZERO += b"start from the end of the list"
_RANK_TOO_LOW = b"ERR value is out of range, value must between %d and %d" % (-INT64_MAX, INT64_MAX)
_PUSH_COMPLEXITY = "O(1) for each element added, so O(N) to add N elements when the command is called with multiple "
_PUSH_COMPLEXITY += "arguments."


@command(
    "LPUSH",
    arity=-3,
    flags=WRITE | DENYOOM | FAST,
    keys=key(1, "RW", "insert"),
    group="list",
    since="1.0.0",
    complexity=_PUSH_COMPLEXITY,
    summary="Prepends one or more elements to a list. Creates the key if it doesn't exist.",
    syntax="key element [element ...]",
    history=(("2.4.0", "Accepts multiple `element` arguments."),),
)
def lpush(call: Call) -> Reply:
    argv = call.argv
    name = argv[1]
    db = call.db
    keyspace = call.keyspace
    # What `Database.get` and `changed` do, without the calls where nothing is to be looked at and nobody to be told.
    if name is keyspace.key and not db.looks_closer:
        value = db.shards[keyspace.slot].get(name)
    else:
        value = db.get(name)
    if type(value) is Quicklist:
        if len(argv) == 3:
            head = value.head
            if len(head) < CHUNK_MAX:
                # What `push_left` does.
                head.insert(0, argv[2])
                length = value.length = value.length + 1
            else:
                length = value.push_left(argv[2])
            keyspace.dirty += 1
        else:
            length = value.extend_left(argv[2:])
            keyspace.dirty += len(argv) - 2
        if db.attended:
            db.changed(name, 0)
            call.notify(LIST, b"lpush", name)
    elif value is None:
        length = _create(call, name, argv[:1:-1], b"lpush")
    else:
        raise Error(WRONGTYPE)
    return length


@command(
    "RPUSH",
    arity=-3,
    flags=WRITE | DENYOOM | FAST,
    keys=key(1, "RW", "insert"),
    group="list",
    since="1.0.0",
    complexity=_PUSH_COMPLEXITY,
    summary="Appends one or more elements to a list. Creates the key if it doesn't exist.",
    syntax="key element [element ...]",
    history=(("2.4.0", "Accepts multiple `element` arguments."),),
)
def rpush(call: Call) -> Reply:
    argv = call.argv
    name = argv[1]
    db = call.db
    keyspace = call.keyspace
    # What `Database.get` and `changed` do, without the calls where nothing is to be looked at and nobody to be told.
    if name is keyspace.key and not db.looks_closer:
        value = db.shards[keyspace.slot].get(name)
    else:
        value = db.get(name)
    if type(value) is Quicklist:
        if len(argv) == 3:
            length = value.push_right(argv[2])
            keyspace.dirty += 1
        else:
            length = value.extend_right(argv[2:])
            keyspace.dirty += len(argv) - 2
        if db.attended:
            db.changed(name, 0)
            call.notify(LIST, b"rpush", name)
    elif value is None:
        length = _create(call, name, argv[2:], b"rpush")
    else:
        raise Error(WRONGTYPE)
    return length


def _create(call: Call, name: bytes, items: list[bytes], event: bytes) -> int:
    length = len(items)
    call.db.put(name, Quicklist(items))
    call.keyspace.dirty += length - 1
    call.notify(LIST, event, name)
    return length


@command(
    "LPUSHX",
    arity=-3,
    flags=WRITE | DENYOOM | FAST,
    keys=key(1, "RW", "insert"),
    group="list",
    since="2.2.0",
    complexity=_PUSH_COMPLEXITY,
    summary="Prepends one or more elements to a list only when the list exists.",
    syntax="key element [element ...]",
    history=(("4.0.0", "Accepts multiple `element` arguments."),),
)
def lpushx(call: Call) -> Reply:
    argv = call.argv
    value = call.db.get_as(argv[1], Quicklist)
    if value is None:
        return 0
    length = value.extend_left(argv[2:])
    call.db.changed(argv[1], len(argv) - 2)
    call.notify(LIST, b"lpush", argv[1])
    return length


@command(
    "RPUSHX",
    arity=-3,
    flags=WRITE | DENYOOM | FAST,
    keys=key(1, "RW", "insert"),
    group="list",
    since="2.2.0",
    complexity=_PUSH_COMPLEXITY,
    summary="Appends an element to a list only when the list exists.",
    syntax="key element [element ...]",
    history=(("4.0.0", "Accepts multiple `element` arguments."),),
)
def rpushx(call: Call) -> Reply:
    argv = call.argv
    value = call.db.get_as(argv[1], Quicklist)
    if value is None:
        return 0
    length = value.extend_right(argv[2:])
    call.db.changed(argv[1], len(argv) - 2)
    call.notify(LIST, b"rpush", argv[1])
    return length


@command(
    "LLEN",
    arity=2,
    flags=READONLY | FAST,
    keys=key(1, "RO"),
    group="list",
    since="1.0.0",
    complexity="O(1)",
    summary="Returns the length of a list.",
    syntax="key",
)
def llen(call: Call) -> Reply:
    value = call.db.read_as(call.argv[1], Quicklist)
    return 0 if value is None else len(value)


@command(
    "LINDEX",
    arity=3,
    flags=READONLY,
    keys=key(1, "RO", "access"),
    group="list",
    since="1.0.0",
    complexity="O(N) where N is the number of elements to traverse to get to the element at index. This makes asking "
    "for the first or the last element of the list O(1).",
    summary="Returns an element from a list by its index.",
    syntax="key index",
)
def lindex(call: Call) -> Reply:
    value = call.db.read_as(call.argv[1], Quicklist)
    if value is None:
        return None
    index = _absolute(parse_integer(call.argv[2]), value)
    return value.at(index) if 0 <= index < len(value) else None


@command(
    "LSET",
    arity=4,
    flags=WRITE | DENYOOM,
    keys=key(1, "RW", "update"),
    group="list",
    since="1.0.0",
    complexity="O(N) where N is the length of the list. Setting either the first or the last element of the list is "
    "O(1).",
    summary="Sets the value of an element in a list by its index.",
    syntax="key index element",
)
def lset(call: Call) -> Reply:
    _, name, index_text, item = call.argv
    value = call.db.get_as(name, Quicklist)
    if value is None:
        raise Error(NO_SUCH_KEY)
    index = _absolute(parse_integer(index_text), value)
    if not 0 <= index < len(value):
        raise Error(_INDEX_OUT_OF_RANGE)
    value.set(index, item)
    call.db.changed(name)
    call.notify(LIST, b"lset", name)
    return OK


def _absolute(index: int, value: Quicklist) -> int:
    """A negative index counts from the tail."""
    return index + len(value) if index < 0 else index


@command(
    "LRANGE",
    arity=4,
    flags=READONLY,
    keys=key(1, "RO", "access"),
    group="list",
    since="1.0.0",
    complexity="O(S+N) where S is the distance of start offset from HEAD for small lists, from nearest end (HEAD or "
    "TAIL) for large lists; and N is the number of elements in the specified range.",
    summary="Returns a range of elements from a list.",
    syntax="key start stop",
)
def lrange(call: Call) -> Reply:
    _, name, first, last = call.argv
    start, stop = parse_integer(first), parse_integer(last)
    value = call.db.read_as(name, Quicklist)
    if value is None:
        return []
    start, stop = _within(start, stop, len(value))
    return Bulks(value.slice(start, stop))


def _within(start: int, last: int, length: int) -> tuple[int, int]:
    """A range as clients give it, as beginning and end within a list; both 0 when it is empty."""
    if start < 0:
        start += length
        if start < 0:
            start = 0
    stop = last + length + 1 if last < 0 else last + 1
    if stop > length:
        stop = length
    return (start, stop) if start < stop else (0, 0)


@command(
    "LTRIM",
    arity=4,
    flags=WRITE,
    keys=key(1, "RW", "delete"),
    group="list",
    since="1.0.0",
    complexity="O(N) where N is the number of elements to be removed by the operation.",
    summary="Removes elements from both ends a list. Deletes the list if all elements were trimmed.",
    syntax="key start stop",
)
def ltrim(call: Call) -> Reply:
    _, name, first, last = call.argv
    start, stop = parse_integer(first), parse_integer(last)
    value = call.db.get_as(name, Quicklist)
    if value is None:
        return OK
    length = len(value)
    start, stop = _within(start, stop, length)
    value.drop_right(length - stop)
    value.drop_left(start)
    call.notify(LIST, b"ltrim", name)
    end_removal(call, name, value, length - (stop - start))
    return OK


def end_removal(call: Call, name: bytes, value: Quicklist, count: int) -> None:
    """`count` elements were taken out of the list: they count as changes, and an empty list is no key any more."""
    if value:
        call.db.changed(name, count)
        return
    call.db.remove(name)
    call.keyspace.dirty += count - 1
    call.notify(GENERIC, b"del", name)


@command(
    "LREM",
    arity=4,
    flags=WRITE,
    keys=key(1, "RW", "delete"),
    group="list",
    since="1.0.0",
    complexity="O(N+M) where N is the length of the list and M is the number of elements removed.",
    summary="Removes elements from a list. Deletes the list if the last element was removed.",
    syntax="key count element",
)
def lrem(call: Call) -> Reply:
    _, name, count, item = call.argv
    most = parse_integer(count)
    value = call.db.get_as(name, Quicklist)
    if value is None:
        return 0
    removed = value.remove(item, most)
    if removed:
        call.notify(LIST, b"lrem", name)
        end_removal(call, name, value, removed)
    return removed


@command(
    "LINSERT",
    arity=5,
    flags=WRITE | DENYOOM,
    keys=key(1, "RW", "insert"),
    group="list",
    since="2.2.0",
    complexity="O(N) where N is the number of elements to traverse before seeing the value pivot. This means that "
    "inserting somewhere on the left end on the list (head) can be considered O(1) and inserting somewhere on the "
    "right end (tail) is O(N).",
    summary="Inserts an element before or after another element in a list.",
    syntax="key <BEFORE | AFTER> pivot element",
)
def linsert(call: Call) -> Reply:
    _, name, where, pivot, item = call.argv
    place = where.upper()
    if place not in (b"BEFORE", b"AFTER"):
        raise Error(SYNTAX)
    value = call.db.get_as(name, Quicklist)
    if value is None:
        return 0
    index = value.index(pivot)
    if index < 0:
        return -1
    value.insert(index + (place == b"AFTER"), item)
    call.db.changed(name)
    call.notify(LIST, b"linsert", name)
    return len(value)


@command(
    "LPOS",
    arity=-3,
    flags=READONLY,
    keys=key(1, "RO", "access"),
    group="list",
    since="6.0.6",
    complexity="O(N) where N is the number of elements in the list, for the average case. When searching for elements "
    "near the head or the tail of the list, or when the MAXLEN option is provided, the command may run in constant "
    "time.",
    summary="Returns the index of matching elements in a list.",
    syntax="key element [RANK rank] [COUNT num-matches] [MAXLEN len]",
)
def lpos(call: Call) -> Reply:
    argv = call.argv
    rank, count, compared_max = 1, -1, 0
    for at in range(3, len(argv), 2):
        option = argv[at].upper()
        if at + 1 == len(argv):
            raise Error(SYNTAX)
        if option == b"RANK":
            rank = parse_integer(argv[at + 1])
            if not rank:
                raise Error(_RANK_ZERO)
            if rank == INT64_MIN:
                # It has no opposite. Redis 7.2 refuses it; 7.0 took it for any rank at all.
                raise Error(_RANK_TOO_LOW)
        elif option == b"COUNT":
            count = _not_negative(argv[at + 1], option)
        elif option == b"MAXLEN":
            compared_max = _not_negative(argv[at + 1], option)
        else:
            raise Error(SYNTAX)
    value = call.db.read_as(argv[1], Quicklist)
    if value is None:
        return None if count < 0 else []
    found = value.positions(argv[2], rank, abs(count) or len(value), compared_max or len(value))
    if count >= 0:
        return found
    return found[0] if found else None


def _not_negative(text: bytes, option: bytes) -> int:
    refusal = b"ERR %b can't be negative" % option
    number = parse_integer(text, refusal)
    if number < 0:
        raise Error(refusal)
    return number
