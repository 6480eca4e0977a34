"""Sorted sets, member by member: putting in, taking out, scores and ranks.

What works on ranges is in `node.commands.sortedset_ranges`, on several sets in `sortedset_algebra`; what takes the
lowest or highest is in `sortedset_pops`.
"""

from __future__ import annotations

from node.call import Call
from node.notifications import GENERIC, ZSET
from node.scores import parse_score
from node.structures.sortedsets import SortedSet
from wire.command import DENYOOM, FAST, READONLY, WRITE, command, key
from wire.errors import SYNTAX, Error, wrong_arity
from wire.reply import NIL_ARRAY, Reply

_ADD_OPTIONS = (b"NX", b"XX", b"GT", b"LT", b"CH", b"INCR")


@command(
    "ZADD",
    arity=-4,
    flags=WRITE | DENYOOM | FAST,
    keys=key(1, "RW", "update"),
    group="sorted-set",
    since="1.2.0",
    complexity="O(log(N)) for each item added, where N is the number of elements in the sorted set.",
    summary="Add one or more members to a sorted set, or update its score if it already exists",
    syntax="key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]",
    history=(
        ("2.4.0", "Accepts multiple elements."),
        ("3.0.2", "Added the `XX`, `NX`, `CH` and `INCR` options."),
        ("6.2.0", "Added the `GT` and `LT` options."),
    ),
)
def zadd(call: Call) -> Reply:
    argv = call.argv
    if len(argv) != 4:
        return _add_by_options(call)
    _, name, text, member = argv
    score = _parse_only_score(text)
    db = call.db
    zset = db.get_as(name, SortedSet)
    if zset is None:
        zset = new_set(call, member)
        zset.add(member, score)
        db.put(name, zset)
        added = 1
    else:
        old = zset.scores.get(member)
        if old is None:
            if zset.compact:
                zset.make_room_for(member, call.keyspace.limits)
            zset.add(member, score)
            added = 1
        elif old == score:
            return 0
        else:
            zset.move(member, old, score)
            added = 0
        db.changed(name)
    if call.keyspace.notifier.flags:
        call.notify(ZSET, b"zadd", name)
    return added


def _parse_only_score(text: bytes) -> float:
    """The score of a single pair; in its place an option leaves half a pair (ZINCRBY is ZADD with INCR to Redis)."""
    try:
        return parse_score(text)
    except Error:
        if text.upper() in _ADD_OPTIONS:
            raise Error(SYNTAX) from None
        raise


def new_set(call: Call, member: bytes) -> SortedSet:
    """An empty set for `member` to be put in first; the key is the caller's to put."""
    limits = call.keyspace.limits
    return SortedSet(compact=limits.zset_entries > 0 and len(member) <= limits.zset_value)


def _add_by_options(call: Call) -> Reply:
    argv = call.argv
    at = 2
    given: set[bytes] = set()
    while at < len(argv) and (option := argv[at].upper()) in _ADD_OPTIONS:
        given.add(option)
        at += 1
    if at == len(argv) or (len(argv) - at) % 2:
        raise Error(SYNTAX)
    if {b"NX", b"XX"} <= given:
        raise Error(b"ERR XX and NX options at the same time are not compatible")
    if len(given & {b"GT", b"LT", b"NX"}) > 1:
        raise Error(b"ERR GT, LT, and/or NX options at the same time are not compatible")
    if b"INCR" in given and at + 2 < len(argv):
        raise Error(b"ERR INCR option supports a single increment-element pair")
    scores = [parse_score(text) for text in argv[at::2]]
    members = argv[at + 1 :: 2]
    if b"INCR" in given:
        return _increase(call, members[0], scores[0], given)
    added, changed, _ = add_members(call, members, scores, given)
    if changed:
        call.notify(ZSET, b"zadd", argv[1])
    return changed if b"CH" in given else added


@command(
    "ZINCRBY",
    arity=4,
    flags=WRITE | DENYOOM | FAST,
    keys=key(1, "RW", "access", "update"),
    group="sorted-set",
    since="1.2.0",
    complexity="O(log(N)) where N is the number of elements in the sorted set.",
    summary="Increment the score of a member in a sorted set",
    syntax="key increment member",
)
def zincrby(call: Call) -> Reply:
    _, name, text, member = call.argv
    increment = _parse_only_score(text)
    zset = call.db.get_as(name, SortedSet)
    old = None if zset is None else zset.scores.get(member)
    if zset is None or old is None or old + increment != old + increment:
        return _increase(call, member, increment, set())
    score = old + increment
    if score != old:
        zset.move(member, old, score)
        call.db.changed(name)
        call.notify(ZSET, b"zincr", name)
    return score


def _increase(call: Call, member: bytes, increment: float, given: set[bytes]) -> float | None:
    """Add to a member's score; None when the options stand against it."""
    zset = call.db.get_as(call.argv[1], SortedSet)
    old = None if zset is None else zset.scores.get(member)
    if old is not None and b"NX" in given:
        return None
    score = increment if old is None else old + increment
    if score != score:
        raise Error(b"ERR resulting score is not a number (NaN)")
    _, changed, met = add_members(call, [member], [score], given)
    if changed:
        call.notify(ZSET, b"zincr", call.argv[1])
    return score if met else None


