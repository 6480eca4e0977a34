"""Suspicion is one node's; failure is agreed by a majority of masters, and taken back with care."""

from dataclasses import replace
from typing import Any

from cluster.events import AddSlots, Broadcast, Meet, Reset, Send, SendDatagram, Tick
from cluster.messages import Fail, MessageType
from cluster.slots import SLOTS
from tests.cluster.mesh import TIMEOUT_MS, Mesh, Peer


def formed(masters: int = 3, replicas: int = 1, **settings: Any) -> tuple[Mesh, dict[str, Peer]]:
    mesh = Mesh()
    mesh.form(masters, replicas, **settings)
    return mesh, mesh.peers


def test_a_dead_master_is_suspected_after_the_node_timeout_then_declared() -> None:
    mesh, peers = formed(replica_no_failover=True)
    mesh.run(1000)
    mesh.kill(peers["m0"])
    observers = [peer for peer in peers.values() if peer.alive]
    assert TIMEOUT_MS <= mesh.until(lambda: any(peer.entry(peers["m0"]).pfail for peer in observers)) < TIMEOUT_MS + 200
    mesh.until(lambda: all(peer.entry(peers["m0"]).fail for peer in observers), limit_ms=1500)
    assert not any(peer.entry(peers["m0"]).pfail for peer in observers)
    declared = [
        effect
        for peer in observers
        for _, effect in peer.effects
        if isinstance(effect, Broadcast) and isinstance(effect.message.body, Fail)
    ]
    assert {effect.message.body for effect in declared} == {Fail(peers["m0"].node_id)}


def test_one_node_alone_declares_nothing() -> None:
    """m0 is cut off from m2 alone: it suspects m2, but nobody agrees."""
    mesh, peers = formed()
    m0, m1, m2 = peers["m0"], peers["m1"], peers["m2"]
    mesh.cut([m0], [m2])
    mesh.until(lambda: m0.entry(m2).pfail)
    mesh.run(20_000)
    assert m0.entry(m2).pfail
    assert not any(peer.entry(m2).fail for peer in peers.values() if peer is not m2)
    assert m1.machine.failure_reports(m2.node_id) == 1
    assert all(peer.ok for peer in peers.values())
    mesh.heal()
    mesh.until(lambda: not m0.entry(m2).pfail)
    mesh.until(lambda: m1.machine.failure_reports(m2.node_id) == 0)


def test_replicas_have_no_voice() -> None:
    """Three replicas that cannot reach a master are no majority of masters."""
    mesh, peers = formed(3, 1)
    m2 = peers["m2"]
    mesh.cut([peers["r0"], peers["r1"], peers["r2"]], [m2])
    mesh.until(lambda: all(peers[f"r{i}"].entry(m2).pfail for i in range(3)))
    mesh.run(20_000)
    assert not any(peer.entry(m2).fail for peer in peers.values() if peer is not m2)


def test_masters_without_slots_have_no_voice() -> None:
    """The one master with slots is cut off from the new nodes: nobody can say that it has failed, but it can."""
    mesh = Mesh()
    owner, *others = (mesh.add(name) for name in ("owner", "x", "y", "z"))
    owner.order(AddSlots(tuple(range(SLOTS))))
    for other in others:
        owner.order(Meet(other.ip, 7000))
    mesh.until(lambda: all(peer.knows(other) for peer in others for other in mesh.peers.values()))
    mesh.run(1000)
    mesh.cut([owner], others)
    mesh.until(lambda: all(peer.entry(owner).pfail for peer in others))
    mesh.run(20_000)
    assert not any(peer.entry(owner).fail for peer in others)
    assert {peer.machine.failure_reports(owner.node_id) for peer in others} == {0}
    assert all(owner.entry(peer).fail for peer in others)


def test_a_master_that_comes_back_with_another_name_is_missed_and_replaced() -> None:
    """Its disk was lost: nobody will hear of its old name again, which has the slots."""
    mesh, peers = formed()
    m0, m1, r0 = peers["m0"], peers["m1"], peers["r0"]
    old, slots = m0.node_id, m0.me.slots
    m0.order(Reset(hard=True))
    mesh.until(lambda: m1.machine.state.nodes[old].noaddr)
    assert m1.logged(f"PONG contains mismatching sender ID. About node {old} at {m0.ip}:7000")
    assert not m1.machine.state.nodes[old].fail
    mesh.until(lambda: m1.machine.state.nodes[old].fail, limit_ms=2 * TIMEOUT_MS)
    mesh.until(lambda: r0.me.is_master and r0.me.slots == slots)
    mesh.until(lambda: all(peer.ok for peer in peers.values() if peer is not m0))


