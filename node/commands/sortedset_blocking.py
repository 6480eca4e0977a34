"""Sorted sets that a client waits for: BZPOPMIN, BZPOPMAX, BZMPOP."""

from __future__ import annotations

from node.arguments import parse_timeout_ms
from node.blocking import NOT_YET
from node.call import Call
from node.commands.sortedset_pops import HIGHEST, LOWEST, parse_mpop, pop, pop_for_reply, pop_name
from node.structures.sortedsets import SortedSet
from wire.command import BLOCKING, FAST, NOSCRIPT, WRITE, command, keys, numkeys
from wire.reply import Reply


@command(
    "BZPOPMIN",
    arity=-3,
    flags=WRITE | BLOCKING | NOSCRIPT | FAST,
    keys=keys(1, -2, 1, "RW", "access", "delete"),
    group="sorted-set",
    since="5.0.0",
    complexity="O(log(N)) with N being the number of elements in the sorted set.",
    summary="Remove and return the member with the lowest score from one or more sorted sets, or block until one "
    "is available",
    syntax="key [key ...] timeout:double",
    history=(("6.0.0", "`timeout` is interpreted as a double instead of an integer."),),
)
def bzpopmin(call: Call) -> Reply:
    return _block_for_one(call, LOWEST)


@command(
    "BZPOPMAX",
    arity=-3,
    flags=WRITE | BLOCKING | NOSCRIPT | FAST,
    keys=keys(1, -2, 1, "RW", "access", "delete"),
    group="sorted-set",
    since="5.0.0",
    complexity="O(log(N)) with N being the number of elements in the sorted set.",
    summary="Remove and return the member with the highest score from one or more sorted sets, or block until one "
    "is available",
    syntax="key [key ...] timeout:double",
    history=(("6.0.0", "`timeout` is interpreted as a double instead of an integer."),),
)
def bzpopmax(call: Call) -> Reply:
    return _block_for_one(call, HIGHEST)


def _block_for_one(call: Call, end: bytes) -> Reply:
    names = call.argv[1:-1]
    timeout_ms = parse_timeout_ms(call.argv[-1])

    def serve(call: Call, name: bytes) -> Reply:
        zset = call.db.get_as(name, SortedSet)
        if zset is None:
            return NOT_YET
        popped = pop(call, name, zset, end, 1)
        call.propagate(pop_name(end), name)
        return [name, *popped[0]]

    return call.node.blocked.serve_or_block(call, names, SortedSet, serve, timeout_ms)


@command(
    "BZMPOP",
    arity=-5,
    flags=WRITE | BLOCKING,
    keys=numkeys(2, "RW", "access", "delete"),
    group="sorted-set",
    since="7.0.0",
    complexity="O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of elements in the "
    "sorted set, and M being the number of elements popped.",
    summary="Remove and return members with scores in a sorted set or block until one is available",
    syntax="timeout:double numkeys key [key ...] <MIN | MAX> [COUNT count]",
)
def bzmpop(call: Call) -> Reply:
    names, end, count = parse_mpop(call.argv, 2)
    timeout_ms = parse_timeout_ms(call.argv[1])

    def serve(call: Call, name: bytes) -> Reply:
        zset = call.db.get_as(name, SortedSet)
        return NOT_YET if zset is None else pop_for_reply(call, name, zset, end, count)

    return call.node.blocked.serve_or_block(call, names, SortedSet, serve, timeout_ms)
