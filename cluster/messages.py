"""What is said on the cluster bus: one frozen record per kind of message.

Owns the vocabulary: node flags, message flags, the header every message carries, and the bodies. How
they look as bytes is `cluster.codec`'s; what they mean is the state machine's. A message is a `Header`
and a body, because Redis puts the sender's whole self-portrait (epochs, slots, master, address) in
front of everything it says, a vote as much as a heartbeat.

Text of the protocol (node ids, addresses, host names) is `str`, checked by the codec to be harmless in
a line of nodes.conf; what clients publish stays `bytes`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from typing import NamedTuple

from cluster.endpoints import ClientNetwork

SLOTS = 16384
# Slot s is bit s & 7 (lowest first) of byte s >> 3.
BITMAP_BYTES = SLOTS // 8
NO_SLOTS = bytes(BITMAP_BYTES)
ID_LENGTH = 40
# A bus port is this far above the client port unless `cluster-port` says otherwise.
BUS_PORT_OFFSET = 10000


class MessageType(IntEnum):
    """The numbers on the wire; `counter_name` is how CLUSTER INFO calls them."""

    PING = 0
    PONG = 1
    MEET = 2
    FAIL = 3
    PUBLISH = 4
    FAILOVER_AUTH_REQUEST = 5
    FAILOVER_AUTH_ACK = 6
    UPDATE = 7
    MFSTART = 8
    MODULE = 9
    PUBLISHSHARD = 10

    @property
    def counter_name(self) -> str:
        """The word in `cluster_stats_messages_<word>_sent`."""
        return _COUNTER_NAMES[self]


_COUNTER_NAMES = {
    MessageType.PING: "ping",
    MessageType.PONG: "pong",
    MessageType.MEET: "meet",
    MessageType.FAIL: "fail",
    MessageType.PUBLISH: "publish",
    MessageType.FAILOVER_AUTH_REQUEST: "auth-req",
    MessageType.FAILOVER_AUTH_ACK: "auth-ack",
    MessageType.UPDATE: "update",
    MessageType.MFSTART: "mfstart",
    MessageType.MODULE: "module",
    MessageType.PUBLISHSHARD: "publishshard",
}


class NodeFlag(IntFlag):
    """What is known of a node; in headers, gossip entries and, those with a name, in CLUSTER NODES."""

    MASTER = 1
    SLAVE = 2
    # Suspected by this node alone.
    PFAIL = 4
    # Agreed to have failed, by a majority of masters.
    FAIL = 8
    MYSELF = 16
    # Greeted, not yet confirmed: its id in our table is a placeholder.
    HANDSHAKE = 32
    # Its address turned out to belong to somebody else.
    NOADDR = 64
    # A MEET has still to be sent to this node.
    MEET = 128
    # A master that replicas without work may migrate to.
    MIGRATE_TO = 256
    # A replica told not to stand for election.
    NOFAILOVER = 512


# Text flags, in the order in which CLUSTER NODES and nodes.conf print them.
FLAG_NAMES: dict[NodeFlag, str] = {
    NodeFlag.MYSELF: "myself",
    NodeFlag.MASTER: "master",
    NodeFlag.SLAVE: "slave",
    NodeFlag.PFAIL: "fail?",
    NodeFlag.FAIL: "fail",
    NodeFlag.HANDSHAKE: "handshake",
    NodeFlag.NOADDR: "noaddr",
    NodeFlag.NOFAILOVER: "nofailover",
}


class MessageFlag(IntFlag):
    """The header's first byte of message flags."""

    # The sending master has paused its clients for a manual failover: its offset is final.
    PAUSED = 0x01
    # A vote is asked for although the master is alive (manual failover).
    FORCEACK = 0x02
    # The sender understands ping extensions; some are present when their count says so too.
    EXT_DATA = 0x04
    # Ours: the sender takes heartbeats as datagrams on its bus port number, and understands our extension. No
    # Redis or Valkey reads this bit, and none passes a sender's message flags on.
    DATAGRAMS = 0x80
    # Ours: the sender understands our extension, but takes no datagrams, because they cannot be encrypted.
    EXTENDED = 0x40


NO_MESSAGE_FLAGS = MessageFlag(0)


