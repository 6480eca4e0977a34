"""The simulator finds bugs that were planted for it: each with a seed that shows it.

The seeds were found by a search of 200 for each bug, with the shape and the faults that `FOUND` has for it. Anybody can
repeat that; it also finds others:

    shardlab sim swarm --seeds 1..200 --plant unsynced-vote --failover cluster --faults kill,power-cut --duration 15s

Two candidates stand at once where news of the first comes late to the second, whose data are no older; a choice between
replicas needs some of them that have not the same data:

    shardlab sim swarm --seeds 1..200 --plant vote-twice --failover cluster --masters 3 --replicas 3 \
        --down-after-milliseconds 3000 --faults kill,slow-link --duration 30s --rate 1
    shardlab sim swarm --seeds 1..200 --plant worst-replica --failover cluster --masters 3 --replicas 2 \
        --down-after-milliseconds 500 --faults kill,cut --duration 12s
    shardlab sim swarm --seeds 1..200 --plant sentinel-picks-worst --failover sentinel --masters 1 --replicas 2 \
        --down-after-milliseconds 500 --faults kill,cut --duration 12s
    shardlab sim swarm --seeds 1..200 --plant sentinel-votes-twice --failover sentinel --masters 1 --replicas 1 \\
        --down-after-milliseconds 1500 --faults kill,slow-link --duration 20s --rate 1
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace

import pytest

from sim import heirs, invariants, serving
from sim.faults import Kind
from sim.planted import BUGS
from sim.shape import Shape
from sim.trial import Plan, run

_BY_CLUSTER = Shape(3, 1, 0, failover="cluster")
# Of so many seeds one finds the bug, whatever the product has become.
_SEEDS = 200
_LOG = ("appendonly yes", "appendfsync always")
_CRASHES = (Kind.KILL, Kind.POWER_CUT)
# Strikes that may have a prelude (`sim.nemesis`): a link within the shard is cut, then its master killed.
_LINK_FIRST = (Kind.KILL, Kind.CUT)
_TWO_REPLICAS = Shape(3, 2, 0, failover="cluster")


@dataclass(frozen=True, slots=True)
class Found:
    """Which rule a bug breaks, and how it was found."""

    rule: str
    seed: int
    shape: Shape
    kinds: tuple[Kind, ...]
    duration_s: float = 15.0
    # Operations a second of each client: what is written meanwhile puts a replica with a slow link behind.
    per_second: float = 20.0


FOUND = {
    "unsynced-vote": Found(invariants.RUNS, 1, _BY_CLUSTER, _CRASHES),
    "reply-before-log": Found(invariants.KEEPS, 1, Shape(1, 0, 0, directives=_LOG), _CRASHES),
    "unsynced-rename": Found(invariants.MEMORY, 2, _BY_CLUSTER, _CRASHES),
    "serve-on-waking": Found(serving.REPLACED, 4, Shape(1, 1, down_after_ms=300), (Kind.PAUSE,)),
    "serve-in-minority": Found(serving.MINORITY, 2, _BY_CLUSTER, (Kind.CUT,)),
    "never-step-down": Found(invariants.HEALS, 1, Shape(1, 1), _CRASHES),
    "vote-twice": Found(
        invariants.ONE_VOTE,
        5,
        Shape(3, 3, 0, failover="cluster", down_after_ms=3000),
        (Kind.KILL, Kind.SLOW_LINK),
        duration_s=30.0,
        per_second=1.0,
    ),
    "worst-replica": Found(heirs.BEST, 50, _TWO_REPLICAS, _LINK_FIRST, 12.0),
    "sentinel-votes-twice": Found(
        invariants.ONE_VOTE,
        128,
        Shape(1, 1, down_after_ms=1500),
        (Kind.KILL, Kind.SLOW_LINK),
        duration_s=20.0,
        per_second=1.0,
    ),
    "sentinel-picks-worst": Found(heirs.BEST, 133, Shape(1, 2), _LINK_FIRST, 12.0),
    "take-slots-back": Found(invariants.HEALS, 1, Shape(1, 1), (Kind.KILL, Kind.PAUSE)),
}


def plan_of(bug: str) -> Plan:
    """A short run that shows the bug."""
    found = FOUND[bug]
    return Plan(
        found.seed,
        found.shape,
        found.kinds,
        duration_s=found.duration_s,
        heal_within_s=15.0,
        per_second=found.per_second,
        bug=bug,
    )


def test_every_bug_has_its_seed() -> None:
    assert sorted(FOUND) == sorted(BUGS)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("bug", FOUND)
def test_it_is_found(bug: str) -> None:
    """By its seed; and should the product have moved on, so that this one is another run now, by some other, slowly."""
    plan = plan_of(bug)
    for seed in (plan.seed, *range(1, _SEEDS + 1)):
        rules = [breach.rule for breach in run(replace(plan, seed=seed)).breaches]
        if FOUND[bug].rule in rules:
            if seed != plan.seed:
                sys.stderr.write(f"{bug}: seed {seed} finds it now, and no longer {plan.seed}\n")
            return
    pytest.fail(f"not found by seed {plan.seed}, nor by the first {_SEEDS}")


@pytest.mark.parametrize("bug", FOUND)
def test_without_it_all_is_well(bug: str) -> None:
    verdict = run(replace(plan_of(bug), bug=""))
    assert verdict.good, verdict.breaches
