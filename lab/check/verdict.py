"""All that the checkers have to say about one run, and whether it was good.

A run is good if every key is linearizable, or would be but for writes that asynchronous replication may lose at a
failover; if nothing else was lost, nothing was counted twice and nothing came from nowhere; and if service came back
after every fault. What was not decided is not good. Nor is a run that shows nothing: without a fault that struck, or
without operations to judge, it is a failure, whatever else is said.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from lab.check import availability, linearizable, lost_writes, stale_reads
from lab.check.availability import GroupService
from lab.check.linearizable import KeyReport, Verdict
from lab.check.lost_writes import LostWrites
from lab.check.stale_reads import StaleReads
from lab.history import History, Kind, Outcome


@dataclass(frozen=True, slots=True)
class Limits:
    """What is asked of a run."""

    # Acknowledged writes of this long before a fault may be lost with it.
    window_s: float = linearizable.WINDOW_S
    # Steps for each key before it is given up as undecided.
    steps_max: int = linearizable.STEPS_MAX
    # The run was meant to break something.
    faults: bool = True
    # Keys must be linearizable and writes kept, as far as the window goes; False: that they are not is to be shown.
    kept: bool = True
    # The longest that a group may be without service after a fault; None: it must only come back.
    recovery_max_s: float | None = None


_USUAL = Limits()


@dataclass(slots=True)
class Judgement:
    """What was found, and what was wrong with it."""

    faults: int
    failovers: int
    # By outcome; those judged are the ones that did not definitely fail.
    operations: Counter[Outcome]
    judged: int
    keys: list[KeyReport]
    lost: LostWrites
    stale: StaleReads
    service: list[GroupService]
    # Each a line for people; none means that the run was good.
    failures: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not self.failures


def judge(history: History, limits: Limits = _USUAL) -> Judgement:
    """Have every checker judge the run; raises ModelError."""
    outcomes = Counter(operation.outcome for operation in history.operations)
    judgement = Judgement(
        faults=len(history.of_kind(Kind.FAULT)),
        failovers=len(history.of_kind(Kind.FAILOVER)),
        operations=outcomes,
        judged=sum(outcomes.values()) - outcomes[Outcome.FAIL],
        keys=linearizable.check(history, window_s=limits.window_s, steps_max=limits.steps_max),
        lost=lost_writes.find(history),
        stale=stale_reads.count(history),
        service=availability.measure(history),
    )
    judgement.failures += _shows_nothing(judgement, limits)
    if limits.kept:
        judgement.failures += _broken_keys(judgement)
        judgement.failures += _wrong_ends(judgement, limits)
    judgement.failures += _no_service(judgement, limits)
    return judgement


def _shows_nothing(judgement: Judgement, limits: Limits) -> list[str]:
    failures = []
    if limits.faults and not judgement.faults:
        failures.append("no fault struck: the run shows nothing")
    if not judgement.operations[Outcome.OK]:
        failures.append("no operation succeeded: there is nothing to judge")
    elif not judgement.lost.judged:
        failures.append("no acknowledged write has a final read: what was lost is not known")
    return failures


def _broken_keys(judgement: Judgement) -> list[str]:
    failures = []
    for report in judgement.keys:
        if report.verdict is Verdict.NOT_LINEARIZABLE:
            where = f"; first at {report.culprit}" if report.culprit is not None else ""
            failures.append(f"{report.model} {report.key} is not linearizable{where}")
        elif report.verdict is Verdict.UNDECIDED:
            failures.append(f"{report.model} {report.key} is undecided after {report.steps} steps")
    return failures


def _wrong_ends(judgement: Judgement, limits: Limits) -> list[str]:
    lost = judgement.lost
    failures = [f"lost although it must not be: {loss.operation}" for loss in lost.forbidden(limits.window_s)]
    failures += [f"read, and written by nobody: {operation}" for operation in lost.from_nowhere]
    for end in lost.counters:
        if end.doubled:
            failures.append(f"counter {end.key} is {end.final}, but only {end.attempted} was attempted: counted twice")
        if end.unexplained:
            failures.append(
                f"counter {end.key} is {end.final}, but {end.acknowledged} was acknowledged and {end.lost} lost"
            )
    return failures


def _no_service(judgement: Judgement, limits: Limits) -> list[str]:
    failures = []
    for service in judgement.service:
        name = service.group or "all keys"
        for recovery in service.recoveries:
            fault = f"{recovery.fault.name} {recovery.fault.target}".strip()
            if recovery.time_s is None:
                failures.append(f"{name}: no service after {fault} at {recovery.fault.at:.3f} s until the end")
            elif limits.recovery_max_s is not None and recovery.time_s > limits.recovery_max_s:
                failures.append(f"{name}: {recovery.time_s:.3f} s without service after {fault}")
    return failures
