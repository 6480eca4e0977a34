"""CLUSTER SLOT-STATS (Redis 8.2): how many keys are in the slots of this node's shard.

Redis can also tell the time and the traffic of each slot, if `cluster-slot-stats-enabled` says so; here that would cost
every command, and is not kept.
"""

from __future__ import annotations

from cluster.slots import SLOTS, members
from node.call import Call
from node.commands.cluster import parse_slot
from node.commands.cluster_help import in_cluster
from wire.arguments import parse_integer
from wire.command import LOADING, STALE, command
from wire.errors import SYNTAX, Error, wrong_subcommand
from wire.reply import Reply

_BAD_METRIC = b"ERR Unrecognized sort metric for ORDERBY."
_BAD_LIMIT = b"ERR Limit has to lie in between 1 and %d (maximum number of slots)." % SLOTS
_TWICE = b"ERR Multiple filters of the same type are disallowed."


@command(
    "CLUSTER|SLOT-STATS",
    arity=-4,
    flags=LOADING | STALE,
    group="cluster",
    since="8.2.0",
    complexity="O(N) where N is the total number of slots based on arguments. O(N*log(N)) with ORDERBY subcommand.",
    summary="Return an array of slot usage statistics for slots assigned to the current node.",
    syntax="<SLOTSRANGE <start-slot end-slot> | ORDERBY <metric [LIMIT limit] [ASC | DESC]>>",
    tips=("nondeterministic_output", "request_policy:all_shards"),
)
def slot_stats(call: Call) -> Reply:
    in_cluster(call)
    argv = call.argv
    word = argv[2].upper()
    if word == b"SLOTSRANGE" and len(argv) == 5:
        start, end = parse_slot(argv[3]), parse_slot(argv[4])
        if start > end:
            raise Error(b"ERR Start slot number %d is greater than end slot number %d" % (start, end))
        return [_stats(call, slot) for slot in _own(call) if start <= slot <= end]
    if word == b"ORDERBY":
        if argv[3].lower() != b"key-count":
            raise Error(_BAD_METRIC)
        limit, descending = _order(argv)
        cluster = in_cluster(call)
        ordered = sorted(
            _own(call), key=lambda slot: -cluster.keys_in_slot(slot) if descending else cluster.keys_in_slot(slot)
        )
        return [_stats(call, slot) for slot in ordered[:limit]]
    raise wrong_subcommand(argv)


def _order(argv: list[bytes]) -> tuple[int, bool]:
    """How many slots ORDERBY gives, and whether those with many keys come first; raises Error."""
    limit = -1
    descending: bool | None = None
    at = 4
    while at < len(argv):
        word = argv[at].upper()
        if word == b"LIMIT" and at + 1 < len(argv):
            at += 1
            number = parse_integer(argv[at], _BAD_LIMIT)
            if not 1 <= number <= SLOTS:
                raise Error(_BAD_LIMIT)
            if limit >= 0:
                raise Error(_TWICE)
            limit = number
        elif word in (b"ASC", b"DESC"):
            if descending is not None:
                raise Error(_TWICE)
            descending = word == b"DESC"
        else:
            raise Error(SYNTAX)
        at += 1
    return limit if limit >= 0 else SLOTS, descending is not False


def _own(call: Call) -> list[int]:
    """The slots of this node, or of its master, in ascending order."""
    myself = in_cluster(call).state.myself
    return list(members((myself.master or myself).slots))


def _stats(call: Call, slot: int) -> Reply:
    return [slot, {b"key-count": in_cluster(call).keys_in_slot(slot)}]
