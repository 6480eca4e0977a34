"""When to ask whom whether it is there ("Heartbeat and gossip messages" in the cluster specification).

Once a second the stalest of five nodes picked at random; and everybody who has not been heard of for half the node
timeout (or `cluster-ping-interval`). In between, others' gossip tells when a node last answered them.
"""

from __future__ import annotations

from cluster import comeback, failure, handshake, links, outgoing
from cluster.context import Context
from cluster.membership import BLACKLIST_MS, NodeEntry, Way
from cluster.messages import NO_EXTENSIONS, Header, Heartbeat, MessageFlag

_SAMPLE = 5
# A datagram may be lost, and a link be dead: after this part of the node timeout the question is put again on the other
# way.
_PATIENCE = 0.25


def ping_stalest(ctx: Context) -> None:
    """Ping the one of a few random nodes that was heard of the longest ago."""
    state, nodes = ctx.state, ctx.state.table()
    stalest: NodeEntry | None = None
    for _ in range(_SAMPLE):
        node = nodes[ctx.rng.randrange(len(nodes))]
        if node.myself or node.handshake or not node.link_ready or node.ping_sent_at is not None:
            continue
        if stalest is None or ctx.since(state.answered_at(node)) > ctx.since(state.answered_at(stalest)):
            stalest = node
    if stalest is not None:
        _ask(ctx, stalest)


def watch(ctx: Context, node: NodeEntry) -> None:
    """For one node: ping it when it is time, and suspect it when it leaves pings unanswered."""
    timeout_ms, ping_after_ms = ctx.settings.node_timeout_ms, ctx.settings.ping_after_ms
    answered_at = ctx.state.answered_at(node)
    if (
        node.ping_sent_at is None
        and answered_at is not None
        and node.link is not None
        and node.link_asked_at is None
        and ctx.manual.replica_id is None
        and answered_at + ping_after_ms >= ctx.now_ms
    ):
        # It has answered somebody else since this look was planned: nearly always so, in a large cluster.
        ctx.state.attention.at(node, answered_at + ping_after_ms)
        return
    # Before anything is done, because that may bring the next look nearer.
    ctx.state.attention.at(node, _next_look(ctx, node, answered_at))
    pending_ms = 0.0 if node.ping_sent_at is None else ctx.since(node.ping_sent_at)
    # One that withholds its pings learns nothing of a link from their staying unanswered, and needs it for its vote.
    asks = not comeback.silent(ctx)
    if (
        node.link is not None
        and (asks or not node.link_ready)
        and ctx.since(node.link_at) > timeout_ms
        and pending_ms > timeout_ms / 2
        and (not node.link_ready or ctx.since(node.heard_at) > timeout_ms / 2)
    ):
        # Perhaps it is the link that is dead, and not the node: a new one is tried while there is still time. One that
        # is still being dialled is given up even when the node is heard of by other ways: we want its answer.
        links.drop(ctx, node)
    elif node.link is not None and node.ping_sent_at is None and ctx.since(answered_at) > ping_after_ms:
        # Also while the link is still being dialled: one that hangs must not keep the clock from running.
        _ask(ctx, node)
        return
    elif ctx.manual.replica_id == node.id and node.link_ready:
        # It waits for our final offset: the first heartbeat that says so may get lost.
        outgoing.ping(ctx, node)
        return
    elif node.retry is not None and pending_ms > timeout_ms * _PATIENCE:
        _ask_again(ctx, node)
    failure.suspect_silent(ctx, node)
    if asks and node.datagrams and node.link_asked_at is not None and ctx.since(node.link_asked_at) > timeout_ms:
        links.drop(ctx, node)


def _next_look(ctx: Context, node: NodeEntry, answered_at: float | None) -> float:
    """The first moment at which one of the waits that `watch` knows can be over.

    Each ends some time after a moment that can only move on. A wait that begins later has it looked at soon.
    """
    if node.link is None or ctx.manual.replica_id == node.id:
        return 0.0
    timeout_ms = ctx.settings.node_timeout_ms
    if node.ping_sent_at is None:
        if answered_at is None:
            return 0.0
        moment = answered_at + ctx.settings.ping_after_ms
    else:
        heard_at = node.ping_sent_at if node.heard_at is None else max(node.ping_sent_at, node.heard_at)
        doubtful_from = heard_at if node.link_ready else node.ping_sent_at
        moment = max(node.link_at + timeout_ms, doubtful_from + timeout_ms / 2)
        if not node.pfail and not node.fail:
            moment = min(moment, heard_at + timeout_ms)
        if node.retry is not None:
            moment = min(moment, node.ping_sent_at + timeout_ms * _PATIENCE)
    if node.link_asked_at is not None:
        moment = min(moment, node.link_asked_at + timeout_ms)
    return moment


