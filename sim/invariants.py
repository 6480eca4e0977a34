"""What must hold while a simulation runs, and after the faults are over. Each rule has a name, which a breach carries.

They look at the live nodes and sentinels from above, ten times a second and at every promotion, without touching them;
votes are read off the log, which says of every vote for whom and in which epoch.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import combinations

from node.node import Node
from sentinel.sentinel import Sentinel
from sim.cluster import SimCluster
from sim.faults import Kind, Strike
from sim.workload import Mark, Workload

_LOOK_EVERY_S = 0.1

ONE_MASTER = "at most one master with a given slot at one config epoch"
OWN_EPOCH = "a config epoch is never used by two nodes for good"
ONE_VOTE = "a vote is given once an epoch"
MEMORY = "a vote is remembered"
HEALS = "once the faults stop the cluster heals"
KEEPS = "no acknowledged write is lost outside the window of asynchronous replication"
CONVERGES = "replicas converge to their master's data"
RUNS = "no process fails"

# A write acknowledged so long before a fault may not have been replicated when it struck, and so long after its end
# those whom it hampered may not have caught up, or not know yet that they were replaced.
_BEFORE_FAULT_S = 0.5
_AFTER_FAULT_S = 5.0
_HARMLESS = (Kind.SKEW, Kind.DRIFT, Kind.SLOW_DISK)
# A node that cannot save its vote ends itself, so a full or failing disk is one of them.
_CRASHES = (Kind.KILL, Kind.POWER_CUT, Kind.FULL_DISK, Kind.FAILING_DISK)

_NODE_VOTE = re.compile(r"# Failover auth granted to (\w+) for epoch (\d+)")
_PROMOTIONS = ("# Taking over the master", "# Failover election won", "# Manual failover")


@dataclass(frozen=True, slots=True)
class Breach:
    """A rule was broken."""

    at_s: float
    rule: str
    what: str

    def __str__(self) -> str:
        return f"{self.at_s:.3f} {self.rule}: {self.what}"


@dataclass(frozen=True, slots=True)
class Loss:
    """An acknowledged write that is gone."""

    mark: Mark
    # How long before its slot's next promotion it was acknowledged; None when there was none.
    window_s: float | None
    # A fault explains it.
    explained: bool


class Watch:
    """Looks at a running cluster."""

    def __init__(self, cluster: SimCluster) -> None:
        self._cluster = cluster
        self._loop = cluster.world.loop
        self.breaches: list[Breach] = []
        # Who claimed which slots at which epoch, ever: epoch to node id to slots.
        self._claims: dict[int, dict[str, int]] = {}
        # Whom each voter chose, by voter, what the vote was about (a master's name for sentinels) and epoch; and the
        # last epoch in which each voted about each.
        self._votes: dict[tuple[str, str, int], str] = {}
        self._last_votes: dict[tuple[str, str], int] = {}
        # When which seat was promoted.
        self.promotions: list[tuple[float, str]] = []
        cluster.world.trace.listen(self._heard)
        for seat in cluster.seats.values():
            seat.on_show = self._reborn

    def start(self) -> None:
        self._loop.at(self._loop.now + _LOOK_EVERY_S, self._look_again)

    def _look_again(self) -> None:
        self.look()
        self._loop.at(self._loop.now + _LOOK_EVERY_S, self._look_again)

    def _breach(self, rule: str, what: str) -> None:
        breach = Breach(self._loop.now, rule, what)
        self.breaches.append(breach)
        self._cluster.world.trace.tell("invariants", f"BROKEN {rule}: {what}")

    def _heard(self, now: float, who: str, what: str) -> None:
        vote = _NODE_VOTE.match(what)
        if vote is not None:
            self._voted(who, "", vote[1], int(vote[2]))
        elif what.startswith("# +vote-for-leader"):
            self._look_at_votes(who)
        elif what.startswith(_PROMOTIONS):
            self.promotions.append((now, who))
            # Once its turn is over.
            self._loop.at(now, self.look)

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
            claims = self._claims.setdefault(myself.config_epoch, {})
            if claims.get(myself.id, 0) == myself.slots:
                continue
            for other, slots in claims.items():
                if other != myself.id and slots & myself.slots:
                    common = (slots & myself.slots).bit_count()
                    self._breach(
                        ONE_MASTER,
                        f"{name} ({myself.id}) and {other} have {common} slots at epoch {myself.config_epoch}",
                    )
            claims[myself.id] = claims.get(myself.id, 0) | myself.slots

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

    def check_marks(self, workload: Workload, strikes: list[Strike], began_at: float) -> list[Loss]:
        """Every acknowledged mark is at its slot's master, or its loss is explained by a fault."""
        nodes = self._cluster.nodes()
        owners = _owners(nodes)
        losses = []
        for mark in workload.marks.values():
            owner = owners.get(mark.slot)
            if mark.acknowledged_at is None or owner is None:
                continue
            if nodes[owner].keyspace.database(0).shards[mark.slot].get(mark.key) == mark.value:
                continue
            at = mark.acknowledged_at
            promoted = next((when for when, who in self.promotions if when >= at), None)
            explained = self._explained(mark, at - began_at, strikes)
            losses.append(Loss(mark, None if promoted is None else promoted - at, explained))
        unexplained = [loss.mark for loss in losses if not loss.explained]
        if unexplained:
            first = unexplained[0]
            self._breach(
                KEEPS,
                f"{len(unexplained)} writes; {first.key.decode()} was acknowledged at {first.acknowledged_at:.3f} by "
                f"{first.acknowledged_by} and is not at {owners[first.slot]}",
            )
        return losses

    def _explained(self, mark: Mark, at_s: float, strikes: list[Strike]) -> bool:
        """Whether asynchronous replication may lose a write that was acknowledged then: its master ended before it had
        passed it on, or could not, or nobody could take it."""
        shape = self._cluster.shape
        master = self._cluster.name_at(mark.acknowledged_by.partition(":")[0])
        shard = shape.shard_of(master)
        replicas = [name for name in shape.node_names() if name != master and shape.shard_of(name) == shard]
        # A node that is back before anybody replaced it has what its last snapshot had, and no more; its replicas then
        # take a copy of that (Redis' documentation, "Safety of replication when master has persistence turned off").
        forgotten = not shape.logs and any(
            strike.kind in _CRASHES
            and shape.shard_of(strike.targets[0]) == shard
            and at_s <= strike.at_s + strike.lasting_s
            for strike in strikes
        )
        if forgotten:
            return True
        return _hampered(master, at_s, strikes) or all(_hampered(replica, at_s, strikes) for replica in replicas)


