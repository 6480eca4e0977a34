"""A master that comes back with less than its replicas have.

It was killed and started again, sooner than anybody could declare it dead, and what it had not saved is gone. Redis
goes on from there: the master serves what is left, and its replicas, which still have everything, throw that away for
a copy of it (replication documentation, "Safety of replication when master has persistence turned off"). Here such a
master stands back for a replica: it serves nobody, gives nobody a copy, and behaves like a dead node towards those who
decide about a failover: sentinels get no good answer to PING, and where replicas elect each other, the bus hears
nothing of it. Should nobody take over, it serves what it has in the end, as Redis would at once.

Offsets say who has more. They count on through failovers; a node that starts has that of its snapshot, or 0.
"""

from __future__ import annotations

from cluster.context import Context

# Failing to be heard takes a node timeout, an election about as long.
_NODE_TIMEOUTS = 3
_PATIENCE_MS_MIN = 10_000


def returning(ctx: Context) -> bool:
    """Whether this master has slots from an earlier life, and has not served them in this one yet."""
    return ctx.guards.wait_before_serving and not ctx.has_served and ctx.myself.is_master and ctx.myself.slots != 0


def stands_back(ctx: Context) -> bool:
    """Whether this master must not serve, because a replica of it has more data than it has."""
    if not returning(ctx):
        ctx.state.topology_changed = ctx.state.topology_changed or ctx.stands_back
        ctx.stands_back = False
        return False
    patience_ms = max(_PATIENCE_MS_MIN, _NODE_TIMEOUTS * ctx.settings.node_timeout_ms)
    offset = ctx.facts.replication_offset()
    fuller = [node for node in ctx.myself.replicas if node.id in ctx.heard_directly and node.offset > offset]
    stands_back = bool(fuller) and ctx.since(ctx.started_at) < patience_ms
    if stands_back and not ctx.stands_back:
        ctx.warning(
            f"I have lost data that replica {fuller[0].id} still has (my offset is {offset}, its offset is "
            f"{fuller[0].offset}): waiting for it to take over."
        )
    elif ctx.stands_back and not stands_back:
        ctx.warning("No replica has taken over. Serving the data that I have.")
    if stands_back != ctx.stands_back:
        ctx.stands_back = stands_back
        ctx.state.topology_changed = True
    return stands_back


def silent(ctx: Context) -> bool:
    """Whether the bus must hear nothing of this node: its replicas wait for a majority to find it dead."""
    return ctx.stands_back and not ctx.settings.replica_no_failover