class Header(NamedTuple):
    """The sender's portrait, in front of every message.

    A tuple, because a frozen dataclass of so many fields costs three times as much to make, twice for each heartbeat.
    """

    sender: str
    # Always with MYSELF.
    flags: NodeFlag
    # The address to reach the sender at; "" leaves it to the receiver to take the socket's peer.
    ip: str
    port: int
    cport: int
    current_epoch: int
    # A replica puts its master's epoch and slots here.
    config_epoch: int
    slots: bytes
    # The id of the sender's master; None when the sender is a master.
    master: str | None
    # Replication offset: written, for a master; processed, for a replica.
    offset: int
    # Whether the sender sees the cluster as ok.
    cluster_ok: bool
    # The codec adds EXT_DATA to a heartbeat that has extensions.
    mflags: MessageFlag = NO_MESSAGE_FLAGS
    # The sender's other client port (plaintext beside TLS, or the reverse); 0 when there is none.
    pport: int = 0


@dataclass(slots=True)
class GossipEntry:
    """One node as the sender sees it. Times are unix seconds; `ping_sent` is 0 when none is pending.

    Nobody changes one: many nodes of a simulation, and many heartbeats, share it.
    """

    node: str
    ip: str
    port: int
    cport: int
    # Bits of NodeFlag, and whatever later versions add.
    flags: int
    ping_sent: int
    pong_received: int
    pport: int = 0
    # The same in the form of the bus, once it has been in that: what is said of a node is said hundreds of times.
    encoded: bytes = field(default=b"", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Extensions:
    """What a heartbeat may carry behind its gossip; an absent one means "none", not "as before".

    Redis 7.0 logs a warning for each extension it does not know, so all but `hostname` should go only to
    peers that have shown EXT_DATA, and `client_networks` to those that have shown DATAGRAMS or EXTENDED.
    """

    hostname: str = ""
    nodename: str = ""
    client_ipv4: str = ""
    client_ipv6: str = ""
    # Nodes the sender was told to forget, with the seconds for which they stay forgotten.
    forgotten: tuple[tuple[str, int], ...] = ()
    shard_id: str | None = None
    # Ours: what clients of certain networks are to be told of the sender's address.
    client_networks: tuple[ClientNetwork, ...] = ()


NO_EXTENSIONS = Extensions()


class Heartbeat(NamedTuple):
    """PING, PONG or MEET: the same body, differing in what the receiver owes."""

    kind: MessageType
    gossip: tuple[GossipEntry, ...] = ()
    extensions: Extensions = NO_EXTENSIONS


@dataclass(frozen=True, slots=True)
class Fail:
    """The node has failed, by agreement of a majority of masters."""

    node: str


@dataclass(frozen=True, slots=True)
class Publish:
    """A client's message for the subscribers at the receiver; `sharded` is SPUBLISH's."""

    channel: bytes
    payload: bytes
    sharded: bool = False


@dataclass(frozen=True, slots=True)
class FailoverAuthRequest:
    """A replica asks for votes; epoch and claimed slots are in the header."""


@dataclass(frozen=True, slots=True)
class FailoverAuthAck:
    """A vote, for the epoch in the header."""


@dataclass(frozen=True, slots=True)
class Update:
    """News for a node with a stale view: `node` owns `slots` since `config_epoch`."""

    node: str
    config_epoch: int
    slots: bytes


@dataclass(frozen=True, slots=True)
class ManualFailoverStart:
    """MFSTART: a replica asks its master to pause its clients."""


@dataclass(frozen=True, slots=True)
class Module:
    """A message between modules of real Redis nodes; carried, never understood."""

    module_id: bytes
    subtype: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Unrecognized:
    """A well-formed message of a type that came after us: counted, otherwise ignored."""

    number: int


Body = (
    Heartbeat
    | Fail
    | Publish
    | FailoverAuthRequest
    | FailoverAuthAck
    | Update
    | ManualFailoverStart
    | Module
    | Unrecognized
)


class Message(NamedTuple):
    """One message of the bus."""

    header: Header
    body: Body

    @property
    def kind(self) -> MessageType | None:
        """The type number's name; None for a type we do not know."""
        match self.body:
            case Heartbeat(kind=kind):
                return kind
            case Publish(sharded=sharded):
                return MessageType.PUBLISHSHARD if sharded else MessageType.PUBLISH
            case Unrecognized():
                return None
            case body:
                return _KINDS[type(body)]


_KINDS: dict[type, MessageType] = {
    Fail: MessageType.FAIL,
    FailoverAuthRequest: MessageType.FAILOVER_AUTH_REQUEST,
    FailoverAuthAck: MessageType.FAILOVER_AUTH_ACK,
    Update: MessageType.UPDATE,
    ManualFailoverStart: MessageType.MFSTART,
    Module: MessageType.MODULE,
}
