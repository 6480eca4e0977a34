"""A scenario's runs for programs: everything that the screen shows, as what JSON has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lab.chaos.events import Event
from lab.chaos.outcome import Outcome
from lab.chaos.scenario import Scenario
from lab.chaos.timeline import Row, align, timeline
from lab.history import Outcome as Answer

VERSION = 1


def report(scenario: Scenario, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """All runs of one scenario; of two also their timelines side by side."""
    found: dict[str, Any] = {
        "shardlab_chaos": VERSION,
        "scenario": scenario.name,
        "good": all(outcome.good for outcome in outcomes),
        "runs": [_run(outcome) for outcome in outcomes],
    }
    if len(outcomes) == 2:
        left, right = (timeline(outcome.recording) for outcome in outcomes)
        found["side_by_side"] = [_row(row) for row in align(left, right)]
    return found


def _run(outcome: Outcome) -> dict[str, Any]:
    recording, judgement = outcome.recording, outcome.judgement
    return {
        "world": recording.world.value,
        "seed": recording.seed,
        "good": outcome.good,
        "faults_struck": recording.struck,
        "failovers": judgement.failovers,
        "operations": {
            "judged": judgement.judged,
            "acknowledged": judgement.operations[Answer.OK],
            "refused": judgement.operations[Answer.FAIL],
            "unknown": judgement.operations[Answer.UNKNOWN],
        },
        "acknowledged_writes": {"judged": judgement.lost.judged, "lost": len(judgement.lost.losses)},
        "reads": {
            "judged": judgement.stale.reads,
            "stale": len(judgement.stale.stale),
            "oldest_s": judgement.stale.age_max_s(),
        },
        "service": {
            service.group: {
                "longest_without_s": service.longest_s,
                "back_after_s": [recovery.time_s for recovery in service.recoveries],
            }
            for service in judgement.service
        },
        "masters": recording.masters,
        "expectations": [
            {"text": expectation.text, "met": expectation.met, "found": expectation.found}
            for expectation in outcome.expectations
        ],
        "failures": outcome.failures,
        "timeline": [_event(event) for event in timeline(recording)],
    }


def _event(event: Event) -> dict[str, Any]:
    return {
        "at": round(event.at, 6),
        "who": event.who,
        "kind": event.kind.name.lower(),
        "subject": event.subject,
        "detail": event.detail,
        "text": event.text,
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "text": row.text,
        "left": None if row.left is None else _event(row.left),
        "right": None if row.right is None else _event(row.right),
        "difference_s": None if row.difference_s is None else round(row.difference_s, 6),
    }
