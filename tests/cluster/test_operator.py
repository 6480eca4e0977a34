"""CLUSTER's orders: what each changes, and in Redis' words what stands against it."""

from collections.abc import Callable

import pytest

from cluster import nodes_conf
from cluster.events import (
    AddSlots,
    BecomeMaster,
    BumpEpoch,
    Command,
    DelSlots,
    EmptyDataset,
    FlushSlots,
    FollowMaster,
    Forget,
    Heard,
    Meet,
    Refused,
    Replicate,
    Reset,
    Save,
    SaveConfig,
    SetConfigEpoch,
    SetSlotImporting,
    SetSlotMigrating,
    SetSlotNode,
    SetSlotStable,
)
from cluster.slots import ALL_SLOTS, SLOTS
from tests.cluster.mesh import WALL_MS, Mesh, Peer

NOBODY = "f" * 40


class Scene:
    """Three masters with a replica each, not yet disturbed."""

    def __init__(self) -> None:
        self.mesh = Mesh()
        self.mesh.form()
        self.m0, self.m1, self.r0 = (self.mesh.peers[name] for name in ("m0", "m1", "r0"))


Order = Callable[[Scene], tuple[Peer, Command]]


def on_m0(make: Callable[[Scene], Command]) -> Order:
    return lambda scene: (scene.m0, make(scene))


def on_r0(make: Callable[[Scene], Command]) -> Order:
    return lambda scene: (scene.r0, make(scene))


REFUSALS: list[tuple[Order, str]] = [
    (on_m0(lambda _: Meet("example.org", 7000)), "ERR Invalid node address specified: example.org:7000"),
    (on_m0(lambda _: Meet("10.0.0.9", 0)), "ERR Invalid node address specified: 10.0.0.9:0"),
    (on_m0(lambda _: Meet("10.0.0.9", 60000)), "ERR Invalid node address specified: 10.0.0.9:60000"),
    (on_m0(lambda _: Meet("10.0.0.9", 7000, 70000)), "ERR Invalid node address specified: 10.0.0.9:7000"),
    (on_m0(lambda _: Forget(NOBODY)), f"ERR Unknown node {NOBODY}"),
    (on_m0(lambda s: Forget(s.m0.node_id)), "ERR I tried hard but I can't forget myself..."),
    (on_r0(lambda s: Forget(s.m0.node_id)), "ERR Can't forget my master!"),
    (on_m0(lambda _: AddSlots((16383,))), "ERR Slot 16383 is already busy"),
    (on_m0(lambda _: DelSlots((5, 5))), "ERR Slot 5 specified multiple times"),
    (on_m0(lambda _: FlushSlots()), "ERR DB must be empty to perform CLUSTER FLUSHSLOTS."),
    (on_r0(lambda s: SetSlotMigrating(0, s.m1.node_id)), "ERR Please use SETSLOT only with masters."),
    (on_r0(lambda _: SetSlotStable(0)), "ERR Please use SETSLOT only with masters."),
    (on_m0(lambda s: SetSlotMigrating(16383, s.m1.node_id)), "ERR I'm not the owner of hash slot 16383"),
    (on_m0(lambda _: SetSlotMigrating(0, NOBODY)), f"ERR I don't know about node {NOBODY}"),
    (on_m0(lambda s: SetSlotMigrating(0, s.r0.node_id)), "ERR Target node is not a master"),
    (on_m0(lambda s: SetSlotImporting(0, s.m1.node_id)), "ERR I'm already the owner of hash slot 0"),
    (on_m0(lambda _: SetSlotImporting(16383, NOBODY)), f"ERR I don't know about node {NOBODY}"),
    (on_m0(lambda s: SetSlotImporting(16383, s.r0.node_id)), "ERR Target node is not a master"),
    (on_m0(lambda _: SetSlotNode(0, NOBODY)), f"ERR Unknown node {NOBODY}"),
    (on_m0(lambda s: SetSlotNode(0, s.r0.node_id)), "ERR Target node is not a master"),
    (
        on_m0(lambda s: SetSlotNode(0, s.m1.node_id)),
        "ERR Can't assign hashslot 0 to a different node while I still hold keys for this hash slot.",
    ),
    (on_m0(lambda _: Replicate(NOBODY)), f"ERR Unknown node {NOBODY}"),
    (on_m0(lambda s: Replicate(s.m0.node_id)), "ERR Can't replicate myself"),
    (on_m0(lambda s: Replicate(s.r0.node_id)), "ERR I can only replicate a master, not a replica."),
    (
        on_m0(lambda s: Replicate(s.m1.node_id)),
        "ERR To set a master the node must be empty and without assigned slots.",
    ),
    (on_m0(lambda _: Reset()), "ERR CLUSTER RESET can't be called with master nodes containing keys"),
    (on_m0(lambda _: SetConfigEpoch(-1)), "ERR Invalid config epoch specified: -1"),
    (
        on_m0(lambda _: SetConfigEpoch(9)),
        "ERR The user can assign a config epoch only when the node does not know any other node.",
    ),
]


@pytest.fixture(scope="module")
def scene() -> Scene:
    scene = Scene()
    scene.m0.keys = {0: 3}
    return scene