def test_a_node_that_was_missed_is_dialled_when_it_is_back_elsewhere() -> None:
    mesh = Mesh(datagrams=False)
    mesh.form(replica_no_failover=True)
    m0, m1 = mesh.peers["m0"], mesh.peers["m1"]
    mesh.kill(m0)
    stranger, old_ip = mesh.add("stranger"), m0.ip
    m0.ip, stranger.ip = "10.0.0.99", old_ip
    stranger.settings = replace(stranger.settings, announce_ip=old_ip)
    m0.settings = replace(m0.settings, announce_ip=m0.ip)
    mesh.until(lambda: m1.entry(m0).noaddr and m1.entry(m0).fail)
    mesh.run(5000)
    mesh.restart(m0)
    mesh.until(lambda: m1.entry(m0).ip == m0.ip and m1.entry(m0).link_ready, limit_ms=1000)
    mesh.until(lambda: m1.ok and m0.ok)


def test_nodes_that_exchange_their_addresses_are_not_failed() -> None:
    """As containers do that are started anew."""
    mesh, peers = formed()
    m0, m1 = peers["m0"], peers["m1"]
    mesh.kill(m0)
    mesh.kill(m1)
    m0.ip, m1.ip = m1.ip, m0.ip
    for peer in (m0, m1):
        peer.settings = replace(peer.settings, announce_ip=peer.ip)
        mesh.restart(peer)
    for _ in range(100):
        mesh.run(100)
        assert not any(node.fail or node.pfail for peer in peers.values() for node in peer.machine.state.others())
    assert not any(node.noaddr for peer in peers.values() for node in peer.machine.state.others())
    assert all(peer.ok for peer in peers.values())


def test_a_replica_declares_from_the_masters_reports() -> None:
    mesh, peers = formed(3, 1, replica_no_failover=True)
    m0, m1, m2, r0 = peers["m0"], peers["m1"], peers["m2"], peers["r0"]
    mesh.kill(m0)
    mesh.until(lambda: m1.entry(m0).pfail or m2.entry(m0).pfail)
    mesh.until(lambda: r0.entry(m0).fail)


def test_old_reports_do_not_count() -> None:
    mesh, peers = formed(3, 0)
    m0, m1, m2 = peers["m0"], peers["m1"], peers["m2"]
    mesh.cut([m0], [m2])
    mesh.until(lambda: m1.machine.failure_reports(m2.node_id) == 1)
    # m0 goes silent; its word is good for two node timeouts.
    mesh.cut([m0], [m1])
    mesh.run(2 * TIMEOUT_MS + 1500)
    assert m1.machine.failure_reports(m2.node_id) == 0


def test_failure_reports_of_an_unknown_node() -> None:
    _, peers = formed(3, 0)
    assert peers["m0"].machine.failure_reports("f" * 40) is None


def test_a_failed_replica_is_well_as_soon_as_it_answers() -> None:
    mesh, peers = formed()
    r0, m0 = peers["r0"], peers["m0"]
    mesh.kill(r0)
    mesh.until(lambda: m0.entry(r0).fail)
    mesh.restart(r0)
    assert mesh.until(lambda: not m0.entry(r0).fail) < 500


def test_a_failed_master_without_successor_serves_again_after_two_timeouts() -> None:
    mesh, peers = formed(replica_no_failover=True)
    m0, m1 = peers["m0"], peers["m1"]
    mesh.kill(m0)
    mesh.until(lambda: m1.entry(m0).fail)
    failed_at = mesh.now
    mesh.restart(m0)
    mesh.until(lambda: not m1.entry(m0).fail)
    # It answers at once; but until an election has had its time, it stays out.
    assert mesh.now - failed_at > 2 * TIMEOUT_MS
    mesh.until(mesh.settled)


