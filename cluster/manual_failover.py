"""CLUSTER FAILOVER: a replica takes over from a master that is alive, at an operator's (or a sentinel's) word.

By default nothing is lost: the replica asks its master to pause its clients, learns the master's final offset from
the heartbeats that follow, and stands for election once it has applied that much. FORCE leaves the master out;
TAKEOVER leaves the voters out too (cluster specification, "Manual failover"; documentation of CLUSTER FAILOVER).
"""

from __future__ import annotations

from cluster import outgoing
from cluster.context import Context
from cluster.events import PauseWrites, UnpauseWrites
from cluster.membership import NodeEntry
from cluster.messages import Header, ManualFailoverStart, MessageFlag, MessageType

# How long an attempt may take, and how long the master's clients are paused at the most. The pause is longer: a
# replica that wins at the last moment must not find writes that came behind its offset.
FAILOVER_MS = 5000
_PAUSE_MS = 2 * FAILOVER_MS
# How often the replica looks whether it has caught up, while it waits for just that.
POLL_MS = 10


def begin(ctx: Context) -> None:
    """On the replica: a new attempt, whatever became of the last one."""
    reset(ctx)
    ctx.manual.end_at = ctx.now_ms + FAILOVER_MS
    # An election of our own that failed a moment ago does not make the operator wait for its retry time.
    ctx.candidacy.start_at = None


def coordinate(ctx: Context, master: NodeEntry) -> None:
    """On the replica: ask the master to pause its clients."""
    outgoing.send(ctx, master, ManualFailoverStart())


def start_now(ctx: Context) -> None:
    """On the replica: nothing to wait for (FORCE)."""
    ctx.manual.ready = True
    ctx.try_failover = True


def pause_for(ctx: Context, replica: NodeEntry, link: int) -> None:
    """On the master: one of its replicas wants to take over. Its writes stop, and its heartbeats say so."""
    if not ctx.myself.is_master or replica.master is not ctx.myself:
        return
    reset(ctx)
    ctx.manual.end_at = ctx.now_ms + FAILOVER_MS
    ctx.manual.replica_id = replica.id
    # `heartbeat.watch` sends it our offset at every tick now.
    ctx.state.attention.soon(replica)
    # The pause stands before the heartbeat with the offset: no write can come in between.
    ctx.emit(PauseWrites(ctx.now_ms + _PAUSE_MS))
    ctx.warning(f"Manual failover requested by replica {replica.called}.")
    outgoing.answer_on_link(ctx, link, replica, MessageType.PING)


def heard_master(ctx: Context, sender: NodeEntry, header: Header) -> None:
    """On the replica: the first heartbeat of the paused master brings its final offset."""
    manual = ctx.manual
    if (
        manual.end_at is not None
        and manual.master_offset is None
        and ctx.myself.master is sender
        and header.mflags & MessageFlag.PAUSED
    ):
        manual.master_offset = header.offset
        ctx.warning(f"Received replication offset for paused master manual failover: {header.offset}")
        look(ctx)


def look(ctx: Context) -> None:
    """On the replica: start once everything the master wrote has been applied."""
    manual = ctx.manual
    if manual.end_at is None or manual.ready or manual.master_offset is None:
        return
    if ctx.offset == manual.master_offset:
        manual.ready = True
        ctx.try_failover = True
        ctx.warning("All master replication stream processed, manual failover can start.")


def waiting(ctx: Context) -> bool:
    """Whether only the replication stream is missing, which no event tells of."""
    return ctx.manual.end_at is not None and ctx.manual.master_offset is not None and not ctx.manual.ready


def expire(ctx: Context) -> None:
    """Give up an attempt that took too long; a paused master serves again."""
    if ctx.manual.end_at is not None and ctx.now_ms > ctx.manual.end_at:
        ctx.warning("Manual failover timed out.")
        reset(ctx)


def reset(ctx: Context) -> None:
    """End the attempt, on either side."""
    manual = ctx.manual
    if manual.replica_id is not None:
        ctx.emit(UnpauseWrites())
    manual.end_at = None
    manual.master_offset = None
    manual.ready = False
    manual.replica_id = None
