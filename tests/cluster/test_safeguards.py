"""Each rule, taken away: what it was for. Each story is told twice, and only without the rule does it end badly."""

from dataclasses import fields, replace
from typing import Any

import pytest

from cluster.events import Failover, FailoverMode, Received, Send
from cluster.messages import FailoverAuthAck, FailoverAuthRequest, Header, Heartbeat, Message, MessageType
from cluster.outgoing import header
from cluster.safeguards import Safeguards
from cluster.slots import to_bitmap
from tests.cluster.mesh import TIMEOUT_MS, Mesh, Peer


def without(rule: str) -> Safeguards:
    return replace(Safeguards(), **{rule: False})


def formed(guards: Safeguards, masters: int = 3, replicas: int = 1, seed: int = 1, **settings: Any) -> Mesh:
    mesh = Mesh(seed)
    mesh.form(masters, replicas, guards, **settings)
    return mesh


def fail_m0(mesh: Mesh) -> None:
    mesh.kill(mesh.peers["m0"])
    mesh.until(lambda: all(p.entry(mesh.peers["m0"]).fail for p in mesh.peers.values() if p.alive))


def two_winners_in_one_epoch(guards: Safeguards) -> bool:
    """Both replicas of a dead master stand at the same moment, in the same epoch."""
    mesh = formed(guards, 3, 2)
    fail_m0(mesh)
    pair = [mesh.peers["r0"], mesh.peers["r3"]]
    mesh.cut([pair[0]], [pair[1]])
    for peer in pair:
        peer.machine._ctx.candidacy.start_at = mesh.now
        peer.machine._ctx.candidacy.rank = 9
    mesh.run(300)
    winners = [peer for peer in pair if peer.me.is_master]
    return len(winners) == 2 and winners[0].me.config_epoch == winners[1].me.config_epoch


def a_vote_is_forgotten(guards: Safeguards) -> bool:
    """The power goes at a voter just when its vote has left, and comes back."""
    mesh = formed(guards, 3, 1)
    voter = mesh.peers["m1"]
    voter.crash_after = lambda effect: isinstance(effect, Send) and isinstance(effect.message.body, FailoverAuthAck)
    mesh.kill(mesh.peers["m0"])
    mesh.until(lambda: not voter.alive)
    mesh.restart(voter)
    return voter.machine.state.last_vote_epoch < mesh.peers["r0"].machine._ctx.candidacy.epoch


def one_vote_makes_a_master(guards: Safeguards) -> bool:
    """A replica is with one of three masters on the small side of a cut."""
    mesh = formed(guards, 5, 1, replica_validity_factor=0)
    small = [mesh.peers[name] for name in ("m1", "r0", "r1")]
    large = [peer for peer in mesh.peers.values() if peer not in small]
    mesh.cut(small, large)
    # The small side cannot even agree that m0 failed: it was told so just before the cut.
    for peer in small:
        peer.entry(mesh.peers["m0"]).fail = True
    mesh.run(20_000)
    return mesh.peers["r0"].me.is_master


def one_voice_makes_a_failure(guards: Safeguards) -> bool:
    """One master of five cannot reach another one, which is well."""
    mesh = formed(guards, 5, 0)
    mesh.cut([mesh.peers["m0"]], [mesh.peers["m4"]])
    mesh.run(3 * TIMEOUT_MS)
    return mesh.peers["m1"].entry(mesh.peers["m4"]).fail


def a_living_master_is_deposed(guards: Safeguards) -> bool:
    """A replica that believes its master dead asks those who know better."""
    mesh = formed(guards)
    r0, m0 = mesh.peers["r0"], mesh.peers["m0"]
    r0.entry(m0).fail = True
    r0.entry(m0).fail_at = mesh.now
    mesh.cut([r0], [m0])
    mesh.run(3000)
    return r0.me.is_master


def the_loser_takes_its_slots_back(guards: Safeguards) -> bool:
    """A master is cut off while it is replaced, comes back, and says what it believes."""
    mesh = formed(guards, replica_no_failover=True)
    m0, m1, r0 = mesh.peers["m0"], mesh.peers["m1"], mesh.peers["r0"]
    mesh.cut([m0], [peer for peer in mesh.peers.values() if peer is not m0])
    mesh.run(100)
    r0.order(Failover(FailoverMode.TAKEOVER))
    mesh.run(3000)
    # The first that gets through, before anybody has told it.
    claim = Message(header(m0.machine._ctx), Heartbeat(MessageType.PING))
    m1.take(Received(-4711, claim, m0.ip, m1.ip))
    return m1.owner_of(0) is m0


def an_old_copy_is_elected(guards: Safeguards) -> bool:
    """r3 slept while r0 replaced m0; then r0 fails, and r3 asks for votes with what it knew."""
    mesh = formed(guards, 3, 2, replica_validity_factor=0)
    r0, r3, m0, m1 = (mesh.peers[name] for name in ("r0", "r3", "m0", "m1"))
    mesh.cut([r3], [peer for peer in mesh.peers.values() if peer is not r3])
    mesh.kill(m0)
    mesh.until(lambda: r0.me.is_master)
    mesh.until(lambda: m1.owner_of(0) is r0)
    # r3 has learned of m0's failure and of the epoch, but not of the successor.
    r3.entry(m0).fail = True
    r3.machine.state.current_epoch = m1.machine.state.current_epoch
    mesh.run(5 * TIMEOUT_MS)
    m1.machine.state.become_replica(m1.entry(r3), m1.entry(m0))
    return _vote_granted(m1, r3)


