"""Members in the order of their scores: where a rank is found, and a range begins and ends, in logarithmic time.

The entries stand in chunks of at most `_CHUNK_MAX`: the scores in an array of C doubles, the members in a list beside
it. A place is looked for among the last scores of the chunks, then within one chunk, both by bisection, and nothing
longer than a chunk is moved to make room. A set of up to a few thousand members is one chunk: nothing beats a flat
sorted list there. With more chunks than one, ranks come from a binary indexed tree of the chunks' sizes, made when
first asked for; it keeps step with single entries and is thrown away when a chunk comes or goes.

Entries with equal scores stand in the order of their members' bytes. Scores are never NaN.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right

# Measured with a million members: an update costs least with chunks of about a thousand (two kilobytes are moved), and
# up to four thousand it hardly matters.
_CHUNK = 1024
_CHUNK_MAX = 2 * _CHUNK
# A chunk that has become smaller than this joins a neighbour, unless that would be split again soon.
_CHUNK_MIN = _CHUNK // 4


class Ranking:
    """Entries (score, member), ascending."""

    __slots__ = ("_members", "_scores", "_tops", "_tree")

    def __init__(self, entries: list[tuple[float, bytes]]) -> None:
        """`entries` are in order and distinct."""
        size = max(len(entries), 1)
        step = _CHUNK if size > _CHUNK_MAX else _CHUNK_MAX
        parts = [entries[at : at + step] for at in range(0, size, step)]
        # Scores and members of each chunk; no chunk is empty unless it is the only one.
        self._scores = [array("d", [score for score, _ in part]) for part in parts]
        self._members = [[member for _, member in part] for part in parts]
        # The last score of each chunk.
        self._tops = array("d", [part[-1][0] if part else 0.0 for part in parts])
        # The binary indexed tree of the chunks' sizes; None while nobody needs it.
        self._tree: list[int] | None = None

    def copy(self) -> Ranking:
        """A ranking of its own with the same entries."""
        other = Ranking([])
        other._scores = [scores[:] for scores in self._scores]
        other._members = [members[:] for members in self._members]
        other._tops = self._tops[:]
        return other

    # Changing

    def add(self, score: float, member: bytes) -> None:
        """Put in an entry that is not there yet: O(log n)."""
        tops = self._tops
        at = bisect_left(tops, score)
        last = len(tops) - 1
        if at >= last:
            at = last
        elif tops[at] == score:
            at = self._chunk_of_equal(at, score, member)
        scores = self._scores[at]
        members = self._members[at]
        size = len(scores)
        place = bisect_left(scores, score)
        if place < size and scores[place] == score:
            place = bisect_left(members, member, place, bisect_right(scores, score, place))
        scores.insert(place, score)
        members.insert(place, member)
        if place == size:
            tops[at] = score
        if size >= _CHUNK_MAX:
            self._split(at)
        elif self._tree is not None:
            self._count(at, 1)

    def remove(self, score: float, member: bytes) -> bytes:
        """Take out an entry that is there, and return its member, the very object: O(log n)."""
        tops = self._tops
        at = bisect_left(tops, score)
        last = len(tops) - 1
        if at < last and tops[at] == score:
            at = self._chunk_of_equal(at, score, member)
        scores = self._scores[at]
        members = self._members[at]
        place = bisect_left(scores, score)
        found = members[place]
        if found != member:
            place = bisect_left(members, member, place, bisect_right(scores, score, place))
            found = members[place]
        del scores[place]
        del members[place]
        size = len(scores)
        if size == place and size:
            tops[at] = scores[-1]
        if self._tree is not None:
            self._count(at, -1)
        if size < _CHUNK_MIN and last:
            self._shrunk(at)
        return found

    def pop(self, *, last: bool) -> tuple[bytes, float]:
        """Take out the first entry or the last; there must be one. O(log n)."""
        at = len(self._tops) - 1 if last else 0
        place = -1 if last else 0
        scores = self._scores[at]
        score = scores.pop(place)
        member = self._members[at].pop(place)
        size = len(scores)
        if last and size:
            self._tops[at] = scores[-1]
        if self._tree is not None:
            self._count(at, -1)
        if size < _CHUNK_MIN and len(self._tops) > 1:
            self._shrunk(at)
        return member, score

    def cut(self, start: int, stop: int) -> None:
        """Take out the entries of ranks `start` to `stop`: O(log n) and their number."""
        if start >= stop:
            return
        at, place = self._locate(start)
        left = stop - start - self._cut(at, place, place + stop - start)
        first = at
        while left and at + 1 < len(self._members):
            at += 1
            left -= self._cut(at, 0, left)
        # From behind, so that what is dropped does not move what is still to be looked at.
        for index in range(at, first - 1, -1):
            if len(self._scores[index]) < _CHUNK_MIN and len(self._tops) > 1:
                self._shrunk(index)

    def _cut(self, at: int, start: int, stop: int) -> int:
        """Take places `start` to `stop`, as far as there are any, out of chunk `at`, which may be empty then."""
        scores, members = self._scores[at], self._members[at]
        before = len(members)
        del scores[start:stop]
        del members[start:stop]
        count = before - len(members)
        if scores:
            self._tops[at] = scores[-1]
        if self._tree is not None:
            self._count(at, -count)
        return count

    # Looking

    def rank(self, score: float, member: bytes) -> int:
        """How many entries stand before an entry that is there: O(log n)."""
        tops = self._tops
        at = bisect_left(tops, score)
        if at < len(tops) - 1 and tops[at] == score:
            at = self._chunk_of_equal(at, score, member)
        scores = self._scores[at]
        place = bisect_left(scores, score)
        if self._members[at][place] != member:
            place = bisect_left(self._members[at], member, place, bisect_right(scores, score, place))
        return self._before(at) + place

    def count_below(self, score: float, *, equal: bool) -> int:
        """How many entries have a score below `score`, or, with `equal`, not above it: O(log n)."""
        bisect = bisect_right if equal else bisect_left
        at = bisect(self._tops, score)
        last = len(self._tops) - 1
        if at > last:
            at = last
        return self._before(at) + bisect(self._scores[at], score)

    def count_before(self, member: bytes, *, equal: bool) -> int:
        """How many members sort before `member`, or, with `equal`, not behind it: O(log n), all scores being equal."""
        bisect = bisect_right if equal else bisect_left
        low, high = 0, len(self._members) - 1
        while low < high:
            middle = (low + high) // 2
            top = self._members[middle][-1]
            if top < member or (equal and top == member):
                low = middle + 1
            else:
                high = middle
        return self._before(low) + bisect(self._members[low], member)

    def members(self, start: int, stop: int) -> list[bytes]:
        """The members of ranks `start` to `stop`: O(log n) and their number."""
        if start >= stop:
            return []
        at, place = self._locate(start)
        found = self._members[at][place : place + stop - start]
        while len(found) < stop - start and at + 1 < len(self._members):
            at += 1
            found += self._members[at][: stop - start - len(found)]
        return found

    def scores(self, start: int, stop: int) -> list[float]:
        """The scores of ranks `start` to `stop`: O(log n) and their number."""
        if start >= stop:
            return []
        at, place = self._locate(start)
        found = self._scores[at][place : place + stop - start].tolist()
        while len(found) < stop - start and at + 1 < len(self._scores):
            at += 1
            found += self._scores[at][: stop - start - len(found)].tolist()
        return found

    def member(self, rank: int) -> bytes:
        """The member of this rank, which exists: O(log n)."""
        at, place = self._locate(rank)
        return self._members[at][place]

    # Chunks

    def _chunk_of_equal(self, at: int, score: float, member: bytes) -> int:
        """Where the entry belongs when several chunks may hold its score, `at` being the first of them."""
        tops = self._tops
        low, high = at, bisect_right(tops, score, at)
        while low < high:
            middle = (low + high) // 2
            if self._members[middle][-1] < member:
                low = middle + 1
            else:
                high = middle
        return min(low, len(tops) - 1)

    def _split(self, at: int) -> None:
        scores, members = self._scores[at], self._members[at]
        middle = len(scores) // 2
        self._scores.insert(at + 1, scores[middle:])
        self._members.insert(at + 1, members[middle:])
        del scores[middle:]
        del members[middle:]
        self._tops.insert(at, scores[-1])
        self._tree = None

    def _shrunk(self, at: int) -> None:
        """Chunk `at`, not the only one, has become small: drop it if it is empty, or join it to a neighbour."""
        if not self._scores[at]:
            self._drop(at)
            return
        left = max(at - 1, 0)
        if len(self._scores[left]) + len(self._scores[left + 1]) <= _CHUNK:
            self._scores[left] += self._scores[left + 1]
            self._members[left] += self._members[left + 1]
            self._tops[left] = self._scores[left][-1]
            self._drop(left + 1)

    def _drop(self, at: int) -> None:
        del self._scores[at]
        del self._members[at]
        del self._tops[at]
        self._tree = None

    # Ranks (a binary indexed tree: entry i holds the sizes of the (i & -i) chunks that end with chunk i - 1)

    def _before(self, at: int) -> int:
        """How many entries stand before chunk `at`."""
        if not at:
            return 0
        tree = self._tree
        if tree is None:
            tree = self._grow_tree()
        total = 0
        while at:
            total += tree[at]
            at &= at - 1
        return total

    def _locate(self, rank: int) -> tuple[int, int]:
        """Chunk and place of a rank; a rank beyond the end is given a place behind the last entry."""
        count = len(self._tops)
        if count == 1 or not rank:
            return 0, rank
        tree = self._tree
        if tree is None:
            tree = self._grow_tree()
        at = 0
        step = 1 << count.bit_length() - 1
        while step:
            beyond = at + step
            # The last chunk is nobody's left neighbour: whatever is not before it is in it.
            if beyond < count and tree[beyond] <= rank:
                at = beyond
                rank -= tree[beyond]
            step >>= 1
        return at, rank

    def _grow_tree(self) -> list[int]:
        tree = [0, *map(len, self._members)]
        size = len(tree)
        for at in range(1, size):
            above = at + (at & -at)
            if above < size:
                tree[above] += tree[at]
        self._tree = tree
        return tree

    def _count(self, at: int, change: int) -> None:
        """Chunk `at` has grown or shrunk by single entries."""
        tree = self._tree
        assert tree is not None
        size = len(tree)
        at += 1
        while at < size:
            tree[at] += change
            at += at & -at

    def _check(self, scores: dict[bytes, float]) -> None:
        """Assert that the ranking is whole and holds what `scores` says."""
        entries = [
            (score, member)
            for chunk, members in zip(self._scores, self._members, strict=True)
            for score, member in zip(chunk, members, strict=True)
        ]
        assert entries == sorted((score, member) for member, score in scores.items()), self._members
        sizes = [len(members) for members in self._members]
        assert max(sizes) <= _CHUNK_MAX, sizes
        if len(sizes) > 1:
            assert min(sizes) > 0, sizes
        if entries:
            assert list(self._tops) == [chunk[-1] for chunk in self._scores]
        if self._tree is not None:
            kept = self._tree
            assert kept == self._grow_tree(), (kept, sizes)
