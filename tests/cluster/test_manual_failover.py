"""CLUSTER FAILOVER in its three forms, and what becomes of an attempt that fails."""

from typing import Any

import pytest

from cluster.events import Broadcast, Failover, FailoverMode, PauseWrites, PromoteSelf, Refused, Send, UnpauseWrites
from cluster.messages import FailoverAuthRequest, Heartbeat, ManualFailoverStart, MessageFlag
from tests.cluster.mesh import Mesh, Peer


def formed(**settings: Any) -> tuple[Mesh, Peer, Peer]:
    mesh = Mesh()
    mesh.form(**settings)
    return mesh, mesh.peers["m0"], mesh.peers["r0"]


def asked_for_votes(peer: Peer) -> list[Broadcast]:
    return [
        effect
        for _, effect in peer.effects
        if isinstance(effect, Broadcast) and isinstance(effect.message.body, FailoverAuthRequest)
    ]


def test_default_waits_until_the_replica_has_everything() -> None:
    mesh, master, replica = formed()
    master.offset, replica.offset = 1000, 900
    assert replica.order(Failover()) == "OK"
    mesh.until(lambda: master.writes_paused)
    mesh.run(300)
    assert replica.logged("Received replication offset for paused master manual failover: 1000")
    assert replica.me.is_replica
    assert not asked_for_votes(replica)
    replica.offset = 1000
    # No delay as in an automatic election, and no waiting for the next tick.
    assert mesh.until(lambda: replica.me.is_master) <= 50
    (request,) = asked_for_votes(replica)
    assert request.message.header.mflags & MessageFlag.FORCEACK
    mesh.until(lambda: master.me.is_replica)
    assert not master.writes_paused
    assert master.following == replica.node_id
    mesh.until(mesh.settled)
    mesh.check()


def test_the_paused_master_says_so_at_once_on_the_link_it_was_asked_on() -> None:
    mesh, master, replica = formed()
    master.effects.clear()
    replica.offset = 5
    master.offset = 7
    replica.order(Failover())
    mesh.run(5)
    pause, answer = (effect for _, effect in master.effects if isinstance(effect, PauseWrites | Send))
    assert isinstance(pause, PauseWrites)
    assert pause.until_ms == pytest.approx(mesh.now + 10_000, abs=10)
    assert isinstance(answer, Send)
    assert answer.link < 0
    assert answer.message.header.mflags & MessageFlag.PAUSED
    assert answer.message.header.offset == 7
    assert isinstance(answer.message.body, Heartbeat)


def test_an_attempt_ends_after_five_seconds_on_both_sides() -> None:
    mesh, master, replica = formed()
    master.offset, replica.offset = 1000, 900
    replica.order(Failover())
    mesh.run(4900)
    assert master.writes_paused
    mesh.until(lambda: not master.writes_paused, limit_ms=300)
    mesh.until(lambda: replica.logged("Manual failover timed out."), limit_ms=300)
    assert master.logged("Manual failover timed out.")
    assert sum(isinstance(effect, UnpauseWrites) for _, effect in master.effects) == 1
    replica.offset = 1000
    mesh.run(5000)
    assert replica.me.is_replica
    # And another one may follow at once.
    replica.order(Failover())
    mesh.until(lambda: replica.me.is_master, limit_ms=1000)


def test_a_replica_that_takes_its_masters_place_does_it_without_a_new_epoch() -> None:
    """PSYNC … FAILOVER, which Redis' FAILOVER does not send in a cluster: whose epoch is greater has the slots then."""
    mesh, master, replica = formed()
    slots, epoch = master.me.slots, replica.me.config_epoch
    assert master.order(PromoteSelf()) == "OK"
    assert master.me.slots == slots
    assert epoch > master.me.config_epoch
    assert replica.order(PromoteSelf()) == "OK"
    assert replica.me.is_master
    assert (replica.me.slots, replica.me.config_epoch) == (slots, epoch)
    mesh.until(lambda: master.me.is_replica)
    mesh.until(mesh.settled)
    mesh.check()
    # The other way round.
    assert master.order(PromoteSelf()) == "OK"
    assert master.me.slots == slots
    mesh.until(lambda: master.me.is_replica)
    mesh.until(mesh.settled)
    assert replica.me.slots == slots
    mesh.check()


