"""One run of one seed, from the start of a cluster to a verdict: faults and clients, then peace, then the reckoning.

First, with faults, what must never happen is watched for; then everything is mended, and the cluster must heal by
itself within a stated virtual time, have its replicas agree with their masters, and have kept what it promised to keep.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sim import nemesis
from sim.cluster import SimCluster
from sim.errors import SimulationError
from sim.faults import Faults, Kind, Strike
from sim.invariants import Breach, Watch, differences
from sim.losses import Loss
from sim.planted import BUGS
from sim.shape import Shape
from sim.trace import Listener
from sim.workload import Recorder, Workload
from sim.world import World

_START_WITHIN_S = 30.0
# A sentinel that was paused concludes nothing for half a minute (TILT), and a failover that found no leader is tried
# again after twice the failover-timeout; then a full copy may be due.
_HEAL_WITHIN_S = 90.0
_CONVERGE_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run. The seed decides the rest."""

    seed: int
    shape: Shape = field(default_factory=Shape)
    kinds: tuple[Kind, ...] = tuple(Kind)
    duration_s: float = 30.0
    clients: int = 3
    # Operations a second, of each client.
    per_second: float = 20.0
    # Only the strikes with these numbers; None for all.
    only: tuple[int, ...] | None = None
    # How long it may take to heal.
    heal_within_s: float = _HEAL_WITHIN_S
    # A bug that its programs have (`sim.planted`).
    bug: str = ""


@dataclass(slots=True)
class Verdict:
    """What came of it."""

    plan: Plan
    strikes: list[Strike]
    # Faults that found something to hurt.
    struck: Counter[Kind] = field(default_factory=Counter)
    breaches: list[Breach] = field(default_factory=list)
    digest: str = ""
    events: int = 0
    virtual_s: float = 0.0
    # Operations begun, acknowledged, refused, and of unknown outcome.
    operations: tuple[int, int, int, int] = (0, 0, 0, 0)
    losses: list[Loss] = field(default_factory=list)
    # When the faults began, and when which seat was promoted.
    began_at_s: float = 0.0
    failovers: list[tuple[float, str]] = field(default_factory=list)
    # How long the cluster took to heal once everything was mended.
    healed_after_s: float | None = None
    last_lines: list[str] = field(default_factory=list)
    # The whole trace, if it was kept.
    text: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not self.breaches


def run(
    plan: Plan,
    *,
    keep_trace: bool = False,
    recorders: Callable[[World], Sequence[Recorder]] = lambda _: (),
    prepare: Callable[[SimCluster], None] = lambda _: None,
    listen: Listener | None = None,
) -> Verdict:
    """Run it. `prepare` may change the cluster before it starts; `recorders` are told of every operation, `listen` of
    what happens."""
    with World(plan.seed, keep_trace=keep_trace) as world:
        cluster = SimCluster(world, plan.shape)
        if plan.bug:
            BUGS[plan.bug](cluster)
        clients = [world.add_host(f"client-{number}") for number in range(plan.clients)]
        if listen is not None:
            world.trace.listen(listen)
        faults = Faults(cluster)
        watch = Watch(cluster, faults)
        strikes = nemesis.draw(
            world.stream("nemesis"),
            plan.kinds,
            plan.duration_s,
            plan.shape.node_names(),
            plan.shape.sentinel_names(),
            [host.name for host in clients],
            plan.shape.shards(),
        )
        workload = Workload(world, plan.shape, recorders(world))
        prepare(cluster)
        verdict = Verdict(plan, [strike for strike in strikes if plan.only is None or strike.number in plan.only])

        async def main() -> None:
            cluster.start()
            await world.until(lambda: not cluster.faults(), _START_WITHIN_S, "the cluster does not start")
            watch.start(workload)
            began_at = verdict.began_at_s = world.loop.now
            workload.start(clients, plan.per_second)
            nemesis.unleash(world.loop, faults, verdict.strikes)
            await world.until(lambda: world.loop.now >= began_at + plan.duration_s, plan.duration_s + 1, "time")
            faults.mend_all()
            workload.stop()
            await _reckon(world, cluster, watch, workload, verdict)
            if verdict.healed_after_s is not None and clients:
                await workload.read_back(clients[0])

        try:
            world.run(main())
        except (SimulationError, TimeoutError) as error:
            watch.failed(str(error))
        verdict.struck = faults.struck
        verdict.breaches = watch.breaches
        verdict.failovers = watch.promotions
        verdict.operations = (workload.begun, workload.acknowledged, workload.refused, workload.unknown)
        verdict.digest = world.trace.digest()
        verdict.events = world.loop.events
        verdict.virtual_s = world.loop.now
        verdict.last_lines = world.trace.last_lines()
        verdict.text = world.trace.text() if keep_trace else []
    return verdict


async def _reckon(world: World, cluster: SimCluster, watch: Watch, workload: Workload, verdict: Verdict) -> None:
    """Everything is mended: what must hold now?"""
    try:
        verdict.healed_after_s = await world.until(
            lambda: not cluster.faults() and workload.stopped, verdict.plan.heal_within_s, "healing"
        )
    except TimeoutError:
        watch.not_healed(cluster.faults(), verdict.plan.heal_within_s)
        return
    # What is on its way to the replicas arrives.
    try:
        await world.until(lambda: not differences(cluster), _CONVERGE_WITHIN_S, "convergence", every_s=0.5)
    except TimeoutError:
        watch.check_convergence()
    await asyncio.sleep(1.0)
    watch.look()
    watch.check_epochs()
    verdict.losses = watch.check_marks()