def _vote_granted(voter: Peer, candidate: Peer) -> bool:
    """Whether the voter votes for a candidate that shows what it knows of its master."""
    claim = candidate.me.claim
    header = Header(
        sender=candidate.node_id,
        flags=candidate.me.flags,
        ip=candidate.ip,
        port=7000,
        cport=17000,
        current_epoch=voter.machine.state.current_epoch + 1,
        config_epoch=claim.config_epoch,
        slots=to_bitmap(claim.slots),
        master=claim.id,
        offset=0,
        cluster_ok=False,
    )
    voter.effects.clear()
    voter.entry(candidate).link, voter.entry(candidate).link_ready = 999, True
    voter.take(Received(-999, Message(header, FailoverAuthRequest()), candidate.ip, voter.ip))
    return any(isinstance(e, Send) and isinstance(e.message.body, FailoverAuthAck) for _, e in voter.effects)


def the_loser_stays_a_master(guards: Safeguards) -> bool:
    mesh = formed(guards, replica_no_failover=True)
    m0, r0 = mesh.peers["m0"], mesh.peers["r0"]
    r0.order(Failover(FailoverMode.TAKEOVER))
    mesh.run(5000)
    return m0.me.is_master


def the_small_side_goes_on_serving(guards: Safeguards) -> bool:
    """Two masters take writes for one slot at the same time: those of one will be thrown away."""
    mesh = Mesh()
    mesh.form(3, 1, guards, require_full_coverage=False)
    m0 = mesh.peers["m0"]
    mesh.cut([m0], [peer for peer in mesh.peers.values() if peer is not m0])
    for _ in range(600):
        mesh.run(10)
        if len(mesh.masters_claiming(0)) > 1:
            return True
    return False


def a_replaced_master_serves_again(guards: Safeguards) -> bool:
    """A master was replaced while it was down; it comes back, and for a moment knows nothing of it.

    Now and then somebody tells it before its first tick: of a few such stories one ends badly.
    """
    return any(_serves_again(guards, seed) for seed in range(1, 5))


def _serves_again(guards: Safeguards, seed: int) -> bool:
    mesh = formed(guards, seed=seed)
    m0, r0 = mesh.peers["m0"], mesh.peers["r0"]
    mesh.kill(m0)
    mesh.until(lambda: r0.me.is_master and r0.ok)
    m0.effects.clear()
    mesh.restart(m0)
    for _ in range(100):
        mesh.run(1)
        if len(mesh.masters_claiming(0)) > 1:
            return True
    return False


def two_masters_keep_one_epoch(guards: Safeguards) -> bool:
    mesh = formed(guards, 3, 0)
    m0, m1 = mesh.peers["m0"], mesh.peers["m1"]
    for peer in (m0, m1):
        peer.me.config_epoch = 9
        peer.machine.state.current_epoch = 9
    mesh.run(5000)
    return m0.me.config_epoch == m1.me.config_epoch


def a_replica_without_recent_data_wins(guards: Safeguards) -> bool:
    mesh = formed(guards, replica_validity_factor=1, repl_ping_period_ms=1000)
    r0 = mesh.peers["r0"]
    r0.following = None
    mesh.run(10_000)
    mesh.kill(mesh.peers["m0"])
    mesh.run(10_000)
    return r0.me.is_master


def the_copy_that_lags_wins(guards: Safeguards) -> bool:
    """Of two replicas one has all of the dead master's data, the other one half."""
    mesh = formed(guards, 3, 2)
    r0, r3 = mesh.peers["r0"], mesh.peers["r3"]
    mesh.peers["m0"].offset = r0.offset = 1000
    r3.offset = 500
    mesh.run(3000)
    fail_m0(mesh)
    mesh.until(lambda: r0.me.is_master or r3.me.is_master)
    return r3.me.is_master


STORIES = {
    "vote_once_per_epoch": two_winners_in_one_epoch,
    "save_before_vote": a_vote_is_forgotten,
    "majority_for_election": one_vote_makes_a_master,
    "majority_for_fail": one_voice_makes_a_failure,
    "vote_only_when_master_failed": a_living_master_is_deposed,
    "reject_stale_slot_claims": the_loser_takes_its_slots_back,
    "reject_stale_candidates": an_old_copy_is_elected,
    "step_down_when_replaced": the_loser_stays_a_master,
    "minority_stops_serving": the_small_side_goes_on_serving,
    "wait_before_serving": a_replaced_master_serves_again,
    "resolve_epoch_collisions": two_masters_keep_one_epoch,
    "replica_data_age": a_replica_without_recent_data_wins,
    "most_data_first": the_copy_that_lags_wins,
}


RULES = [field.name for field in fields(Safeguards)]


def test_every_rule_has_its_story_and_is_on() -> None:
    assert list(STORIES) == RULES
    assert all(getattr(Safeguards(), rule) for rule in RULES)


@pytest.mark.parametrize("rule", RULES)
def test_with_the_rule_all_is_well(rule: str) -> None:
    assert not STORIES[rule](Safeguards())


@pytest.mark.parametrize("rule", RULES)
def test_without_the_rule_it_goes_wrong(rule: str) -> None:
    assert STORIES[rule](without(rule))
