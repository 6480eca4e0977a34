"""Does every key behave like one atomic object? And if not: would the writes that a failover may lose explain it?

Linearizability is local: a history is linearizable if the operations on each key are. So keys are judged one by one,
and a set of which nobody reads all members is judged member by member. Each operation must seem to happen at one
instant between its invocation and its completion; one of unknown outcome at any instant after its invocation, or never;
one that failed is left out, as are reads that a client sent to a replica, knowing that they may be old
(`lab.check.stale_reads` counts those).

Redis replicates asynchronously, so a failover may take a key back to what it was a moment before. A key that is not
linearizable is therefore judged once more with one rollback for each failover of its group, at some instant between the
fault and the moment when the failover was seen, to a state that the key may have had from `window_s` before the fault
on. If that explains the history, the key is EXPLAINED, with what was rolled back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from lab.check.failovers import Failover, failovers
from lab.check.models import SET, Model, Span, State, model_of
from lab.check.search import Candidate, Found, Search
from lab.history import History, Operation, Outcome

STEPS_MAX = 300_000
WINDOW_S = 0.25


class Verdict(StrEnum):
    """What is known about a key."""

    LINEARIZABLE = "linearizable"
    EXPLAINED = "explained by lost writes"
    NOT_LINEARIZABLE = "not linearizable"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Rollback:
    """A failover that took a key back."""

    failover: Failover
    before: State
    after: State
    # Acknowledged operations that were undone, in one order that explains the history (there may be others).
    lost: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class KeyReport:
    """One key, or one member of a set."""

    key: str
    model: str
    verdict: Verdict
    # Operations judged: those that were answered, and those of unknown outcome.
    operations: int
    unknown: int
    steps: int
    # Where there is no order: everything that was answered before this can be explained, this cannot.
    culprit: Operation | None = None
    rollbacks: tuple[Rollback, ...] = ()


def check(history: History, *, window_s: float = WINDOW_S, steps_max: int = STEPS_MAX) -> list[KeyReport]:
    """A report for every key, in the order of their first operations; raises ModelError."""
    return [
        check_key(name, model, operations, failovers(history, operations[0].group), window_s, steps_max)
        for name, model, operations in parts(history)
    ]


def parts(history: History) -> Iterator[tuple[str, Model, list[Operation]]]:
    """The operations that must be judged together, with a name for people."""
    for key, all_of_it in history.by_key().items():
        operations = [op for op in all_of_it if op.outcome is not Outcome.FAIL and not op.replica]
        if not operations:
            continue
        model = model_of(operations)
        if model is SET and not any(op.function == "read" for op in operations):
            elements: dict[str, list[Operation]] = {}
            for operation in operations:
                elements.setdefault(str(operation.argument), []).append(operation)
            yield from ((f"{key} {element}", model, some) for element, some in elements.items())
        else:
            yield key, model, operations


def check_key(
    name: str,
    model: Model,
    operations: Sequence[Operation],
    known_failovers: Sequence[Failover] = (),
    window_s: float = WINDOW_S,
    steps_max: int = STEPS_MAX,
) -> KeyReport:
    """Judge operations on one object, whose group had these failovers."""
    plain = _search(model, operations, [], steps_max)
    report = KeyReport(
        key=name,
        model=model.name,
        verdict=_VERDICTS[plain.answer],
        operations=len(operations),
        unknown=sum(not op.ok for op in operations),
        steps=plain.steps,
    )
    if plain.answer:
        return report
    spans = [Span(failover.struck_at - window_s, failover.moment.at) for failover in known_failovers]
    # A failover is sure to have happened between the fault and when it was seen; it may have lost nothing.
    rollbacks = [
        Candidate(move, span.since if failover.fault is None else failover.struck_at, span.until, twin=failover)
        for move, span, failover in zip(model.rollbacks(operations, spans), spans, known_failovers, strict=False)
    ]
    if rollbacks:
        found = _search(model, operations, rollbacks, steps_max)
        report = replace(report, steps=report.steps + found.steps)
        if found.answer:
            undone = _undone(model, operations, known_failovers, found)
            return replace(report, verdict=Verdict.EXPLAINED, rollbacks=undone)
        if found.answer is None:
            return replace(report, verdict=Verdict.UNDECIDED)
    if plain.answer is False:
        return replace(report, culprit=_culprit(model, operations, rollbacks, steps_max))
    return report


_VERDICTS = {True: Verdict.LINEARIZABLE, False: Verdict.NOT_LINEARIZABLE, None: Verdict.UNDECIDED}


def _search(model: Model, operations: Sequence[Operation], rollbacks: list[Candidate], steps_max: int) -> Found:
    candidates = [
        Candidate(move, op.invoked_at, op.latest, twin=(op.function, str(op.argument)))
        for op, move in zip(operations, model.moves(operations, goes_back=bool(rollbacks)), strict=True)
    ]
    return Search(candidates + rollbacks).run(model.initial, steps_max)


def _undone(
    model: Model, operations: Sequence[Operation], struck: Sequence[Failover], found: Found
) -> tuple[Rollback, ...]:
    """The rollbacks in the order that was found, with what was done since the state that they went back to."""
    moves = model.moves(operations)
    rollbacks = []
    past: list[tuple[int, State]] = [(-1, model.initial)]
    for index, state in found.order:
        if index >= len(operations) and past[-1][1] != state:
            lost: list[int] = []
            for earlier, then in reversed(past):
                if then == state:
                    break
                if 0 <= earlier < len(operations) and operations[earlier].ok and not moves[earlier].looks:
                    lost.append(earlier)
            undone = tuple(operations[earlier] for earlier in reversed(lost))
            rollbacks.append(Rollback(struck[index - len(operations)], past[-1][1], state, undone))
        past.append((index, state))
    return tuple(rollbacks)


def _culprit(
    model: Model, operations: Sequence[Operation], rollbacks: list[Candidate], steps_max: int
) -> Operation | None:
    """The first answer that cannot be explained: what has no order has none with more behind it either, so that
    halving finds it. None when that was not decided."""
    answered = sorted((op for op in operations if op.ok), key=lambda op: op.latest)
    low, high = 0, len(answered) - 1
    while low < high:
        middle = (low + high) // 2
        found = _search(model, _until(operations, answered[middle].latest), rollbacks, steps_max)
        if found.answer is None:
            return None
        low, high = (middle + 1, high) if found.answer else (low, middle)
    return answered[high]


def _until(operations: Sequence[Operation], at: float) -> list[Operation]:
    """What was known at that moment: what was not answered yet may have happened or not."""
    return [
        op if op.latest <= at else replace(op, outcome=Outcome.UNKNOWN, result=None)
        for op in operations
        if op.invoked_at <= at
    ]
