"""A master that comes back with less than its replicas have.

It was killed and started again, sooner than anybody could declare it dead, and what it had not saved is gone. Redis
goes on from there: the master serves what is left, and its replicas, which still have everything, throw that away for
a copy of it (replication documentation, "Safety of replication when master has persistence turned off"). Here such a
master stands back for a replica: it serves nobody, gives nobody a copy, and behaves like a dead node towards those who
decide about a failover: sentinels get no good answer to PING, and where replicas elect each other, the bus hears
nothing of it but that it has failed, in its own word, and its votes, which its own replicas may have, too: with another
master down, its vote may be the one that is missing. Should nobody take over although a majority is there to decide, it
serves what it has in the end, as Redis would at once.

Offsets say who has more. They count on through failovers; a node that starts has that of its snapshot, or 0.
"""

from __future__ import annotations

from cluster import outgoing
from cluster.context import Context
from cluster.events import Broadcast, Effect, LinkId, Send, SendDatagram
from cluster.messages import Fail, FailoverAuthAck

# Failing to be heard takes a node timeout, an election about as long.
_NODE_TIMEOUTS = 3
_PATIENCE_MS_MIN = 10_000
# A master is there that was heard of within so many: who hears nothing of a node dials it anew, and asks, once in about
# one and a half.
_HEARD_TIMEOUTS = 3
# How often it tells somebody that it has failed. Not oftener: who hears from it has no reason to ask.
_TELL_TIMEOUTS = 3


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
    offset = ctx.offset
    fuller = [node for node in ctx.myself.replicas if node.id in ctx.heard_directly and node.offset > offset]
    if ctx.waits_since is None or not _hears_majority(ctx):
        ctx.waits_since = ctx.now_ms
    stands_back = bool(fuller) and ctx.since(ctx.waits_since) < patience_ms
    if stands_back and not ctx.stands_back:
        ctx.warning(
            f"I have lost data that replica {fuller[0].called} still has (my offset is {offset}, its offset is "
            f"{fuller[0].offset}): waiting for it to take over."
        )
    elif ctx.stands_back and not stands_back:
        ctx.warning("No replica has taken over. Serving the data that I have.")
    if stands_back != ctx.stands_back:
        ctx.stands_back = stands_back
        ctx.state.topology_changed = True
    if silent(ctx):
        _tell_failed(ctx)
    return stands_back


def call_replicas(ctx: Context) -> None:
    """At a tick: ask each replica that has not answered in this life, by datagram.

    Where the way to it has been cut, TCP tries again after one second, and after two more; by then this master serves,
    and the replica throws away what only it has. Whether it takes datagrams is not known yet; who does not is not
    harmed.
    """
    if ctx.settings.datagram_heartbeats and returning(ctx):
        for node in ctx.myself.replicas:
            if node.id not in ctx.heard_directly and node.ip and not node.noaddr:
                outgoing.call(ctx, node)


def _tell_failed(ctx: Context) -> None:
    """Tell everybody on each new link that this node has failed, and now and then on an old one, which may be dead."""
    again_ms = _TELL_TIMEOUTS * ctx.settings.node_timeout_ms
    told: dict[LinkId, float] = {}
    untold = []
    for node in ctx.state.others():
        if node.link is not None and node.link_ready:
            told_at = ctx.told_failed_at.get(node.link)
            if told_at is None or ctx.since(told_at) >= again_ms:
                told_at = ctx.now_ms
                untold.append(node)
            told[node.link] = told_at
    # Links that are gone are not in it any more.
    ctx.told_failed_at = told
    if untold:
        outgoing.broadcast(ctx, Fail(ctx.myself.id), to=untold)


def _hears_majority(ctx: Context) -> bool:
    """Whether a majority of the masters with slots, this one among them, is there to decide.

    What is heard of them says so, not what this node thinks of them: it withholds its pings, so nobody answers them,
    and a master that was suspected once would stay so.
    """
    state, lately_ms = ctx.state, _HEARD_TIMEOUTS * ctx.settings.node_timeout_ms
    masters = [node for node in state.nodes.values() if node.is_master and node.slots]
    return sum(node.myself or ctx.since(node.heard_at) <= lately_ms for node in masters) >= state.majority()


def silent(ctx: Context) -> bool:
    """Whether the bus must hear nothing of this node that would make it look alive."""
    return ctx.stands_back and not ctx.settings.replica_no_failover


def withheld(effect: Effect) -> bool:
    """Whether a silent node does not say this."""
    if not isinstance(effect, Send | Broadcast | SendDatagram):
        return False
    body, header = effect.message.body, effect.message.header
    return not isinstance(body, FailoverAuthAck) and not (isinstance(body, Fail) and body.node == header.sender)
