"""What this node says: the header in front of every message, gossip, and on which way a message goes.

Everything unasked travels on our own link to a node; answers travel back on the link they were asked on (cluster
specification, "Cluster bus"). Between nodes that both announce it, heartbeats are datagrams instead, so that a slow
or full TCP link never looks like a dead node.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from cluster.context import Context
from cluster.endpoints import ClientNetwork
from cluster.events import Broadcast, Send, SendDatagram
from cluster.membership import ClusterState, NodeEntry, Way
from cluster.messages import (
    NO_EXTENSIONS,
    NO_MESSAGE_FLAGS,
    Body,
    Extensions,
    GossipEntry,
    Header,
    Heartbeat,
    Message,
    MessageFlag,
    MessageType,
)

# A tenth of the cluster in each heartbeat, and never fewer than three: Redis' proof that within two node timeouts
# a majority of masters has reported a failing node rests on these ("Failure detection" in clusterSendPing).
_GOSSIP_MIN = 3
_GOSSIP_FRACTION = 10
# Heartbeats with more gossip than this go by TCP: IP fragments of a datagram are lost all together.
_DATAGRAM_GOSSIP_MAX = 32
# The last few seconds of a thousand nodes.
_WELL_REMEMBERED = 4096


def header(ctx: Context, mflags: MessageFlag = NO_MESSAGE_FLAGS) -> Header:
    """This node's portrait. A replica shows the slots and the configuration epoch of its master."""
    state, myself, settings = ctx.state, ctx.myself, ctx.settings
    shown = myself.claim
    mflags = _shown_flags(mflags, settings.datagram_heartbeats)
    if myself.is_master and ctx.manual.end_at is not None:
        mflags |= MessageFlag.PAUSED
    # By place: so many names take longer than all the rest.
    return Header(
        myself.id,
        myself.flags,
        settings.announce_ip,
        myself.port,
        myself.cport,
        state.current_epoch,
        shown.config_epoch,
        shown.slots_bitmap(),
        None if myself.master is None else myself.master.id,
        ctx.offset,
        state.ok,
        mflags,
        myself.pport,
    )


@lru_cache(64)
def _shown_flags(mflags: MessageFlag, datagrams: bool) -> MessageFlag:
    """With what every message says of its sender. Cached: the union of two flags takes as long as all the rest."""
    return mflags | (MessageFlag.DATAGRAMS if datagrams else MessageFlag.EXTENDED)


def send(ctx: Context, node: NodeEntry, body: Body, mflags: MessageFlag = NO_MESSAGE_FLAGS) -> None:
    """Say something to one node on our link to it; without a link it is lost, which every rule survives."""
    if node.link is not None and node.link_ready:
        ctx.emit(Send(node.link, Message(header(ctx, mflags), body)))


def broadcast(
    ctx: Context, body: Body, mflags: MessageFlag = NO_MESSAGE_FLAGS, *, to: list[NodeEntry] | None = None
) -> None:
    """Say something to every node we have a link to, or to those of `to`."""
    links = tuple(
        node.link
        for node in (ctx.state.others() if to is None else to)
        if node.link is not None and node.link_ready and not node.handshake
    )
    if links:
        ctx.emit(Broadcast(links, Message(header(ctx, mflags), body)))


def broadcast_pong(ctx: Context, *, to: list[NodeEntry] | None = None, about: NodeEntry | None = None) -> None:
    """Tell everybody (or `to`) at once what has changed here, or that there is a new node, without waiting for a
    heartbeat."""
    body = Heartbeat(MessageType.PONG, _gossip(ctx, about), _extensions_for_all(ctx))
    broadcast(ctx, body, to=to)
    if ctx.settings.datagram_heartbeats:
        for node in ctx.state.others() if to is None else to:
            # Its link is still being dialled, or what was said on it may be lost, and after a partition TCP takes a
            # second or more to try again; a datagram gets through. An old master that is not told goes on serving: one
            # of this shard that has lost all its slots is told both ways.
            asked = node.ping_sent_at is not None or node.link_asked_at is not None
            replaced = node.is_master and not node.slots and node.shard == ctx.myself.shard
            if node.datagrams and (asked or replaced or not node.link_ready) and not node.handshake:
                ping(ctx, node)


