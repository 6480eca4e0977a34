"""Acknowledged writes that a final read no longer sees, and how close to a failover they were acknowledged.

A key is judged by its last read, if that began after everything that was acknowledged on it. A write is lost for
certain when what was read was written by something that had ended before the write began. (Writes that were overwritten
later cannot be told from lost ones by a final read; the linearizability checker finds those.) The members of a set are
judged one by one, each as a register of true and false. A counter that only grows says more: an increment is lost when
a later answer is lower than its own. The counter's end must lie between what was acknowledged and what was attempted;
above that, something was counted twice.

Redis replicates asynchronously. A loss is permitted if it was acknowledged within `window_s` before the fault that led
to a failover of its group, or between the fault and the failover. What a master acknowledges after it was replaced, or
long before, must not be lost.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from lab.check.failovers import Failover, failovers
from lab.check.models import COUNTER, SET, State, amount, members, model_of, number, single, written
from lab.history import History, Operation, Outcome


@dataclass(frozen=True, slots=True)
class Loss:
    """One acknowledged operation that is gone."""

    operation: Operation
    # The failover in which it was lost, if there was one.
    failover: Failover | None

    @property
    def before_fault_s(self) -> float | None:
        """How long before the fault it was acknowledged; negative: after it. None without a failover."""
        if self.failover is None or self.operation.completed_at is None:
            return None
        return self.failover.struck_at - self.operation.completed_at

    def permitted(self, window_s: float) -> bool:
        """Whether asynchronous replication explains it."""
        before, failover = self.before_fault_s, self.failover
        if before is None or failover is None:
            return False
        return failover.struck_at - failover.moment.at <= before <= window_s


@dataclass(frozen=True, slots=True)
class CounterEnd:
    """What a counter should have come to, and what it came to."""

    key: str
    acknowledged: int
    # Acknowledged, or of unknown outcome.
    attempted: int
    final: int
    # What the losses that were found amount to.
    lost: int

    @property
    def doubled(self) -> int:
        """Counted more often than attempted."""
        return max(0, self.final - self.attempted)

    @property
    def unexplained(self) -> int:
        """Missing beyond the losses that were found."""
        return max(0, self.acknowledged - self.lost - self.final)


@dataclass(slots=True)
class LostWrites:
    """The whole report."""

    # Acknowledged changes on keys with a final read, and on keys without.
    judged: int = 0
    unjudged: int = 0
    losses: list[Loss] = field(default_factory=list)
    counters: list[CounterEnd] = field(default_factory=list)
    # Final reads of something that nobody can have written.
    from_nowhere: list[Operation] = field(default_factory=list)

    def forbidden(self, window_s: float) -> list[Loss]:
        return [loss for loss in self.losses if not loss.permitted(window_s)]


def find(history: History) -> LostWrites:
    """Judge every key; raises ModelError."""
    report = LostWrites()
    known: dict[str, list[Failover]] = {group: failovers(history, group) for group in history.groups()}
    for operations in history.by_key().values():
        judged = [op for op in operations if op.outcome is not Outcome.FAIL and not op.replica]
        if not judged:
            continue
        model = model_of(judged)
        changes = [op for op in judged if op.function in model.mutators]
        acknowledged = [op for op in changes if op.ok]
        final = _final_read(judged, acknowledged)
        if final is None:
            report.unjudged += len(acknowledged)
            continue
        report.judged += len(acknowledged)
        if model is COUNTER:
            lost = _judge_counter(report, changes, final)
        elif model is SET:
            lost = _judge_set(report, changes, final)
        else:
            lost = _judge_register(report, written(changes), final, None, single(final, final.result))
        report.losses += [Loss(op, _failover_of(op, known[op.group])) for op in lost]
    return report


def _final_read(operations: Sequence[Operation], acknowledged: Sequence[Operation]) -> Operation | None:
    reads = [op for op in operations if op.function == "read" and op.ok]
    last = max(reads, key=lambda op: op.invoked_at, default=None)
    if last is None or any(op.latest > last.invoked_at for op in acknowledged):
        return None
    return last


def _judge_register(
    report: LostWrites,
    writes: Sequence[tuple[Operation, State]],
    final: Operation,
    initial: State,
    seen: State,
) -> list[Operation]:
    """The acknowledged writes that began after everything that can have written what was seen."""
    writers = [op.latest for op, value in writes if value == seen]
    if seen != initial and not writers:
        report.from_nowhere.append(final)
        return []
    written_until = max(writers, default=float("-inf"))
    return [op for op, value in writes if op.ok and value != seen and op.invoked_at > written_until]


def _judge_set(report: LostWrites, changes: Sequence[Operation], final: Operation) -> list[Operation]:
    seen = members(final)
    lost: list[Operation] = []
    # By element, in the order of the first change.
    elements: dict[State, list[tuple[Operation, State]]] = {}
    for op in changes:
        elements.setdefault(single(op, op.argument), []).append((op, op.function == "add"))
    for element, writes in elements.items():
        lost += _judge_register(report, writes, final, False, element in seen)
    if any(element not in elements for element in seen):
        report.from_nowhere.append(final)
    return lost


def _judge_counter(report: LostWrites, changes: Sequence[Operation], final: Operation) -> list[Operation]:
    end = number(final, final.result)
    acknowledged = [op for op in changes if op.ok]
    # Everything that tells what the counter was later: (when it was asked, the value before it added its own).
    told = sorted((op.invoked_at, number(op, op.result) - amount(op)) for op in acknowledged)
    told.append((final.invoked_at, end))
    lowest_from = [value for _, value in told]
    for index in reversed(range(len(told) - 1)):
        lowest_from[index] = min(lowest_from[index], lowest_from[index + 1])
    lost = []
    if all(amount(op) > 0 for op in changes):
        times = [at for at, _ in told]
        for op in acknowledged:
            later = bisect_right(times, op.latest)
            if later < len(told) and lowest_from[later] < number(op, op.result):
                lost.append(op)
    report.counters.append(
        CounterEnd(
            key=final.key,
            acknowledged=sum(amount(op) for op in acknowledged),
            attempted=sum(amount(op) for op in changes),
            final=end,
            lost=sum(amount(op) for op in lost),
        )
    )
    return lost


def _failover_of(operation: Operation, known: Sequence[Failover]) -> Failover | None:
    """The first failover that was seen after the operation began, or else the last one before."""
    after = [failover for failover in known if failover.moment.at >= operation.invoked_at]
    return after[0] if after else (known[-1] if known else None)
