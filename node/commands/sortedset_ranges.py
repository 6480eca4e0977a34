"""Sorted sets by ranges: of ranks, of scores, and of members among equal scores.

Whatever a range is written in, it becomes two ranks, found in logarithmic time; the rest is the same for all.
"""

from __future__ import annotations

from node.call import Call
from node.commands.sortedset_results import pairs_reply, store
from node.commands.sortedsets import removed_from
from node.scores import parse_lex_range, parse_score_range
from node.structures.sortedsets import SortedSet
from wire.arguments import parse_integer
from wire.command import DENYOOM, FAST, READONLY, WRITE, command, key
from wire.errors import SYNTAX, Error
from wire.reply import Bulks, Reply

# What a range is written in.
_RANK, _SCORE, _LEX = range(3)
_BY = {b"BYSCORE": _SCORE, b"BYLEX": _LEX}

_COMPLEXITY = "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being "
_COMPLEXITY += "returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider "
_COMPLEXITY += "it O(log(N))."


class _Request:
    """What a command of the ZRANGE family asks for, read from its arguments; raises Error as Redis does."""

    __slots__ = ("by", "high", "limit", "low", "offset", "reverse", "with_scores")

    def __init__(self, options: list[bytes], by: int | None, reverse: bool | None, *, storing: bool) -> None:
        """`by` and `reverse` are what the command's name says already, None where the options may say it, once."""
        self.with_scores = False
        self.offset, self.limit = 0, -1
        rest = iter(options)
        left = len(options)
        for option in rest:
            word = option.upper()
            left -= 1
            if word == b"WITHSCORES" and not storing:
                self.with_scores = True
            elif word == b"LIMIT" and left >= 2:
                self.offset, self.limit = parse_integer(next(rest)), parse_integer(next(rest))
                left -= 2
            elif word == b"REV" and reverse is None:
                reverse = True
            elif word in _BY and by is None:
                by = _BY[word]
            else:
                raise Error(SYNTAX)
        self.by = _RANK if by is None else by
        self.reverse = bool(reverse)
        if self.limit != -1 and self.by == _RANK:
            raise Error(
                b"ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            )
        if self.with_scores and self.by == _LEX:
            raise Error(b"ERR syntax error, WITHSCORES not supported in combination with BYLEX")

    def find(self, first: bytes, second: bytes, call: Call, name: bytes) -> tuple[SortedSet, int, int] | None:
        """The set, and the ranks of what lies between two bounds; None without a set."""
        if self.by == _RANK:
            begin, end = parse_integer(first), parse_integer(second)
            zset = call.db.read_as(name, SortedSet)
            if zset is None:
                return None
            start, stop = _clip(begin, end, len(zset))
            return (zset, len(zset) - stop, len(zset) - start) if self.reverse else (zset, start, stop)
        if self.reverse:
            first, second = second, first
        if self.by == _SCORE:
            scores = parse_score_range(first, second)
            zset = call.db.read_as(name, SortedSet)
            return None if zset is None else (zset, *self._limited(*zset.ranks_by_score(scores)))
        names = parse_lex_range(first, second)
        zset = call.db.read_as(name, SortedSet)
        return None if zset is None else (zset, *self._limited(*zset.ranks_by_member(names, reverse=self.reverse)))

    def _limited(self, start: int, stop: int) -> tuple[int, int]:
        """What LIMIT leaves of a range: counted from its end when the order is reversed; without end when negative."""
        offset, limit = self.offset, self.limit
        if offset < 0:
            return start, start
        if self.reverse:
            stop = max(stop - offset, start)
            return (start if limit < 0 else max(start, stop - limit)), stop
        start = min(start + offset, stop)
        return start, (stop if limit < 0 else min(stop, start + limit))


def _clip(begin: int, end: int, size: int) -> tuple[int, int]:
    """The ranks from `begin` to `end`, both included and counted from the end when negative, of those there are."""
    if begin < 0:
        begin = max(begin + size, 0)
    if end < 0:
        end += size
    return (begin, min(end + 1, size)) if begin <= end and begin < size else (0, 0)


# Requests without options, by what the command's name says.
_PLAIN = {
    (by, reverse): _Request([], by, reverse, storing=False)
    for by in (None, _RANK, _SCORE, _LEX)
    for reverse in (None, False, True)
}


def _range(call: Call, by: int | None, reverse: bool | None) -> Reply:
    argv = call.argv
    request = _PLAIN[by, reverse] if len(argv) == 4 else _Request(argv[4:], by, reverse, storing=False)
    found = request.find(argv[2], argv[3], call, argv[1])
    if found is None:
        return []
    zset, start, stop = found
    if request.with_scores:
        pairs = zset.pairs(start, stop)
        if request.reverse:
            pairs.reverse()
        return pairs_reply(call, pairs)
    members = zset.members(start, stop)
    if request.reverse:
        members.reverse()
    return Bulks(members)


@command(
    "ZRANGE",
    arity=-4,
    flags=READONLY,
    keys=key(1, "RO", "access"),
    group="sorted-set",
    since="1.2.0",
    complexity="O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements "
    "returned.",
    summary="Return a range of members in a sorted set",
    syntax="key start:string stop:string [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]",
    history=(("6.2.0", "Added the `REV`, `BYSCORE`, `BYLEX` and `LIMIT` options."),),
)
def zrange(call: Call) -> Reply:
    return _range(call, None, None)


@command(
    "ZREVRANGE",
    arity=-4,
    flags=READONLY,
    keys=key(1, "RO", "access"),
    group="sorted-set",
    since="1.2.0",
    complexity="O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements "
    "returned.",
    summary="Return a range of members in a sorted set, by index, with scores ordered from high to low",
    syntax="key start stop [WITHSCORES]",
    deprecated=("6.2.0", "`ZRANGE` with the `REV` argument"),
)
def zrevrange(call: Call) -> Reply:
    return _range(call, _RANK, True)


@command(
    "ZRANGEBYSCORE",
    arity=-4,
    flags=READONLY,
    keys=key(1, "RO", "access"),
    group="sorted-set",
    since="1.0.5",
    complexity="O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being "
    "returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it "
    "O(log(N)).",
    summary="Return a range of members in a sorted set, by score",
    syntax="key min max [WITHSCORES] [LIMIT offset count]",
    history=(("2.0.0", "Added the `WITHSCORES` modifier."),),
    deprecated=("6.2.0", "`ZRANGE` with the `BYSCORE` argument"),
)
def zrangebyscore(call: Call) -> Reply:
    return _range(call, _SCORE, False)


@command(
    "ZREVRANGEBYSCORE",
    arity=-4,
    flags=READONLY,
    keys=key(1, "RO", "access"),
    group="sorted-set",
    since="2.2.0",
    complexity="O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being "
    "returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it "
    "O(log(N)).",
    summary="Return a range of members in a sorted set, by score, with scores ordered from high to low",
    syntax="key max min [WITHSCORES] [LIMIT offset count]",
    history=(("2.1.6", "`min` and `max` can be exclusive."),),
    deprecated=("6.2.0", "`ZRANGE` with the `REV` and `BYSCORE` arguments"),
)
def zrevrangebyscore(call: Call) -> Reply:
    return _range(call, _SCORE, True)


@command(
    "ZRANGEBYLEX",
    arity=-4,
    flags=READONLY,
    keys=key(1, "RO", "access"),
    group="sorted-set",
    since="2.8.9",
    complexity="O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being "
    "returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it "
    "O(log(N)).",
    summary="Return a range of members in a sorted set, by lexicographical range",
    syntax="key min:string max:string [LIMIT offset count]",
    deprecated=("6.2.0", "`ZRANGE` with the `BYLEX` argument"),
)
def zrangebylex(call: Call) -> Reply:
    return _range(call, _LEX, False)


@command(
    "ZREVRANGEBYLEX",
    arity=-4,
    flags=READONLY,
    keys=key(1, "RO", "access"),
    group="sorted-set",
    since="2.8.9",
    complexity="O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being "
    "returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it "
    "O(log(N)).",
    summary="Return a range of members in a sorted set, by lexicographical range, ordered from higher to lower "
    "strings.",
    syntax="key max:string min:string [LIMIT offset count]",
    deprecated=("6.2.0", "`ZRANGE` with the `REV` and `BYLEX` arguments"),
)
def zrevrangebylex(call: Call) -> Reply:
    return _range(call, _LEX, True)


@command(
    "ZRANGESTORE",
    arity=-5,
    flags=WRITE | DENYOOM,
    keys=key(1, "OW", "update") + key(2, "RO", "access"),
    group="sorted-set",
    since="6.2.0",
    complexity="O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements stored "
    "into the destination key.",
    summary="Store a range of members from sorted set into another key",
    syntax="dst src min:string max:string [BYSCORE | BYLEX] [REV] [LIMIT offset count]",
)
def zrangestore(call: Call) -> Reply:
    _, target, name, first, second, *options = call.argv
    found = _Request(options, None, None, storing=True).find(first, second, call, name)
    if found is None:
        return store(call, target, {}, b"zrangestore")
    zset, start, stop = found
    return store(call, target, dict(zset.pairs(start, stop)), b"zrangestore")


@command(
    "ZCOUNT",
    arity=4,
    flags=READONLY | FAST,
    keys=key(1, "RO", "access"),
    group="sorted-set",
    since="2.0.0",
    complexity="O(log(N)) with N being the number of elements in the sorted set.",
    summary="Count the members in a sorted set with scores within the given values",
    syntax="key min max",
)
def zcount(call: Call) -> Reply:
    _, name, low, high = call.argv
    scores = parse_score_range(low, high)
    zset = call.db.read_as(name, SortedSet)
    if zset is None:
        return 0
    start, stop = zset.ranks_by_score(scores)
    return stop - start


@command(
    "ZLEXCOUNT",
    arity=4,
    flags=READONLY | FAST,
    keys=key(1, "RO", "access"),
    group="sorted-set",
    since="2.8.9",
    complexity="O(log(N)) with N being the number of elements in the sorted set.",
    summary="Count the number of members in a sorted set between a given lexicographical range",
    syntax="key min:string max:string",
)
def zlexcount(call: Call) -> Reply:
    _, name, low, high = call.argv
    names = parse_lex_range(low, high)
    zset = call.db.read_as(name, SortedSet)
    if zset is None:
        return 0
    start, stop = zset.ranks_by_member(names)
    return stop - start


@command(
    "ZREMRANGEBYRANK",
    arity=4,
    flags=WRITE,
    keys=key(1, "RW", "delete"),
    group="sorted-set",
    since="2.0.0",
    complexity="O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed "
    "by the operation.",
    summary="Remove all members in a sorted set within the given indexes",
    syntax="key start stop",
)
def zremrangebyrank(call: Call) -> Reply:
    _, name, begin_text, end_text = call.argv
    begin, end = parse_integer(begin_text), parse_integer(end_text)
    zset = call.db.get_as(name, SortedSet)
    return 0 if zset is None else _cut(call, name, zset, _clip(begin, end, len(zset)), b"zremrangebyrank")


@command(
    "ZREMRANGEBYSCORE",
    arity=4,
    flags=WRITE,
    keys=key(1, "RW", "delete"),
    group="sorted-set",
    since="1.2.0",
    complexity="O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed "
    "by the operation.",
    summary="Remove all members in a sorted set within the given scores",
    syntax="key min max",
)
def zremrangebyscore(call: Call) -> Reply:
    _, name, low, high = call.argv
    scores = parse_score_range(low, high)
    zset = call.db.get_as(name, SortedSet)
    return 0 if zset is None else _cut(call, name, zset, zset.ranks_by_score(scores), b"zremrangebyscore")


@command(
    "ZREMRANGEBYLEX",
    arity=4,
    flags=WRITE,
    keys=key(1, "RW", "delete"),
    group="sorted-set",
    since="2.8.9",
    complexity="O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed "
    "by the operation.",
    summary="Remove all members in a sorted set between the given lexicographical range",
    syntax="key min:string max:string",
)
def zremrangebylex(call: Call) -> Reply:
    _, name, low, high = call.argv
    names = parse_lex_range(low, high)
    zset = call.db.get_as(name, SortedSet)
    return 0 if zset is None else _cut(call, name, zset, zset.ranks_by_member(names), b"zremrangebylex")


def _cut(call: Call, name: bytes, zset: SortedSet, ranks: tuple[int, int], event: bytes) -> int:
    removed = len(zset.cut(*ranks))
    if removed:
        removed_from(call, name, zset, removed, event)
    return removed
