"""What must hold while a simulation runs, and after the faults are over. Each rule has a name, which a breach carries.

They look at the live nodes and sentinels from above, ten times a second and at every promotion, without touching them;
votes are read off the log, which says of every vote for whom and in which epoch.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import combinations

from cluster.slots import SLOTS
from node.digest import digest_of_all, digest_of_key
from node.node import Node
from sentinel.sentinel import Sentinel
from sim.choosers import Choosers
from sim.claims import Claims
from sim.cluster import SimCluster
from sim.copies import Copies
from sim.faults import Faults
from sim.heirs import Heirs
from sim.losses import Judge, Loss
from sim.serving import Serving
from sim.troubles import Troubles
from sim.workload import Workload

_LOOK_EVERY_S = 0.1

ONE_MASTER = "at most one master with a given slot at one config epoch"
OWN_EPOCH = "a config epoch is never used by two nodes for good"
ONE_VOTE = "a vote is given once an epoch"
MEMORY = "a vote is remembered"
HEALS = "once the faults stop the cluster heals"
KEEPS = "no acknowledged write is lost outside the window of asynchronous replication"
CONVERGES = "replicas converge to their master's data"
RUNS = "no process fails"

_NODE_VOTE = re.compile(r"# Failover auth granted to (\w+)(?: \(.+\))? for epoch (\d+)")
# What a sentinel could not write down it does not say either, though its log has it.
_SAVED, _UNSAVED = "* Sentinel new configuration saved", "# WARNING: Sentinel was not able to save"
_EMPTIES = "* MASTER <-> REPLICA sync: Flushing old data"
_PROMOTIONS = ("# Taking over the master", "# Failover election won", "# Manual failover")


@dataclass(frozen=True, slots=True)
class Breach:
    """A rule was broken."""

    at_s: float
    rule: str
    what: str

    def __str__(self) -> str:
        return f"{self.at_s:.3f} {self.rule}: {self.what}"


class Watch:
    """Looks at a running cluster."""

    def __init__(self, cluster: SimCluster, faults: Faults) -> None:
        self._cluster = cluster
        self._loop = cluster.world.loop
        self.breaches: list[Breach] = []
        self.claims = Claims()
        self._serving = Serving(cluster, self.claims, self._breach)
        self._copies = Copies(cluster)
        troubles = Troubles()
        self._judge = Judge(cluster.shape, self.claims, self._copies.lives, troubles)
        self._heirs = Heirs(cluster, Choosers(cluster.shape, self.claims, troubles), self._breach)
        self._workload: Workload | None = None
        # Whom each voter chose, by voter, what the vote was about (a master's name for sentinels) and epoch; and the
        # last epoch in which each voted about each.
        self._votes: dict[tuple[str, str, int], str] = {}
        self._last_votes: dict[tuple[str, str], int] = {}
        # The sentinels whose last attempt to write down what they know has failed.
        self._unsaved: set[str] = set()
        # When which seat was promoted.
        self.promotions: list[tuple[float, str]] = []
        faults.on_struck = lambda strike: troubles.began(strike, self._loop.now)
        faults.on_mended = lambda strike: troubles.ended(strike, self._loop.now)
        cluster.world.trace.listen(self._heard)
        for seat in cluster.seats.values():
            seat.on_show = self._reborn

    def start(self, workload: Workload | None = None) -> None:
        """Look on from now, also at what clients are told, if there is a workload."""
        self._workload = workload
        if workload is not None:
            workload.on_begin = self._copies.begun
            workload.on_failure = self._copies.failed
            workload.on_answer = self._serving.answered
        self._look_again()

    def _look_again(self) -> None:
        self.look()
        self._loop.at(self._loop.now + _LOOK_EVERY_S, self._look_again)

    def _breach(self, rule: str, what: str) -> None:
        breach = Breach(self._loop.now, rule, what)
        self.breaches.append(breach)
        self._cluster.world.trace.tell("invariants", f"BROKEN {rule}: {what}")

    def _heard(self, now: float, who: str, what: str) -> None:
        if what.startswith(("end ", "power cut")):
            self._copies.ended(who)
        elif what.startswith(_EMPTIES):
            self._copies.emptied(who)
        vote = _NODE_VOTE.match(what)
        if vote is not None:
            self._voted(who, "", vote[1], int(vote[2]))
        elif what.startswith(_SAVED):
            self._unsaved.discard(who)
        elif what.startswith(_UNSAVED):
            self._unsaved.add(who)
        elif what.startswith("# +vote-for-leader") and who not in self._unsaved:
            self._look_at_votes(who)
        elif what.startswith(_PROMOTIONS):
            self.promotions.append((now, who))
            # Once its turn is over.
            self._loop.at(now, self._promoted, who)

    def _promoted(self, who: str) -> None:
        self.look()
        self._heirs.judge(who)

    def _look_at_votes(self, who: str) -> None:
        """A sentinel's log names whom it votes for, and not which master the vote is about."""
        sentinel = self._cluster.sentinels().get(who)
        if sentinel is not None:
            for master in sentinel.machine.knowledge.masters.values():
                if master.leader is not None:
                    self._voted(who, master.name, master.leader, master.leader_epoch)

    def _voted(self, voter: str, about: str, candidate: str, epoch: int) -> None:
        earlier = self._votes.setdefault((voter, about, epoch), candidate)
        if earlier != candidate:
            self._breach(ONE_VOTE, f"{voter} voted for {earlier} and for {candidate} in epoch {epoch}")
        self._last_votes[voter, about] = max(epoch, self._last_votes.get((voter, about), 0))

    def _reborn(self, name: str, inside: Node | Sentinel) -> None:
        """A process starts from its files: they must know of every vote it gave."""
        self._copies.born(name)
        if isinstance(inside, Sentinel):
            remembered = {master.name: master.leader_epoch for master in inside.machine.knowledge.masters.values()}
        else:
            remembered = {"": 0 if inside.cluster is None else inside.cluster.state.last_vote_epoch}
        for about, epoch in remembered.items():
            voted = self._last_votes.get((name, about), 0)
            if epoch < voted:
                self._breach(MEMORY, f"{name} voted in epoch {voted} and remembers {epoch}")

    def look(self) -> None:
        """Check what must hold at every moment."""
        for name, node in self._cluster.nodes().items():
            assert node.cluster is not None
            myself = node.cluster.state.myself
            if not myself.is_master or not myself.slots:
                continue
            claim = self.claims.note(self._loop.now, name, myself.id, myself.config_epoch, myself.slots)
            for other in self.claims.clashing(claim) if claim is not None else ():
                common = (other.slots & myself.slots).bit_count()
                self._breach(ONE_MASTER, f"{name} and {other.name} have {common} slots at epoch {myself.config_epoch}")
        self._serving.look()
        self._copies.look()

    # ---- at the end

    def check_epochs(self) -> None:
        """Once healed, no two masters with slots have the same epoch."""
        masters = {
            name: node.cluster.state.myself.config_epoch
            for name, node in self._cluster.nodes().items()
            if node.cluster is not None and node.cluster.state.myself.is_master and node.cluster.state.myself.slots
        }
        for one, other in combinations(masters, 2):
            if masters[one] == masters[other]:
                self._breach(OWN_EPOCH, f"{one} and {other} both have {masters[one]}")

    def not_healed(self, faults: list[str], within_s: float) -> None:
        self._breach(HEALS, f"after {within_s:g} s: {'; '.join(faults)}")

    def failed(self, what: str) -> None:
        self._breach(RUNS, what)

    def check_convergence(self) -> None:
        """Every replica has what its master has."""
        for name, master_name, difference in differences(self._cluster):
            self._breach(CONVERGES, f"{name} differs from {master_name}: {difference}")

    def check_marks(self) -> list[Loss]:
        """Every acknowledged mark is at its slot's master, or its loss is excused. Returns all losses."""
        marks = [] if self._workload is None else self._workload.marks.values()
        missing = self._copies.missing(mark for mark in marks if mark.acknowledged_at is not None)
        losses = [self._judge.judge(mark, self._copies.shard_of(mark)) for mark in missing]
        unexplained = [loss for loss in losses if not loss.explained]
        if unexplained:
            loss = unexplained[0]
            mark = loss.mark
            ended = "" if loss.window_s is None else f", {loss.window_s:.3f} s before that one's end"
            holders = ", ".join(
                f"{name} {held.since:.3f}-{held.until:.3f}" for name in mark.holdings for held in mark.holdings[name]
            )
            self._breach(
                KEEPS,
                f"{len(unexplained)} writes; {mark.key.decode()} (slot {mark.slot}) was acknowledged at "
                f"{mark.acknowledged_at:.3f} by {mark.acknowledged_by}{ended}; seen with {holders or 'nobody'}; gone: "
                f"{loss.why_not}",
            )
        return losses


def differences(cluster: SimCluster) -> list[tuple[str, str, str]]:
    """(replica, master, what differs), of every replica whose data are not its master's."""
    nodes = cluster.nodes()
    found = []
    for name, node in nodes.items():
        assert node.cluster is not None
        myself = node.cluster.state.myself
        master = None if myself.master is None else nodes.get(cluster.name_at(myself.master.ip))
        if master is not None and myself.master is not None:
            difference = _difference(node, master)
            if difference:
                found.append((name, cluster.name_at(myself.master.ip), difference))
    return found


def _difference(replica: Node, master: Node) -> str:
    """What differs first between two data sets, by DEBUG DIGEST; empty when nothing does."""
    if digest_of_all(replica.keyspace) == digest_of_all(master.keyspace):
        return ""
    for theirs in master.keyspace.databases():
        ours = replica.keyspace.database(theirs.index)
        for slot in range(SLOTS):
            for key in {**theirs.shards[slot], **ours.shards[slot]}:
                if digest_of_key(ours, key) != digest_of_key(theirs, key):
                    return f"key {key!r} of slot {slot} in database {theirs.index}"
    return "only the digests of the whole data sets"
