"""Who is in the cluster, as this node knows it: the tables that rules read and change.

Owns the nodes, the table of slot owners, who replicates whom, open slots, epochs and the list of forgotten nodes,
and keeps them consistent with one another. Deciding is left to the rule modules; writing it to disk to
`nodes_conf`; nothing here knows of messages, effects or settings.

Nodes are kept in a dict in order of birth, which is the order in which rules visit them. Times are monotonic
milliseconds of the loop, None for "never" or "not now".
"""

from __future__ import annotations

from enum import Enum, auto

from cluster.attention import Attention
from cluster.endpoints import ClientNetwork
from cluster.messages import NO_SLOTS, GossipEntry, NodeFlag
from cluster.numbers import Numbers
from cluster.slots import SLOTS, from_bitmap, ranges, to_bitmap

# Making a NodeFlag of a number takes a microsecond, looking it up a twentieth of one.
_FLAGS = tuple(NodeFlag(bits) for bits in range(NodeFlag.NOFAILOVER.value << 1))

# Redis' CLUSTER_BLACKLIST_TTL: long enough for an operator to send FORGET to every node.
BLACKLIST_MS = 60_000


class Way(Enum):
    """On which way a node is asked."""

    DATAGRAM = auto()
    LINK = auto()


class NodeEntry:
    """One node of the cluster as this node sees it. Created by `ClusterState.add`, or by a loader of nodes.conf."""

    __slots__ = (
        "bitmap",
        "bitmap_slots",
        "claimed_at",
        "client_networks",
        "config_epoch",
        "cport",
        "created_at",
        "datagrams",
        "epoch_announced",
        "extended",
        "fail",
        "fail_at",
        "fail_reports",
        "handshake",
        "heard_at",
        "hostname",
        "id",
        "inbound_link",
        "ip",
        "is_master",
        "is_replica",
        "link",
        "link_asked_at",
        "link_at",
        "link_proved_at",
        "link_ready",
        "lost_data",
        "master",
        "meet",
        "migrate_to",
        "myself",
        "noaddr",
        "nodename",
        "nofailover",
        "number",
        "offset",
        "orphaned_at",
        "pfail",
        "ping_sent_at",
        "place",
        "pong_received_at",
        "port",
        "pport",
        "replicas",
        "retry",
        "shard_id",
        "slots",
        "tells_shard",
        "voted_at",
        "watch_at",
    )

    def __init__(self, node_id: str, ip: str = "", port: int = 0, cport: int = 0) -> None:
        # 40 hexadecimal digits; a random placeholder while `handshake`.
        self.id = node_id
        # Its shard's, of the same form; its own id while it has not said one (Redis 7.0 has none). What a replica has
        # here counts for nothing: see `shard`.
        self.shard_id = node_id
        self.ip = ip
        # The port for clients, and the bus port.
        self.port = port
        self.cport = cport
        # The other client port (plaintext beside TLS); 0 when there is none.
        self.pport = 0
        self.hostname = ""
        # What people call it (`cluster-announce-human-nodename`).
        self.nodename = ""
        self.client_networks: tuple[ClientNetwork, ...] = ()

        self.myself = False
        # Neither is set while the node is a handshake.
        self.is_master = False
        self.is_replica = False
        # Suspected by us; agreed to have failed. Never both.
        self.pfail = False
        self.fail = False
        # Greeted, not yet confirmed.
        self.handshake = False
        # Somebody else answered at its address.
        self.noaddr = False
        # The next link opens with MEET.
        self.meet = False
        # Had replicas, and so may be given one by replica migration.
        self.migrate_to = False
        # Announces that it does not stand for election.
        self.nofailover = False

        # Of a replica: its master, when we know it.
        self.master: NodeEntry | None = None
        # Of a master: its replicas, in the order in which they came.
        self.replicas: list[NodeEntry] = []
        # The slots we bind to it (a replica has none), as an int: see `slots`.
        self.slots = 0
        # The last bitmap of them that was made or heard, and what it says: nearly every heartbeat brings the same.
        self.bitmap = NO_SLOTS
        self.bitmap_slots = 0
        # The greatest epoch it announced for its slots.
        self.config_epoch = 0
        # The greatest current epoch it announced: anything with a lower one is an old message.
        self.epoch_announced = 0
        # When it last showed itself as a master.
        self.claimed_at: float | None = None
        # The replication offset it last announced.
        self.offset = 0

        # When we learned of it: an unanswered handshake is given up after a while.
        self.created_at = 0.0
        # The ping it has not answered yet, and its last answer; others may have told us of a later one (`answered_at`).
        self.ping_sent_at: float | None = None
        self.pong_received_at: float | None = None
        # The way that the pending ping has not gone yet, and will if it stays unanswered.
        self.retry: Way | None = None
        # When anything was last received from it.
        self.heard_at: float | None = None
        # When it became FAIL; and whether it said so itself, since it came back with less than it had (`comeback`).
        self.fail_at: float | None = None
        self.lost_data = False
        # A master: when it was found without a working replica; None while it has one.
        self.orphaned_at: float | None = None
        # When we last voted for one of its replicas.
        self.voted_at: float | None = None
        # Masters that say it is failing, by id, with the time of their last word, the oldest first.
        self.fail_reports: dict[str, float] = {}

        # Our link to it (dialled or connected), when it was dialled, and whether it is connected; its link to us.
        self.link: int | None = None
        self.link_at = 0.0
        self.link_ready = False
        # When our link was last known to carry bytes both ways, and the question on it that has no answer yet.
        self.link_proved_at = 0.0
        self.link_asked_at: float | None = None
        self.inbound_link: int | None = None
        # It takes and gives heartbeats as datagrams.
        self.datagrams = False
        # It takes none, and understands our extension all the same.
        self.extended = False
        # It knows of shard ids, and so is Redis 7.2, Valkey or later.
        self.tells_shard = False

        # Its number (`numbers`), 0 while it is in no table.
        self.number = 0
        # Its place in the table's order, and when the ticks have to look at it again (`attention`).
        self.place = 0
        self.watch_at = 0.0

    def __repr__(self) -> str:
        return f"<{self.id[:8]} {self.ip}:{self.port} {self.flags!r}>"

    @property
    def flag_bits(self) -> int:
        """Its flags in the form of the bus, as the plain number that gossip carries by the hundred."""
        return (
            self.is_master
            | self.is_replica << 1
            | self.pfail << 2
            | self.fail << 3
            | self.myself << 4
            | self.handshake << 5
            | self.noaddr << 6
            | self.meet << 7
            | self.migrate_to << 8
            | self.nofailover << 9
        )

    @property
    def flags(self) -> NodeFlag:
        """Its flags in the form of the bus."""
        return _FLAGS[self.flag_bits]

    @flags.setter
    def flags(self, flags: NodeFlag) -> None:
        bits = flags.value
        self.is_master = bool(bits & NodeFlag.MASTER.value)
        self.is_replica = bool(bits & NodeFlag.SLAVE.value)
        self.pfail = bool(bits & NodeFlag.PFAIL.value)
        self.fail = bool(bits & NodeFlag.FAIL.value)
        self.myself = bool(bits & NodeFlag.MYSELF.value)
        self.handshake = bool(bits & NodeFlag.HANDSHAKE.value)
        self.noaddr = bool(bits & NodeFlag.NOADDR.value)
        self.meet = bool(bits & NodeFlag.MEET.value)
        self.migrate_to = bool(bits & NodeFlag.MIGRATE_TO.value)
        self.nofailover = bool(bits & NodeFlag.NOFAILOVER.value)

    def slots_bitmap(self) -> bytes:
        """Its slots in the form of the bus."""
        if self.bitmap_slots is not self.slots:
            self.bitmap, self.bitmap_slots = to_bitmap(self.slots), self.slots
        return self.bitmap

    def slots_of(self, bitmap: bytes) -> int:
        """What a bitmap says that most likely is of its slots."""
        if bitmap != self.bitmap:
            slots = from_bitmap(bitmap)
            # Where it is what we know, one number serves for both.
            self.bitmap, self.bitmap_slots = bitmap, self.slots if slots == self.slots else slots
        return self.bitmap_slots

    @property
    def claim(self) -> NodeEntry:
        """The node whose slots and configuration epoch this one shows: its master, for a replica that knows it."""
        return self if self.master is None else self.master

    @property
    def shard(self) -> str:
        """The id of its shard. A replica is of its master's, and stays so when it takes that one's place."""
        return self.claim.shard_id

    @property
    def called(self) -> str:
        """Its id and, where it has one, its name, for the log."""
        return f"{self.id} ({self.nodename})" if self.nodename else self.id

    @property
    def working_replicas(self) -> int:
        """How many of its replicas are not FAIL."""
        return sum(not replica.fail for replica in self.replicas)


