"""Unions, intersections and differences of sorted sets; a plain set is one whose scores are all 1."""

from __future__ import annotations

from collections.abc import Callable

from node.call import Call
from node.commands.sortedset_results import pairs_reply, store
from node.database import Value
from node.scores import parse_score
from node.structures.algebra import difference, intersection
from node.structures.sets import Set
from node.structures.sortedsets import Scores, SortedSet
from node.structures.table import Table
from wire.arguments import parse_integer
from wire.command import DENYOOM, READONLY, WRITE, command, key, numkeys
from wire.errors import SYNTAX, WRONGTYPE, Error
from wire.reply import Bulks, Reply

_NOT_A_WEIGHT = b"ERR weight value is not a float"
_NEGATIVE_LIMIT = b"ERR LIMIT can't be negative"

# How two scores of one member become one.
_Aggregate = Callable[[float, float], float]


def _sum(one: float, other: float) -> float:
    total = one + other
    # Infinities of both signs cancel each other out.
    return total if total == total else 0.0


def _min(one: float, other: float) -> float:
    return other if other < one else one


def _max(one: float, other: float) -> float:
    return other if other > one else one


_AGGREGATES: dict[bytes, _Aggregate] = {b"SUM": _sum, b"MIN": _min, b"MAX": _max}


class _Request:
    """What a command of this family asks for, its keys looked up already; raises Error as Redis does."""

    __slots__ = ("_rest", "aggregate", "limit", "sources", "weights", "with_scores")

    def __init__(self, call: Call, at: int) -> None:
        """The number of keys is argument `at`. Types are checked before any option is looked at."""
        argv = call.argv
        number = parse_integer(argv[at])
        if number < 1:
            raise Error(b"ERR at least 1 input key is needed for '%b' command" % call.command.name.encode())
        if number > len(argv) - at - 1:
            raise Error(SYNTAX)
        self.sources = [_scores_of(call.db.read(name)) for name in argv[at + 1 : at + 1 + number]]
        self.weights = [1.0] * number
        self.aggregate: _Aggregate = _sum
        self.with_scores = False
        self.limit = 0
        self._rest = argv[at + 1 + number :]

    def parse_weighted(self, *, storing: bool) -> None:
        """The options of unions and intersections."""
        rest = self._rest
        number = len(self.sources)
        while rest:
            word = rest[0].upper()
            if word == b"WEIGHTS" and len(rest) > number:
                self.weights = [parse_score(text, _NOT_A_WEIGHT) for text in rest[1 : number + 1]]
                rest = rest[number + 1 :]
            elif word == b"AGGREGATE" and len(rest) > 1:
                aggregate = _AGGREGATES.get(rest[1].upper())
                if aggregate is None:
                    raise Error(SYNTAX)
                self.aggregate = aggregate
                rest = rest[2:]
            elif word == b"WITHSCORES" and not storing:
                self.with_scores = True
                rest = rest[1:]
            else:
                raise Error(SYNTAX)

    def parse_difference(self, *, storing: bool) -> None:
        """The option of differences."""
        if any(storing or option.upper() != b"WITHSCORES" for option in self._rest):
            raise Error(SYNTAX)
        self.with_scores = bool(self._rest)

    def parse_limit(self) -> None:
        """The option of ZINTERCARD."""
        rest = self._rest
        while rest:
            if rest[0].upper() != b"LIMIT" or len(rest) == 1:
                raise Error(SYNTAX)
            self.limit = parse_integer(rest[1], _NEGATIVE_LIMIT)
            if self.limit < 0:
                raise Error(_NEGATIVE_LIMIT)
            rest = rest[2:]

    def union(self) -> dict[bytes, float]:
        result: dict[bytes, float] = {}
        aggregate = self.aggregate
        for source, weight in self._smallest_first():
            for member, value in source.items():
                score = value * weight
                if score != score:
                    score = 0.0
                before = result.get(member)
                result[member] = score if before is None else aggregate(before, score)
        return result

    def intersection(self) -> dict[bytes, float]:
        aggregate = self.aggregate
        (first, first_weight), *others = self._smallest_first()
        result = {member: score if (score := value * first_weight) == score else 0.0 for member, value in first.items()}
        for source, weight in others:
            found = source.get_each(result) if isinstance(source, Table) else map(source.get, result)
            result = {
                member: aggregate(score, value * weight)
                for (member, score), value in zip(result.items(), found, strict=True)
                if value is not None
            }
        return result

    def intersection_size(self) -> int:
        return len(intersection(self.sources, self.limit))

    def difference(self) -> dict[bytes, float]:
        first = self.sources[0]
        return {member: first[member] for member in difference(self.sources)}

    def _smallest_first(self) -> list[tuple[Scores, float]]:
        """The order in which Redis adds up, which decides how sums are rounded; equally large ones as they came."""
        return sorted(zip(self.sources, self.weights, strict=True), key=_size)


