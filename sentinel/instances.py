"""What is known of one master, one replica, one other sentinel.

Plain records: the rules that fill and read them are the other modules'. Times are readings of the
machine's clock in milliseconds, None for "never".
"""

from __future__ import annotations

from enum import Enum
from typing import ClassVar

from sentinel.address import Address
from sentinel.link import Link
from sentinel.settings import KnownReplica, KnownSentinel, MasterMemory, MasterOptions


class Role(Enum):
    """A role as INFO spells it."""

    MASTER = "master"
    SLAVE = "slave"


class Instance:
    """What masters, replicas and sentinels have in common."""

    __slots__ = ("address", "hello_sent_at", "link", "resolved_at", "run_id", "sdown_at", "watch_at")

    # How events and flags spell the kind.
    kind: ClassVar[str]

    def __init__(self, address: Address, link: Link) -> None:
        self.address = address
        self.link = link
        # `run_id` of INFO; of a sentinel its id.
        self.run_id = ""
        # Since when it is subjectively down.
        self.sdown_at: int | None = None
        # When it was last sent our hello; None also asks for the next one at once.
        self.hello_sent_at: int | None = None
        # When its name was last looked up.
        self.resolved_at: int | None = None
        # When the rules have to look at it again, if nothing happens before (`attention`).
        self.watch_at = 0

    @property
    def sdown(self) -> bool:
        return self.sdown_at is not None


class DataInstance(Instance):
    """A master or replica: what its INFO says of it."""

    __slots__ = ("cluster", "info", "info_at", "info_sent_at", "role", "role_at", "serves_slots")

    def __init__(self, address: Address, link: Link, now: int, role: Role) -> None:
        super().__init__(address, link)
        # The last INFO, as it came (SENTINEL INFO-CACHE).
        self.info = b""
        self.info_at: int | None = None
        # When an INFO was sent that has not been answered.
        self.info_sent_at: int | None = None
        # The role it reports, assumed to be what it should be until it says otherwise, and since when.
        self.role = role
        self.role_at = now
        # Whether it says `cluster_enabled:1`; its shard then reconfigures itself over the cluster bus.
        self.cluster = False
        # Of a cluster node that calls itself master: whether it owns slots. A node that was reset is a master, too.
        self.serves_slots = False


class Reconfiguration(Enum):
    """How far a replica has come in following the promoted one."""

    NONE = ""
    SENT = "reconf_sent"
    IN_PROGRESS = "reconf_inprog"
    DONE = "reconf_done"


class Replica(DataInstance):
    """A replica of a monitored master, known for good once its master has named it."""

    __slots__ = (
        "announced",
        "link_down_ms",
        "link_up",
        "listed",
        "master_changed_at",
        "master_host",
        "master_port",
        "offset",
        "priority",
        "reconfiguration",
        "reconfiguration_at",
        "synced_run_id",
    )

    kind = "slave"

    def __init__(self, address: Address, link: Link, now: int) -> None:
        super().__init__(address, link, now, Role.SLAVE)
        # Whom it follows, by its own word, and since when.
        self.master_host = ""
        self.master_port = 0
        self.master_changed_at = now
        # Its connection to its master, and for how long that has been down.
        self.link_up = False
        self.link_down_ms = 0
        # Lower is promoted rather; 0 is never promoted.
        self.priority = 100
        # How much of its master's stream it has.
        self.offset = 0
        # Its run id when it was last seen in sync; "" until then.
        self.synced_run_id = ""
        # Whether clients are told of it (`replica-announced`).
        self.announced = True
        # Whether the master's last INFO named it. In a cluster a replica can leave for another shard.
        self.listed = True
        self.reconfiguration = Reconfiguration.NONE
        # When it was last told whom to follow.
        self.reconfiguration_at = now

    @property
    def name(self) -> str:
        return f"{self.address.ip or self.address.host}:{self.address.port}"

    @property
    def may_have_forgotten(self) -> bool:
        """Whether it may have had more than it has: it was restarted since this sentinel saw it in sync, and has not
        reached its master since (which is when it reports -1 seconds of disconnection)."""
        return self.link_down_ms < 0 and self.run_id != self.synced_run_id

    def follows(self, address: Address) -> bool:
        """Whether it says that it is a replica of `address`."""
        return self.role is Role.SLAVE and same_place(self.master_host, self.master_port, address)


