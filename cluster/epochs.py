"""Epochs: the cluster's logical clock (cluster specification, "Configuration handling, propagation, and failovers").

Of two nodes that claim one slot the one with the greater configuration epoch has it. So every change of owner needs
an epoch of its own, from an election or, by an operator's word, without one.
"""

from __future__ import annotations

from cluster.context import Context
from cluster.membership import NodeEntry
from cluster.messages import Header


def learn(ctx: Context, sender: NodeEntry, header: Header) -> None:
    """Take the epochs of a known node's header; neither ever falls.

    A replica shows its master's configuration epoch. Redis 7.0 notes it for the replica, too; then a master that has
    just lost its slots looks as new as its successor, and keeps them in our table (Valkey 8 does as is done here).
    """
    if header.current_epoch > ctx.state.current_epoch:
        ctx.state.current_epoch = header.current_epoch
        ctx.save()
    if header.master is None and header.config_epoch > sender.config_epoch:
        sender.config_epoch = header.config_epoch
        ctx.save(fsync=True)


def bump_without_consensus(ctx: Context) -> bool:
    """Take a configuration epoch above all others, without asking; False when ours is that already.

    Two nodes may do so at once, and get the same one: the collision is resolved below.
    """
    state, myself = ctx.state, ctx.myself
    if myself.config_epoch != 0 and myself.config_epoch == state.epoch_max():
        return False
    state.current_epoch += 1
    myself.config_epoch = state.current_epoch
    ctx.save(fsync=True)
    ctx.notice(f"New configEpoch set to {myself.config_epoch}")
    return True


def resolve_collision(ctx: Context, sender: NodeEntry, config_epoch: int) -> None:
    """Two masters with one configuration epoch: the one with the smaller id moves on to a new one.

    BACKGROUND. Bumps without consensus, and a cluster made before epochs were set, leave masters with equal epochs.
    Of two claims with equal epochs neither would win, and the nodes would disagree on a slot for ever.
    Which of the two moves does not matter; that exactly one does, does.
    """
    state, myself = ctx.state, ctx.myself
    if not (myself.is_master and sender.is_master) or config_epoch != myself.config_epoch:
        return
    if sender.id <= myself.id or not ctx.guards.resolve_epoch_collisions:
        return
    state.current_epoch += 1
    myself.config_epoch = state.current_epoch
    ctx.save(fsync=True)
    ctx.warning(f"WARNING: configEpoch collision with node {sender.called}. configEpoch set to {myself.config_epoch}")