class ClusterState:
    """The tables. One per node; `myself` is always in `nodes`."""

    __slots__ = (
        "_places",
        "_size",
        "_table",
        "attention",
        "blacklist",
        "bound",
        "current_epoch",
        "importing",
        "last_vote_epoch",
        "migrating",
        "myself",
        "nodes",
        "numbers",
        "ok",
        "owner",
        "suspected",
        "told",
        "topology_changed",
        "unclaimed",
        "wall_offset_ms",
    )

    def __init__(self, myself: NodeEntry, numbers: Numbers | None = None) -> None:
        myself.myself = True
        self.myself = myself
        # All nodes by id, in the order in which they were learned.
        self.nodes: dict[str, NodeEntry] = {myself.id: myself}
        # Their numbers; those of several nodes in one process may be the same.
        self.numbers = Numbers() if numbers is None else numbers
        myself.number = self.numbers.take(myself.id)
        # The same as a list, made when it is asked for, and the place of the next newcomer.
        self._table: list[NodeEntry] | None = None
        self._places = 1
        # Whom the ticks have to look at.
        self.attention = Attention()
        # What gossip says of a node, by its number, while nothing is wrong with it: not suspected, not reported, no
        # ping pending. Whatever changes one of these, or a field of the entry, takes it out (`untell`). It is by
        # itself, and not a field of the nodes, because a heartbeat reads a tenth of the cluster's: a thousand nodes of
        # a simulation have a million entries of tables, which no processor's cache holds.
        self.told: list[GossipEntry | None] = []
        self.make_room()
        # Those that this node suspects (PFAIL).
        self.suspected: dict[NodeEntry, None] = {}
        # The greatest epoch seen anywhere, and the epoch of the last vote given.
        self.current_epoch = 0
        self.last_vote_epoch = 0
        # The node bound to each slot.
        self.owner: list[NodeEntry | None] = [None] * SLOTS
        # All slots that have an owner.
        self.bound = 0
        # Slots whose owner no longer claims them: still bound, but anybody's claim is as good.
        self.unclaimed = 0
        # Open slots: where each is going, where each comes from.
        self.migrating: dict[int, NodeEntry] = {}
        self.importing: dict[int, NodeEntry] = {}
        # Forgotten nodes by id, with the time until which gossip cannot bring them back.
        self.blacklist: dict[str, float] = {}
        # cluster_state: a new node serves nothing until it has seen that all is well.
        self.ok = False
        # Set by every change of slots, roles, addresses or membership; the machine clears it.
        self.topology_changed = True
        # Unix time minus the loop's, as of the last step: for times shown to others.
        self.wall_offset_ms = 0.0
        # What `size` found last; None since roles or slots have changed.
        self._size: int | None = None

    def wall_ms(self, moment: float | None) -> int:
        """A monotonic moment as Unix milliseconds; 0 for None, as Redis shows it."""
        return 0 if moment is None else int(moment + self.wall_offset_ms)

    # --- membership

    def add(self, node: NodeEntry) -> None:
        """Take a new node into the table."""
        assert node.id not in self.nodes, node
        self._put(node)
        if node.pfail:
            self.suspected[node] = None
        self.attention.soon(node)

    def _put(self, node: NodeEntry) -> None:
        self.nodes[node.id] = node
        node.number = self.numbers.take(node.id)
        self.make_room()
        node.place = self._places
        self._places += 1
        self._table = None
        self.topology_changed = True

    def remove(self, node: NodeEntry) -> None:
        """Forget a node: its slots are unassigned, its replicas lose their master, its reports are void."""
        assert node is not self.myself
        self.unassign(node.slots)
        self.detach(node)
        for replica in node.replicas:
            replica.shard_id = node.shard_id
            replica.master = None
        node.replicas.clear()
        for table in (self.migrating, self.importing):
            for slot in [slot for slot, other in table.items() if other is node]:
                del table[slot]
        for other in self.nodes.values():
            other.fail_reports.pop(node.id, None)
        self._take_out(node)
        self._table = None
        self.suspected.pop(node, None)
        self.topology_changed = True

    def rename(self, node: NodeEntry, node_id: str) -> None:
        """Give a node its real name. It moves to the end of the table, as a new one would."""
        assert node_id not in self.nodes, node_id
        self._take_out(node)
        if node.shard_id == node.id:
            node.shard_id = node_id
        node.id = node_id
        self._put(node)

    def _take_out(self, node: NodeEntry) -> None:
        self.untell(node)
        del self.nodes[node.id]
        self.numbers.drop(node.id)
        node.number = 0

    def suspect(self, node: NodeEntry, suspected: bool) -> None:
        """Hold a node for PFAIL, or no longer."""
        node.pfail = suspected
        self.untell(node)
        if suspected:
            self.suspected[node] = None
        else:
            self.suspected.pop(node, None)

    def is_blacklisted(self, node_id: str, now_ms: float) -> bool:
        until = self.blacklist.get(node_id)
        if until is None:
            return False
        if until <= now_ms:
            del self.blacklist[node_id]
            return False
        return True

    def forgotten(self, now_ms: float) -> tuple[tuple[str, int], ...]:
        """The nodes of the blacklist, with the whole seconds that are left of their time there."""
        return tuple(
            (node_id, int((until - now_ms) / 1000))
            for node_id, until in self.blacklist.items()
            if until - now_ms >= 1000
        )

    # --- roles

    def become_master(self, node: NodeEntry) -> None:
        """Make a node a master, of nobody yet."""
        if node.is_master:
            return
        had_master = node.master is not None
        self.detach(node)
        # A promoted replica's shard had a replica, so it may be given one again.
        node.migrate_to = node.migrate_to or had_master or node.is_replica
        node.is_master, node.is_replica = True, False
        self._size = None
        self.topology_changed = True

    def become_replica(self, node: NodeEntry, master: NodeEntry | None) -> None:
        """Make a node a replica, of `master` when that is known. Slots it was bound to are unassigned."""
        if node.is_replica and node.master is master:
            return
        self.unassign(node.slots)
        self.detach(node)
        node.is_master, node.is_replica = False, True
        self._size = None
        node.migrate_to = False
        if master is not None:
            node.master = master
            master.replicas.append(node)
            master.migrate_to = True
        self.topology_changed = True

    def detach(self, node: NodeEntry) -> None:
        """End a node's tie to its master."""
        master = node.master
        if master is None:
            return
        master.replicas.remove(node)
        if not master.replicas:
            master.migrate_to = False
        node.shard_id = master.shard_id
        node.master = None
        self.topology_changed = True

    # --- slots

    def assign(self, slots: int, node: NodeEntry) -> None:
        """Bind a set of slots to a node, whoever has them now."""
        if not slots:
            return
        # A master's first slots make it one of those that deserve a replica, where replicas are in use at all.
        if not node.slots and any(other.replicas for other in self.nodes.values()):
            node.migrate_to = True
        self._release(slots)
        # The same number for the same slots: each takes two kilobytes.
        node.slots = node.slots | slots if node.slots else slots
        self.bound |= slots
        self._bind(slots, node)

    def unassign(self, slots: int) -> None:
        """Leave a set of slots without owner."""
        if not slots:
            return
        self._release(slots)
        self.bound &= ~slots
        self._bind(slots, None)

    def _release(self, slots: int) -> None:
        """Take slots from whoever has them."""
        taken = slots & self.bound
        if taken:
            for other in self.nodes.values():
                if other.slots & taken:
                    other.slots &= ~taken
        self.unclaimed &= ~slots

    def _bind(self, slots: int, node: NodeEntry | None) -> None:
        for first, last in ranges(slots):
            self.owner[first : last + 1] = [node] * (last + 1 - first)
        self._size = None
        self.topology_changed = True

    def open_slot(self, table: dict[int, NodeEntry], slot: int, node: NodeEntry) -> None:
        """Mark a slot as going to, or coming from, a node; `table` is `migrating` or `importing`."""
        table[slot] = node
        self.topology_changed = True

    def close_slot(self, table: dict[int, NodeEntry], slot: int) -> None:
        if table.pop(slot, None) is not None:
            self.topology_changed = True

    # --- what rules ask

    def table(self) -> list[NodeEntry]:
        """All nodes, in the table's order; not to be changed. A heartbeat must not cost a walk through them."""
        if self._table is None:
            self._table = list(self.nodes.values())
        return self._table

    def make_room(self) -> None:
        """Have a place in `told` for all that have a number, in somebody's table."""
        missing = len(self.numbers.ids) - len(self.told)
        if missing > 0:
            self.told += [None] * missing

    def tell_anew(self) -> None:
        """Something has changed that gossip says of some nodes."""
        for node in self.table():
            self.untell(node)

    def untell(self, node: NodeEntry) -> None:
        """Something has changed, or is about to, that gossip says of a node."""
        if self.told[node.number] is not None:
            node.pong_received_at = self.answered_at(node)
            self.told[node.number] = None

    def answered_at(self, node: NodeEntry) -> float | None:
        """When a node last answered anybody, as far as we know: us, or somebody whose gossip we go on telling."""
        answered_at = node.pong_received_at
        told = self.told[node.number]
        if told is None or not told.pong_received:
            # A 0 means never, and is no time.
            return answered_at
        # A whole second: of what we know ourselves it says less than we know.
        told_at = told.pong_received * 1000 - self.wall_offset_ms
        return told_at if answered_at is None or told_at > answered_at else answered_at

    def others(self) -> list[NodeEntry]:
        """All nodes but this one, in the table's order; safe against changes of the table meanwhile."""
        return [node for node in self.nodes.values() if not node.myself]

    def size(self) -> int:
        """Redis' `cluster_size`: masters with at least one slot. Asked for every report of a failure."""
        if self._size is None:
            self._size = sum(node.is_master and node.slots != 0 for node in self.nodes.values())
        return self._size

    def majority(self) -> int:
        """How many of those masters it takes to agree on something."""
        return self.size() // 2 + 1

    def epoch_max(self) -> int:
        """The greatest epoch known in any way."""
        return max(self.current_epoch, *(node.config_epoch for node in self.nodes.values()), 0)

    def _check(self) -> None:
        """Assert that the tables agree; dumps them when they do not."""
        bound = 0
        for node in self.nodes.values():
            assert not bound & node.slots, (node, "has another one's slots")
            bound |= node.slots
        assert bound == self.bound
        assert self.size() == sum(node.is_master and node.slots != 0 for node in self.nodes.values())
        owners: list[NodeEntry | None] = [None] * SLOTS
        for node in self.nodes.values():
            for first, last in ranges(node.slots):
                owners[first : last + 1] = [node] * (last + 1 - first)
        assert owners == self.owner, [slot for slot in range(SLOTS) if owners[slot] is not self.owner[slot]]
        assert [node for node in self.nodes.values() if node.pfail] == sorted(self.suspected, key=lambda n: n.place)
        assert self.table() == list(self.nodes.values()) == sorted(self.nodes.values(), key=lambda n: n.place)
        assert self.told[0] is None
        for node in self.nodes.values():
            assert self.numbers.ids[node.number] == node.id, (node, node.number)
            told = self.told[node.number]
            assert told is None or told.node == node.id, (node, told)
            assert not (node.is_master and node.is_replica), node
            assert not (node.pfail and node.fail), node
            assert node.is_master or not node.slots, (node, "has slots")
            assert node.master is None or node in node.master.replicas, (node, node.master)
            for replica in node.replicas:
                assert replica.master is node, (node, replica, replica.master)
                assert self.nodes.get(replica.id) is replica, (node, replica)
