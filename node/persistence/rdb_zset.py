"""Sorted sets in RDB files: member by member, or, when small, as one listpack (in old files, one ziplist)."""

from __future__ import annotations

from collections.abc import Callable

from node.persistence import listpack, ziplist
from node.persistence.rdb_encoding import Cursor, encode_length, encode_score, encode_string
from node.persistence.rdb_errors import RdbEmptyError, RdbError
from node.scores import parse_score
from node.structures.sortedsets import SortedSet
from wire.encoder import format_double
from wire.errors import Error

# Up to here a whole number's text has all its digits.
_WHOLE_MAX = 1e17


def decode_zset(cursor: Cursor) -> SortedSet:
    """Type 5: scores in binary."""
    return _unpacked(cursor, cursor.score)


def decode_old_zset(cursor: Cursor) -> SortedSet:
    """Type 3: scores as text."""
    return _unpacked(cursor, cursor.text_score)


def _unpacked(cursor: Cursor, score: Callable[[], float]) -> SortedSet:
    count = cursor.count()
    scores = {cursor.string(): score() for _ in range(count)}
    if len(scores) != count:
        raise RdbError("Zset with duplicate members detected", cursor.position)
    return _sorted_set(scores, cursor)


def decode_zset_listpack(cursor: Cursor) -> SortedSet:
    """Type 17."""
    return _from_items(listpack.decode(cursor.string()), cursor)


def decode_zset_ziplist(cursor: Cursor) -> SortedSet:
    """Type 12."""
    return _from_items(ziplist.decode(cursor.string()), cursor)


def _from_items(items: list[bytes], cursor: Cursor) -> SortedSet:
    """Members and scores in turns."""
    members = items[::2]
    try:
        scores = dict(zip(members, map(parse_score, items[1::2]), strict=True))
    except (ValueError, Error):
        raise RdbError("Zset integrity check failed.", cursor.position) from None
    if len(scores) != len(members):
        raise RdbError("Zset integrity check failed.", cursor.position)
    return _sorted_set(scores, cursor, packed=True)


def _sorted_set(scores: dict[bytes, float], cursor: Cursor, *, packed: bool = False) -> SortedSet:
    if not scores:
        raise RdbEmptyError("Empty zset", cursor.position)
    limits = cursor.limits
    compact = len(scores) <= limits.zset_entries and (packed or max(map(len, scores)) <= limits.zset_value)
    return SortedSet(scores, compact=compact)


def encode_zset(zset: SortedSet, compress: bool) -> bytes:
    """The body for type 5, highest score first, so that whoever loads it always adds in front."""
    scores = zset.scores
    parts = [encode_length(len(scores))]
    for member in reversed(zset.members(0, len(scores))):
        parts += (encode_string(member, compress), encode_score(scores[member]))
    return b"".join(parts)


def encode_zset_listpack(zset: SortedSet, compress: bool) -> bytes:
    """The body for type 17."""
    entries: list[bytes] = []
    for member, score in zset.pairs(0, len(zset)):
        entries += (listpack.text_entry(member), _score_entry(score))
    return encode_string(listpack.assemble(entries), compress)


def _score_entry(score: float) -> bytes:
    """A score's text, which for most is a whole number's; of negative zero it is not."""
    if score and -_WHOLE_MAX < score < _WHOLE_MAX and score.is_integer():
        return listpack.number_entry(int(score))
    return listpack.text_entry(format_double(score))
