"""What several families of sorted set commands do with their results: answer with them, or store them."""

from __future__ import annotations

from node.call import Call
from node.notifications import GENERIC, ZSET
from node.structures.sortedsets import SortedSet
from wire.reply import Bulks, Reply


def pairs_reply(call: Call, pairs: list[tuple[bytes, float]]) -> Reply:
    """Members with their scores: pairs in RESP3, one flat array in RESP2."""
    if call.session.proto == 3:
        return pairs
    count = len(pairs)
    parts = [b""] * (2 * count)
    parts[::2] = [member for member, _ in pairs]
    # All scores at once, as `format_double` gives each.
    parts[1::2] = (b"%.17g " * count % tuple(score for _, score in pairs)).split()
    return Bulks(parts)


def sorted_set(call: Call, scores: dict[bytes, float]) -> SortedSet:
    """A set made in one go, as compact as the settings allow."""
    limits = call.keyspace.limits
    compact = len(scores) <= limits.zset_entries and (not scores or max(map(len, scores)) <= limits.zset_value)
    if compact:
        # A listpack has no negative zero.
        scores = {member: score + 0.0 for member, score in scores.items()}
    return SortedSet(scores, compact=compact)


def store(call: Call, target: bytes, scores: dict[bytes, float], event: bytes) -> int:
    """Store a result under `target`, or, when it is empty, remove that key; returns how many members it has."""
    if scores:
        call.db.put(target, sorted_set(call, scores))
        call.notify(ZSET, event, target)
    elif call.db.delete(target):
        call.notify(GENERIC, b"del", target)
    return len(scores)
