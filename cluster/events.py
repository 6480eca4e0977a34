"""What happens to a cluster node, and what it does about it: the words between the rules and their driver.

`ClusterMachine.step(now_ms, wall_ms, event)` takes one event and returns effects, which the driver performs in
the order given. `now_ms` is the loop's monotonic time in milliseconds and steers every timer; `wall_ms` is Unix
time and is used only where time leaves the process (gossip, nodes.conf, CLUSTER NODES).

Links are numbered. An outbound link has a number above zero, given by the machine in `Dial`; an inbound one has a
number below zero, given by the driver and never used twice. So a late event of a closed outbound link cannot be
taken for a stranger's: the machine no longer knows the number and drops it.

Every node the machine speaks of is named by its id; a node being greeted has a placeholder for one until it answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol

from cluster.messages import Message
from cluster.settings import ClusterSettings
from runtime.log import Level

LinkId = int


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """An operator's command is refused; `text` is Redis' error line without the leading ``-``."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class Facts(Protocol):
    """What the machine reads of its own node while it takes a step. Reading must not change anything."""

    def replication_offset(self) -> int:
        """A master: the offset of what it has written. A replica: of what it has applied, and 0 while it has nothing,
        since it has thrown its data away for a copy. Never below zero.
        """
        ...

    def master_silence_ms(self) -> float | None:
        """A replica: time since its master was last heard of, or, with the link down, since it went down.

        None when the link has never been up, which counts as longer than any limit.
        """
        ...

    def keys_in_slot(self, slot: int) -> int: ...

    def dataset_empty(self) -> bool: ...


# --- Events -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Started:
    """The first event of all: the bus listens, the data set is loaded."""


@dataclass(frozen=True, slots=True)
class Tick:
    """`ClusterMachine.deadline` has come."""


@dataclass(frozen=True, slots=True)
class LinkUp:
    """The outbound link asked for by `Dial` is connected."""

    link: LinkId


@dataclass(frozen=True, slots=True)
class LinkDown:
    """A link could not be made, or has ended. Not told for links the machine closed itself."""

    link: LinkId


@dataclass(frozen=True, slots=True)
class Heard:
    """Bytes arrived on a link that do not complete a message yet: its node is alive (a big message may take long)."""

    link: LinkId


class Received(NamedTuple):
    """A whole message arrived on a link, outbound or inbound."""

    link: LinkId
    message: Message
    # The other end's address, used when the header announces none.
    peer_ip: str
    # Our own end's address: how a node learns what it is called.
    local_ip: str


class ReceivedDatagram(NamedTuple):
    """A whole PING or PONG arrived as a datagram."""

    message: Message
    peer_ip: str
    peer_port: int
    local_ip: str


@dataclass(frozen=True, slots=True)
class PublishToCluster:
    """A client of this node published: pass it on (to this shard's nodes only, when `sharded`)."""

    channel: bytes
    payload: bytes
    sharded: bool


@dataclass(frozen=True, slots=True)
class Reconfigured:
    """CONFIG SET changed a setting of ours."""

    settings: ClusterSettings


@dataclass(frozen=True, slots=True)
class Operator:
    """One CLUSTER command: `step` raises `Refused`, having changed nothing, or its effects hold one `Answer`."""

    command: Command


Event = (
    Started
    | Tick
    | LinkUp
    | LinkDown
    | Heard
    | Received
    | ReceivedDatagram
    | PublishToCluster
    | Reconfigured
    | Operator
)

# --- An operator's commands. The command family parses words and ranges; what needs the cluster's state is checked by
# --- the machine. -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Meet:
    ip: str
    port: int
    # None: port + 10000.
    bus_port: int | None = None


@dataclass(frozen=True, slots=True)
class Forget:
    node_id: str


@dataclass(frozen=True, slots=True)
class AddSlots:
    # As given: a slot named twice is refused.
    slots: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DelSlots:
    slots: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FlushSlots:
    pass


@dataclass(frozen=True, slots=True)
class SetSlotMigrating:
    slot: int
    node_id: str


@dataclass(frozen=True, slots=True)
class SetSlotImporting:
    slot: int
    node_id: str


@dataclass(frozen=True, slots=True)
class SetSlotNode:
    slot: int
    node_id: str


