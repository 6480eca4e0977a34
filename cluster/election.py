"""A replica's way to be elected in its failed master's place ("Replica election and promotion" in the cluster
specification).

It waits a little, so that everybody has heard of the failure and the replica with the newest data goes first; then
asks all masters for their vote in a new epoch; a majority makes it the master, with that epoch.
"""

from __future__ import annotations

from cluster import outgoing, roles
from cluster.context import Context
from cluster.membership import NodeEntry
from cluster.messages import NO_MESSAGE_FLAGS, FailoverAuthRequest, Header, MessageFlag

# The wait before an election: fixed, random (two replicas of equal rank must not split the votes), and by rank.
_DELAY_MS = 500
_DELAY_MS_RANDOM = 500
_DELAY_MS_PER_RANK = 1000
# Votes are awaited for two node timeouts, and at least this long.
_VOTE_MS_MIN = 2000
# An election takes a moment; only what holds it up longer is worth a line in the log, and one every ten seconds.
_LOG_AFTER_MS = 5000
_LOG_AGAIN_MS = 10_000


def advance(ctx: Context) -> None:
    """Do whatever the candidacy needs now. Called at every tick, and when something may have moved it on."""
    master = ctx.myself.master
    if not ctx.myself.is_replica or master is None or not master.slots:
        return
    asked = ctx.manual.end_at is not None
    manual = asked and ctx.manual.ready
    if not manual and (not master.fail or ctx.settings.replica_no_failover):
        ctx.candidacy.hindrance = ""
        return
    if not manual and not _data_fresh(ctx):
        _hindered(
            ctx,
            "Disconnected from master for longer than allowed. Please check the 'cluster-replica-validity-"
            "factor' configuration option.",
        )
        return
    candidacy = ctx.candidacy
    vote_ms = _vote_ms(ctx)
    if ctx.since(candidacy.start_at) > 2 * vote_ms:
        # Also when the master died before it could hand over: an operator has chosen this replica.
        _schedule(ctx, at_once=asked)
        if not asked:
            return
    if not candidacy.requested and not asked:
        _step_back(ctx)
    assert candidacy.start_at is not None
    if ctx.now_ms < candidacy.start_at:
        _hindered(ctx, "Waiting the delay before I can start a new failover.")
    elif ctx.now_ms - candidacy.start_at > vote_ms:
        _hindered(ctx, "Failover attempt expired.")
    elif not candidacy.requested:
        _ask_for_votes(ctx)
    elif len(candidacy.voters) >= (ctx.state.majority() if ctx.guards.majority_for_election else 1):
        _win(ctx)
    else:
        _hindered(ctx, "Waiting for votes, but majority still not reached.")


def _data_fresh(ctx: Context) -> bool:
    """Whether our data are recent enough to stand (`cluster-replica-validity-factor`).

    However old they are, they are better than what a master has that came back with less, and waits for us to replace
    it. (A replica that is restarted while its master is down does not know how old its data are.)
    """
    settings, master = ctx.settings, ctx.myself.master
    if master is not None and master.lost_data and master.fail and ctx.offset > master.offset:
        return True
    if not settings.replica_validity_factor or not ctx.guards.replica_data_age:
        return True
    age_ms = ctx.facts.master_silence_ms()
    if age_ms is None:
        return False
    # The master was silent for one node timeout before it could even be suspected.
    if age_ms > settings.node_timeout_ms:
        age_ms -= settings.node_timeout_ms
    return age_ms <= settings.repl_ping_period_ms + settings.node_timeout_ms * settings.replica_validity_factor


def _schedule(ctx: Context, *, at_once: bool) -> None:
    """Set the time of a new attempt. An operator's needs no delay: there is no other candidate."""
    candidacy = ctx.candidacy
    candidacy.requested = False
    candidacy.voters.clear()
    if at_once:
        candidacy.rank = 0
        candidacy.start_at = ctx.now_ms
    else:
        candidacy.rank = _rank(ctx)
        delay_ms = _DELAY_MS + ctx.rng.randrange(_DELAY_MS_RANDOM) + candidacy.rank * _DELAY_MS_PER_RANK
        candidacy.start_at = ctx.now_ms + delay_ms
    ctx.warning(
        f"Start of election delayed for {int(candidacy.start_at - ctx.now_ms)} milliseconds "
        f"(rank #{candidacy.rank}, offset {ctx.offset})."
    )
    # Our siblings rank themselves by the offsets they know: tell them ours.
    outgoing.broadcast_pong(ctx, to=_siblings(ctx))


