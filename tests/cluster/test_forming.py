"""How nodes become a cluster: MEET, gossip, the first seconds."""

from dataclasses import replace
from itertools import pairwise

from cluster.events import AddSlots, Forget, Meet, StateChanged
from cluster.slots import SLOTS
from tests.cluster.mesh import Mesh


def test_six_strangers_become_one_cluster() -> None:
    mesh = Mesh()
    mesh.form(masters=3, replicas=1)
    mesh.check()
    m0, r0 = mesh.peers["m0"], mesh.peers["r0"]
    assert r0.me.master is not None
    assert r0.me.master.id == m0.node_id
    assert r0.following == m0.node_id
    assert [node.id for node in m0.me.replicas] == [r0.node_id]
    assert m0.machine.view.owned[0]
    assert not m0.machine.view.owned[SLOTS - 1]
    assert not any(r0.machine.view.owned)


def test_a_cluster_forms_at_once_however_long_the_node_timeout() -> None:
    """Nodes tell each other of newcomers and of their roles when they learn of them, not at the next heartbeat."""
    mesh = Mesh()
    mesh.form(node_timeout_ms=15_000)
    assert mesh.now < 1000


def test_everybody_learns_of_everybody_by_gossip_alone() -> None:
    mesh = Mesh()
    peers = [mesh.add(f"n{i}") for i in range(8)]
    for left, right in pairwise(peers):
        left.order(Meet(right.ip, 7000))
    mesh.until(lambda: all(a.knows(b) for a in peers for b in peers))
    mesh.run(3000)
    assert all(len(peer.machine.state.nodes) == 8 for peer in peers)
    mesh.check()


def test_meeting_twice_changes_nothing() -> None:
    mesh = Mesh()
    a, b = mesh.add("a"), mesh.add("b")
    assert a.order(Meet(b.ip, 7000)) == "OK"
    assert a.order(Meet(b.ip, 7000)) == "OK"
    assert len(a.machine.state.nodes) == 2
    mesh.until(lambda: a.knows(b) and b.knows(a))
    a.order(Meet(b.ip, 7000))
    mesh.run(1000)
    assert len(a.machine.state.nodes) == len(b.machine.state.nodes) == 2


def test_a_greeting_that_is_lost_with_its_link_is_said_again() -> None:
    mesh = Mesh()
    a, b = mesh.add("a"), mesh.add("b")
    a.order(Meet(b.ip, 7000))
    while not a.links:
        mesh.run(0.5)
    mesh.kill(b)
    mesh.run(5)
    assert not a.links
    mesh.restart(b)
    mesh.until(lambda: a.knows(b) and b.knows(a), limit_ms=1000)


def test_meeting_oneself_comes_to_nothing() -> None:
    mesh = Mesh()
    a = mesh.add("a")
    a.order(Meet(a.ip, 7000))
    mesh.run(3000)
    assert list(a.machine.state.nodes) == [a.node_id]


def test_a_handshake_nobody_answers_is_given_up() -> None:
    mesh = Mesh()
    a = mesh.add("a")
    a.order(Meet("10.9.9.9", 7000))
    assert len(a.machine.state.nodes) == 2
    mesh.run(1900)
    assert len(a.machine.state.nodes) == 2
    mesh.run(300)
    assert len(a.machine.state.nodes) == 1


def test_a_forgotten_node_stays_away_for_a_minute() -> None:
    mesh = Mesh()
    mesh.form(masters=3, replicas=0)
    m0, m1, m2 = mesh.peers.values()
    m0.order(Forget(m2.node_id))
    # Once more is no mistake, as from Redis 7.2 on.
    assert m0.order(Forget(m2.node_id)) == "OK"
    # One node is enough: the others are told.
    mesh.run(5000)
    assert not m0.knows(m2)
    assert not m1.knows(m2)
    assert m2.knows(m0)
    # Who meets it all the same is told again, as long as anybody is to forget it.
    mesh.run(50_000)
    m1.order(Meet(m2.ip, 7000))
    mesh.run(3000)
    assert not m1.knows(m2)
    mesh.run(5000)
    m1.order(Meet(m2.ip, 7000))
    mesh.until(lambda: m1.knows(m2) and m0.knows(m2))


def test_a_node_all_have_forgotten_is_gone() -> None:
    mesh = Mesh()
    mesh.form(masters=3, replicas=0)
    m0, m1, m2 = mesh.peers.values()
    mesh.kill(m2)
    m0.order(Forget(m2.node_id))
    m1.order(Forget(m2.node_id))
    mesh.run(100_000)
    assert not m0.knows(m2)
    assert not m1.knows(m2)
    assert m0.owner_of(SLOTS - 1) is None


def test_a_new_node_with_all_slots_serves_at_once() -> None:
    """There is nobody who could have replaced it."""
    mesh = Mesh()
    a = mesh.add("a")
    assert not a.ok
    a.order(AddSlots(tuple(range(SLOTS))))
    assert a.ok


def test_a_returning_master_serves_as_soon_as_all_others_have_answered() -> None:
    mesh = Mesh()
    mesh.form()
    m0 = mesh.peers["m0"]
    mesh.restart(m0)
    assert not m0.ok
    assert mesh.until(lambda: m0.ok) < 500


def test_a_returning_master_that_cannot_hear_from_all_waits_two_seconds() -> None:
    mesh = Mesh()
    mesh.form(node_timeout_ms=10_000)
    m0, r1 = mesh.peers["m0"], mesh.peers["r1"]
    mesh.kill(r1)
    mesh.restart(m0)
    assert 1900 < mesh.until(lambda: m0.ok) <= 2200


def test_a_replica_never_waits() -> None:
    mesh = Mesh()
    mesh.form(node_timeout_ms=10_000)
    mesh.kill(mesh.peers["r1"])
    r0 = mesh.peers["r0"]
    mesh.restart(r0)
    assert mesh.until(lambda: r0.ok) < 200


def test_a_node_that_moved_is_found_again() -> None:
    mesh = Mesh()
    mesh.form()
    m0 = mesh.peers["m0"]
    mesh.kill(m0)
    m0.ip = "10.0.0.77"
    m0.settings = replace(m0.settings, announce_ip=m0.ip)
    m0.start()
    mesh.until(lambda: all(peer.entry(m0).ip == m0.ip for peer in mesh.peers.values()))
    mesh.until(mesh.settled)
    assert mesh.peers["r0"].machine._ctx.followed == (m0.node_id, m0.ip, 7000)


def test_somebody_else_at_a_nodes_address_is_not_that_node() -> None:
    mesh = Mesh()
    mesh.form(masters=3, replicas=0)
    m0, m1, m2 = mesh.peers.values()
    mesh.kill(m2)
    stranger = mesh.add("stranger")
    stranger.ip = m2.ip
    m2.ip = "10.0.0.99"
    mesh.until(lambda: m0.entry(m2).noaddr and m1.entry(m2).noaddr)
    assert m0.entry(m2).ip == ""
    mesh.run(5000)
    # Neither does the stranger join, nor does the lost one count as there.
    assert not m0.knows(stranger)
    assert not m0.entry(m2).link_ready


def test_state_is_told_once_for_each_change() -> None:
    mesh = Mesh()
    mesh.form()
    mesh.run(10_000)
    changes = [effect.ok for _, effect in mesh.peers["m1"].effects if isinstance(effect, StateChanged)]
    assert changes == [True]
