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
    nodes = ctx.state.nodes
    # Only masters have a voice: a majority of masters decides.
    voice = sender if sender is not None and sender.is_master else None
    for entry in entries:
        node = nodes.get(entry.node)
        if node is None:
            if sender is not None:
                _discover(ctx, entry)
        elif not node.myself:
            _compare(ctx, voice, node, entry)
        elif entry.flags & _FAIL and sender is not None:
            ctx.held_for_failed = True


def _compare(ctx: Context, voice: NodeEntry | None, node: NodeEntry, entry: GossipEntry) -> None:
    if entry.flags & _FAILING:
        if voice is not None:
            failure.report(ctx, node, voice)
        return
    # Hardly any node has failure reports: the way to one is short for the others.
    if voice is not None and node.fail_reports:
        failure.withdraw(ctx, node, voice)
    # A 0 means never, which is no time to take over.
    if entry.pong_received and node.ping_sent_at is None and not (node.fail_reports and failure.reports(ctx, node)):
        # Somebody else has heard from it: no need to ask again so soon. This is what keeps the number of pings low.
        pong_at = entry.pong_received * 1000 - ctx.state.wall_offset_ms
        if pong_at <= ctx.now_ms + _CLOCK_AHEAD_MS and (
            node.pong_received_at is None or pong_at > node.pong_received_at
        ):
            node.pong_received_at = pong_at
    if (node.pfail or node.fail) and not entry.flags & _NOADDR and entry.ip:
        address = (entry.ip, entry.port, entry.cport)
        if address != (node.ip, node.port, node.cport):
            # We cannot reach it, and the sender can: it has moved.
            links.drop(ctx, node)
            node.ip, node.port, node.cport = address
            node.pport = entry.pport
            node.noaddr = False
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
