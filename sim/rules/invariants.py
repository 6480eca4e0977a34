"""What must hold at every moment of a run, whatever strikes: checked from outside, by what nodes say and do.

Each has a name, which is the rule's. Most are about one message (a vote, a FAIL) at the moment in which it leaves; they
are judged by the checker's own books of what was delivered, or by the speaker's tables and disk. A few are about the
world: how long two masters may serve one slot, and that the cluster heals when the faults are over.
"""

from __future__ import annotations

import re
from collections import Counter

from cluster.events import (
    BecomeMaster,
    Effect,
    Event,
    Failover,
    FailoverMode,
    LinkId,
    Operator,
    Received,
    ReceivedDatagram,
    StateChanged,
)
from cluster.messages import (
    Fail,
    FailoverAuthAck,
    FailoverAuthRequest,
    Header,
    Heartbeat,
    Message,
    MessageFlag,
    NodeFlag,
)
from cluster.slots import ALL_SLOTS, from_bitmap
from sim.rules.host import Host, Watcher
from sim.rules.world import World

_FAILING = NodeFlag.PFAIL.value | NodeFlag.FAIL.value
_VARS = re.compile(rb"vars currentEpoch (\d+) lastVoteEpoch (\d+)")
# How often the world is looked at as a whole.
_LOOK_MS = 25.0
# A master knows of its promotion, and everybody it can reach soon after.
_NEWS_MS = 1000.0


class InvariantBroken(Exception):  # noqa: N818 - a finding, not a fault of the program
    """A run has shown what must never be seen."""

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(f"{rule}: {detail}")
        self.rule = rule
        self.detail = detail


