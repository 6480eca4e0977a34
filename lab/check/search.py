"""Is there an order in which these operations happened one at a time? The search behind `lab.check.linearizable`.

Wing and Gong's search: from the initial state, try each operation that may come first (none that had been answered
before it began is left), apply it, go on with the rest, and turn back where no operation fits. Lowe's improvements make
it practical: a linked list of calls and returns from which an operation is lifted in constant time, and a memory of the
pairs (operations done, state) from which the search has turned back. Some more keep failovers cheap, which leave many
operations of unknown outcome behind, and refusals, which must try everything:

- What only looks is done as soon as what it saw is true, and what writes what nobody sees as soon as that is so, or
  else before anything else is written: that can spoil nothing that comes after.
- A state is not left for good while somebody still has to see it.
- Of several unknown operations that do the same, the one that began first goes first.
- What is sure to have happened is tried before what is not. Operations of unknown outcome need never happen.

The problem is NP-complete, so the number of steps is bounded; beyond it the answer is None, for "undecided".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

from lab.check.models import Move, State

_HEAD = 0


@dataclass(frozen=True, slots=True)
class Candidate:
    """An operation as the search sees it."""

    move: Move
    invoked_at: float
    # Infinite when it need not have happened.
    returned_at: float
    # Of those that need not have happened: equal for two that do the same.
    twin: Hashable

    @property
    def certain(self) -> bool:
        return self.returned_at != float("inf")


@dataclass(frozen=True, slots=True)
class Found:
    """The end of a search."""

    # True: there is an order; False: there is none; None: not known after that many steps.
    answer: bool | None
    steps: int
    # The order, as (index of the candidate, state after it); without those that need not have happened and did not.
    order: tuple[tuple[int, State], ...] = ()


class Search:
    """One search. Its list has two nodes for each candidate: call 2i+1, return 2i+2; 0 is the head."""

    __slots__ = ("_candidates", "_done", "_left", "_makers", "_next", "_previous", "_waiting")

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self._candidates = candidates
        # Bit i: candidate i has happened.
        self._done = 0
        # Candidates that must still happen.
        self._left = sum(candidate.certain for candidate in candidates)
        # For each state: those not done that can happen in it alone and must, and those not done that lead to it.
        self._waiting: defaultdict[State, int] = defaultdict(int)
        self._makers: defaultdict[State, int] = defaultdict(int)
        for candidate in candidates:
            self._count(candidate, 1)
        # The linked list, in order of time. What begins as something else ends is counted as concurrent with it.
        events = [(c.invoked_at, 0, 2 * i + 1) for i, c in enumerate(candidates)]
        events += [(c.returned_at, 1, 2 * i + 2) for i, c in enumerate(candidates) if c.certain]
        order = [_HEAD, *(node for _, _, node in sorted(events))]
        self._next = [_HEAD] * (2 * len(candidates) + 1)
        self._previous = [_HEAD] * (2 * len(candidates) + 1)
        for node, following in zip(order, [*order[1:], _HEAD], strict=True):
            self._next[node] = following
            self._previous[following] = node

    def run(self, initial: State, steps_max: int) -> Found:
        """Look for an order that starts with the state `initial`."""
        tried: set[tuple[int, State]] = set()
        # The way here: (moves still to try, candidate that led here or -1, those that looked here, state).
        way: list[tuple[Iterator[tuple[int, State]], int, list[int], State]] = []
        arrived: tuple[int, State] | None = (-1, initial)
        while arrived is not None:
            by, state = arrived
            looked = self._look(state)
            place = (self._done, state)
            if self._left == 0:
                way.append((iter(()), by, looked, state))
                return Found(True, len(tried), _order(way))
            if place in tried:
                self._undo(by, looked)
            else:
                if len(tried) == steps_max:
                    return Found(None, steps_max)
                tried.add(place)
                way.append((self._moves(state), by, looked, state))
            arrived = self._go_on(way)
        return Found(False, len(tried))

    def _go_on(self, way: list[tuple[Iterator[tuple[int, State]], int, list[int], State]]) -> tuple[int, State] | None:
        """Do the next move that has not been tried, turning back as far as needed; None when none is left."""
        while way:
            moves, by, looked, state = way[-1]
            move = next(moves, None)
            if move is None:
                way.pop()
                self._undo(by, looked)
                continue
            self._lift(move[0])
            if move[1] == state or not self._waiting[state] or self._makers[state]:
                return move
            self._unlift(move[0])
        return None

    def _look(self, state: State) -> list[int]:
        """Do all that sees this state and can only leave it as it is; returns which."""
        looked = []
        node = self._next[_HEAD]
        while node & 1:
            index = node >> 1
            candidate = self._candidates[index]
            move = candidate.move
            if (move.looks or (move.unseen and candidate.certain)) and move.step(state) == (state,):
                # On from the one before it: its own return, which is lifted too, may have been its neighbour.
                before = self._previous[node]
                self._lift(index)
                looked.append(index)
                node = self._next[before]
            else:
                node = self._next[node]
        return looked

    def _moves(self, state: State) -> Iterator[tuple[int, State]]:
        """What may happen next. The list is as it was whenever the next move is asked for."""
        certain: list[int] = []
        uncertain: list[int] = []
        node = self._next[_HEAD]
        # Up to the first return: what begins after it cannot come before what it belongs to. (The head is even, too.)
        while node & 1:
            candidate = self._candidates[node >> 1]
            if not candidate.certain:
                uncertain.append(node >> 1)
            elif candidate.move.unseen:
                # First of all; those like it follow at once, for they change nothing more.
                yield from ((node >> 1, after) for after in candidate.move.step(state))
                return
            elif not candidate.move.looks:
                certain.append(node >> 1)
            node = self._next[node]
        for index in certain:
            for after in self._candidates[index].move.step(state):
                yield index, after
        twins = set()
        for index in uncertain:
            candidate = self._candidates[index]
            if candidate.twin not in twins:
                twins.add(candidate.twin)
                for after in candidate.move.step(state):
                    if after != state:
                        yield index, after

    def _undo(self, by: int, looked: list[int]) -> None:
        for index in reversed(looked):
            self._unlift(index)
        if by >= 0:
            self._unlift(by)

    def _lift(self, index: int) -> None:
        self._done |= 1 << index
        following, previous = self._next, self._previous
        call = 2 * index + 1
        following[previous[call]] = following[call]
        previous[following[call]] = previous[call]
        candidate = self._candidates[index]
        self._count(candidate, -1)
        if candidate.certain:
            self._left -= 1
            back = call + 1
            following[previous[back]] = following[back]
            previous[following[back]] = previous[back]

    def _unlift(self, index: int) -> None:
        # Exactly backwards: the neighbours that a lifted node remembers are right again only then.
        self._done &= ~(1 << index)
        following, previous = self._next, self._previous
        call = 2 * index + 1
        candidate = self._candidates[index]
        self._count(candidate, 1)
        if candidate.certain:
            self._left += 1
            back = call + 1
            following[previous[back]] = back
            previous[following[back]] = back
        following[previous[call]] = call
        previous[following[call]] = call

    def _count(self, candidate: Candidate, by: int) -> None:
        for state in candidate.move.makes:
            self._makers[state] += by
        if candidate.certain:
            for state in candidate.move.sees:
                self._waiting[state] += by


def _order(
    way: list[tuple[Iterator[tuple[int, State]], int, list[int], State]],
) -> tuple[tuple[int, State], ...]:
    return tuple((index, state) for _, by, looked, state in way for index in ([by] if by >= 0 else []) + looked)
