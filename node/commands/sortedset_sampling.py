"""Sorted sets looked at by chance: ZRANDMEMBER."""

from __future__ import annotations

from node.call import Call
from node.commands.sortedset_results import pairs_reply
from node.structures.sortedsets import SortedSet
from wire.arguments import INT64_MAX, parse_integer
from wire.command import READONLY, command, key
from wire.errors import SYNTAX, Error
from wire.reply import Reply

_OUT_OF_RANGE = b"ERR value is out of range, value must between %d and %d" % (-INT64_MAX, INT64_MAX)


@command(
    "ZRANDMEMBER",
    arity=-2,
    flags=READONLY,
    keys=key(1, "RO", "access"),
    group="sorted-set",
    since="6.2.0",
    complexity="O(N) where N is the number of elements returned",
    summary="Get one or multiple random elements from a sorted set",
    syntax="key [count [WITHSCORES]]",
    tips=("nondeterministic_output",),
)
def zrandmember(call: Call) -> Reply:
    argv = call.argv
    if len(argv) == 2:
        zset = call.db.read_as(argv[1], SortedSet)
        return None if zset is None else _draw(call, zset, -1)[0]
    count = parse_integer(argv[2])
    if count < -INT64_MAX:
        raise Error(_OUT_OF_RANGE)
    with_scores = len(argv) == 4 and argv[3].upper() == b"WITHSCORES"
    if len(argv) > 3 and not with_scores:
        raise Error(SYNTAX)
    if with_scores and abs(count) > INT64_MAX // 2:
        # Redis' own count of the items to answer would overflow.
        raise Error(b"ERR value is out of range")
    zset = call.db.read_as(argv[1], SortedSet)
    drawn = [] if zset is None else _draw(call, zset, count)
    if zset is not None and with_scores:
        return pairs_reply(call, [(member, zset.scores[member]) for member in drawn])
    return drawn


def _draw(call: Call, zset: SortedSet, count: int) -> list[bytes]:
    """So many different members, or, with a negative count, so many that may come again."""
    size = len(zset)
    if count >= size:
        return list(zset.scores)
    chance = call.node.runtime.random.stream("zrandmember")
    ranks = chance.sample(range(size), count) if count >= 0 else [chance.randrange(size) for _ in range(-count)]
    member = zset.ranking().member
    return [member(rank) for rank in ranks]
