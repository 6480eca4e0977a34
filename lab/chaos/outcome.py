"""What came of a run, measured against what its scenario expects: each expectation a line, met or not.

The judges are those of `lab.check`, which read the recorded history and nothing else. A run is good if every
expectation is met and nothing went wrong that no fault explains. One in which no fault struck, or nothing could be
judged, is not good, whatever else is said.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lab.chaos.scenario import Scenario
from lab.chaos.stage import Recording
from lab.check.linearizable import Verdict
from lab.check.lost_writes import Loss
from lab.check.models import ModelError
from lab.check.verdict import Judgement, Limits, judge
from lab.errors import LabError


@dataclass(frozen=True, slots=True)
class Expectation:
    """One thing that was asked of a run."""

    text: str
    met: bool
    # What was measured.
    found: str


@dataclass(slots=True)
class Outcome:
    """One run, judged."""

    recording: Recording
    judgement: Judgement
    expectations: list[Expectation] = field(default_factory=list)
    # Whatever else keeps the run from being good, each a line.
    failures: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not self.failures and all(expectation.met for expectation in self.expectations)


def conclude(scenario: Scenario, recording: Recording) -> Outcome:
    """Judge a run; raises LabError when its history cannot be judged at all."""
    expected = scenario.expect
    limits = Limits(
        window_s=expected.window,
        kept=expected.lost_writes != "some" and expected.window_after is None,
        recovery_max_s=expected.service_within,
    )
    try:
        judgement = judge(recording.history, limits)
    except ModelError as error:
        raise LabError(f"the history cannot be judged: {error}") from None
    outcome = Outcome(recording, judgement)
    outcome.expectations.append(_service(scenario, judgement))
    outcome.expectations.append(_losses(scenario, judgement))
    if expected.failovers is not None:
        text = f"{expected.failovers} failover{'' if expected.failovers == 1 else 's'}"
        met = judgement.failovers == expected.failovers
        outcome.expectations.append(Expectation(text, met, str(judgement.failovers)))
    for shard, node in expected.masters.items():
        master = recording.masters.get(shard, "nobody")
        outcome.expectations.append(Expectation(f"the master of {shard} is {node} at the end", master == node, master))
    outcome.failures = [*recording.troubles, *judgement.failures]
    return outcome


def _service(scenario: Scenario, judgement: Judgement) -> Expectation:
    """Every shard comes back after every fault, soon enough."""
    within = scenario.expect.service_within
    text = "every shard is served at the end" if within is None else f"every shard is served again within {within:g} s"
    times = [recovery.time_s for service in judgement.service for recovery in service.recoveries]
    if None in times or not judgement.service:
        return Expectation(text, False, "not all of them are, until the end")
    longest = max((time for time in times if time is not None), default=0.0)
    return Expectation(text, within is None or longest <= within, f"after {longest:.3f} s at the latest")


def _losses(scenario: Scenario, judgement: Judgement) -> Expectation:
    lost, window, after = judgement.lost, scenario.expect.window, scenario.expect.window_after
    forbidden = [loss for loss in lost.forbidden(window) if after is None or not _soon_after(loss, after)]
    count = len(lost.losses)
    undone = sum(key.verdict in (Verdict.EXPLAINED, Verdict.NOT_LINEARIZABLE) for key in judgement.keys)
    found = f"{count} of {lost.judged} lost"
    match scenario.expect.lost_writes:
        case "none":
            return Expectation("no acknowledged write is lost", not count and not undone, found)
        case "window":
            until = "" if after is None else f" to {after:g} s after"
            text = f"no acknowledged write is lost but from {window:g} s before{until} a fault"
            return Expectation(text, not forbidden, f"{found}, {count - len(forbidden)} of them from there")
        case _:
            return Expectation("acknowledged writes are lost, as the scenario is to show", bool(count), found)


def _soon_after(loss: Loss, window_s: float) -> bool:
    before = loss.before_fault_s
    return before is not None and -window_s <= before <= 0.0
