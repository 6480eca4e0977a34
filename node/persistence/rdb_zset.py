"""Sorted sets in RDB files: member by member, or, when small, as one listpack (in old files, one ziplist)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

from node.persistence import listpack, ziplist
from node.persistence.rdb_encoding import Cursor, encode_length, encode_score, encode_string
from node.persistence.rdb_errors import RdbEmptyError, RdbError
from node.scores import parse_score
from node.structures.sortedsets import SortedSet
from wire.encoder import format_double
from wire.errors import Error

# Up to here a whole number's text has all its digits.
_WHOLE_MAX = 1e17
_INTEGERS_ONLY = {int}


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
    items = listpack.decode_mixed(cursor.string())
    scores = items[1::2]
    if set(map(type, scores)) == _INTEGERS_ONLY and len(items) == 2 * len(scores):
        return _of(listpack.as_texts(items[::2]), list(map(float, scores)), cursor)
    return _from_items(listpack.as_texts(items), cursor)


def decode_zset_ziplist(cursor: Cursor) -> SortedSet:
    """Type 12."""
    return _from_items(ziplist.decode(cursor.string()), cursor)


def _from_items(items: list[bytes], cursor: Cursor) -> SortedSet:
    """Members and scores in turns."""
    try:
        return _of(items[::2], list(map(parse_score, items[1::2])), cursor)
    except Error:
        raise RdbError("Zset integrity check failed.", cursor.position) from None


def _of(members: list[bytes], scores: list[float], cursor: Cursor) -> SortedSet:
    by_member = dict(zip(members, scores, strict=False))
    if not len(by_member) == len(members) == len(scores):
        raise RdbError("Zset integrity check failed.", cursor.position)
    return _sorted_set(by_member, cursor, packed=True)


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
    # There are few: sorted at once they need no ranking.
    pairs = sorted(zip(zset.scores.values(), zset.scores, strict=True))
    members = listpack.text_entries([member for _, member in pairs])
    scores = _score_entries([score for score, _ in pairs])
    entries = list(chain.from_iterable(zip(members, scores, strict=True)))
    return encode_string(listpack.assemble(entries), compress)


def _score_entries(scores: list[float]) -> list[bytes]:
    """The texts of ascending scores, which for most are those of whole numbers; of negative zero it is not."""
    if scores[0] > -_WHOLE_MAX and scores[-1] < _WHOLE_MAX:
        numbers = list(map(int, scores))
        if numbers == scores and 0 not in numbers:
            return listpack.number_entries(numbers)
    return [listpack.text_entry(format_double(score)) for score in scores]
