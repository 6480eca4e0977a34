"""What a message from another node does, part by part, in Redis' order (clusterProcessPacket).

The order matters: epochs before claims, roles before slots, slots before gossip.
"""

from __future__ import annotations

from cluster import (
    election,
    epochs,
    failure,
    gossip,
    handshake,
    heartbeat,
    links,
    manual_failover,
    outgoing,
    roles,
    slot_config,
    voting,
)
from cluster.context import Context
from cluster.events import Deliver, Received, ReceivedDatagram
from cluster.membership import NodeEntry
from cluster.messages import (
    Fail,
    FailoverAuthAck,
    FailoverAuthRequest,
    Header,
    Heartbeat,
    ManualFailoverStart,
    MessageFlag,
    MessageType,
    NodeFlag,
    Publish,
    Update,
)

# As plain numbers: every heartbeat is asked for them, and a flag's own operators are calls of Python code.
_DATAGRAMS = MessageFlag.DATAGRAMS.value
_EXTENDED = MessageFlag.EXTENDED.value
_NOFAILOVER = NodeFlag.NOFAILOVER.value


def on_link(ctx: Context, event: Received) -> None:
    """A message that came by TCP."""
    node = ctx.link_nodes.get(event.link)
    if event.link > 0 and node is None:
        # Late news of a link we have closed.
        return
    header, body = event.message.header, event.message.body
    known = ctx.state.nodes.get(header.sender)
    sender = None if known is None or known.myself else known
    overtaken = sender is not None and _overtaken(ctx, sender, header)
    if sender is not None:
        _hear(ctx, sender, header)
        if event.link < 0:
            links.bind_inbound(ctx, event.link, sender)
    if not isinstance(body, Heartbeat):
        if sender is not None:
            _message(ctx, sender, event)
        return
    if body.kind is not MessageType.PONG:
        _asked(ctx, event, header, body, known)
    newcomer = None
    if event.link > 0:
        assert node is not None
        if node.handshake:
            if not handshake.introduced(ctx, node, header, known, event.peer_ip):
                return
            # Redis waits for its next heartbeat to read the rest; there is no reason not to do it now.
            sender = newcomer = node
            _hear(ctx, sender, header)
        elif node.id != header.sender:
            handshake.impostor(ctx, node)
            return
        node.link_proved_at, node.link_asked_at = ctx.now_ms, None
        if body.kind is MessageType.PONG:
            heartbeat.answered(ctx, node)
    elif sender is not None and body.kind is MessageType.PING:
        links.update_address(ctx, sender, header, event.peer_ip)
    if sender is not None and not overtaken:
        _portrait(ctx, sender, header, body, by_datagram=False)
    if newcomer is not None:
        # The others learn of it now, and not whenever gossip happens to mention it: a cluster forms in a moment.
        outgoing.broadcast_pong(ctx, about=newcomer)


def by_datagram(ctx: Context, event: ReceivedDatagram) -> None:
    """A heartbeat that came as a datagram: only those of nodes we know count, since anybody can send one."""
    header, body = event.message.header, event.message.body
    sender = ctx.state.nodes.get(header.sender)
    if sender is None or sender.myself or not isinstance(body, Heartbeat) or body.kind is MessageType.MEET:
        return
    if _overtaken(ctx, sender, header):
        return
    _hear(ctx, sender, header)
    if body.kind is MessageType.PING:
        outgoing.pong_by_datagram(ctx, event.peer_ip, event.peer_port, sender)
        links.update_address(ctx, sender, header, event.peer_ip)
    else:
        heartbeat.answered(ctx, sender)
    _portrait(ctx, sender, header, body, by_datagram=True)


