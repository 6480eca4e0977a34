"""A replica is elected in its failed master's place; voters and candidates keep to the rules."""

from collections.abc import Callable

import pytest

from cluster import nodes_conf
from cluster.events import FollowMaster, LinkDown, Received, Save, Send, StateChanged
from cluster.messages import FailoverAuthAck, FailoverAuthRequest, Header, Message, MessageFlag, NodeFlag
from cluster.slots import SLOTS, to_bitmap
from tests.cluster.mesh import TIMEOUT_MS, Mesh, Peer


def test_the_replica_of_a_dead_master_takes_over() -> None:
    mesh = Mesh()
    mesh.form()
    m0, r0, m1 = mesh.peers["m0"], mesh.peers["r0"], mesh.peers["m1"]
    before = m0.me.slots
    mesh.kill(m0)
    mesh.until(lambda: r0.me.is_master, limit_ms=TIMEOUT_MS + 3000)
    assert r0.me.slots == before
    assert r0.me.config_epoch == r0.machine.state.current_epoch > m1.me.config_epoch
    assert r0.following is None
    mesh.until(lambda: all(peer.ok and peer.owner_of(0) is r0 for peer in mesh.peers.values() if peer.alive))
    mesh.check()


def test_the_old_master_comes_back_as_a_replica_of_the_new_one() -> None:
    mesh = Mesh()
    mesh.form()
    m0, r0 = mesh.peers["m0"], mesh.peers["r0"]
    mesh.kill(m0)
    mesh.until(lambda: r0.me.is_master)
    m0.effects.clear()
    mesh.restart(m0)
    mesh.until(lambda: m0.me.is_replica)
    assert m0.following == r0.node_id
    # It served nothing in between.
    kinds = [type(effect) for _, effect in m0.effects]
    assert StateChanged not in kinds[: kinds.index(FollowMaster)]
    mesh.until(mesh.settled)
    mesh.check()


def test_the_replica_with_the_newest_data_goes_first() -> None:
    mesh = Mesh()
    mesh.form(masters=3, replicas=2)
    m0, r0, r3 = mesh.peers["m0"], mesh.peers["r0"], mesh.peers["r3"]
    r0.offset, r3.offset, m0.offset = 100, 200, 200
    mesh.run(2500)
    mesh.kill(m0)
    mesh.until(lambda: r0.me.is_master or r3.me.is_master)
    assert r3.me.is_master
    assert r0.logged("rank #1")
    mesh.until(mesh.settled)
    assert r0.me.master is not None
    assert r0.me.master.id == r3.node_id


def test_no_failover_without_a_majority_of_masters() -> None:
    mesh = Mesh()
    mesh.form()
    for name in ("m0", "m1"):
        mesh.kill(mesh.peers[name])
    mesh.run(60_000)
    assert not mesh.peers["r0"].me.is_master
    assert not mesh.peers["r1"].me.is_master
    assert not mesh.peers["m2"].ok


def test_a_replica_told_not_to_stand_does_not() -> None:
    mesh = Mesh()
    mesh.form(replica_no_failover=True)
    mesh.kill(mesh.peers["m0"])
    mesh.run(30_000)
    assert not mesh.peers["r0"].me.is_master
    assert mesh.peers["m1"].entry(mesh.peers["r0"]).nofailover


def test_a_replica_with_old_data_does_not_stand() -> None:
    mesh = Mesh()
    mesh.form(replica_validity_factor=1, repl_ping_period_ms=1000)
    r0, m0 = mesh.peers["r0"], mesh.peers["m0"]
    # It has long lost its stream.
    r0.following = None
    mesh.run(10_000)
    mesh.kill(m0)
    mesh.run(20_000)
    assert not r0.me.is_master
    assert r0.logged("Disconnected from master for longer than allowed")


def test_a_replica_that_never_had_data_does_not_stand() -> None:
    mesh = Mesh()
    mesh.form()
    r0 = mesh.peers["r0"]
    r0.master_silence_ms = lambda: None  # type: ignore[method-assign]
    mesh.kill(mesh.peers["m0"])
    mesh.run(20_000)
    assert not r0.me.is_master


def test_an_attempt_that_got_no_votes_is_repeated() -> None:
    mesh = Mesh()
    mesh.form()
    m0, m1, m2, r0 = (mesh.peers[name] for name in ("m0", "m1", "m2", "r0"))
    mesh.kill(m0)
    mesh.until(lambda: r0.entry(m0).fail)
    mesh.cut([r0], [m1, m2])
    mesh.until(lambda: r0.logged("Failover attempt expired"))
    assert r0.me.is_replica
    mesh.heal()
    mesh.until(lambda: r0.me.is_master)
    mesh.until(mesh.settled)


