"""Sorted sets: members with scores.

`scores` answers for a single member: a dict while small, a table when large. The order is a `Ranking` beside it, made
when a command first asks for it, since many sets are only scored; a set with more than `_UNRANKED_MAX` members always
has one, so that no command ever has to sort more than that.
"""

from __future__ import annotations

import sys
from itertools import islice
from typing import ClassVar, Self

from node.scores import LexRange, ScoreRange
from node.structures.limits import CompactLimits
from node.structures.ranking import Ranking
from node.structures.table import DICT_MAX, Table

# Sorting so many takes about a millisecond.
_UNRANKED_MAX = 2048
# A double, and its places in the ranking.
_FLOAT_BYTES = 24
_PLACES_BYTES = 16

Scores = dict[bytes, float] | Table[float]


class SortedSet:
    """Members with their scores, which are never NaN.

    Whoever changes it goes through the methods; `scores` may be read by anybody.
    """

    __slots__ = ("_ranking", "compact", "scores")

    kind: ClassVar[bytes] = b"zset"

    def __init__(self, scores: dict[bytes, float] | None = None, *, compact: bool = False) -> None:
        """With the members of `scores`, which is taken over."""
        # Score by member, in no order that says anything.
        self.scores: Scores = {}
        if scores is not None:
            self.scores = scores if len(scores) <= DICT_MAX else Table(scores)
        # Whether Redis would keep it as a listpack. It never becomes one again after it has been too large for that.
        self.compact = compact
        self._ranking: Ranking | None = None
        if len(self.scores) > _UNRANKED_MAX:
            self.ranking()

    @property
    def encoding(self) -> bytes:
        return b"listpack" if self.compact else b"skiplist"

    def __len__(self) -> int:
        return len(self.scores)

    def copy(self) -> Self:
        other = type(self)(compact=self.compact)
        other.scores = self.scores.copy()
        if self._ranking is not None:
            other._ranking = self._ranking.copy()
        return other

    def memory_bytes(self, samples: int) -> int:
        count = len(self.scores)
        sampled = list(islice(self.scores, samples or count))
        members = sum(map(sys.getsizeof, sampled)) * count // max(len(sampled), 1)
        each = _FLOAT_BYTES + (_PLACES_BYTES if self._ranking is not None else 0)
        scores = self.scores
        places = sys.getsizeof(scores) if isinstance(scores, dict) else scores.memory_bytes()
        return sys.getsizeof(self) + places + members + count * each

    # Changing

    def make_room_for(self, member: bytes, limits: CompactLimits) -> None:
        """Before `member` is added: a compact set that becomes too large for it stops being one."""
        if len(self.scores) >= limits.zset_entries or len(member) > limits.zset_value:
            self.compact = False

    def add(self, member: bytes, score: float) -> None:
        """Put in a member that is not there: O(log n)."""
        scores = self.scores
        if self.compact:
            # A listpack keeps what is an integer as one, and there is no other integer zero.
            score += 0.0
        scores[member] = score
        ranking = self._ranking
        if ranking is not None:
            ranking.add(score, member)
        elif len(scores) > _UNRANKED_MAX:
            self.ranking()
        if type(scores) is dict and len(scores) > DICT_MAX:
            self.scores = Table(scores)

    def move(self, member: bytes, old: float, score: float) -> None:
        """Give a member, whose score is `old`, another one: O(log n)."""
        if self.compact:
            score += 0.0
        ranking = self._ranking
        if ranking is not None:
            # The very object that is the key in `scores`, or every update would leave a second copy of the name.
            member = ranking.remove(old, member)
            ranking.add(score, member)
        self.scores[member] = score

    def remove(self, member: bytes) -> bool:
        """Take a member out, False when it is not there: O(log n)."""
        score = self.scores.pop(member, None)
        if score is None:
            return False
        if self._ranking is not None:
            self._ranking.remove(score, member)
        return True

    def pop(self, *, last: bool) -> tuple[bytes, float]:
        """Take out the member with the lowest score, or the highest; there must be one. O(log n)."""
        ranking = self._ranking
        if ranking is None:
            ranking = self.ranking()
        popped = ranking.pop(last=last)
        self.scores.pop(popped[0])
        return popped

    def cut(self, start: int, stop: int) -> list[tuple[bytes, float]]:
        """Take out the members of ranks `start` to `stop`, and return them with their scores, ascending."""
        pairs = self.pairs(start, stop)
        self.ranking().cut(start, stop)
        scores = self.scores
        if isinstance(scores, Table):
            scores.pop_each([member for member, _ in pairs])
        else:
            for member, _ in pairs:
                del scores[member]
        return pairs

    # Looking

    def ranking(self) -> Ranking:
        """The members in order; O(n log n) the first time, for sets that are not large."""
        ranking = self._ranking
        if ranking is None:
            scores = self.scores
            ranking = self._ranking = Ranking(sorted(zip(scores.values(), scores, strict=True)))
        return ranking

    def members(self, start: int, stop: int) -> list[bytes]:
        """The members of ranks `start` to `stop`, ascending: O(log n) and their number."""
        return self.ranking().members(start, stop)

    def pairs(self, start: int, stop: int) -> list[tuple[bytes, float]]:
        """The members of ranks `start` to `stop`, each with its score: O(log n) and their number."""
        ranking = self.ranking()
        # Looking every member up in `scores` would cost more: they lie anywhere in memory, the scores here together.
        return list(zip(ranking.members(start, stop), ranking.scores(start, stop), strict=True))

    def rank(self, member: bytes) -> int | None:
        """How many members stand before `member`; None when it is not there. O(log n)."""
        score = self.scores.get(member)
        return None if score is None else self.ranking().rank(score, member)

    def ranks_by_score(self, scores: ScoreRange) -> tuple[int, int]:
        """The ranks between which the scores are in the range: O(log n)."""
        ranking = self.ranking()
        start = ranking.count_below(scores.low, equal=scores.low_open)
        return start, max(start, ranking.count_below(scores.high, equal=not scores.high_open))

    def ranks_by_member(self, names: LexRange, *, reverse: bool = False) -> tuple[int, int]:
        """The ranks between which the members are in the range, all scores being equal: O(log n).

        With different scores there is no right answer. Small sets, which people try this with, give Redis' answer:
        the first stretch that a walk from the front (or, with `reverse`, from the back) finds.
        """
        if names.is_empty() or not self.scores:
            return 0, 0
        low, high = names
        if self.compact:
            return self._walk(names, reverse=reverse)
        count_before = self.ranking().count_before
        size = len(self.scores)
        start = count_before(low.text, equal=low.open) if not low.place else 0 if low.place < 0 else size
        stop = count_before(high.text, equal=not high.open) if not high.place else size if high.place > 0 else 0
        return start, max(start, stop)

    def _walk(self, names: LexRange, *, reverse: bool) -> tuple[int, int]:
        low, high = names
        members = self.members(0, len(self.scores))
        above = [low.admits_above(member) for member in members]
        below = [high.admits_below(member) for member in members]
        if not above[-1] or not below[0]:
            return 0, 0
        if reverse:
            stop = len(below) - below[::-1].index(True)
            start = stop
            while start and above[start - 1]:
                start -= 1
            return start, stop
        start = stop = above.index(True)
        while stop < len(below) and below[stop]:
            stop += 1
        return start, stop

    def _check(self) -> None:
        """Assert that order and scores agree."""
        assert len(self.scores) <= _UNRANKED_MAX or self._ranking is not None
        assert isinstance(self.scores, Table) or len(self.scores) <= DICT_MAX
        if isinstance(self.scores, Table):
            self.scores._check()
        if self._ranking is not None:
            self._ranking._check(dict(self.scores.items()))
