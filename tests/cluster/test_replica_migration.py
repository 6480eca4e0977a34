"""A master that lost its last replica gets one from a master with more than it needs."""

from typing import Any

from cluster.events import Meet, Replicate, SetSlotImporting, SetSlotNode
from tests.cluster.mesh import Mesh, Peer


def formed(**settings: Any) -> tuple[Mesh, dict[str, Peer]]:
    """m0 with one replica r0, m1 with r1 and r3, m2 with r2."""
    mesh = Mesh()
    mesh.form(masters=3, replicas=1, **settings)
    mesh.add("r3", **settings)
    r3, m1 = mesh.peers["r3"], mesh.peers["m1"]
    r3.order(Meet(m1.ip, 7000))
    mesh.until(lambda: all(peer.knows(r3) and r3.knows(peer) for peer in mesh.peers.values() if peer is not r3))
    r3.order(Replicate(m1.node_id))
    mesh.until(mesh.settled)
    return mesh, mesh.peers


def test_the_replica_with_the_smallest_id_moves_after_five_seconds() -> None:
    mesh, peers = formed()
    m0, r0 = peers["m0"], peers["r0"]
    mover = min((peers["r1"], peers["r3"]), key=lambda peer: peer.node_id)
    mesh.kill(r0)
    mesh.until(lambda: mover.entry(r0).fail)
    assert 5000 <= mesh.until(lambda: mover.following == m0.node_id) < 6000
    assert mover.logged(f"Migrating to orphaned master {m0.node_id}")
    mesh.until(mesh.settled)
    assert [node.id for node in m0.me.replicas if not node.fail] == [mover.node_id]
    mesh.run(20_000)
    # One replica each: nobody moves any more.
    assert len(peers["m1"].me.replicas) == 1
    mesh.check()


def test_nobody_moves_when_it_is_switched_off() -> None:
    mesh, peers = formed(allow_replica_migration=False)
    mesh.kill(peers["r0"])
    mesh.run(30_000)
    assert len(peers["m1"].me.replicas) == 2


def test_nobody_moves_when_a_master_wants_to_keep_its_replicas() -> None:
    mesh, peers = formed(migration_barrier=2)
    mesh.kill(peers["r0"])
    mesh.run(30_000)
    assert len(peers["m1"].me.replicas) == 2


def test_a_master_that_never_had_a_replica_gets_none() -> None:
    mesh, peers = formed()
    lonely = mesh.add("lonely")
    lonely.order(Meet(peers["m0"].ip, 7000))
    mesh.until(lambda: lonely.knows(peers["m1"]) and peers["m1"].knows(lonely))
    assert not any(peer.entry(lonely).migrate_to for peer in peers.values() if peer is not lonely)
    # With its first slot it becomes one that deserves a replica, since replicas are in use here.
    lonely.order(SetSlotImporting(0, peers["m0"].node_id))
    lonely.order(SetSlotNode(0, lonely.node_id))
    mesh.until(lambda: any(peer.following == lonely.node_id for peer in peers.values()), limit_ms=10_000)