def test_a_master_whose_link_is_just_being_dialled_is_asked_when_it_is_up() -> None:
    """Found by `sim swarm`, seed 31305: its vote was the one that was missing, and later the data were too old."""
    mesh = Mesh()
    mesh.form()
    r0 = mesh.peers["r0"]
    candidacy = r0.machine._ctx.candidacy
    mesh.kill(mesh.peers["m0"])
    mesh.until(lambda: candidacy.start_at is not None)
    assert candidacy.start_at is not None
    mesh.run(candidacy.start_at - mesh.now - 1)
    for voter in ("m1", "m2"):
        link = r0.entry(mesh.peers[voter]).link
        assert link is not None
        r0.take(LinkDown(link))
    mesh.until(lambda: candidacy.requested, limit_ms=10)
    assert mesh.until(lambda: r0.me.is_master, limit_ms=500) > 10
    mesh.check()


def test_votes_of_an_earlier_attempt_do_not_count() -> None:
    mesh = Mesh()
    mesh.form()
    m0, m1, m2, r0 = (mesh.peers[name] for name in ("m0", "m1", "m2", "r0"))
    mesh.kill(m0)
    mesh.until(lambda: r0.entry(m0).fail)
    mesh.cut([r0], [m1, m2])
    mesh.until(lambda: r0.logged("Starting a failover election"))
    candidacy = r0.machine._ctx.candidacy
    epoch = candidacy.epoch
    r0.take(ack(r0, m1, epoch - 1))
    assert not candidacy.voters
    r0.take(ack(r0, m1, epoch))
    # Heard twice, or from one without slots: no second voice.
    r0.take(ack(r0, m1, epoch))
    r0.take(ack(r0, mesh.peers["r1"], epoch))
    assert list(candidacy.voters) == [m1.node_id]
    assert r0.me.is_replica
    r0.take(ack(r0, m2, epoch))
    assert r0.me.is_master


def ack(candidate: Peer, voter: Peer, epoch: int) -> Received:
    header = voter_header(voter, epoch)
    return Received(-999, Message(header, FailoverAuthAck()), voter.ip, candidate.ip)


def voter_header(voter: Peer, epoch: int) -> Header:
    return Header(
        sender=voter.node_id,
        flags=voter.me.flags,
        ip=voter.ip,
        port=7000,
        cport=17000,
        current_epoch=epoch,
        config_epoch=voter.me.config_epoch,
        slots=to_bitmap(voter.me.slots),
        master=None,
        offset=0,
        cluster_ok=True,
    )


class Poll:
    """A voter, m1 of a cluster whose m0 has failed, and its replica's request for a vote."""

    def __init__(self) -> None:
        self.mesh = Mesh()
        self.mesh.form(masters=3, replicas=2, replica_no_failover=True)
        self.voter, self.candidate = self.mesh.peers["m1"], self.mesh.peers["r0"]
        self.mesh.kill(self.mesh.peers["m0"])
        self.mesh.until(lambda: self.voter.entry(self.mesh.peers["m0"]).fail)
        self.state = self.voter.machine.state
        self.epoch = self.state.current_epoch + 1
        self.config_epoch = self.voter.entry(self.mesh.peers["m0"]).config_epoch
        self.mflags = MessageFlag(0)
        self.slots = self.voter.entry(self.mesh.peers["m0"]).slots

    def ask(self, candidate: Peer | None = None) -> bool:
        """Whether the voter grants its vote."""
        candidate = candidate or self.candidate
        header = Header(
            sender=candidate.node_id,
            flags=NodeFlag.SLAVE | NodeFlag.MYSELF,
            ip=candidate.ip,
            port=7000,
            cport=17000,
            current_epoch=self.epoch,
            config_epoch=self.config_epoch,
            slots=to_bitmap(self.slots),
            master=self.mesh.peers["m0"].node_id,
            offset=0,
            cluster_ok=False,
            mflags=self.mflags,
        )
        link = next(link for link, (other, _) in self.voter.links.items() if link < 0 and other is candidate)
        event = Received(link, Message(header, FailoverAuthRequest()), candidate.ip, self.voter.ip)
        effects = self.voter.machine.step(self.mesh.now, self.mesh.now, event)
        granted = [i for i, effect in enumerate(effects) if isinstance(effect, Send)]
        if granted:
            assert isinstance(effects[granted[0]].message.body, FailoverAuthAck)  # type: ignore[union-attr]
            # The vote is on disk before it leaves.
            assert effects.index(Save(fsync=True)) < granted[0]
        return bool(granted)


