"""A replica that comes from another shard brings an offset that says nothing about its new master's data."""

from __future__ import annotations

from cluster.events import FollowMaster, Replicate
from tests.cluster.mesh import Mesh, Peer


def formed() -> tuple[Mesh, dict[str, Peer]]:
    mesh = Mesh()
    mesh.form(masters=3, replicas=2)
    # Everybody has heard everybody's shard.
    mesh.run(3000)
    return mesh, mesh.peers


def followed(peer: Peer) -> list[tuple[str, bool]]:
    return [(effect.node_id, effect.unrelated) for _, effect in peer.effects if isinstance(effect, FollowMaster)]


def test_who_stays_in_the_shard_has_its_data() -> None:
    mesh, peers = formed()
    m0, r0, r3 = peers["m0"], peers["r0"], peers["r3"]
    assert r0.me.master is not None
    assert r3.me.master is not None
    assert r0.me.master.id == r3.me.master.id == m0.node_id
    for peer in peers.values():
        peer.effects.clear()
    r3.offset, r0.offset = 5, 10
    mesh.kill(m0)
    mesh.until(lambda: r0.me.is_master)
    mesh.restart(m0)
    mesh.until(lambda: m0.me.is_replica)
    mesh.until(mesh.settled)
    assert followed(r3) == followed(m0) == [(r0.node_id, False)]


def test_who_comes_from_another_shard_shows_no_offset() -> None:
    mesh, peers = formed()
    m0, m1, r0, r1 = (peers[name] for name in ("m0", "m1", "r0", "r1"))
    for peer in peers.values():
        peer.effects.clear()
    r0.offset, m1.offset, r1.offset = 1_000_000, 500, 500
    mesh.until(lambda: r1.entry(r0).offset == 1_000_000)
    r0.order(Replicate(m1.node_id))
    assert followed(r0) == [(m1.node_id, True)]
    # It comes with the news that it is their sibling, which goes out before replication has been told.
    mesh.until(lambda: r1.entry(r0).master is r1.entry(m1))
    assert r1.entry(r0).offset == m0.entry(r0).offset == 0
    # It has caught up.
    r0.offset = 500
    mesh.until(lambda: r1.entry(r0).offset == 500)