def _overtaken(ctx: Context, sender: NodeEntry, header: Header) -> bool:
    """Whether this header is older than another one we have seen: its portrait of the sender counts no more.

    Datagrams overtake one another, and a node's two links each other. B, a replica, answers a ping; takes over; says
    so on its own link; and we get the answer last. Believing it would take B's slots away until B's next heartbeat,
    and leave them to its old master, should that come back just now. A node's current epoch never falls, and rises
    with every take-over.

    It rises when B asks for votes, though, and not when B has them. So a master is not believed to be a replica again,
    with an older claim in the same epoch, as long as its last claim is fresh. (An operator can make a master such a
    replica; then it stays one, and is believed after a node timeout.)
    """
    if header.current_epoch != sender.epoch_announced:
        return header.current_epoch < sender.epoch_announced
    return (
        header.master is not None
        and sender.is_master
        and header.config_epoch < sender.config_epoch
        and sender.slots & ~ctx.state.unclaimed != 0
        and ctx.since(sender.claimed_at) <= ctx.settings.node_timeout_ms
    )


def _hear(ctx: Context, sender: NodeEntry, header: Header) -> None:
    """What every header of a known node tells."""
    sender.heard_at = ctx.now_ms
    datagrams = bool(int(header.mflags) & _DATAGRAMS)
    if datagrams != sender.datagrams:
        sender.datagrams = datagrams
        ctx.state.attention.soon(sender)
    if not datagrams:
        sender.extended = bool(int(header.mflags) & _EXTENDED)
    sender.epoch_announced = max(sender.epoch_announced, header.current_epoch)
    sender.offset = header.offset
    epochs.learn(ctx, sender, header)
    manual_failover.heard_master(ctx, sender, header)


def _asked(ctx: Context, event: Received, header: Header, body: Heartbeat, known: NodeEntry | None) -> None:
    """PING or MEET: learn what we are called, take in a stranger that asks for it, and answer."""
    meet = body.kind is MessageType.MEET
    if (meet or not ctx.myself.ip) and not ctx.settings.announce_ip and event.local_ip != ctx.myself.ip:
        ctx.myself.ip = event.local_ip
        ctx.state.topology_changed = True
        ctx.save()
        ctx.warning(f"IP address for this node updated to {event.local_ip}")
    if meet and known is None:
        handshake.start(ctx, header.ip or event.peer_ip, header.port, header.cport, meet=False)
        # We are told to trust it; still, what it says of others counts only once it has told its name.
        gossip.hear(ctx, None, body.gossip)
    outgoing.answer_on_link(ctx, event.link, known)


def _portrait(ctx: Context, sender: NodeEntry, header: Header, body: Heartbeat, *, by_datagram: bool) -> None:
    """The state of the sender that every heartbeat carries: its role, its slots, and then its gossip."""
    state = ctx.state
    nofailover = bool(int(header.flags) & _NOFAILOVER)
    if nofailover != sender.nofailover:
        sender.nofailover = nofailover
        state.untell(sender)
    if header.master is None:
        sender.claimed_at = ctx.now_ms
        if not sender.is_master:
            state.become_master(sender)
            ctx.changed()
    elif sender.is_master:
        slot_config.succeeded(ctx, sender, header, state.nodes.get(header.master))
    else:
        master = state.nodes.get(header.master)
        if master is not None and master is not sender and sender.master is not master:
            state.become_replica(sender, master)
            ctx.changed()
    slot_config.compare(ctx, sender, header)
    if sender.master is not None and sender is ctx.myself.master:
        # It may have lost its last slot to a master whom we had no reason to follow.
        roles.move_up(ctx)
    epochs.resolve_collision(ctx, sender, header.config_epoch)
    gossip.hear(ctx, sender, body.gossip)
    heartbeat.learn_about_sender(ctx, sender, header, body, by_datagram=by_datagram)


def _message(ctx: Context, sender: NodeEntry, event: Received) -> None:
    """Everything that is not a heartbeat, from a node we know."""
    header = event.message.header
    match event.message.body:
        case Fail(node=node_id):
            failure.told(ctx, node_id, sender)
        case Publish(channel=channel, payload=payload, sharded=sharded):
            ctx.emit(Deliver(channel, payload, sharded))
        case FailoverAuthRequest():
            voting.requested(ctx, sender, header)
        case FailoverAuthAck():
            election.vote_received(ctx, sender, header)
        case Update() as update:
            slot_config.told(ctx, update)
        case ManualFailoverStart():
            manual_failover.pause_for(ctx, sender, event.link)
        case _:
            pass
