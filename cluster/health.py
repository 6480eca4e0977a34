"""cluster_state: whether this node may serve clients at all ("Availability" in the cluster specification).

It fails when a slot has nobody to serve it, and when we are among a minority of the masters: then the others may
already have given our slots to somebody else.
"""

from __future__ import annotations

from cluster import comeback, failure
from cluster.context import Context
from cluster.events import StateChanged
from cluster.slots import ALL_SLOTS

# A master that has just started was perhaps replaced while it was away: it first listens for so long.
_WRITABLE_DELAY_MS = 2000
# Back from a minority, a master waits for one node timeout within these limits, for the majority to tell it of a
# successor.
_REJOIN_MS_MIN = 500
_REJOIN_MS_MAX = 5000
# Where sentinels decide, a master may have been replaced after so short a silence (`down-after-milliseconds` is
# theirs alone, and hardly less). Woken up, it first reads what it was told meanwhile, which waits in its sockets.
_DOWN_AFTER_MS = 500
_READ_MS = 200
# What the log says, as in Valkey 8.1.
_UNCOVERED = (
    "At least one hash slot is not served by any available node. "
    "Please check the 'cluster-require-full-coverage' configuration."
)
_MINORITY = "I am part of a minority partition."


def judge(ctx: Context) -> None:
    """Judge the state anew."""
    state = ctx.state
    if ctx.myself.is_master and not state.ok and not _may_return(ctx):
        return
    why_down = "" if _covered(ctx) else _UNCOVERED
    if not _among_majority(ctx):
        why_down = _MINORITY
        # A node that knows of no master with slots is not cut off from any: it is new, and need not rejoin.
        ctx.last_minority_at = ctx.now_ms if state.size() else None
    ok = not why_down
    if why_down != ctx.why_down:
        ctx.why_down = why_down
        if why_down and ctx.has_served:
            ctx.warning(f"Cluster is currently down: {why_down}")
    if ok == state.ok:
        return
    rejoin_ms = max(_REJOIN_MS_MIN, min(ctx.settings.node_timeout_ms, _REJOIN_MS_MAX))
    if ok and ctx.myself.is_master and ctx.since(ctx.last_minority_at) < rejoin_ms:
        return
    _change(ctx, ok=ok)


def trusted_ms(ctx: Context) -> float:
    """How long after a tick the tables still count, should there be no further one.

    A process that was stopped (SIGSTOP, a suspended machine, a command that took very long) finds its clients'
    commands and the news of its replacement side by side, and must not take the commands first.
    """
    settings = ctx.settings
    return min(settings.node_timeout_ms, _DOWN_AFTER_MS) if settings.replica_no_failover else settings.node_timeout_ms


def woke(ctx: Context, stopped_ms: float) -> None:
    """This process did not run for a while: a master listens for a moment before it serves again."""
    if not ctx.myself.is_master or not ctx.myself.slots or not ctx.guards.wait_before_serving:
        return
    ctx.serve_from = ctx.now_ms + _READ_MS
    ctx.warning(f"This process was stopped for {int(stopped_ms)} milliseconds: listening before serving again.")
    if ctx.state.ok:
        _change(ctx, ok=False)


def _change(ctx: Context, *, ok: bool) -> None:
    ctx.state.ok = ok
    ctx.has_served = ctx.has_served or ok
    ctx.state.topology_changed = True
    ctx.notice(f"Cluster state changed: {'ok' if ok else 'fail'}")
    ctx.emit(StateChanged(ok))


def _may_return(ctx: Context) -> bool:
    """Whether a master that serves nothing yet has listened long enough since its start.

    Redis waits two seconds, whatever it hears. What the wait is for is to learn of a successor; it comes from our
    table, where it was our replica or a fellow master, and its first answer shows its claims. So once every node
    of the table has answered us, nothing is left to wait for. Nodes we believe FAIL count as well: one of them may be
    back, with our slots. A node that learns of new ones meanwhile waits for these, too.

    Who is held for FAIL waits like Redis, though: a replica may be standing for election just now, and what we took
    before it wins would be lost.
    """
    if ctx.serve_from is not None and ctx.now_ms < ctx.serve_from:
        return False
    if comeback.stands_back(ctx):
        return False
    if not ctx.guards.wait_before_serving or ctx.since(ctx.started_at) >= _WRITABLE_DELAY_MS:
        return True
    return not ctx.held_for_failed and all(
        node.id in ctx.heard_directly for node in ctx.state.others() if not node.handshake and not node.noaddr
    )


def _covered(ctx: Context) -> bool:
    """Whether every slot has an owner that is not FAIL; suspicion alone takes nothing out of service."""
    if not ctx.settings.require_full_coverage:
        return True
    return ctx.state.bound == ALL_SLOTS and not any(node.slots for node in ctx.state.nodes.values() if node.fail)


def _among_majority(ctx: Context) -> bool:
    return not ctx.guards.minority_stops_serving or failure.sees_majority(ctx)
