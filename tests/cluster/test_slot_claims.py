"""Who has a slot when claims differ."""

from cluster.events import (
    AddSlots,
    BumpEpoch,
    DelSlots,
    DropKeysInSlots,
    Failover,
    FailoverMode,
    Meet,
    Received,
    Replicate,
    Send,
    SetConfigEpoch,
    SetSlotImporting,
    SetSlotMigrating,
    SetSlotNode,
    StateChanged,
)
from cluster.messages import Message, Update
from cluster.outgoing import header
from cluster.slots import SLOTS, to_bitmap
from tests.cluster.mesh import Mesh, Peer


def pair(a_epoch: int, b_epoch: int, seed: int = 1) -> tuple[Mesh, Peer, Peer]:
    """Two masters that met: a has all slots but the last, b all but the first; of the rest the epochs decide."""
    mesh = Mesh(seed)
    a, b = mesh.add("a"), mesh.add("b")
    a.order(AddSlots(tuple(range(SLOTS - 1))))
    b.order(AddSlots(tuple(range(1, SLOTS))))
    for peer, epoch in ((a, a_epoch), (b, b_epoch)):
        if epoch:
            peer.order(SetConfigEpoch(epoch))
    a.order(Meet(b.ip, 7000))
    mesh.until(lambda: a.knows(b) and b.knows(a))
    return mesh, a, b


def test_the_greater_configuration_epoch_wins() -> None:
    mesh, a, b = pair(1, 2)
    mesh.until(mesh.settled)
    assert a.me.slots == 1
    assert a.owner_of(1) is b
    mesh.check()


def test_equal_epochs_are_told_apart_and_then_one_wins() -> None:
    mesh, a, b = pair(3, 3)
    mesh.until(mesh.settled)
    smaller, greater = sorted((a, b), key=lambda peer: peer.node_id)
    assert greater.me.config_epoch == 3
    assert smaller.me.config_epoch == 4
    assert smaller.logged(f"configEpoch collision with node {greater.node_id}. configEpoch set to 4")
    assert not greater.logged("collision")
    assert smaller.me.slots.bit_count() == SLOTS - 1


def test_a_master_without_slots_left_follows_the_one_that_has_them() -> None:
    mesh = Mesh()
    mesh.form()
    m0, r0 = mesh.peers["m0"], mesh.peers["r0"]
    mesh.cut([m0], [peer for peer in mesh.peers.values() if peer is not m0])
    mesh.until(lambda: r0.me.is_master)
    assert m0.me.is_master
    mesh.heal()
    mesh.until(lambda: m0.me.is_replica)
    assert m0.following == r0.node_id
    mesh.until(mesh.settled)
    mesh.check()


def test_the_keys_of_single_slots_lost_are_dropped() -> None:
    mesh = Mesh()
    mesh.form(masters=3, replicas=0)
    m0, m1 = mesh.peers["m0"], mesh.peers["m1"]
    m0.keys = {5: 2, 6: 1, 7: 1}
    # m1 takes slots 5 and 8 by an order that m0 does not hear of.
    for slot in (5, 8):
        m1.order(SetSlotImporting(slot, m0.node_id))
        m1.order(SetSlotNode(slot, m1.node_id))
    mesh.until(lambda: m0.owner_of(5) is m1 and m0.owner_of(8) is m1)
    assert [effect.slots for _, effect in m0.effects if isinstance(effect, DropKeysInSlots)] == [(5,)]
    assert m0.keys == {6: 1, 7: 1}
    assert m0.logged("Deleting keys in dirty slots: 5")
    mesh.until(mesh.settled)


def test_a_returning_master_is_told_what_it_lost() -> None:
    """Not by its successor but by anybody: UPDATE."""
    mesh = Mesh()
    mesh.form(masters=3, replicas=1)
    m0, m1, r0 = mesh.peers["m0"], mesh.peers["m1"], mesh.peers["r0"]
    mesh.kill(m0)
    mesh.until(lambda: r0.me.is_master)
    mesh.until(mesh.settled)
    mesh.kill(r0)
    mesh.restart(m0)
    mesh.until(lambda: m0.owner_of(0) is not m0)
    assert any(isinstance(effect, Send) and isinstance(effect.message.body, Update) for _, effect in m1.effects)
    assert m0.me.is_replica
    # Nobody serves the slots now, but nobody serves old data either.
    mesh.until(lambda: not m0.ok)
    assert not mesh.masters_claiming(0)
    mesh.restart(r0)
    mesh.until(mesh.settled)


def test_an_importing_slot_is_left_alone() -> None:
    mesh = Mesh()
    mesh.form(masters=3, replicas=1)
    m0, m1, r0 = mesh.peers["m0"], mesh.peers["m1"], mesh.peers["r0"]
    m1.order(SetSlotImporting(0, m0.node_id))
    m0.order(SetSlotMigrating(0, m1.node_id))
    r0.order(Failover(FailoverMode.TAKEOVER))
    # m1 hears nothing from m0, the loser.
    mesh.cut([m0], [m1])
    mesh.until(lambda: m1.owner_of(1) is r0)
    assert m1.owner_of(0) is m0
    assert mesh.peers["m2"].owner_of(0) is r0
    # The old source is a replica now: nothing is open there.
    mesh.until(lambda: m0.me.is_replica)
    assert not m0.machine.state.migrating
    # As soon as the source itself says who its successor is, the slot comes from that one.
    mesh.heal()
    mesh.until(lambda: m1.owner_of(0) is r0)
    assert m1.machine.view.importing(0) is m1.entry(r0)
    assert m1.ok
    mesh.check()


