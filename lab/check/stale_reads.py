"""Reads that did not see what had been acknowledged before they began: how many, from whom, how old.

A read is stale for certain when something else was written, and acknowledged, after all that can have written what was
read, and before the read began. Who answered tells the cases apart: a replica that was asked as such, and may be
behind; a master, which never may (then it is no longer one, and does not know yet); or a master that took over and
never had the write, which is a lost write seen from the other side. A stale read is not a verdict of its own: where it
matters the linearizability checker has the last word.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from lab.check.failovers import failovers
from lab.check.models import COUNTER, SET, State, amount, members, model_of, number, single, written
from lab.history import History, Operation, Outcome


class Source(StrEnum):
    """Who gave the old answer."""

    REPLICA = "replica"
    MASTER = "master"
    # A master after a failover: what it does not know was acknowledged before that, and may be lost.
    SUCCESSOR = "successor"


@dataclass(frozen=True, slots=True)
class StaleRead:
    """One old answer."""

    operation: Operation
    source: Source
    # For how long it had been wrong for certain when it was asked for.
    age_s: float


@dataclass(slots=True)
class StaleReads:
    """The whole report."""

    # Reads judged.
    reads: int = 0
    stale: list[StaleRead] = field(default_factory=list)

    def by_source(self) -> dict[Source, int]:
        return dict(Counter(read.source for read in self.stale))

    def by_node(self) -> dict[str, int]:
        return dict(Counter(read.operation.node for read in self.stale))

    def age_max_s(self) -> float:
        return max((read.age_s for read in self.stale), default=0.0)


def count(history: History) -> StaleReads:
    """Judge every read; raises ModelError."""
    report = StaleReads()
    known = {group: failovers(history, group) for group in history.groups()}
    for all_of_it in history.by_key().values():
        operations = [op for op in all_of_it if op.outcome is not Outcome.FAIL]
        if not operations:
            continue
        model = model_of(operations)
        reads = [op for op in operations if op.ok and op.function in ("read", "contains")]
        report.reads += len(reads)
        for read, wrong_since in _wrong_since(operations, reads, model.name):
            if read.replica:
                source = Source.REPLICA
            elif any(wrong_since <= one.moment.at and one.struck_at <= read.latest for one in known[read.group]):
                source = Source.SUCCESSOR
            else:
                source = Source.MASTER
            report.stale.append(StaleRead(read, source, read.invoked_at - wrong_since))
    return report


def _wrong_since(
    operations: Sequence[Operation], reads: Sequence[Operation], model: str
) -> list[tuple[Operation, float]]:
    """The stale ones among the reads, and since when their answer had been wrong."""
    if model == COUNTER.name:
        return _behind_counter(operations, reads)
    if model != SET.name:
        past = _Past(written(operations), None)
        seen = ((op, past.wrong_since(single(op, op.result), op.invoked_at)) for op in reads)
        return [(op, since) for op, since in seen if since is not None]
    # A set is a register of true and false for each of its elements.
    by_element: dict[State, list[tuple[Operation, State]]] = {}
    for op in operations:
        if op.function in SET.mutators:
            by_element.setdefault(single(op, op.argument), []).append((op, op.function == "add"))
    pasts = {element: _Past(writes, False) for element, writes in by_element.items()}
    stale = []
    for op in reads:
        if op.function == "read":
            content = members(op)
            answers: list[tuple[State, bool]] = [(element, element in content) for element in pasts]
        else:
            answers = [(single(op, op.argument), bool(op.result))]
        since = [
            at
            for element, answer in answers
            if element in pasts and (at := pasts[element].wrong_since(answer, op.invoked_at)) is not None
        ]
        if since:
            stale.append((op, min(since)))
    return stale


class _Past:
    """What was written to one register, arranged for one question."""

    __slots__ = ("_began", "_earliest_end", "_initial", "_writers")

    def __init__(self, writes: Sequence[tuple[Operation, State]], initial: State) -> None:
        self._initial = initial
        # Until when each value can have been written.
        self._writers: dict[State, float] = {}
        for op, value in writes:
            self._writers[value] = max(self._writers.get(value, float("-inf")), op.latest)
        acknowledged = sorted((op.invoked_at, op.latest) for op, _ in writes if op.ok)
        self._began = [began for began, _ in acknowledged]
        # The earliest end among the acknowledged writes from each one on, in the order in which they began.
        self._earliest_end = [ended for _, ended in acknowledged]
        for index in reversed(range(len(acknowledged) - 1)):
            self._earliest_end[index] = min(self._earliest_end[index], self._earliest_end[index + 1])

    def wrong_since(self, value: State, at: float) -> float | None:
        """When `value` had been overwritten for certain, if that was before `at`."""
        written_until = self._writers.get(value)
        if written_until is None:
            if value != self._initial:
                return None
            written_until = float("-inf")
        index = bisect_right(self._began, written_until)
        if index == len(self._began) or self._earliest_end[index] >= at:
            return None
        return self._earliest_end[index]


def _behind_counter(operations: Sequence[Operation], reads: Sequence[Operation]) -> list[tuple[Operation, float]]:
    """Reads of less than an increment had been answered before: nothing but a loss takes a counter back."""
    increments = [op for op in operations if op.function == "incr"]
    if any(amount(op) < 0 for op in increments):
        return []
    answers = sorted((op.latest, number(op, op.result)) for op in increments if op.ok)
    times = [at for at, _ in answers]
    highest: list[int] = []
    for _, value in answers:
        highest.append(max(value, highest[-1] if highest else value))
    stale = []
    for op in reads:
        known = bisect_left(times, op.invoked_at)
        seen = number(op, op.result)
        if known and highest[known - 1] > seen:
            stale.append((op, times[bisect_right(highest, seen)]))
    return stale