class Invariants(Watcher):
    """Looks on at one world; raises InvariantBroken out of the run."""

    def __init__(self, world: World) -> None:
        self._world = world
        # One slot of every shard, for all of them: nobody moves slots here.
        self._slots = [world.shape.first_slot(index) for index in range(world.shape.masters)]
        # What was judged, by rule: a run that judged nothing has shown nothing.
        self.judged: Counter[str] = Counter()
        # (voter, epoch) -> the candidate it voted for.
        self._votes: dict[tuple[str, int], str] = {}
        # (candidate, voter) -> the greatest epoch of a vote that reached the candidate.
        self._votes_heard: dict[tuple[str, str], int] = {}
        # (listener, subject) -> masters that told it the subject was failing, with the time.
        self._reports: dict[tuple[str, str], dict[str, float]] = {}
        # Config epoch -> who won it in an election.
        self._winners: dict[int, str] = {}
        # An operator made a replica a master past all rules.
        self._taken_over = False
        # Since when two hosts serve a slot both; since when a host is master.
        self._rivals_since: dict[tuple[int, int], float] = {}
        self._master_since: dict[int, float] = {}
        # When the network was last seen cut or slow.
        self._unwell_at = float("-inf")
        # (host, slot) -> the greatest epoch of an owner, in this life of the process.
        self._owner_epochs: dict[tuple[int, int], int] = {}
        # The event under way.
        self._event: Event | None = None
        world.watch(self)
        world.agenda.at(world.now + _LOOK_MS, self._look)

    def _broken(self, rule: str, detail: str) -> InvariantBroken:
        self._world.trace.tell("checker", f"BROKEN {rule}: {detail}")
        return InvariantBroken(rule, detail)

    # --- as a watcher

    def takes(self, host: Host, event: Event) -> None:
        self._event = event
        if not isinstance(event, Received | ReceivedDatagram):
            return
        header, body = event.message.header, event.message.body
        if isinstance(body, FailoverAuthAck):
            known = self._votes_heard.get((host.node_id, header.sender), 0)
            self._votes_heard[host.node_id, header.sender] = max(known, header.current_epoch)
        elif isinstance(body, Heartbeat):
            for entry in body.gossip:
                if entry.flags & _FAILING:
                    self._reports.setdefault((host.node_id, entry.node), {})[header.sender] = self._world.now

    def says(self, host: Host, message: Message, links: tuple[LinkId, ...]) -> None:
        body = message.body
        if isinstance(body, FailoverAuthAck):
            self._vote(host, message.header, links[0])
        elif isinstance(body, FailoverAuthRequest):
            self._candidacy(host, message.header)
        elif isinstance(body, Fail):
            self._declared(host, body.node)

    def does(self, host: Host, effect: Effect) -> None:
        if isinstance(effect, BecomeMaster):
            self._promoted(host)
        elif isinstance(effect, StateChanged) and effect.ok:
            self._serves_again(host)

    def took(self, host: Host, event: Event) -> None:  # noqa: ARG002
        if host.alive:
            self._slots_only_forward(host)

    def restarted(self, host: Host) -> None:
        """A new life of the process: what it knew, it may have to learn again."""
        for key in [key for key in self._owner_epochs if key[0] == host.index]:
            del self._owner_epochs[key]

    # --- votes

    def _vote(self, voter: Host, header: Header, link: LinkId) -> None:
        epoch = header.current_epoch
        candidate = voter.machine.node_of_link(link)
        assert candidate is not None, "a vote to nobody"
        self.judged["vote"] += 1
        earlier = self._votes.setdefault((voter.node_id, epoch), candidate)
        if earlier != candidate:
            raise self._broken("one vote an epoch", f"{voter.name} votes twice in epoch {epoch}")
        if self._on_disk(voter)[1] < epoch:
            raise self._broken("a vote is on disk before it leaves", f"{voter.name} in epoch {epoch}")
        assert isinstance(self._event, Received)
        request = self._event.message.header
        master = voter.machine.state.nodes[candidate].master
        assert master is not None
        # A master that stands back for its replicas knows best that it has failed (`cluster.comeback`).
        gives_way = master.id == voter.node_id and voter.machine.view.stands_back
        if not master.fail and not gives_way and not request.mflags & MessageFlag.FORCEACK:
            raise self._broken("votes against failed masters only", f"{voter.name} in epoch {epoch}")
        state = voter.machine.state
        claimed = from_bitmap(request.slots) & ~state.unclaimed
        if any(node.slots & claimed and node.config_epoch > request.config_epoch for node in state.nodes.values()):
            raise self._broken("no vote for an old copy", f"{voter.name} in epoch {epoch}")

    def _candidacy(self, host: Host, header: Header) -> None:
        self.judged["candidacy"] += 1
        if self._on_disk(host)[0] < header.current_epoch:
            raise self._broken("an epoch is on disk before it is used", f"{host.name} in epoch {header.current_epoch}")
        if header.mflags & MessageFlag.FORCEACK or not host.settings.replica_validity_factor:
            return
        settings, master = host.settings, host.me.master
        if master is not None and master.lost_data:
            # It has told this one that it has even less.
            return
        silence_ms = host.master_silence_ms() or 0.0
        limit_ms = settings.repl_ping_period_ms + settings.node_timeout_ms * (settings.replica_validity_factor + 1)
        if silence_ms > limit_ms:
            raise self._broken("only a fresh copy stands", f"{host.name}: {silence_ms:.0f} ms old")

    def _promoted(self, host: Host) -> None:
        self.judged["promotion"] += 1
        self._master_since[host.index] = self._world.now
        if isinstance(self._event, Operator) and self._event.command == Failover(FailoverMode.TAKEOVER):
            self._taken_over = True
            return
        epoch, state = host.me.config_epoch, host.machine.state
        voters = sum(self._votes_heard.get((host.node_id, node.id), -1) >= epoch for node in state.nodes.values())
        if voters < state.majority():
            raise self._broken("a majority elects", f"{host.name} in epoch {epoch} with {voters} votes")
        # A take-over asks nobody: in a partition both the new master and the old one have a vote then, on either side,
        # and two majorities may elect in one epoch. They part when they meet, as any two with one epoch do.
        if self._winners.setdefault(epoch, host.node_id) != host.node_id and not self._taken_over:
            raise self._broken("one winner an epoch", f"{host.name} in epoch {epoch}")

    # --- failures

    def _declared(self, host: Host, subject: str) -> None:
        self.judged["fail"] += 1
        if subject == host.node_id and host.machine.view.stands_back:
            # Its own word is enough: see `_vote`.
            return
        state = host.machine.state
        limit_ms = 2 * host.settings.node_timeout_ms
        told = self._reports.get((host.node_id, subject), {})
        voices = sum(self._world.now - at <= limit_ms for at in told.values()) + state.myself.is_master
        if voices < state.majority():
            raise self._broken("FAIL needs a majority", f"{host.name} alone with {voices} voices")

    # --- slots

    def _slots_only_forward(self, host: Host) -> None:
        """No claim is believed that is older than the one that was believed before."""
        state = host.machine.state
        for slot in self._slots:
            owner = state.owner[slot]
            if owner is None or owner.config_epoch == 0:
                continue
            key = (host.index, slot)
            if owner.config_epoch < self._owner_epochs.get(key, 0):
                raise self._broken("slots go to newer claims", f"{host.name}: slot {slot} back to {owner.id[:8]}")
            self._owner_epochs[key] = owner.config_epoch

    def _serves_again(self, host: Host) -> None:
        """With a network that has been whole for long enough there is no excuse for not having listened."""
        world = self._world
        if not host.serving or not world.network.whole or world.now - self._unwell_at <= _NEWS_MS:
            return
        self.judged["return"] += 1
        for other in world.hosts:
            newer = other.me.config_epoch > host.me.config_epoch if other.running else False
            since = self._master_since.get(other.index)
            if newer and other.serving & host.serving and since is not None and world.now - since > _NEWS_MS:
                raise self._broken("a master listens before it serves", f"{host.name} while {other.name} serves")

    def _look(self) -> None:
        """Two masters of one slot, both serving: a partition allows it, for as long as the old one needs to notice."""
        world = self._world
        world.agenda.at(world.now + _LOOK_MS, self._look)
        if not world.network.whole:
            self._unwell_at = world.now
        serving = [(host, host.serving) for host in world.hosts if host.serving]
        # Where an operator has made a second electorate (`_promoted`), both sides of a partition may be majorities.
        excused = self._taken_over and not world.network.whole
        rivals: dict[tuple[int, int], float] = {}
        for place, (host, slots) in enumerate(serving):
            for other, others_slots in serving[place + 1 :]:
                if slots & others_slots:
                    key = (host.index, other.index)
                    rivals[key] = world.now if excused else self._rivals_since.get(key, world.now)
                    self.judged["split"] += 1
                    limit_ms = 2 * host.settings.node_timeout_ms + 2000
                    if world.now - rivals[key] > limit_ms:
                        raise self._broken(
                            "a minority stops serving", f"{host.name} and {other.name} for {limit_ms} ms"
                        )
        self._rivals_since = rivals

    # --- the end

    def wounds(self) -> str:
        """What is not yet as it should be after the faults; empty when the cluster has healed."""
        hosts = self._world.hosts
        for host in hosts:
            if not host.running:
                return f"{host.name} is down"
            if not host.machine.state.ok:
                return f"{host.name} says the cluster is down"
        reference = _layout(hosts[0])
        for host in hosts:
            if _layout(host) != reference:
                return f"{host.name} and {hosts[0].name} see different tables"
            if host.machine.state.bound != ALL_SLOTS:
                return f"{host.name} sees slots without owner"
            me = host.me
            if me.is_master and not me.slots:
                return f"{host.name} is a master without slots"
            if me.is_replica and (host.replication is None or not host.replication.connected(host)):
                return f"{host.name} does not replicate"
        epochs = [host.me.config_epoch for host in hosts if host.me.is_master]
        if len(set(epochs)) != len(epochs):
            return f"one config epoch, two masters: {epochs}"
        for host in hosts:
            host.machine.state._check()
        return ""

    @staticmethod
    def _on_disk(host: Host) -> tuple[int, int]:
        """The current epoch and the epoch of the last vote, as a power cut would leave them."""
        if host.conf is None:
            return (1 << 62, 1 << 62)
        match = _VARS.search(host.conf.durable)
        assert match is not None, host.conf.durable
        return (int(match[1]), int(match[2]))


def _layout(host: Host) -> list[tuple[str, bool, str | None, int, int]]:
    return sorted(
        (node.id, node.is_master, None if node.master is None else node.master.id, node.slots, node.claim.config_epoch)
        for node in host.machine.state.nodes.values()
    )