def miss(ctx: Context, node: NodeEntry) -> None:
    """A node without an address cannot be asked: it is suspected like one that does not answer.

    A master may have lost its disk, and be back with a new name at the old address. In Redis the old name keeps its
    slots for ever then, and its replica never stands for election. Valkey 8.1 fails it at the word of the first node
    that notices, which is rash where machines exchange addresses (containers that are started anew): it may be heard
    of yet.
    """
    if node.ping_sent_at is None:
        node.ping_sent_at = ctx.now_ms
        ctx.state.untell(node)
    failure.suspect_silent(ctx, node)
    if not node.pfail and not node.fail:
        ctx.state.attention.at(node, node.ping_sent_at + ctx.settings.node_timeout_ms)


def look_at_all(ctx: Context) -> None:
    """Look at every node at the next tick: the waits are others now."""
    for node in ctx.state.others():
        ctx.state.attention.soon(node)


def _ask(ctx: Context, node: NodeEntry) -> None:
    """Ping it: by datagram, but on its TCP link when that was idle for a node timeout.

    A peer whose machine lost power and came back says nothing about its old connections. Without a try we would
    notice only when we send FAIL or ask for votes on the dead one, and that message would be lost. (When it dials
    us anew, we need not wait for our next ping: see `links.bind_inbound`.)
    """
    proves_link = (
        node.datagrams
        and node.link_ready
        and node.link_asked_at is None
        and ctx.since(node.link_proved_at) > ctx.settings.node_timeout_ms
    )
    if proves_link:
        outgoing.ping_on_link(ctx, node)
        node.retry = Way.DATAGRAM
    else:
        outgoing.ping(ctx, node)
    ctx.state.attention.at(node, _next_look(ctx, node, None))


def _ask_again(ctx: Context, node: NodeEntry) -> None:
    """Put the pending question on the way that it has not gone yet."""
    if node.retry is Way.LINK:
        outgoing.ping_on_link(ctx, node)
    else:
        outgoing.ping(ctx, node)
        node.retry = None


def excuse(ctx: Context, stopped_ms: float) -> None:
    """This process did not run for a while: what it did not hear meanwhile is nobody's fault."""
    for node in ctx.state.others():
        if node.ping_sent_at is not None:
            node.ping_sent_at = min(node.ping_sent_at + stopped_ms, ctx.now_ms)
        if node.link_asked_at is not None:
            node.link_asked_at = min(node.link_asked_at + stopped_ms, ctx.now_ms)


def answered(ctx: Context, node: NodeEntry) -> None:
    """A PONG came: from the node we asked, on our link to it or as a datagram."""
    ctx.state.untell(node)
    node.pong_received_at = ctx.now_ms
    node.ping_sent_at = None
    node.retry = None
    ctx.state.attention.at(node, _next_look(ctx, node, ctx.now_ms))
    if node.id not in ctx.heard_directly:
        ctx.heard_directly[node.id] = None
        # It may have been the last one to wait for.
        ctx.judge_state = ctx.judge_state or not ctx.state.ok
    failure.answered(ctx, node)


def learn_about_sender(ctx: Context, sender: NodeEntry, header: Header, body: Heartbeat, *, by_datagram: bool) -> None:
    """What a heartbeat's extensions say of its sender."""
    extensions = body.extensions
    if extensions.shard_id is not None:
        sender.tells_shard = True
        # Who says that says all; other heartbeats leave the name out where not everybody would understand it.
        sender.nodename = extensions.nodename
        # What a replica says is its master's, which says so itself.
        if sender.master is None and extensions.shard_id != sender.shard_id:
            sender.shard_id = extensions.shard_id
            ctx.save()
    elif extensions is NO_EXTENSIONS and header.mflags.value & MessageFlag.EXT_DATA.value:
        # Valkey, which keeps what it has to say until it knows that we understand it.
        sender.tells_shard = True
    for node_id, seconds in extensions.forgotten:
        _forget_too(ctx, sender, node_id, seconds)
    if extensions.hostname != sender.hostname:
        sender.hostname = extensions.hostname
        ctx.state.topology_changed = True
        ctx.save()
    # The sender adds these only for a peer it knows to understand them, which it does when it sends a datagram: only
    # then does their absence mean that there are none. (Where the bus is encrypted there are no datagrams, and
    # rules that were taken back are told until the peer starts again.)
    if extensions.client_networks != sender.client_networks and (extensions.client_networks or by_datagram):
        sender.client_networks = extensions.client_networks
        ctx.state.topology_changed = True
        ctx.save()


def _forget_too(ctx: Context, sender: NodeEntry, node_id: str, seconds: int) -> None:
    """An operator has told somebody to forget a node: then all do, as from Redis 7.2 on.

    Not a replica its master, which would leave it without any.
    """
    node = ctx.state.nodes.get(node_id)
    if node is None or node is sender or node is ctx.myself or node is ctx.myself.master:
        return
    ctx.state.blacklist[node_id] = ctx.now_ms + min(seconds * 1000, BLACKLIST_MS)
    handshake.forget(ctx, node)
    ctx.changed()
