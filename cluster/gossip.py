"""What others say of third nodes: new ones, failing ones, those that moved (cluster specification, "Node
discovery" and "Failure detection")."""

from __future__ import annotations

from cluster import failure, links
from cluster.context import Context
from cluster.membership import NodeEntry
from cluster.messages import GossipEntry, NodeFlag

_FAIL = NodeFlag.FAIL.value
_FAILING = NodeFlag.PFAIL.value | NodeFlag.FAIL.value
# What is believed about a node that is new to us.
_HEARSAY = (
    NodeFlag.MASTER | NodeFlag.SLAVE | NodeFlag.PFAIL | NodeFlag.FAIL | NodeFlag.NOFAILOVER | NodeFlag.MIGRATE_TO
).value
_NOADDR = NodeFlag.NOADDR.value
_UNREACHABLE = _NOADDR | NodeFlag.HANDSHAKE.value
# A peer's clock may be this much ahead of ours for its word on a pong's time to count.
_CLOCK_AHEAD_MS = 500


def hear(ctx: Context, sender: NodeEntry | None, entries: tuple[GossipEntry, ...]) -> None:
    """Take in the gossip section of a heartbeat; `sender` is None for a stranger's MEET, whose word on failures and
    on new nodes does not count."""
    state, now_ms = ctx.state, ctx.now_ms
    state.make_room()
    nodes, told, number_of = state.nodes, state.told, state.numbers.of
    offset_ms, latest_ms = state.wall_offset_ms, now_ms + _CLOCK_AHEAD_MS
    voice = sender if sender is not None and failure.has_voice(sender) else None
    for entry in entries:
        # A heartbeat of a thousand nodes has a hundred entries, and nearly all are about nodes that are well: these
        # are dealt with first, and, where possible, without a look at the node.
        number = number_of.get(entry.node, 0)
        ours = told[number]
        if entry is ours:
            continue
        flags, pong_received = entry.flags, entry.pong_received
        if ours is not None and not flags & _FAILING:
            if pong_received <= ours.pong_received:
                continue
            if _differ_in_time_only(entry, ours):
                if pong_received * 1000 - offset_ms <= latest_ms:
                    # What is said of it is all we would say: so we say just that, from now on.
                    told[number] = entry
                continue
        node = nodes.get(entry.node)
        if node is None:
            if sender is not None:
                _discover(ctx, entry)
            continue
        if node.myself:
            if flags & _FAIL and sender is not None:
                ctx.held_for_failed = True
            continue
        if flags & _FAILING:
            if voice is not None:
                failure.report(ctx, node, voice)
            continue
        # Hardly any node has failure reports: the way to one is short for the others.
        if voice is not None and node.fail_reports:
            failure.withdraw(ctx, node, voice)
        # Somebody else has heard from it: no need to ask again so soon. This is what keeps the number of pings low.
        # A 0 means never, which is no time to take over.
        if pong_received and node.ping_sent_at is None and not (node.fail_reports and failure.reports(ctx, node)):
            pong_at = pong_received * 1000 - offset_ms
            known_at = state.answered_at(node)
            if pong_at <= latest_ms and (known_at is None or pong_at > known_at):
                state.untell(node)
                node.pong_received_at = pong_at
        if node.pfail or node.fail or node.noaddr:
            _follow_address(ctx, node, entry)


def _differ_in_time_only(entry: GossipEntry, ours: GossipEntry) -> bool:
    """Whether two entries about the same node say the same, except for when it last answered."""
    return (
        entry.flags == ours.flags
        and entry.ip == ours.ip
        and entry.port == ours.port
        and entry.cport == ours.cport
        and entry.ping_sent == ours.ping_sent
        and entry.pport == ours.pport
    )


def _follow_address(ctx: Context, node: NodeEntry, entry: GossipEntry) -> None:
    """We cannot reach a node, and the sender can: perhaps it has moved."""
    if entry.flags & _NOADDR or not entry.ip:
        return
    address = (entry.ip, entry.port, entry.cport)
    if address != (node.ip, node.port, node.cport):
        links.drop(ctx, node)
        node.ip, node.port, node.cport = address
        node.pport = entry.pport
        node.noaddr = False
        ctx.state.attention.soon(node)
        ctx.state.topology_changed = True


def _discover(ctx: Context, entry: GossipEntry) -> None:
    if entry.flags & _UNREACHABLE or not entry.ip:
        return
    if ctx.state.is_blacklisted(entry.node, ctx.now_ms):
        return
    node = NodeEntry(entry.node, entry.ip, entry.port, entry.cport)
    node.pport = entry.pport
    node.flags = NodeFlag(entry.flags & _HEARSAY)
    node.is_replica = node.is_replica and not node.is_master
    node.pfail = node.pfail and not node.fail
    node.fail_at = ctx.now_ms if node.fail else None
    node.created_at = ctx.now_ms
    ctx.state.add(node)
    ctx.save()
