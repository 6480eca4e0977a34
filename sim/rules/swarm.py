"""Many small worlds, each broken in its own way, all from numbers: seed in, verdict out.

A seed decides the shape of the cluster, its settings, the weather, the faults and every latency. While faults strike,
nothing that is forbidden may happen; when they are over, the cluster must heal by itself within a stated time.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from random import Random

from cluster.safeguards import Safeguards
from sim.rules.faults import KINDS, Fault, Nemesis, draw
from sim.rules.forming import Shape
from sim.rules.invariants import InvariantBroken, Invariants
from sim.rules.network import Weather
from sim.rules.world import World

DURATION_MS = 25_000.0
# The cluster must have healed this many node timeouts, and this long on top, after the last fault.
_HEAL_TIMEOUTS = 8
_HEAL_MS = 25_000.0

_ID = re.compile("[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Scenario:
    """What a run starts from. A field that is None is drawn from the seed."""

    seed: int
    masters: int | None = None
    replicas: int | None = None
    node_timeout_ms: int | None = None
    kinds: tuple[str, ...] = tuple(KINDS)
    duration_ms: float = DURATION_MS
    guards: Safeguards = field(default_factory=Safeguards)
    # These and no others, instead of drawn ones.
    faults: tuple[Fault, ...] | None = None


@dataclass(slots=True)
class Verdict:
    """How a run went."""

    seed: int
    # The rule that broke, and what was seen; empty when all held.
    rule: str
    detail: str
    # Every fault that was planned, how many struck, and what was judged.
    faults: tuple[Fault, ...]
    struck: Counter[str]
    judged: Counter[str]
    # From the end of the faults until all was well again; None when it did not come to that.
    healed_after_ms: float | None
    digest: str
    virtual_ms: float
    # What people want to read: faults, and what nodes logged.
    timeline: list[str]
    # Every event, when asked for.
    text: list[str]

    @property
    def held(self) -> bool:
        return not self.rule


def run(scenario: Scenario, *, keep_trace: bool = False) -> Verdict:
    """One run, from the beginning to the verdict."""
    rng = Random(f"{scenario.seed} scenario")
    world = _world(scenario, rng, keep_trace)
    timeline: list[str] = []
    names = {host.node_id: host.name for host in world.hosts}

    def tell(now: float, who: str, what: str) -> None:
        # People know nodes by name.
        what = _ID.sub(lambda found: names.get(found[0], found[0]), what)
        timeline.append(f"{now:10.3f} {who:<8}{what}\n")

    world.trace.listen(tell)
    invariants = Invariants(world)
    drawn = draw(rng, world, scenario.kinds, rng.randint(2, 9), scenario.duration_ms)
    faults = tuple(drawn) if scenario.faults is None else scenario.faults
    nemesis = Nemesis(world, faults, invariants.restarted)
    rule = detail = ""
    healed_after_ms = None
    try:
        world.run(scenario.duration_ms)
        nemesis.finish()
        limit_ms = _HEAL_TIMEOUTS * world.hosts[0].settings.node_timeout_ms + _HEAL_MS
        healed_after_ms = world.run_until(lambda: not invariants.wounds(), limit_ms, 50.0)
        if healed_after_ms is None:
            rule, detail = "the cluster heals", f"not within {limit_ms:.0f} ms: {invariants.wounds()}"
            world.trace.tell("checker", f"BROKEN {rule}: {detail}")
    except InvariantBroken as broken:
        rule, detail = broken.rule, broken.detail
    digest = world.trace.digest()
    return Verdict(
        seed=scenario.seed,
        rule=rule,
        detail=detail,
        faults=faults,
        struck=nemesis.struck,
        judged=invariants.judged,
        healed_after_ms=healed_after_ms,
        digest=digest,
        virtual_ms=world.now,
        timeline=timeline,
        text=world.trace.text() if keep_trace else [],
    )


def _world(scenario: Scenario, rng: Random, keep_trace: bool) -> World:
    """The cluster of a scenario. Everything is drawn, so that a fixed field leaves the others as they were."""
    masters, replicas = rng.choice((3, 3, 4, 5)), rng.choice((1, 1, 2))
    timeout_ms = rng.choice((500, 1000, 2000))
    datagrams = rng.random() < 0.8
    # Small limits, so that a replica's data can become too old within a run.
    factor, ping_period_ms = rng.choice(((10, 10_000), (1, 1000), (0, 10_000)))
    coverage = rng.random() < 0.5
    migration = rng.random() < 0.7
    weather = Weather(latency_ms=rng.uniform(0.1, 2.0), jitter_ms=rng.uniform(0.1, 10.0))
    if rng.random() < 0.2:
        weather.loss = weather.duplication = weather.reordering = rng.uniform(0.0, 0.05)
    return World(
        scenario.seed,
        Shape(scenario.masters or masters, replicas if scenario.replicas is None else scenario.replicas),
        guards=scenario.guards,
        weather=weather,
        keep_trace=keep_trace,
        node_timeout_ms=scenario.node_timeout_ms or timeout_ms,
        datagram_heartbeats=datagrams,
        replica_validity_factor=factor,
        repl_ping_period_ms=ping_period_ms,
        require_full_coverage=coverage,
        allow_replica_migration=migration,
    )


def shrink(scenario: Scenario, verdict: Verdict) -> tuple[Scenario, Verdict]:
    """A smaller set of the faults that still breaks the same rule: one is left out after the other."""
    faults = list(verdict.faults)
    place = 0
    while place < len(faults):
        fewer = replace(scenario, faults=tuple(faults[:place] + faults[place + 1 :]))
        smaller = run(fewer)
        if smaller.rule == verdict.rule:
            del faults[place]
            scenario, verdict = fewer, smaller
        else:
            place += 1
    return scenario, verdict