def _step_back(ctx: Context) -> None:
    """While waiting: a sibling turned out to have newer data, so let it go first."""
    candidacy = ctx.candidacy
    rank = _rank(ctx)
    if rank > candidacy.rank and candidacy.start_at is not None:
        added_ms = (rank - candidacy.rank) * _DELAY_MS_PER_RANK
        candidacy.start_at += added_ms
        candidacy.rank = rank
        ctx.warning(f"Replica rank updated to #{rank}, added {added_ms} milliseconds of delay.")


def _siblings(ctx: Context) -> list[NodeEntry]:
    master = ctx.myself.master
    return [] if master is None else [node for node in master.replicas if node is not ctx.myself]


def _rank(ctx: Context) -> int:
    """How many siblings that may stand have newer data than we do."""
    offset = ctx.offset
    rivals = [node for node in _siblings(ctx) if not node.nofailover]
    if not ctx.guards.most_data_first:
        # For lessons only: the one that lags most goes first.
        return sum(node.offset < offset for node in rivals)
    return sum(node.offset > offset for node in rivals)


def _ask_for_votes(ctx: Context) -> None:
    candidacy, state = ctx.candidacy, ctx.state
    state.current_epoch += 1
    candidacy.epoch = state.current_epoch
    candidacy.requested = True
    ctx.warning(f"Starting a failover election for epoch {candidacy.epoch}.")
    # The epoch must survive a restart, or we might stand twice in one.
    ctx.changed(fsync=True)
    outgoing.broadcast(ctx, FailoverAuthRequest(), _request_flags(ctx))


def _request_flags(ctx: Context) -> MessageFlag:
    """A vote for the replica of a master that is alive has to be asked for in so many words."""
    return NO_MESSAGE_FLAGS if ctx.manual.end_at is None else MessageFlag.FORCEACK


def connected(ctx: Context, link: int) -> None:
    """A link to a node is up: ask it for its vote, too, if the others were asked while there was none.

    Redis asks once, and the vote of a master whose link was just being dialled anew is lost. A voter that has been
    asked before has given its vote, which counts once; or it refuses again.
    """
    candidacy, node = ctx.candidacy, ctx.link_nodes.get(link)
    master = ctx.myself.master
    awaits = (
        candidacy.requested
        and candidacy.epoch == ctx.state.current_epoch
        and ctx.since(candidacy.start_at) <= _vote_ms(ctx)
        and master is not None
        and (ctx.manual.end_at is not None or (master.fail and _data_fresh(ctx)))
    )
    if awaits and node is not None and node.is_master and node.slots and node.id not in candidacy.voters:
        outgoing.send(ctx, node, FailoverAuthRequest(), _request_flags(ctx))


def _vote_ms(ctx: Context) -> float:
    """How long votes are awaited."""
    return max(2 * ctx.settings.node_timeout_ms, _VOTE_MS_MIN)


def vote_received(ctx: Context, voter: NodeEntry, header: Header) -> None:
    """A master voted. A vote of an earlier epoch is for an attempt that is over."""
    if voter.is_master and voter.slots and ctx.candidacy.requested and header.current_epoch >= ctx.candidacy.epoch:
        ctx.candidacy.voters[voter.id] = None
        ctx.try_failover = True


def _win(ctx: Context) -> None:
    ctx.warning("Failover election won: I'm the new master.")
    myself, epoch = ctx.myself, ctx.candidacy.epoch
    if myself.config_epoch < epoch:
        myself.config_epoch = epoch
        ctx.warning(f"configEpoch set to {epoch} after successful failover")
    roles.replace_master(ctx)
    # The attempt is over; another one, should we ever be a replica again, need not wait for its retry time.
    ctx.candidacy.start_at = None
    ctx.candidacy.hindrance = ""


def _hindered(ctx: Context, reason: str) -> None:
    """Log why the master is still not replaced; not while its failure is fresh, and not all the time."""
    candidacy, master = ctx.candidacy, ctx.myself.master
    if reason == candidacy.hindrance and ctx.since(candidacy.hindrance_at) < _LOG_AGAIN_MS:
        return
    candidacy.hindrance = reason
    quiet_ms = ctx.settings.node_timeout_ms + _LOG_AFTER_MS
    if master is not None and master.fail and ctx.since(master.fail_at) < quiet_ms:
        return
    candidacy.hindrance_at = ctx.now_ms
    ctx.warning(f"Currently unable to failover: {reason}")


def next_moment(ctx: Context) -> float | None:
    """When the candidacy wants to be looked at, besides the ticks."""
    candidacy = ctx.candidacy
    return None if candidacy.requested else candidacy.start_at
