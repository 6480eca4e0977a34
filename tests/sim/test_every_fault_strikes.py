"""Each kind of fault does what its name says, is drawn by the nemesis, and is in what people read."""

from __future__ import annotations

import errno
import re
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from sim import nemesis
from sim.cluster import SimCluster
from sim.faults import Faults, Kind, Strike
from sim.main import main
from sim.shape import NODE_PORT, Shape
from sim.tcp import End
from sim.world import World
from tests.sim.test_cluster import run_until_well
from tests.sim.worlds import run_for, run_until, start
from wire.errors import Error
from wire.outward import connect

_AMOUNTS = {Kind.SLOW_DISK: 100.0, Kind.DRIFT: 1.1}


@pytest.mark.parametrize("kind", Kind)
def test_a_cluster_is_well_again_after_it(kind: Kind) -> None:
    with World(7) as world:
        cluster = SimCluster(world, Shape(masters=1, sentinels=0, failover="cluster"))
        faults = Faults(cluster)
        cluster.start()
        run_until_well(world, cluster)
        faults.strike(Strike(0, 0.0, 1.0, kind, ("node-1",), (), _AMOUNTS.get(kind, 0.05)))
        assert faults.struck == {kind: 1}
        assert [strike.kind for strike in faults.active()] == [kind]
        run_for(world, 1.0)
        faults.mend(0)
        assert faults.active() == []
        run_until_well(world, cluster)


def test_the_nemesis_draws_every_kind() -> None:
    drawn: Counter[Kind] = Counter()
    for seed in range(40):
        for strike in nemesis.draw(Random(seed), tuple(Kind), 30.0, ["a", "b", "c"], ["s"], ["client"], {}):
            drawn[strike.kind] += 1
    assert set(drawn) == set(Kind)
    assert min(drawn.values()) >= 5


def test_a_reset_breaks_the_connections_between_two_sides_and_no_others() -> None:
    with World(8) as world:
        cluster = SimCluster(world, Shape(masters=2, replicas=1, sentinels=0, failover="cluster"))
        cluster.start()
        run_until_well(world, cluster)
        before = {name: list(world.hosts[name].ends) for name in cluster.seats}

        def between(end: End) -> bool:
            return {end.host.name, end.peer.host.name} in ({"node-0", "node-1"}, {"node-0", "node-2"})

        faults = Faults(cluster)
        faults.strike(Strike(0, 0.0, 0.0, Kind.RESET, ("node-0",), ("node-1", "node-2")))
        ends = [end for ends in before.values() for end in ends if end.connected]
        assert Counter(end.error for end in ends if between(end)).keys() == {errno.ECONNRESET}
        assert Counter(end.error for end in ends if not between(end)).keys() == {0}


@pytest.mark.parametrize(
    ("kind", "words"), [(Kind.FULL_DISK, "No space left on device"), (Kind.FAILING_DISK, "Input/output error")]
)
def test_a_node_says_what_is_wrong_with_its_disk(kind: Kind, words: str) -> None:
    with World(9, keep_trace=True) as world:
        cluster = SimCluster(world, Shape(masters=1, replicas=0, sentinels=0, failover="cluster"))
        cluster.start()
        run_until_well(world, cluster)
        Faults(cluster).strike(Strike(0, 0.0, 0.0, kind, ("node-0",)))
        node = cluster.seats["node-0"].host.ip

        async def save() -> None:
            connection = await connect(node, NODE_PORT)
            with pytest.raises(Error, match="ERR"):
                await connection.call(b"SAVE")
            connection.close()

        client = start(world.add_host("client"), save)
        run_until(world, lambda: not client.alive)
        assert any(words in line for line in world.trace.text())


def test_the_document_describes_every_kind() -> None:
    document = Path(__file__).parent.parent.parent / "docs" / "faults.md"
    rows = [line.split("|")[1] for line in document.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert sorted(re.findall(r"`([a-z-]+)`", " ".join(rows))) == sorted(Kind)


def test_the_help_names_every_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--help"]) == 0
    words = capsys.readouterr().out.replace(",", " ").split()
    assert not set(Kind) - set(words)


def test_a_program_may_end_by_what_its_disk_refused_just_before_it_was_mended() -> None:
    with World(7) as world:
        cluster = SimCluster(world, Shape(masters=1, sentinels=0, failover="cluster"))
        faults = Faults(cluster)
        cluster.start()
        run_until_well(world, cluster)
        seat = cluster.seats["node-1"]
        faults.strike(Strike(0, 0.0, 1.0, Kind.FAILING_DISK, ("node-1",)))
        assert seat.process is not None
        seat.process.end(None)
        seat.start()
        # It has been told that nodes.conf cannot be saved, and has not ended yet: it needs less than a millisecond.
        world.run(world.until(lambda: seat.host.disk.refusals > seat.refusals, 5.0, "a refusal", every_s=0.00002))
        doomed = seat.process
        assert doomed.alive
        faults.mend(0)
        run_until(world, lambda: not doomed.alive, 1.0)
        run_until_well(world, cluster)
        assert seat.process is not doomed
