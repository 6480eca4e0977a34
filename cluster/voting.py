"""A master's vote ("Masters reply to replica vote request" in the cluster specification).

At most one vote an epoch makes the winner of an epoch unique, and with it the owner of every slot. There is no
negative answer: a candidate without a majority just runs out of time.
"""

from __future__ import annotations

from cluster import outgoing
from cluster.context import Context
from cluster.membership import NodeEntry
from cluster.messages import FailoverAuthAck, Header, MessageFlag
from cluster.slots import from_bitmap

# After a vote for a replica of some master, none for its siblings for this many node timeouts: the winner gets time
# to tell everybody.
_SAME_MASTER_TIMEOUTS = 2


def requested(ctx: Context, candidate: NodeEntry, header: Header) -> None:
    """Vote for a candidate, or stay silent and log why."""
    state = ctx.state
    # Only masters with slots have a vote: the size of the cluster, and so the majority, counts just these.
    if not ctx.myself.is_master or not ctx.myself.slots:
        return
    objection = _objection(ctx, candidate, header)
    if objection is not None:
        ctx.warning(f"Failover auth denied to {candidate.called}: {objection}")
        return
    master = candidate.master
    assert master is not None
    master.voted_at = ctx.now_ms
    state.last_vote_epoch = state.current_epoch
    # Had we forgotten the vote after a restart, we would give a second one in the same epoch.
    ctx.save(fsync=True)
    outgoing.send(ctx, candidate, FailoverAuthAck())
    ctx.warning(f"Failover auth granted to {candidate.called} for epoch {state.current_epoch}")


def _objection(ctx: Context, candidate: NodeEntry, header: Header) -> str | None:
    """Why not; None when the candidate shall have the vote."""
    state, guards, master = ctx.state, ctx.guards, candidate.master
    if header.current_epoch < state.current_epoch:
        return f"reqEpoch ({header.current_epoch}) < curEpoch({state.current_epoch})"
    if state.last_vote_epoch == state.current_epoch and guards.vote_once_per_epoch:
        return f"already voted for epoch {state.current_epoch}"
    if not candidate.is_replica:
        return "it is a master node"
    if master is None:
        return "I don't know its master"
    # A master that stands back for its replicas is as good as failed, and knows it first.
    failed = master.fail or (master.myself and ctx.stands_back)
    # An operator's word goes for two things: a master that is alive, and a second failover soon after the last one.
    forced = bool(header.mflags & MessageFlag.FORCEACK)
    if not failed and not forced and guards.vote_only_when_master_failed:
        return "its master is up"
    silence_ms = ctx.since(master.voted_at)
    needed_ms = ctx.settings.node_timeout_ms * _SAME_MASTER_TIMEOUTS
    if silence_ms < needed_ms and guards.vote_once_per_epoch and not forced:
        return f"can't vote about this master before {int(needed_ms - silence_ms)} milliseconds"
    if guards.reject_stale_candidates:
        contested = from_bitmap(header.slots) & ~state.unclaimed
        for owner in state.nodes.values():
            newer = owner.slots & contested
            if newer and owner.config_epoch > header.config_epoch:
                slot = (newer & -newer).bit_length() - 1
                return f"slot {slot} epoch ({owner.config_epoch}) > reqEpoch ({header.config_epoch})"
    return None