def test_a_frozen_master_is_failed_and_its_replica_takes_over() -> None:
    mesh, peers = formed()
    m0, r0 = peers["m0"], peers["r0"]
    mesh.pause(m0)
    mesh.until(lambda: r0.me.is_master)
    mesh.resume(m0)
    mesh.until(lambda: m0.me.is_replica)
    mesh.until(mesh.settled)
    mesh.check()


def test_heartbeats_between_our_nodes_are_datagrams() -> None:
    mesh, peers = formed()
    mesh.run(500)
    for peer in peers.values():
        peer.effects.clear()
    mesh.run(10_000)
    said = [effect for peer in peers.values() for _, effect in peer.effects]
    datagrams = sum(isinstance(effect, SendDatagram) for effect in said)
    on_links = sum(isinstance(effect, Send) for effect in said)
    assert datagrams > 100
    assert not any(isinstance(effect, Broadcast) for effect in said)
    # Each link is tried once a node timeout, and the try is answered: nothing else is said on it.
    links, tries = 6 * 5, 10_000 // TIMEOUT_MS + 1
    assert 0 < on_links <= 2 * links * tries


def test_a_link_that_died_silently_is_found_and_made_again() -> None:
    mesh, peers = formed()
    mesh.run(500)
    m0, m1 = peers["m0"], peers["m1"]
    dead = m1.entry(m0).link
    assert dead is not None
    # m0's machine lost power and came back: it knows nothing of the connection, and datagrams go on.
    _, far_end = m1.links[dead]
    del m0.links[far_end]
    mesh.until(lambda: m1.entry(m0).link != dead and m1.entry(m0).link_ready, limit_ms=4 * TIMEOUT_MS)
    assert not m1.logged("FAIL")
    mesh.check()


def test_without_the_capability_heartbeats_go_by_tcp() -> None:
    mesh = Mesh(datagrams=False)
    mesh.form()
    mesh.run(10_000)
    assert mesh.datagrams_sent == 0
    assert all(peer.ok for peer in mesh.peers.values())


def test_lost_datagrams_make_nobody_suspect() -> None:
    """Whoever leaves a datagram unanswered is asked once more by TCP."""
    mesh, peers = formed()
    mesh.datagram_loss = 1.0
    mesh.run(30_000)
    assert not any(peer.logged("possibly failing") for peer in peers.values())
    peers["m0"].effects.clear()
    mesh.run(3000)
    assert any(
        isinstance(effect, Send) and effect.message.kind is MessageType.PING for _, effect in peers["m0"].effects
    )


def test_a_node_that_never_answered_is_suspected() -> None:
    """A node starts on the wrong side of a cut: even its attempts to connect get no answer."""
    mesh, peers = formed(replica_no_failover=True)
    m0 = peers["m0"]
    mesh.kill(m0)
    mesh.cut([m0], [peer for peer in peers.values() if peer is not m0])
    m0.start()
    # It reckons from its start: half a timeout until the first ping, a whole one until it gives up.
    mesh.run(TIMEOUT_MS * 1.5 + 300)
    assert all(node.pfail for node in m0.machine.state.others())


def test_a_node_whose_links_are_stuck_but_answers_datagrams_is_alive() -> None:
    mesh, peers = formed()
    m0 = peers["m0"]
    # Every link of m0 is dead in a way that nobody notices.
    for link in list(m0.links):
        other, other_link = m0.links.pop(link)
        other.links.pop(other_link)
    mesh.run(3000)
    assert not any(peer.logged("possibly failing") for peer in peers.values())


def test_nobody_is_suspected_when_nobody_is_dead() -> None:
    mesh = Mesh(seed=7)
    mesh.form(masters=5, replicas=1, node_timeout_ms=1000)
    mesh.datagram_loss = 0.05
    mesh.run(20_000)
    assert not any(peer.logged("possibly failing") for peer in mesh.peers.values())


def test_a_node_that_was_stopped_accuses_nobody() -> None:
    mesh, peers = formed(replica_no_failover=True)
    m0 = peers["m0"]
    for node in m0.machine.state.others():
        # It has just asked everybody.
        node.ping_sent_at = mesh.now
    mesh.pause(m0)
    mesh.run(10_000)
    m0.log.clear()
    # Its timers are late, and its mail is still unread.
    m0.paused = False
    m0.take(Tick())
    mesh.resume(m0)
    mesh.run(5000)
    assert not m0.logged("possibly failing")