def ping(ctx: Context, node: NodeEntry) -> None:
    """Ask a node whether it is there, and start waiting for the answer, even where the question cannot be sent."""
    ctx.state.attention.soon(node)
    by_datagram = ctx.settings.datagram_heartbeats and node.datagrams
    if by_datagram or node.link_ready:
        body = heartbeat(ctx, MessageType.PING, node)
        if by_datagram and len(body.gossip) <= _DATAGRAM_GOSSIP_MAX:
            _by_datagram(ctx, node.ip, node.cport, body)
            node.retry = Way.LINK
        else:
            send(ctx, node, body)
    _wait(ctx, node)


def _wait(ctx: Context, node: NodeEntry) -> None:
    """Wait for the answer. A ping that is pending already keeps its time."""
    if node.ping_sent_at is None:
        node.ping_sent_at = ctx.now_ms
        ctx.state.untell(node)


def ping_on_link(ctx: Context, node: NodeEntry, kind: MessageType = MessageType.PING) -> None:
    """PING, or MEET, on TCP whatever the node can do."""
    send(ctx, node, heartbeat(ctx, kind, node))
    ctx.state.attention.soon(node)
    node.link_asked_at = ctx.now_ms
    node.retry = None
    _wait(ctx, node)


def call(ctx: Context, node: NodeEntry) -> None:
    """PING by datagram, whatever the node can do, and without waiting for the answer."""
    body = heartbeat(ctx, MessageType.PING, node)
    if len(body.gossip) <= _DATAGRAM_GOSSIP_MAX:
        _by_datagram(ctx, node.ip, node.cport, body)


def ask_link(ctx: Context, node: NodeEntry) -> None:
    """PING on TCP that asks after the link alone: whether the node lives is what datagrams find out."""
    if node.link_ready and node.link_asked_at is None:
        send(ctx, node, heartbeat(ctx, MessageType.PING, node))
        node.link_asked_at = ctx.now_ms
        ctx.state.attention.soon(node)


def answer_on_link(ctx: Context, link: int, asker: NodeEntry | None, kind: MessageType = MessageType.PONG) -> None:
    """Answer on the link the question came on: with a PONG, or with the PING that MFSTART asks for."""
    ctx.emit(Send(link, Message(header(ctx), heartbeat(ctx, kind, asker))))


def pong_by_datagram(ctx: Context, ip: str, port: int, asker: NodeEntry) -> None:
    """Answer a datagram, to where it came from."""
    _by_datagram(ctx, ip, port, heartbeat(ctx, MessageType.PONG, asker))


def _by_datagram(ctx: Context, ip: str, port: int, body: Body) -> None:
    ctx.emit(SendDatagram(ip, port, Message(header(ctx), body)))


def heartbeat(ctx: Context, kind: MessageType, to: NodeEntry | None) -> Heartbeat:
    """A PING, PONG or MEET with gossip about other nodes; `to` is None when it is for several nodes or a stranger."""
    # A node that is held for FAIL must hear of it: it may be back, and somebody about to take its place (`health`).
    about = to if to is not None and to.fail and not to.handshake and not to.noaddr else None
    return Heartbeat(kind, _gossip(ctx, about), _extensions(ctx, to))


def _extensions(ctx: Context, to: NodeEntry | None) -> Extensions:
    """The host name for everybody; what not all understand for those that have shown that they do."""
    settings = ctx.settings
    if to is None or not _understands(to):
        return _extensions_of(settings.hostname, "", None, ()) if settings.hostname else NO_EXTENSIONS
    networks = settings.client_networks if to.datagrams or to.extended else ()
    said = _extensions_of(settings.hostname, settings.nodename, ctx.myself.shard, networks)
    forgotten = ctx.state.forgotten(ctx.now_ms) if ctx.state.blacklist else ()
    return replace(said, forgotten=forgotten) if forgotten else said