class Peer(Instance):
    """Another sentinel, as far as one master is concerned: votes and opinions are per master."""

    __slots__ = ("asked_at", "hello_at", "leader", "leader_epoch", "says_down", "verdict_at")

    kind = "sentinel"

    def __init__(self, address: Address, link: Link, now: int, run_id: str) -> None:
        super().__init__(address, link)
        self.run_id = run_id
        # When its last hello came.
        self.hello_at = now
        # When it was last asked whether the master is down, and when it last answered.
        self.asked_at: int | None = None
        self.verdict_at: int | None = None
        # Its answer.
        self.says_down = False
        # Whom it voted for, and in which epoch.
        self.leader: str | None = None
        self.leader_epoch = 0

    @property
    def name(self) -> str:
        return self.run_id


class FailoverState(Enum):
    """Redis' names, as SENTINEL MASTER shows them."""

    WAIT_START = "wait_start"
    SELECT_SLAVE = "select_slave"
    SEND_SLAVEOF_NOONE = "send_slaveof_noone"
    WAIT_PROMOTION = "wait_promotion"
    RECONF_SLAVES = "reconf_slaves"
    UPDATE_CONFIG = "update_config"


class Failover:
    """One attempt of this sentinel's to replace a master."""

    __slots__ = ("epoch", "forced", "promoted", "started_at", "state", "state_at")

    def __init__(self, epoch: int, now: int, *, forced: bool = False, heir: Replica | None = None) -> None:
        self.state = FailoverState.WAIT_START
        # Since when it is in that state.
        self.state_at = now
        self.started_at = now
        # The epoch in which votes are asked for, and which the new configuration will carry.
        self.epoch = epoch
        # Whether an operator ordered it; it then needs no votes.
        self.forced = forced
        # The replica that is to be master. Known from the start where the cluster itself has already promoted one.
        self.promoted = heir


class Master(DataInstance):
    """A monitored master with everything that hangs on it."""

    __slots__ = (
        "candidacy_at",
        "config_epoch",
        "failover",
        "failover_at",
        "leader",
        "leader_epoch",
        "lost_data",
        "master_host",
        "master_port",
        "name",
        "odown_at",
        "options",
        "peers",
        "rebooted_at",
        "replicas",
        "script_killed",
        "wake_at",
    )

    kind = "master"

    def __init__(self, name: str, address: Address, link: Link, options: MasterOptions, now: int) -> None:
        super().__init__(address, link, now, Role.MASTER)
        self.name = name
        self.options = options
        # Replicas by place and other sentinels by id, in the order in which they became known.
        self.replicas: dict[tuple[str, int], Replica] = {}
        self.peers: dict[str, Peer] = {}
        # The epoch of the failover that made this address the master; the largest wins.
        self.config_epoch = 0
        # Our last vote for a failover of this master.
        self.leader: str | None = None
        self.leader_epoch = 0
        # Since when enough sentinels agree that it is down.
        self.odown_at: int | None = None
        # Our attempt to replace it, if one is under way.
        self.failover: Failover | None = None
        # When an attempt last began, here or, by our vote, elsewhere.
        self.failover_at: int | None = None
        # When we will stand for election, once there is reason to.
        self.candidacy_at: int | None = None
        # Whom it follows while it reports itself a replica.
        self.master_host = ""
        self.master_port = 0
        # When it was seen to have restarted, until it answers PONG again (`master-reboot-down-after-period`).
        self.rebooted_at: int | None = None
        # It says itself that it came back with less data than a replica of it has.
        self.lost_data = False
        # Whether a script that blocks it was killed since it went down.
        self.script_killed = False
        # When the next rule about it wants to run.
        self.wake_at: int | None = now

    @property
    def odown(self) -> bool:
        return self.odown_at is not None

    def remembered(self, announce_hostnames: bool) -> MasterMemory:
        """What of this survives a restart."""
        return MasterMemory(
            name=self.name,
            host=self.address.shown(announce_hostnames),
            port=self.address.port,
            options=self.options,
            config_epoch=self.config_epoch,
            leader_epoch=self.leader_epoch,
            replicas=tuple(
                KnownReplica(host=replica.address.shown(announce_hostnames), port=replica.address.port)
                for replica in self.replicas.values()
            ),
            sentinels=tuple(
                KnownSentinel(host=peer.address.shown(announce_hostnames), port=peer.address.port, run_id=peer.run_id)
                for peer in self.peers.values()
            ),
        )


def same_place(host: str, port: int, address: Address) -> bool:
    """Whether `host`:`port`, as an instance reports it, is `address`."""
    return port == address.port and host.lower() in (address.ip.lower(), address.host.lower())