def test_a_voter_grants_one_vote_in_an_epoch() -> None:
    poll = Poll()
    assert poll.ask()
    assert not poll.ask()
    assert not poll.ask(poll.mesh.peers["r3"])
    assert poll.state.last_vote_epoch == poll.epoch


def test_a_voter_gives_a_winner_time_before_it_votes_for_its_sibling() -> None:
    poll = Poll()
    assert poll.ask()
    poll.epoch += 1
    assert not poll.ask(poll.mesh.peers["r3"])
    poll.mesh.run(2 * TIMEOUT_MS)
    assert poll.ask(poll.mesh.peers["r3"])


def test_an_operator_need_not_wait_for_a_second_failover() -> None:
    poll = Poll()
    assert poll.ask()
    poll.epoch += 1
    poll.mflags = MessageFlag.FORCEACK
    assert poll.ask(poll.mesh.peers["r3"])


def test_a_vote_survives_a_restart() -> None:
    poll = Poll()
    assert poll.ask()
    poll.voter.disk = nodes_conf.render(poll.state)
    poll.mesh.restart(poll.voter)
    assert poll.voter.machine.state.last_vote_epoch == poll.epoch


def _old_epoch(poll: Poll) -> None:
    poll.epoch = poll.state.current_epoch - 1


def _master_alive(poll: Poll) -> None:
    poll.voter.entry(poll.mesh.peers["m0"]).fail = False


def _stale_claim(poll: Poll) -> None:
    poll.config_epoch -= 1


def _no_slots(poll: Poll) -> None:
    poll.state.unassign(poll.voter.me.slots)


def _not_a_replica(poll: Poll) -> None:
    poll.state.become_master(poll.voter.entry(poll.candidate))


def _unknown_master(poll: Poll) -> None:
    poll.state.detach(poll.voter.entry(poll.candidate))


@pytest.mark.parametrize(
    "objection", [_old_epoch, _master_alive, _stale_claim, _no_slots, _not_a_replica, _unknown_master]
)
def test_a_voter_denies(objection: Callable[[Poll], None]) -> None:
    poll = Poll()
    objection(poll)
    assert not poll.ask()


def test_a_voter_votes_against_a_living_master_when_asked_in_so_many_words() -> None:
    poll = Poll()
    _master_alive(poll)
    poll.mflags = MessageFlag.FORCEACK
    assert poll.ask()


def test_a_slot_without_owner_is_no_objection() -> None:
    poll = Poll()
    poll.slots |= 1 << (SLOTS - 1)
    poll.state.unassign(1 << (SLOTS - 1))
    assert poll.ask()


def test_two_failovers_at_once_get_different_epochs() -> None:
    mesh = Mesh(seed=3)
    mesh.form(masters=5, replicas=1)
    mesh.kill(mesh.peers["m0"])
    mesh.kill(mesh.peers["m1"])
    mesh.until(mesh.settled, limit_ms=60_000)
    assert mesh.peers["r0"].me.config_epoch != mesh.peers["r1"].me.config_epoch
    mesh.check()


@pytest.mark.parametrize("seed", range(4))
def test_a_slot_never_has_two_masters_in_one_epoch(seed: int) -> None:
    """Masters die and come back at random; of each slot at most one master claims it with any one epoch."""
    mesh = Mesh(seed)
    mesh.form(masters=3, replicas=2, node_timeout_ms=1000)
    claims: dict[tuple[int, int], str] = {}
    mesh.datagram_loss = 0.1
    dead: list[Peer] = []
    for _ in range(8):
        if dead and mesh.chance.random() < 0.5:
            mesh.restart(dead.pop(0))
        else:
            victim = mesh.chance.choice([peer for peer in mesh.peers.values() if peer.alive])
            mesh.kill(victim)
            dead.append(victim)
            if len(dead) > 2:
                mesh.restart(dead.pop(0))
        for _ in range(40):
            mesh.run(100)
            for peer in mesh.peers.values():
                if peer.alive and peer.me.is_master:
                    for slot in (0, 6000, 12000):
                        if peer.me.slots >> slot & 1:
                            holder = claims.setdefault((slot, peer.me.config_epoch), peer.name)
                            assert holder == peer.name, (slot, peer.me.config_epoch, holder, peer.name)
    for peer in dead:
        mesh.restart(peer)
    mesh.until(mesh.settled, limit_ms=60_000)
    mesh.check()