def _extensions_for_all(ctx: Context) -> Extensions:
    """What everybody understands. A real Redis 7.2 takes a name that is left out for one that was taken back."""
    others = ctx.state.others() if ctx.settings.nodename else []
    if not others or not all(_understands(node) for node in others):
        return _extensions(ctx, None)
    return _extensions(ctx, next((node for node in others if node.tells_shard), others[0]))


def _understands(node: NodeEntry) -> bool:
    return node.datagrams or node.extended or node.tells_shard


# The same with every heartbeat; a simulation has many nodes in one process.
@lru_cache(4096)
def _extensions_of(
    hostname: str, nodename: str, shard_id: str | None, networks: tuple[ClientNetwork, ...]
) -> Extensions:
    return Extensions(hostname=hostname, nodename=nodename, shard_id=shard_id, client_networks=networks)


def _gossip(ctx: Context, about: NodeEntry | None = None) -> tuple[GossipEntry, ...]:
    """Some nodes at random (and `about`), and all we suspect: a suspicion has to reach a majority of masters soon."""
    state = ctx.state
    if state.topology_changed:
        state.tell_anew()
    state.make_room()
    chosen = [] if about is None else [_entry(state, about)]
    # Neither we nor, usually, the receiver are news.
    count = len(state.nodes)
    wanted = min(max(_GOSSIP_MIN, count // _GOSSIP_FRACTION), count - 2)
    if wanted > 0:
        nodes, told, ids = state.nodes, state.told, state.numbers.ids
        for number in _some(ctx, wanted * 3):
            entry = told[number]
            if entry is None:
                node = nodes[ids[number]]
                # Suspects come anyway. A node without link and slots may be a misconfigured one that nobody knows.
                if (
                    node is about
                    or node.pfail
                    or node.handshake
                    or node.noaddr
                    or (node.link is None and not node.slots)
                ):
                    continue
                entry = _entry(state, node)
            chosen.append(entry)
            if len(chosen) >= wanted:
                break
        chosen += [_entry(state, node) for node in state.suspected if not node.handshake]
    return tuple(chosen)


def _some(ctx: Context, wanted: int) -> list[int]:
    """The numbers of so many of the other nodes, or of all.

    They are neighbours in an order that chance has made, from a place that it chooses each time: every node is as
    likely to be among them as the next, which is what counts, for the price of one draw. (A large cluster spends much
    of its time here.)
    """
    table = ctx.state.table()
    if ctx.mixed_from is not table:
        ctx.mixed_from = table
        ctx.mixed = [node.number for node in table if not node.myself]
        ctx.rng.shuffle(ctx.mixed)
    mixed = ctx.mixed
    start = int(ctx.rng.random() * len(mixed))
    some = mixed[start : start + wanted]
    return some if len(some) == wanted else some + mixed[: min(wanted - len(some), start)]


def _entry(state: ClusterState, node: NodeEntry) -> GossipEntry:
    """What we say of a node; kept for the next time where that is likely to be the same."""
    pong_received = state.wall_ms(state.answered_at(node)) // 1000
    well = not (node.myself or node.pfail or node.fail or node.handshake or node.noaddr or node.fail_reports)
    if well and node.ping_sent_at is None and (node.link is not None or node.slots):
        entry = _well(node.id, node.ip, node.port, node.cport, node.flag_bits, pong_received, node.pport)
        state.told[node.number] = entry
        return entry
    ping_sent = state.wall_ms(node.ping_sent_at) // 1000
    return GossipEntry(node.id, node.ip, node.port, node.cport, node.flag_bits, ping_sent, pong_received, node.pport)


@lru_cache(_WELL_REMEMBERED)
def _well(node_id: str, ip: str, port: int, cport: int, flags: int, pong_received: int, pport: int) -> GossipEntry:
    """What is said of a node that is well. The nodes of a simulation, which all say the same, then say the same object:
    a thousand copies of it are more than a processor's cache holds."""
    return GossipEntry(node_id, ip, port, cport, flags, 0, pong_received, pport)
