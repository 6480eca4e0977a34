"""A node starts with keys for slots that its nodes.conf does not give it."""

from cluster.events import AddSlots, DelSlots, SetSlotImporting
from tests.cluster.mesh import Mesh


def test_keys_of_a_slot_that_nobody_has_take_the_slot() -> None:
    mesh = Mesh()
    node = mesh.add("a")
    node.order(AddSlots((1, 2)))
    node.order(DelSlots((2,)))
    mesh.kill(node)
    node.keys = {1: 1, 2: 5}
    mesh.restart(node)
    assert node.me.slots == 0b110
    assert node.logged("I have keys for unassigned slot 2. Taking responsibility for it.")
    assert not node.logged("unassigned slot 1.")
    # It is in nodes.conf, too.
    mesh.kill(node)
    node.keys.clear()
    mesh.restart(node)
    assert node.me.slots == 0b110


def test_keys_of_another_nodes_slot_are_an_import_to_be_decided() -> None:
    mesh = Mesh()
    mesh.form(masters=3, replicas=0)
    m0, m1, m2 = (mesh.peers[name] for name in ("m0", "m1", "m2"))
    m0.order(SetSlotImporting(16383, m2.node_id))
    slot = next(slot for slot in range(16384) if m0.owner_of(slot) is m1)
    mesh.kill(m0)
    m0.keys = {0: 1, slot: 3, 16383: 1}
    mesh.restart(m0)
    assert {at: owner.id for at, owner in m0.machine.state.importing.items()} == {
        slot: m1.node_id,
        16383: m2.node_id,
    }
    assert m0.owner_of(slot) is m1
    assert m0.keys[slot] == 3
    assert [line for line in m0.log if "importing" in line] == [
        f"I have keys for slot {slot}, but the slot is assigned to another node. Setting it to importing state."
    ]


def test_a_replica_leaves_its_keys_to_its_master() -> None:
    mesh = Mesh()
    mesh.form()
    replica, other = mesh.peers["r0"], mesh.peers["m1"]
    slot = next(slot for slot in range(16384) if replica.owner_of(slot) is other)
    mesh.kill(replica)
    replica.keys = {0: 1, slot: 1}
    mesh.restart(replica)
    assert not replica.machine.state.importing
    assert replica.me.is_replica
