"""The sorted set against a list that is sorted anew for every question."""

from __future__ import annotations

import itertools
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from node.scores import parse_lex_range, parse_score_range
from node.structures import ranking, sortedsets
from node.structures.sortedsets import SortedSet

SCORES = st.sampled_from([float("-inf"), -1.0, 0.0, 0.5, 1.0, 2.0, 2.0, 3.0, float("inf")])
# Enough names for several chunks, few enough to meet them again.
MEMBERS = st.integers(0, 120).map(lambda number: b"%d" % number)


class SortedSetMachine(RuleBasedStateMachine):
    """Chunks of at most eight, and an order kept from five members on, so that everything happens early."""

    def __init__(self) -> None:
        super().__init__()
        self._patch = pytest.MonkeyPatch()
        for name, value in (("_CHUNK", 4), ("_CHUNK_MAX", 8), ("_CHUNK_MIN", 2)):
            self._patch.setattr(ranking, name, value)
        self._patch.setattr(sortedsets, "_UNRANKED_MAX", 5)
        self.zset = SortedSet()
        self.dumb: dict[bytes, float] = {}

    def teardown(self) -> None:
        self._patch.undo()

    def ordered(self) -> list[bytes]:
        return sorted(self.dumb, key=lambda member: (self.dumb[member], member))

    @rule(entries=st.lists(st.tuples(MEMBERS, SCORES), max_size=30))
    def put(self, entries: list[tuple[bytes, float]]) -> None:
        for member, score in entries:
            if member in self.dumb:
                self.zset.move(member, self.dumb[member], score)
            else:
                self.zset.add(member, score)
            self.dumb[member] = score

    @rule(members=st.lists(MEMBERS, max_size=30))
    def remove(self, members: list[bytes]) -> None:
        for member in members:
            assert self.zset.remove(member) == (self.dumb.pop(member, None) is not None)

    @rule(start=st.integers(0, 60), count=st.integers(0, 40))
    def cut(self, start: int, count: int) -> None:
        members = self.ordered()[start : start + count]
        stop = min(start + count, len(self.dumb))
        assert self.zset.cut(start, stop) == [(member, self.dumb.pop(member)) for member in members]

    @precondition(lambda self: self.dumb)
    @rule(last=st.booleans(), count=st.integers(1, 30))
    def pop(self, last: bool, count: int) -> None:
        for _ in range(min(count, len(self.dumb))):
            member = self.ordered()[-1 if last else 0]
            assert self.zset.pop(last=last) == (member, self.dumb.pop(member))

    @rule()
    def copied(self) -> None:
        other = self.zset.copy()
        other.add(b"other", 1.0)
        assert b"other" not in self.zset.scores
        other._check()
        assert other.remove(b"other")
        self.zset = other

    @rule(member=MEMBERS)
    def rank(self, member: bytes) -> None:
        assert self.zset.rank(member) == (self.ordered().index(member) if member in self.dumb else None)

    @precondition(lambda self: self.dumb)
    @rule(data=st.data())
    def member(self, data: st.DataObject) -> None:
        rank = data.draw(st.integers(0, len(self.dumb) - 1))
        assert self.zset.ranking().member(rank) == self.ordered()[rank]

    @rule(start=st.integers(0, 60), count=st.integers(0, 40))
    def members(self, start: int, count: int) -> None:
        stop = min(start + count, len(self.dumb))
        members = self.ordered()[start:stop]
        assert self.zset.members(start, stop) == members
        assert self.zset.pairs(start, stop) == [(member, self.dumb[member]) for member in members]

    @rule(low=SCORES, high=SCORES, low_open=st.booleans(), high_open=st.booleans())
    def by_score(self, low: float, high: float, low_open: bool, high_open: bool) -> None:
        texts = [b"(" * opened + b"%g" % score for score, opened in ((low, low_open), (high, high_open))]
        start, stop = self.zset.ranks_by_score(parse_score_range(*texts))
        assert self.ordered()[start:stop] == [
            member
            for member in self.ordered()
            if (low < self.dumb[member] or (low == self.dumb[member] and not low_open))
            and (self.dumb[member] < high or (self.dumb[member] == high and not high_open))
        ]

    @invariant()
    def is_whole(self) -> None:
        assert self.zset.scores == self.dumb
        self.zset._check()


SortedSetMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, database=None, derandomize=True
)
test_sorted_set_is_what_a_sorted_list_says = SortedSetMachine.TestCase


@given(
    members=st.lists(MEMBERS, unique=True, max_size=60),
    low=st.one_of(st.sampled_from([b"-", b"+"]), st.tuples(st.sampled_from([b"[", b"("]), MEMBERS).map(b"".join)),
    high=st.one_of(st.sampled_from([b"-", b"+"]), st.tuples(st.sampled_from([b"[", b"("]), MEMBERS).map(b"".join)),
    compact=st.booleans(),
)
@settings(max_examples=150, deadline=None, database=None, derandomize=True)
def test_range_of_members_among_equal_scores(members: list[bytes], low: bytes, high: bytes, compact: bool) -> None:
    zset = SortedSet(dict.fromkeys(members, 1.0), compact=compact)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("_CHUNK", 4), ("_CHUNK_MAX", 8)):
            patch.setattr(ranking, name, value)
        names = parse_lex_range(low, high)
        found = [zset.members(*zset.ranks_by_member(names, reverse=reverse)) for reverse in (False, True)]
    lowest, highest = names
    expected = [member for member in sorted(members) if lowest.admits_above(member) and highest.admits_below(member)]
    assert found == [expected, expected]


def test_many_members_keep_their_ranks() -> None:
    """Several chunks of the real size, with entries coming and going at both ends and in between."""
    chance = Random(7)
    zset = SortedSet({b"%d" % number: float(chance.randrange(3000)) for number in range(9000)})
    for number in range(3000):
        zset.move(b"%d" % number, zset.scores[b"%d" % number], float(chance.randrange(-10, 3010)))
        assert zset.rank(b"%d" % number) is not None
    for _ in itertools.takewhile(lambda _: len(zset) > 1000, itertools.count()):
        zset.cut(0, 37)
        zset.cut(len(zset) - 53, len(zset))
        zset.cut(500, 540)
        zset._check()


def test_an_updated_member_is_one_object() -> None:
    """A ranking that kept the name from each update would hold every name twice."""
    zset = SortedSet({b"%d" % number: 1.0 for number in range(3000)})
    zset.move(b"".join([b"1", b"7"]), 1.0, 2.0)
    assert zset.members(2999, 3000)[0] is next(member for member in zset.scores if member == b"17")