@pytest.mark.parametrize(("order", "text"), REFUSALS, ids=[text[4:40] + str(i) for i, (_, text) in enumerate(REFUSALS)])
def test_a_refused_order_changes_nothing(scene: Scene, order: Order, text: str) -> None:
    peer, command = order(scene)
    before = nodes_conf.render(peer.machine.state)
    with pytest.raises(Refused) as refused:
        peer.order(command)
    assert refused.value.text == text
    assert nodes_conf.render(peer.machine.state) == before
    # And nothing of it is left to be done by the next step.
    effects = peer.machine.step(scene.mesh.now, WALL_MS + scene.mesh.now, Heard(-1))
    assert not any(isinstance(effect, Save) for effect in effects)


def test_add_and_delete_slots() -> None:
    mesh = Mesh()
    a = mesh.add("a")
    a.order(AddSlots((1, 2, 3)))
    with pytest.raises(Refused, match="Slot 2 is already busy"):
        a.order(AddSlots((4, 2)))
    assert a.machine.state.owner[4] is None
    with pytest.raises(Refused, match="Slot 4 is already unassigned"):
        a.order(DelSlots((4,)))
    with pytest.raises(Refused, match="Slot 4 specified multiple times"):
        a.order(AddSlots((4, 4)))
    a.order(DelSlots((1, 3)))
    assert a.me.slots == 1 << 2
    a.order(FlushSlots())
    assert a.me.slots == 0
    a.order(AddSlots(tuple(range(SLOTS))))
    assert a.me.slots == ALL_SLOTS


def test_bump_epoch() -> None:
    scene = Scene()
    epoch = scene.m0.machine.state.current_epoch
    assert scene.m0.order(BumpEpoch()) == f"BUMPED {epoch + 1}"
    assert scene.m0.order(BumpEpoch()) == f"STILL {epoch + 1}"


def test_set_config_epoch_only_once() -> None:
    mesh = Mesh()
    a = mesh.add("a")
    a.order(SetConfigEpoch(5))
    assert a.machine.state.current_epoch == 5
    with pytest.raises(Refused, match="ERR Node config epoch is already non-zero"):
        a.order(SetConfigEpoch(6))


def test_save_config_is_durable() -> None:
    mesh = Mesh()
    a = mesh.add("a")
    a.effects.clear()
    assert a.order(SaveConfig()) == "OK"
    assert a.effects[0][1] == Save(fsync=True)


def test_stable_closes_a_slot() -> None:
    scene = Scene()
    scene.m0.order(SetSlotMigrating(0, scene.m1.node_id))
    scene.m1.order(SetSlotImporting(0, scene.m0.node_id))
    scene.m0.order(SetSlotStable(0))
    scene.m1.order(SetSlotStable(0))
    assert scene.m0.machine.view.owned[0]
    assert not scene.m1.machine.state.importing


def test_a_master_that_gives_its_last_slot_away_follows_the_new_owner() -> None:
    mesh = Mesh()
    a, b = mesh.add("a"), mesh.add("b")
    a.order(AddSlots((0,)))
    b.order(AddSlots(tuple(range(1, SLOTS))))
    a.order(SetConfigEpoch(1))
    b.order(SetConfigEpoch(2))
    a.order(Meet(b.ip, 7000))
    mesh.until(mesh.settled)
    a.order(SetSlotNode(0, b.node_id))
    assert a.me.is_replica
    assert a.following == b.node_id


def test_replicating_another_master() -> None:
    scene = Scene()
    scene.r0.order(Replicate(scene.m1.node_id))
    assert scene.r0.following == scene.m1.node_id
    scene.mesh.until(scene.mesh.settled)
    assert scene.m0.me.replicas == []
    assert len(scene.m1.me.replicas) == 2
    # Saying it again says nothing new to replication.
    scene.r0.effects.clear()
    scene.r0.order(Replicate(scene.m1.node_id))
    assert not any(isinstance(effect, FollowMaster) for _, effect in scene.r0.effects)


def test_soft_reset_of_a_replica() -> None:
    scene = Scene()
    r0 = scene.r0
    r0.keys = {1: 1}
    epoch = r0.machine.state.current_epoch
    r0.effects.clear()
    assert r0.order(Reset()) == "OK"
    assert list(r0.machine.state.nodes) == [r0.node_id]
    assert r0.me.is_master
    assert not r0.keys
    assert r0.machine.state.current_epoch == epoch
    assert r0.machine.state.owner == [None] * SLOTS
    kinds = [type(effect) for _, effect in r0.effects]
    assert BecomeMaster in kinds
    assert EmptyDataset in kinds
    r0.machine.state._check()
    # The others know it still, and dial it; but it answers no stranger's wish to be known.
    scene.mesh.run(3000)
    assert list(r0.machine.state.nodes) == [r0.node_id]


def test_hard_reset_is_a_new_node() -> None:
    scene = Scene()
    m0, old_id = scene.m0, scene.m0.node_id
    m0.order(Reset(hard=True))
    assert m0.me.id != old_id
    assert m0.machine.state.current_epoch == 0
    assert m0.me.config_epoch == 0
    assert m0.machine.state.nodes == {m0.me.id: m0.me}
    m0.machine.state._check()
    # The others notice that somebody else lives there now.
    scene.mesh.until(lambda: scene.m1.machine.state.nodes[old_id].noaddr or scene.m1.machine.state.nodes[old_id].fail)
