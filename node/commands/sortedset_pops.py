"""Sorted sets whose lowest or highest members are taken out: ZPOPMIN, ZPOPMAX, ZMPOP.

Those that wait for a set are in `node.commands.sortedset_blocking`.
"""

from __future__ import annotations

from itertools import zip_longest

from node.call import Call
from node.commands.sortedset_results import pairs_reply
from node.commands.sortedsets import removed_from
from node.structures.sortedsets import SortedSet
from wire.arguments import INT64_MAX, parse_integer
from wire.command import FAST, WRITE, command, key, numkeys
from wire.errors import SYNTAX, Error
from wire.reply import NIL_ARRAY, Reply

LOWEST, HIGHEST = b"MIN", b"MAX"
_ENDS = (LOWEST, HIGHEST)
_NOT_POSITIVE = b"ERR value is out of range, must be positive"
_NO_KEYS = b"ERR numkeys should be greater than 0"
_NO_COUNT = b"ERR count should be greater than 0"

# Members with their scores, in the order in which they were taken out.
Popped = list[tuple[bytes, float]]


@command(
    "ZPOPMIN",
    arity=-2,
    flags=WRITE | FAST,
    keys=key(1, "RW", "access", "delete"),
    group="sorted-set",
    since="5.0.0",
    complexity="O(log(N)*M) with N being the number of elements in the sorted set, and M being the number of elements "
    "popped.",
    summary="Remove and return members with the lowest scores in a sorted set",
    syntax="key [count]",
    brief_words=2,
)
def zpopmin(call: Call) -> Reply:
    return _pop_by_request(call, LOWEST)


@command(
    "ZPOPMAX",
    arity=-2,
    flags=WRITE | FAST,
    keys=key(1, "RW", "access", "delete"),
    group="sorted-set",
    since="5.0.0",
    complexity="O(log(N)*M) with N being the number of elements in the sorted set, and M being the number of elements "
    "popped.",
    summary="Remove and return members with the highest scores in a sorted set",
    syntax="key [count]",
    brief_words=2,
)
def zpopmax(call: Call) -> Reply:
    return _pop_by_request(call, HIGHEST)


def _pop_by_request(call: Call, end: bytes) -> Reply:
    argv = call.argv
    if len(argv) > 3:
        raise Error(SYNTAX)
    count = 1 if len(argv) == 2 else _parse_count(argv[2], 0, _NOT_POSITIVE)
    zset = call.db.get_as(argv[1], SortedSet)
    popped = [] if zset is None or not count else pop(call, argv[1], zset, end, count)
    if len(argv) == 2:
        return [part for pair in popped for part in pair]
    return pairs_reply(call, popped)


def pop(call: Call, name: bytes, zset: SortedSet, end: bytes, count: int) -> Popped:
    """Take up to `count` members out at the end ``MIN`` or ``MAX``."""
    size = len(zset)
    count = min(count, size)
    if count == 1:
        popped = [zset.pop(last=end == HIGHEST)]
    elif end == LOWEST:
        popped = zset.cut(0, count)
    else:
        popped = zset.cut(size - count, size)
        popped.reverse()
    removed_from(call, name, zset, count, b"zpopmin" if end == LOWEST else b"zpopmax")
    return popped


@command(
    "ZMPOP",
    arity=-4,
    flags=WRITE,
    keys=numkeys(1, "RW", "access", "delete"),
    group="sorted-set",
    since="7.0.0",
    complexity="O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of elements in the "
    "sorted set, and M being the number of elements popped.",
    summary="Remove and return members with scores in a sorted set",
    syntax="numkeys key [key ...] <MIN | MAX> [COUNT count]",
)
def zmpop(call: Call) -> Reply:
    names, end, count = parse_mpop(call.argv, 1)
    for name in names:
        zset = call.db.get_as(name, SortedSet)
        if zset is not None:
            return pop_for_reply(call, name, zset, end, count)
    return NIL_ARRAY


def parse_mpop(argv: list[bytes], at: int) -> tuple[list[bytes], bytes, int]:
    """Keys, end and count of ZMPOP and BZMPOP, whose number of keys is argument `at`; raises Error."""
    number = _parse_count(argv[at], 1, _NO_KEYS)
    where = at + 1 + number
    if where >= len(argv):
        raise Error(SYNTAX)
    end = argv[where].upper()
    if end not in _ENDS:
        raise Error(SYNTAX)
    count = 0
    for option, text in zip_longest(argv[where + 1 :: 2], argv[where + 2 :: 2]):
        if option.upper() != b"COUNT" or text is None or count:
            raise Error(SYNTAX)
        count = _parse_count(text, 1, _NO_COUNT)
    return argv[at + 1 : where], end, count or 1


def pop_for_reply(call: Call, name: bytes, zset: SortedSet, end: bytes, count: int) -> Reply:
    """ZMPOP's answer; what is repeated is the pop alone, without the keys that were empty."""
    popped = pop(call, name, zset, end, count)
    call.propagate(pop_name(end), name, b"%d" % len(popped))
    return [name, popped]


def pop_name(end: bytes) -> bytes:
    """The command that pops at this end, for those who repeat what was popped."""
    return b"ZPOPMIN" if end == LOWEST else b"ZPOPMAX"


def _parse_count(text: bytes, minimum: int, refusal: bytes) -> int:
    number = parse_integer(text, refusal)
    if not minimum <= number <= INT64_MAX:
        raise Error(refusal)
    return number
