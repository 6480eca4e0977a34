"""A master left without working replica gets one from a master that has more than it needs ("Replica migration" in
the cluster specification). Run by each replica for itself; the smallest id among those that could go, goes."""

from __future__ import annotations

from cluster import roles
from cluster.context import Context
from cluster.membership import NodeEntry

# A master is orphaned for this long before somebody moves: its replica may be just restarting.
_PATIENCE_MS = 5000


def consider(ctx: Context) -> None:
    """Move to an orphaned master if we are the one to go."""
    master = ctx.myself.master
    if not ctx.myself.is_replica or master is None or not ctx.settings.allow_replica_migration:
        return
    # Before the whole table is looked at, ten times a second: a lone replica stays where it is.
    if master.working_replicas < 2:
        return
    working = {node.id: node.working_replicas for node in ctx.state.nodes.values() if node.is_master and not node.fail}
    largest = max(working.values(), default=0)
    if largest < 2 or working.get(master.id) != largest:
        return
    target = _orphan(ctx)
    if target is None or not ctx.state.ok:
        return
    healthy = sum(not node.fail and not node.pfail for node in master.replicas)
    if healthy <= ctx.settings.migration_barrier:
        return
    candidates = [
        replica.id
        for node in ctx.state.nodes.values()
        if working.get(node.id) == largest
        for replica in node.replicas
        if not replica.fail
    ]
    if min(candidates) == ctx.myself.id and ctx.since(target.orphaned_at) > _PATIENCE_MS:
        ctx.warning(f"Migrating to orphaned master {target.called}")
        roles.follow(ctx, target)


def _orphan(ctx: Context) -> NodeEntry | None:
    """The first master that lost its last working replica; notes for each since when."""
    target = None
    for node in ctx.state.nodes.values():
        if node.is_master and not node.fail and node.migrate_to and not node.working_replicas:
            if node.orphaned_at is None:
                node.orphaned_at = ctx.now_ms
            if target is None and node.slots:
                target = node
        else:
            node.orphaned_at = None
    return target
