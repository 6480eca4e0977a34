"""From silence to FAIL: suspicion by one node, agreement by a majority of masters, and back.

PFAIL is one node's opinion and changes nothing but that node's gossip. FAIL is the cluster's: it makes replicas
stand for election (cluster specification, "Failure detection").
"""

from __future__ import annotations

from cluster import outgoing
from cluster.context import Context
from cluster.membership import NodeEntry
from cluster.messages import Fail

# A master's word counts for this many node timeouts; and a master that is FAIL and back must have stayed without
# successor for as many before it may serve its slots again.
_REPORT_TIMEOUTS = 2
_UNDO_TIMEOUTS = 2


def suspect_silent(ctx: Context, node: NodeEntry) -> None:
    """Suspect a node that has left a ping unanswered, and said nothing else, for longer than the node timeout."""
    if node.ping_sent_at is None or node.pfail or node.fail:
        return
    silence_ms = min(ctx.since(node.ping_sent_at), ctx.since(node.heard_at))
    if silence_ms > ctx.settings.node_timeout_ms:
        ctx.debug(f"*** NODE {node.called} possibly failing")
        ctx.state.suspect(node, True)
        ctx.judge_state = True
        # Redis looks for agreement only when gossip comes in; if ours was the last voice missing, it is there now.
        declare_if_agreed(ctx, node)


def report(ctx: Context, node: NodeEntry, reporter: NodeEntry) -> None:
    """A master says that a node is failing."""
    if node.fail_reports.pop(reporter.id, None) is None:
        ctx.verbose(f"Node {reporter.called} reported node {node.called} as not reachable.")
    node.fail_reports[reporter.id] = ctx.now_ms
    ctx.state.untell(node)
    declare_if_agreed(ctx, node)


def withdraw(ctx: Context, node: NodeEntry, reporter: NodeEntry) -> None:
    """A master says that a node is well."""
    if node.fail_reports.pop(reporter.id, None) is not None:
        ctx.verbose(f"Node {reporter.called} reported node {node.called} is back online.")


def has_voice(node: NodeEntry) -> bool:
    """Whether what it says of failures counts."""
    return node.is_master and node.slots != 0


def reports(ctx: Context, node: NodeEntry) -> int:
    """How many masters said lately that a node is failing."""
    limit_ms = ctx.settings.node_timeout_ms * _REPORT_TIMEOUTS
    while node.fail_reports:
        oldest = next(iter(node.fail_reports))
        if ctx.now_ms - node.fail_reports[oldest] <= limit_ms:
            break
        del node.fail_reports[oldest]
    return len(node.fail_reports)


def declare_if_agreed(ctx: Context, node: NodeEntry) -> None:
    """Turn our suspicion into FAIL when a majority of masters shares it, and tell everybody.

    A replica and a master without slots do so as well, from the reports they have: their own voices do not count,
    since a majority is one of masters with slots. (Redis, up to 8.0, gives a master that owns nothing a voice: where
    one master has all slots, a new node that does not reach it fails it alone.)
    """
    if not node.pfail:
        return
    voices = reports(ctx, node) + has_voice(ctx.myself)
    needed = ctx.state.majority() if ctx.guards.majority_for_fail else 1
    if voices < needed:
        return
    ctx.notice(f"Marking node {node.called} as failing (quorum reached).")
    _mark(ctx, node)
    outgoing.broadcast(ctx, Fail(node.id))


def told(ctx: Context, node_id: str, sender: NodeEntry) -> None:
    """FAIL from another node. It is believed at once, so that the whole cluster agrees within one message."""
    node = ctx.state.nodes.get(node_id)
    if node is None or node.myself:
        return
    if not node.fail:
        ctx.notice(f"FAIL message received from {sender.called} about {node.called}")
        _mark(ctx, node)
    if node is sender:
        node.lost_data = True
        ctx.try_failover = True


def _mark(ctx: Context, node: NodeEntry) -> None:
    ctx.state.suspect(node, False)
    node.fail = True
    node.fail_at = ctx.now_ms
    node.lost_data = False
    ctx.state.topology_changed = True
    ctx.changed()
    ctx.try_failover = True


def answered(ctx: Context, node: NodeEntry) -> None:
    """A node answered our ping: whatever we thought of it, it is there."""
    if node.pfail:
        ctx.state.suspect(node, False)
        ctx.changed()
    elif node.fail:
        _clear_if_allowed(ctx, node)


def _clear_if_allowed(ctx: Context, node: NodeEntry) -> None:
    """Take FAIL back. A master with slots keeps it until an election has had its time, lest a node that comes and
    goes stop every election for it."""
    if node.is_replica or not node.slots:
        role = "replica" if node.is_replica else "master without slots"
        ctx.notice(f"Clear FAIL state for node {node.called}: {role} is reachable again.")
    elif ctx.since(node.fail_at) > ctx.settings.node_timeout_ms * _UNDO_TIMEOUTS:
        ctx.notice(
            f"Clear FAIL state for node {node.called}: is reachable again and nobody is serving its slots after some "
            "time."
        )
    else:
        return
    node.fail = False
    node.fail_at = None
    ctx.state.topology_changed = True
    ctx.changed()


def sees_majority(ctx: Context) -> bool:
    """Whether a majority of the masters with slots, this node perhaps among them, is not known to be failing."""
    state = ctx.state
    failing = [node for node in state.nodes.values() if (node.fail or node.pfail) and node.is_master and node.slots]
    return state.size() - len(failing) >= state.majority()