def _size(weighted: tuple[Scores, float]) -> int:
    return len(weighted[0])


def _scores_of(value: Value | None) -> Scores:
    if value is None:
        return {}
    if type(value) is SortedSet:
        return value.scores
    if type(value) is Set:
        return dict.fromkeys(value.members, 1.0)
    raise Error(WRONGTYPE)


def _answer(call: Call, request: _Request, result: dict[bytes, float]) -> Reply:
    ordered = [(member, score) for score, member in sorted(zip(result.values(), result, strict=True))]
    return pairs_reply(call, ordered) if request.with_scores else Bulks([member for member, _ in ordered])


@command(
    "ZUNION",
    arity=-3,
    flags=READONLY,
    keys=numkeys(1, "RO", "access"),
    group="sorted-set",
    since="6.2.0",
    complexity="O(N)+O(M*log(M)) with N being the sum of the sizes of the input sorted sets, and M being the number of "
    "elements in the resulting sorted set.",
    summary="Add multiple sorted sets",
    syntax="numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]",
)
def zunion(call: Call) -> Reply:
    request = _Request(call, 1)
    request.parse_weighted(storing=False)
    return _answer(call, request, request.union())


@command(
    "ZINTER",
    arity=-3,
    flags=READONLY,
    keys=numkeys(1, "RO", "access"),
    group="sorted-set",
    since="6.2.0",
    complexity="O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K being the number of input "
    "sorted sets and M being the number of elements in the resulting sorted set.",
    summary="Intersect multiple sorted sets",
    syntax="numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>] [WITHSCORES]",
)
def zinter(call: Call) -> Reply:
    request = _Request(call, 1)
    request.parse_weighted(storing=False)
    return _answer(call, request, request.intersection())


@command(
    "ZDIFF",
    arity=-3,
    flags=READONLY,
    keys=numkeys(1, "RO", "access"),
    group="sorted-set",
    since="6.2.0",
    complexity="O(L + (N-K)log(N)) worst case where L is the total number of elements in all the sets, N is the size "
    "of the first set, and K is the size of the result set.",
    summary="Subtract multiple sorted sets",
    syntax="numkeys key [key ...] [WITHSCORES]",
)
def zdiff(call: Call) -> Reply:
    request = _Request(call, 1)
    request.parse_difference(storing=False)
    return _answer(call, request, request.difference())


@command(
    "ZUNIONSTORE",
    arity=-4,
    flags=WRITE | DENYOOM,
    keys=key(1, "OW", "update") + numkeys(2, "RO", "access"),
    group="sorted-set",
    since="2.0.0",
    complexity="O(N)+O(M log(M)) with N being the sum of the sizes of the input sorted sets, and M being the number of "
    "elements in the resulting sorted set.",
    summary="Add multiple sorted sets and store the resulting sorted set in a new key",
    syntax="destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>]",
)
def zunionstore(call: Call) -> Reply:
    request = _Request(call, 2)
    request.parse_weighted(storing=True)
    return store(call, call.argv[1], request.union(), b"zunionstore")


@command(
    "ZINTERSTORE",
    arity=-4,
    flags=WRITE | DENYOOM,
    keys=key(1, "OW", "update") + numkeys(2, "RO", "access"),
    group="sorted-set",
    since="2.0.0",
    complexity="O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K being the number of input "
    "sorted sets and M being the number of elements in the resulting sorted set.",
    summary="Intersect multiple sorted sets and store the resulting sorted set in a new key",
    syntax="destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>]",
)
def zinterstore(call: Call) -> Reply:
    request = _Request(call, 2)
    request.parse_weighted(storing=True)
    return store(call, call.argv[1], request.intersection(), b"zinterstore")


@command(
    "ZDIFFSTORE",
    arity=-4,
    flags=WRITE | DENYOOM,
    keys=key(1, "OW", "update") + numkeys(2, "RO", "access"),
    group="sorted-set",
    since="6.2.0",
    complexity="O(L + (N-K)log(N)) worst case where L is the total number of elements in all the sets, N is the size "
    "of the first set, and K is the size of the result set.",
    summary="Subtract multiple sorted sets and store the resulting sorted set in a new key",
    syntax="destination numkeys key [key ...]",
)
def zdiffstore(call: Call) -> Reply:
    request = _Request(call, 2)
    request.parse_difference(storing=True)
    return store(call, call.argv[1], request.difference(), b"zdiffstore")


@command(
    "ZINTERCARD",
    arity=-3,
    flags=READONLY,
    keys=numkeys(1, "RO", "access"),
    group="sorted-set",
    since="7.0.0",
    complexity="O(N*K) worst case with N being the smallest input sorted set, K being the number of input sorted sets.",
    summary="Intersect multiple sorted sets and return the cardinality of the result",
    syntax="numkeys key [key ...] [LIMIT limit]",
)
def zintercard(call: Call) -> Reply:
    request = _Request(call, 1)
    request.parse_limit()
    return request.intersection_size()
