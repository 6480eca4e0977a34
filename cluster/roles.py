"""This node's own change of role: becoming somebody's replica, becoming a master, taking its master's slots."""

from __future__ import annotations

from cluster import links, manual_failover
from cluster.context import Context
from cluster.events import BecomeMaster
from cluster.membership import NodeEntry


def follow(ctx: Context, master: NodeEntry) -> None:
    """Be a replica of `master` from now on. A master must have lost its slots first."""
    state, myself = ctx.state, ctx.myself
    assert master is not myself, myself
    assert not myself.slots, (myself, "gives up slots nobody took")
    if myself.is_master:
        state.migrating.clear()
        state.importing.clear()
    if myself.master is not master:
        # A replica that comes from another shard has perhaps seen much more of that one than its new siblings of
        # theirs. Did it go on showing that offset, it would be elected before them, with none of the data. (So it is in
        # Redis; Valkey 8.1 begins at 0, too.)
        ctx.unrelated = master.shard != myself.shard
        ctx.followed = None
    state.become_replica(myself, master)
    links.follow_address(ctx)
    manual_failover.reset(ctx)
    ctx.changed(fsync=True)
    ctx.announce = True


def move_up(ctx: Context) -> bool:
    """Be a replica of our master's master, if our master is a replica by now; returns whether it is."""
    master = ctx.myself.master
    source = None if master is None else master.master
    if master is None or source is None or source is ctx.myself or not source.is_master:
        return False
    ctx.notice(f"I'm a sub-replica! Reconfiguring myself from {master.called} to {source.called}")
    follow(ctx, source)
    return True


def stop_following(ctx: Context) -> None:
    """Be a master, without slots yet."""
    ctx.state.become_master(ctx.myself)
    ctx.followed = None
    ctx.unrelated = False
    ctx.emit(BecomeMaster())


def replace_master(ctx: Context) -> None:
    """A replica takes over: its master's slots are its own, and everybody is told at once."""
    old_master = ctx.myself.master
    assert old_master is not None, ctx.myself
    slots = old_master.slots
    stop_following(ctx)
    ctx.state.assign(slots, ctx.myself)
    manual_failover.reset(ctx)
    ctx.changed(fsync=True)
    ctx.announce = True