def add_members(call: Call, members: list[bytes], scores: list[float], given: set[bytes]) -> tuple[int, int, int]:
    """Give members scores as the options allow; how many were added, were added or changed, and met the options."""
    name = call.argv[1]
    db = call.db
    zset = db.get_as(name, SortedSet)
    is_new = zset is None
    if zset is None:
        if b"XX" in given:
            return 0, 0, 0
        zset = new_set(call, members[0])
    limits = call.keyspace.limits
    added = changed = met = 0
    for member, score in zip(members, scores, strict=True):
        old = zset.scores.get(member)
        if old is None:
            if b"XX" in given:
                continue
            if zset.compact:
                zset.make_room_for(member, limits)
            zset.add(member, score)
            added += 1
            changed += 1
        elif b"NX" in given or (b"GT" in given and score <= old) or (b"LT" in given and score >= old):
            continue
        elif old != score:
            zset.move(member, old, score)
            changed += 1
        met += 1
    if is_new:
        db.put(name, zset)
        call.keyspace.dirty += changed - 1
    elif changed:
        db.changed(name, changed)
    return added, changed, met


@command(
    "ZREM",
    arity=-3,
    flags=WRITE | FAST,
    keys=key(1, "RW", "delete"),
    group="sorted-set",
    since="1.2.0",
    complexity="O(M*log(N)) with N being the number of elements in the sorted set and M the number of elements to be "
    "removed.",
    summary="Remove one or more members from a sorted set",
    syntax="key member [member ...]",
    history=(("2.4.0", "Accepts multiple elements."),),
)
def zrem(call: Call) -> Reply:
    argv = call.argv
    name = argv[1]
    zset = call.db.get_as(name, SortedSet)
    if zset is None:
        return 0
    removed = 0
    for member in argv[2:]:
        if zset.remove(member):
            removed += 1
    if removed:
        removed_from(call, name, zset, removed, b"zrem")
    return removed


def removed_from(call: Call, name: bytes, zset: SortedSet, count: int, event: bytes) -> None:
    """`count` members were taken out of `zset`: say so, and remove the key when none is left."""
    call.notify(ZSET, event, name)
    if zset.scores:
        call.db.changed(name, count)
    else:
        call.db.remove(name)
        call.keyspace.dirty += count - 1
        call.notify(GENERIC, b"del", name)


@command(
    "ZSCORE",
    arity=3,
    flags=READONLY | FAST,
    keys=key(1, "RO", "access"),
    group="sorted-set",
    since="1.2.0",
    complexity="O(1)",
    summary="Get the score associated with the given member in a sorted set",
    syntax="key member",
)
def zscore(call: Call) -> Reply:
    zset = call.db.read_as(call.argv[1], SortedSet)
    return None if zset is None else zset.scores.get(call.argv[2])


@command(
    "ZMSCORE",
    arity=-3,
    flags=READONLY | FAST,
    keys=key(1, "RO", "access"),
    group="sorted-set",
    since="6.2.0",
    complexity="O(N) where N is the number of members being requested.",
    summary="Get the score associated with the given members in a sorted set",
    syntax="key member [member ...]",
)
def zmscore(call: Call) -> Reply:
    zset = call.db.read_as(call.argv[1], SortedSet)
    members = call.argv[2:]
    return [None] * len(members) if zset is None else [zset.scores.get(member) for member in members]


@command(
    "ZCARD",
    arity=2,
    flags=READONLY | FAST,
    keys=key(1, "RO"),
    group="sorted-set",
    since="1.2.0",
    complexity="O(1)",
    summary="Get the number of members in a sorted set",
    syntax="key",
)
def zcard(call: Call) -> Reply:
    zset = call.db.read_as(call.argv[1], SortedSet)
    return 0 if zset is None else len(zset.scores)


@command(
    "ZRANK",
    arity=-3,
    flags=READONLY | FAST,
    keys=key(1, "RO", "access"),
    group="sorted-set",
    since="2.0.0",
    complexity="O(log(N))",
    summary="Determine the index of a member in a sorted set",
    syntax="key member [WITHSCORE]",
    history=(("7.2.0", "Added the optional `WITHSCORE` argument."),),
)
def zrank(call: Call) -> Reply:
    return _rank(call, reverse=False)


@command(
    "ZREVRANK",
    arity=-3,
    flags=READONLY | FAST,
    keys=key(1, "RO", "access"),
    group="sorted-set",
    since="2.0.0",
    complexity="O(log(N))",
    summary="Determine the index of a member in a sorted set, with scores ordered from high to low",
    syntax="key member [WITHSCORE]",
    history=(("7.2.0", "Added the optional `WITHSCORE` argument."),),
)
def zrevrank(call: Call) -> Reply:
    return _rank(call, reverse=True)


def _rank(call: Call, *, reverse: bool) -> Reply:
    argv = call.argv
    with_score = len(argv) > 3
    if len(argv) > 4:
        raise wrong_arity(call.command.name)
    if with_score and argv[3].upper() != b"WITHSCORE":
        raise Error(SYNTAX)
    zset = call.db.read_as(argv[1], SortedSet)
    rank = None if zset is None else zset.rank(argv[2])
    if zset is None or rank is None:
        return NIL_ARRAY if with_score else None
    if reverse:
        rank = len(zset) - 1 - rank
    return [rank, zset.scores[argv[2]]] if with_score else rank