def test_slots_are_never_without_owner_while_they_change_hands() -> None:
    """The loser's word that it is a replica arrives before the winner's that it is the master."""
    mesh = Mesh()
    mesh.form(masters=3, replicas=1)
    m0, m1, r0 = mesh.peers["m0"], mesh.peers["m1"], mesh.peers["r0"]
    mesh.cut([r0], [m1])
    m1.effects.clear()
    r0.order(Failover(FailoverMode.TAKEOVER))
    mesh.until(lambda: m1.entry(m0).is_replica, limit_ms=100)
    assert m1.owner_of(0) is r0
    assert not any(isinstance(effect, StateChanged) for _, effect in m1.effects)
    mesh.check()


def test_moving_a_slot() -> None:
    mesh = Mesh()
    mesh.form(masters=3, replicas=1)
    m0, m1, m2 = mesh.peers["m0"], mesh.peers["m1"], mesh.peers["m2"]
    m1.order(SetSlotImporting(0, m0.node_id))
    m0.order(SetSlotMigrating(0, m1.node_id))
    assert not m0.machine.view.owned[0]
    assert m0.machine.view.owned[1]
    assert m0.machine.view.migrating(0) is m0.entry(m1)
    assert m1.machine.view.importing(0) is m1.entry(m0)
    m1.order(SetSlotNode(0, m1.node_id))
    assert m1.me.config_epoch == m1.machine.state.current_epoch
    m0.order(SetSlotNode(0, m1.node_id))
    assert m1.machine.view.owned[0]
    mesh.until(lambda: all(peer.owner_of(0) is m1 for peer in mesh.peers.values()), limit_ms=200)
    assert m2.ok
    mesh.until(mesh.settled)
    mesh.check()


def test_a_slot_its_owner_no_longer_claims_is_anybodys() -> None:
    """m0 gives slot 0 up; the others keep it bound to m0, but a claim with a smaller epoch is good enough now."""
    mesh = Mesh()
    mesh.form(masters=3, replicas=0)
    m0, m1, m2 = mesh.peers["m0"], mesh.peers["m1"], mesh.peers["m2"]
    m0.order(BumpEpoch())
    mesh.until(lambda: m2.entry(m0).config_epoch == m0.me.config_epoch)
    m0.order(DelSlots((0,)))
    mesh.until(lambda: bool(m1.machine.state.unclaimed and m2.machine.state.unclaimed))
    assert m2.owner_of(0) is m0
    m1.order(DelSlots((0,)))
    m1.order(AddSlots((0,)))
    assert m1.me.config_epoch < m0.me.config_epoch
    mesh.until(lambda: m2.owner_of(0) is m1 and m0.owner_of(0) is m1)
    mesh.until(mesh.settled)
    mesh.check()


def test_a_replica_of_a_replica_moves_up() -> None:
    mesh = Mesh()
    mesh.form(masters=3, replicas=2)
    m0, r0, r3 = mesh.peers["m0"], mesh.peers["r0"], mesh.peers["r3"]
    r0.order(Failover(FailoverMode.TAKEOVER))
    mesh.until(mesh.settled)
    for replica in (m0, r3):
        assert replica.me.master is not None
        assert replica.me.master.id == r0.node_id
    mesh.check()


def test_a_replica_that_may_not_migrate_moves_up_all_the_same() -> None:
    """Its master gives its last slot away and follows the one that has it."""
    mesh = Mesh()
    a, b = mesh.add("a"), mesh.add("b")
    c = mesh.add("c", allow_replica_migration=False)
    a.order(AddSlots(tuple(range(SLOTS - 1))))
    b.order(AddSlots((SLOTS - 1,)))
    for peer in (b, c):
        peer.order(Meet(a.ip, 7000))
    mesh.until(lambda: all(peer.knows(other) for peer in (a, b, c) for other in (a, b, c)))
    c.order(Replicate(b.node_id))
    mesh.until(mesh.settled)
    a.order(BumpEpoch())
    a.order(SetSlotNode(SLOTS - 1, a.node_id))
    mesh.until(lambda: b.me.is_replica and c.me.master is not None and c.me.master.id == a.node_id)
    assert c.following == a.node_id
    mesh.until(mesh.settled)
    mesh.check()


def test_nobody_is_told_about_itself() -> None:
    """A header that shows an epoch for us that we do not know of changes nothing here."""
    mesh = Mesh()
    mesh.form()
    m0, m1, r0 = mesh.peers["m0"], mesh.peers["m1"], mesh.peers["r0"]
    slots = r0.me.slots
    update = Message(header(m1.machine._ctx), Update(r0.node_id, 99, to_bitmap(1)))
    r0.take(Received(-4711, update, m1.ip, r0.ip))
    assert r0.me.is_replica
    assert r0.me.slots == slots == 0
    assert r0.owner_of(0) is m0