def _hampered(name: str, at_s: float, strikes: list[Strike]) -> bool:
    """Whether a fault had to do with that host around that time."""
    return any(
        strike.at_s - _BEFORE_FAULT_S <= at_s <= strike.at_s + strike.lasting_s + _AFTER_FAULT_S
        and (name in strike.targets or name in strike.others)
        for strike in strikes
        if strike.kind not in _HARMLESS
    )


def _owners(nodes: dict[str, Node]) -> dict[int, str]:
    """The seat of each slot's master."""
    owners = {}
    for name, node in nodes.items():
        assert node.cluster is not None
        myself = node.cluster.state.myself
        if myself.is_master:
            for slot in range(16384):
                if myself.slots >> slot & 1:
                    owners[slot] = name
    return owners


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
    for index in range(master.keyspace.count):
        ours, theirs = replica.keyspace.database(index), master.keyspace.database(index)
        if ours.size == theirs.size == 0:
            continue
        for slot in range(16384):
            one, other = ours.shards[slot], theirs.shards[slot]
            if one != other:
                keys = [key for key in {**one, **other} if one.get(key) != other.get(key)]
                first = keys[0]
                return f"{len(keys)} keys of slot {slot}, {first!r}: {one.get(first)!r}, not {other.get(first)!r}"
            if (ours.expires[slot] or {}) != (theirs.expires[slot] or {}):
                return f"times to live in slot {slot}"
    return ""