def test_a_master_that_dies_while_it_is_asked_is_replaced_without_delay() -> None:
    """It never answers, so the order does nothing by itself; but it says which replica is to stand."""
    mesh, master, replica = formed()
    mesh.pause(master)
    replica.order(Failover())
    mesh.until(lambda: replica.entry(master).fail)
    mesh.run(150)
    assert replica.me.is_master
    assert replica.logged("Start of election delayed for 0 milliseconds (rank #0")


def test_one_failover_may_follow_upon_another() -> None:
    mesh = Mesh()
    mesh.form()
    master, replica = mesh.peers["m0"], mesh.peers["r0"]
    for _ in range(4):
        replica.order(Failover())
        assert mesh.until(lambda replica=replica: replica.me.is_master) < 1000
        mesh.until(lambda master=master: master.me.is_replica and master.me.master is not None)
        master, replica = replica, master
    mesh.until(mesh.settled)


def test_force_does_without_the_master() -> None:
    mesh, master, replica = formed()
    mesh.kill(master)
    mesh.run(50)
    assert replica.order(Failover(FailoverMode.FORCE)) == "OK"
    assert mesh.until(lambda: replica.me.is_master) <= 50
    assert not any(
        isinstance(effect, Send) and isinstance(effect.message.body, ManualFailoverStart)
        for _, effect in replica.effects
    )


def test_force_needs_a_majority_all_the_same() -> None:
    mesh, master, replica = formed()
    for name in ("m0", "m1", "m2"):
        mesh.kill(mesh.peers[name])
    mesh.run(50)
    replica.order(Failover(FailoverMode.FORCE))
    mesh.run(20_000)
    assert replica.me.is_replica
    assert replica.machine.state.owner[0] is replica.entry(master)


def test_takeover_does_without_voters() -> None:
    mesh, master, replica = formed(replica_no_failover=True)
    mesh.kill(master)
    before = replica.machine.state.current_epoch
    assert replica.order(Failover(FailoverMode.TAKEOVER)) == "OK"
    assert replica.me.is_master
    assert replica.me.config_epoch == before + 1
    assert not asked_for_votes(replica)
    # Everybody is told at once.
    mesh.run(5)
    assert mesh.peers["m1"].owner_of(0) is replica
    assert mesh.peers["r2"].owner_of(0) is replica


def test_takeover_works_with_a_single_master() -> None:
    """What sentinels do where Redis Cluster alone has no majority."""
    mesh = Mesh()
    mesh.form(masters=1, replicas=2, replica_no_failover=True)
    m0, r0, r1 = mesh.peers["m0"], mesh.peers["r0"], mesh.peers["r1"]
    mesh.kill(m0)
    mesh.run(1000)
    r0.order(Failover(FailoverMode.TAKEOVER))
    assert r0.me.is_master
    mesh.until(lambda: r1.following == r0.node_id)
    mesh.until(lambda: r0.ok and r1.ok)
    mesh.restart(m0)
    mesh.until(lambda: m0.me.is_replica)
    assert m0.following == r0.node_id
    mesh.until(mesh.settled)


def test_a_sleeping_master_finds_itself_replaced() -> None:
    mesh, master, replica = formed(replica_no_failover=True)
    mesh.pause(master)
    mesh.run(500)
    replica.order(Failover(FailoverMode.TAKEOVER))
    mesh.run(3000)
    mesh.resume(master)
    mesh.until(lambda: master.me.is_replica, limit_ms=500)
    assert master.following == replica.node_id


def test_refusals() -> None:
    mesh, master, replica = formed()
    with pytest.raises(Refused, match="ERR You should send CLUSTER FAILOVER to a replica"):
        master.order(Failover())
    mesh.kill(master)
    mesh.until(lambda: replica.entry(master).fail)
    with pytest.raises(Refused, match="ERR Master is down or failed, please use CLUSTER FAILOVER FORCE"):
        replica.order(Failover())
    replica.machine.state.detach(replica.me)
    with pytest.raises(Refused, match="ERR I'm a replica but my master is unknown to me"):
        replica.order(Failover(FailoverMode.TAKEOVER))


def test_only_its_own_replica_can_pause_a_master() -> None:
    mesh, master, _ = formed()
    stranger = mesh.peers["r1"]
    # r1 believes to be m0's replica; m0 knows better.
    stranger.machine.state.become_replica(stranger.me, stranger.entry(master))
    stranger.me.replicas.clear()
    master.machine.state.become_replica(master.entry(stranger), master.entry(mesh.peers["m1"]))
    stranger.order(Failover())
    mesh.run(5)
    assert not master.writes_paused
