"""The simulator finds bugs that were planted for it: each with a seed that shows it.

The seeds were found by a search of 200 for each bug, which anybody can repeat (it also finds others):

    shardlab sim swarm --seeds 1..200 --plant unsynced-vote
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from sim import invariants, serving
from sim.faults import Kind
from sim.planted import BUGS
from sim.shape import Shape
from sim.trial import Plan, run

_BY_CLUSTER = Shape(3, 1, 0, failover="cluster")
_MORE_SEEDS = 12
_LOG = ("appendonly yes", "appendfsync always")
_CRASHES = (Kind.KILL, Kind.POWER_CUT)


@dataclass(frozen=True, slots=True)
class Found:
    """Which rule a bug breaks, and how it was found."""

    rule: str
    seed: int
    shape: Shape
    kinds: tuple[Kind, ...]


FOUND = {
    "unsynced-vote": Found(invariants.RUNS, 1, _BY_CLUSTER, _CRASHES),
    "reply-before-log": Found(invariants.KEEPS, 1, Shape(1, 0, 0, directives=_LOG), _CRASHES),
    "unsynced-rename": Found(invariants.MEMORY, 1, _BY_CLUSTER, _CRASHES),
    "serve-on-waking": Found(serving.REPLACED, 4, Shape(1, 1, down_after_ms=300), (Kind.PAUSE,)),
    "serve-in-minority": Found(serving.MINORITY, 2, _BY_CLUSTER, (Kind.CUT,)),
    "never-step-down": Found(invariants.HEALS, 1, Shape(1, 1), _CRASHES),
    "take-slots-back": Found(invariants.HEALS, 1, Shape(1, 1), (Kind.KILL, Kind.PAUSE)),
}


def plan_of(bug: str) -> Plan:
    """A short run that shows the bug."""
    found = FOUND[bug]
    return Plan(found.seed, found.shape, found.kinds, duration_s=15.0, heal_within_s=15.0, bug=bug)


def test_every_bug_has_its_seed() -> None:
    assert sorted(FOUND) == sorted(BUGS)


@pytest.mark.parametrize("bug", FOUND)
def test_it_is_found(bug: str) -> None:
    """By its seed; and should the product have moved on, so that this one is another run now, by some other."""
    plan = plan_of(bug)
    for seed in (plan.seed, *range(1, _MORE_SEEDS)):
        rules = [breach.rule for breach in run(replace(plan, seed=seed)).breaches]
        if FOUND[bug].rule in rules:
            return
    pytest.fail(f"not found by seed {plan.seed}, nor by {_MORE_SEEDS} others: find it a new one")


@pytest.mark.parametrize("bug", FOUND)
def test_without_it_all_is_well(bug: str) -> None:
    verdict = run(replace(plan_of(bug), bug=""))
    assert verdict.good, verdict.breaches
