"""Sorted sets looked through without order: ZRANDMEMBER, ZSCAN."""

from __future__ import annotations

from node.arguments import parse_draws
from node.call import Call
from node.commands.sampling import draw
from node.commands.scan import ScanOptions, parse_cursor, scan_keys
from node.commands.sortedset_results import pairs_reply
from node.structures.sortedsets import SortedSet
from node.structures.table import random_key
from wire.arguments import INT64_MAX
from wire.command import READONLY, command, key
from wire.encoder import format_double
from wire.errors import OUT_OF_RANGE, SYNTAX, Error
from wire.reply import Bulks, Reply


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
        return None if zset is None else random_key(zset.scores, call.node.runtime.random.stream("zrandmember"))
    count = parse_draws(argv[2])
    with_scores = len(argv) == 4 and argv[3].upper() == b"WITHSCORES"
    if len(argv) > 3 and not with_scores:
        raise Error(SYNTAX)
    if with_scores and abs(count) > INT64_MAX // 2:
        # Redis' own count of the items to answer would overflow.
        raise Error(OUT_OF_RANGE)
    zset = call.db.read_as(argv[1], SortedSet)
    if zset is None:
        return []
    drawn = draw(call, zset.scores, count)
    return pairs_reply(call, [(member, zset.scores[member]) for member in drawn]) if with_scores else Bulks(drawn)


@command(
    "ZSCAN",
    arity=-3,
    flags=READONLY,
    keys=key(1, "RO", "access"),
    group="sorted-set",
    since="2.8.0",
    complexity="O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to "
    "return back to 0. N is the number of elements inside the collection.",
    summary="Incrementally iterate sorted sets elements and associated scores",
    syntax="key cursor [MATCH pattern] [COUNT count]",
    tips=("nondeterministic_output",),
)
def zscan(call: Call) -> Reply:
    argv = call.argv
    cursor = parse_cursor(argv[2])
    zset = call.db.read_as(argv[1], SortedSet)
    if zset is None:
        return [b"0", []]
    options = ScanOptions(argv, 3)
    # What Redis keeps in one piece it lists in order.
    scores = dict(zset.pairs(0, len(zset))) if zset.compact else zset.scores
    after, members = scan_keys(scores, cursor, options, whole=zset.compact)
    return [after, Bulks([part for member in members for part in (member, format_double(scores[member]))])]
