"""Whole clusters in virtual time: they start, they lose a master, they heal."""

from __future__ import annotations

import pytest

from sim.cluster import SimCluster
from sim.shape import Shape
from sim.trial import Plan, run
from sim.world import World
from tests.sim.worlds import run_for

SHAPES = [Shape(), Shape(sentinels=0, failover="cluster")]


def run_until_well(world: World, cluster: SimCluster, timeout_s: float = 60.0) -> float:
    async def main() -> float:
        return await world.until(lambda: not cluster.faults(), timeout_s, "well")

    return world.run(main())


def masters(cluster: SimCluster) -> list[str]:
    found = []
    for name, node in cluster.nodes().items():
        assert node.cluster is not None
        if node.cluster.state.myself.is_master and node.cluster.state.myself.slots:
            found.append(name)
    return found


@pytest.mark.parametrize("how", ["kill", "power cut"])
@pytest.mark.parametrize("shape", SHAPES, ids=["by sentinels", "by the cluster"])
def test_a_master_is_replaced_and_comes_back_as_a_replica(shape: Shape, how: str) -> None:
    with World(1) as world:
        cluster = SimCluster(world, shape)
        cluster.start()
        assert run_until_well(world, cluster) < 5.0
        seat = cluster.seats["node-0"]
        assert masters(cluster) == ["node-0", "node-1", "node-2"]
        if how == "kill":
            assert seat.process is not None
            seat.process.end(None)
        else:
            seat.host.cut_power()
        run_for(world, 5.0)
        assert masters(cluster) == ["node-1", "node-2", "node-3"]
        if how == "power cut":
            seat.host.boot()
        seat.start()
        run_until_well(world, cluster)
        assert masters(cluster) == ["node-1", "node-2", "node-3"]


def test_a_master_cut_off_from_everybody_is_replaced_and_steps_down() -> None:
    with World(2) as world:
        cluster = SimCluster(world, Shape())
        cluster.start()
        run_until_well(world, cluster)
        links = [link for name in cluster.seats if name != "node-0" for link in both_ways(world, "node-0", name)]
        for link in links:
            link.cuts += 1
        run_for(world, 5.0)
        # It cannot know.
        assert masters(cluster) == ["node-0", "node-1", "node-2", "node-3"]
        for link in links:
            link.cuts -= 1
        run_until_well(world, cluster)
        assert masters(cluster) == ["node-1", "node-2", "node-3"]


def both_ways(world: World, one: str, other: str):  # type: ignore[no-untyped-def]
    return world.fabric.link(one, other), world.fabric.link(other, one)


def test_a_proxy_serves_in_it() -> None:
    with World(3) as world:
        cluster = SimCluster(world, Shape(proxy=True))
        cluster.start()
        run_until_well(world, cluster)
        assert cluster.seats["proxy"].alive


def test_a_trial_needs_no_clients() -> None:
    """Whoever brings their own, as a benchmark does, has nothing read back."""
    verdict = run(Plan(1, kinds=(), duration_s=1.0, clients=0))
    assert verdict.good, verdict.breaches