@dataclass(frozen=True, slots=True)
class SetSlotStable:
    slot: int


@dataclass(frozen=True, slots=True)
class Replicate:
    node_id: str


class FailoverMode(Enum):
    DEFAULT = "default"
    FORCE = "force"
    TAKEOVER = "takeover"


@dataclass(frozen=True, slots=True)
class Failover:
    mode: FailoverMode = FailoverMode.DEFAULT


@dataclass(frozen=True, slots=True)
class PromoteSelf:
    """Our master asks its replica to take its place (PSYNC … FAILOVER)."""


@dataclass(frozen=True, slots=True)
class Reset:
    hard: bool = False


@dataclass(frozen=True, slots=True)
class SetConfigEpoch:
    epoch: int


@dataclass(frozen=True, slots=True)
class BumpEpoch:
    pass


@dataclass(frozen=True, slots=True)
class SaveConfig:
    pass


Command = (
    Meet
    | Forget
    | AddSlots
    | DelSlots
    | FlushSlots
    | SetSlotMigrating
    | SetSlotImporting
    | SetSlotNode
    | SetSlotStable
    | Replicate
    | Failover
    | PromoteSelf
    | Reset
    | SetConfigEpoch
    | BumpEpoch
    | SaveConfig
)

# --- Effects ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Dial:
    """Connect to a node's bus port; then say `LinkUp` or `LinkDown` with this number."""

    link: LinkId
    ip: str
    port: int


@dataclass(frozen=True, slots=True)
class CloseLink:
    """Close a link, dropping what was not sent; no `LinkDown` follows. An unknown number is fine."""

    link: LinkId


class Send(NamedTuple):
    """Queue a message on a link; one that went down meanwhile loses it, which every rule survives."""

    link: LinkId
    message: Message


@dataclass(frozen=True, slots=True)
class Broadcast:
    """The same message on several links, in this order: encoded once."""

    links: tuple[LinkId, ...]
    message: Message


class SendDatagram(NamedTuple):
    """A heartbeat as one datagram; an error in sending is a loss."""

    ip: str
    port: int
    message: Message


@dataclass(frozen=True, slots=True)
class Save:
    """Write nodes.conf, and with `fsync` have it survive a power cut before the next effect is performed."""

    fsync: bool


@dataclass(frozen=True, slots=True)
class LogLine:
    level: Level
    text: str


@dataclass(frozen=True, slots=True)
class FollowMaster:
    """Be a replica of this node from now on; said again when its address changes."""

    node_id: str
    ip: str
    port: int
    # What is here is no earlier state of that node's data: its offset says nothing until a copy has come.
    unrelated: bool = False


@dataclass(frozen=True, slots=True)
class BecomeMaster:
    """Stop replicating and keep the data, under a new replication id."""


@dataclass(frozen=True, slots=True)
class EmptyDataset:
    """Delete every key (a replica was reset)."""


@dataclass(frozen=True, slots=True)
class DropKeysInSlots:
    """Delete the keys of slots that now belong to somebody else, ascending."""

    slots: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SlotsChanged:
    """Who owns which slot, or who is whose replica, changed: look again at blocked clients and at the view."""


@dataclass(frozen=True, slots=True)
class StateChanged:
    """cluster_state is now ok, or fail."""

    ok: bool


@dataclass(frozen=True, slots=True)
class PauseWrites:
    """Hold clients' writes back until then (monotonic) or `UnpauseWrites`: a replica is about to take over."""

    until_ms: float


@dataclass(frozen=True, slots=True)
class UnpauseWrites:
    pass


@dataclass(frozen=True, slots=True)
class Deliver:
    """Another node published: pass it to this node's subscribers."""

    channel: bytes
    payload: bytes
    sharded: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """The reply to an operator's command: a simple string."""

    text: str


Effect = (
    Dial
    | CloseLink
    | Send
    | Broadcast
    | SendDatagram
    | Save
    | LogLine
    | FollowMaster
    | BecomeMaster
    | EmptyDataset
    | DropKeysInSlots
    | SlotsChanged
    | StateChanged
    | PauseWrites
    | UnpauseWrites
    | Deliver
    | Answer
)
