"""The cluster node as a state machine: one event in, the effects it has out, in order.

Owns the order of things: which rule hears of which event, what is done at each tick, and that a step's changes are
on disk before anything that rests on them leaves. It has no socket, no clock and no chance of its own: the driver
(`bus`, or a simulation) brings events with the time they happened, performs the effects, and calls again at
`deadline`. Message counters and buffers are the driver's.

To read the rules, begin with `receive`, then `failure`, `election` and `voting`, `slot_config`, `health`.
"""

from __future__ import annotations

from random import Random

from cluster import (
    comeback,
    election,
    failure,
    handshake,
    health,
    heartbeat,
    links,
    loaded_keys,
    manual_failover,
    operator,
    outgoing,
    receive,
    replica_migration,
)
from cluster.context import Context
from cluster.events import (
    Broadcast,
    Effect,
    Event,
    Facts,
    Heard,
    LinkDown,
    LinkId,
    LinkUp,
    Operator,
    PublishToCluster,
    Received,
    ReceivedDatagram,
    Reconfigured,
    Save,
    Send,
    SendDatagram,
    SlotsChanged,
    Started,
    Tick,
)
from cluster.membership import ClusterState, NodeEntry
from cluster.messages import Publish
from cluster.safeguards import Safeguards
from cluster.settings import ClusterSettings
from cluster.view import View

# Redis' clusterCron runs ten times a second, and pings a random node every tenth time.
TICK_MS = 100
_TICKS_PER_RANDOM_PING = 10
_TICKS_PER_CALL = 2
# So many ticks missed in a row are no jitter: the process was stopped.
_STOPPED_MS = 5 * TICK_MS
# Gossip tells times in seconds of the wall clock. When that was set, what is kept of it is wrong.
_CLOCK_STEP_MS = 500.0


def new_state(node_id: str, shard_id: str) -> ClusterState:
    """The tables of a node that has never been in a cluster: a master without slots."""
    myself = NodeEntry(node_id)
    myself.shard_id = shard_id
    myself.is_master = True
    return ClusterState(myself)


class ClusterMachine:
    """One node. `state` is empty (`new_state`) or as `nodes_conf` read it; the first event is `Started`."""

    def __init__(
        self,
        state: ClusterState,
        settings: ClusterSettings,
        facts: Facts,
        rng: Random,
        safeguards: Safeguards | None = None,
    ) -> None:
        self._ctx = Context(state, settings, facts, rng, safeguards or Safeguards())
        # The tables: for nodes.conf and CLUSTER's reports. Nobody else changes them.
        self.state = state
        # The read side, for executing commands.
        self.view = View(state)
        # When the next tick is due, when the last one was, and how many there were.
        self._tick_at: float | None = None
        self._ticked_at = 0.0
        # The wall clock's distance when it was last known to have been set.
        self._told_offset_ms = 0.0
        self._ticks = 0

    @property
    def settings(self) -> ClusterSettings:
        return self._ctx.settings

    @property
    def safeguards(self) -> Safeguards:
        return self._ctx.guards

    @safeguards.setter
    def safeguards(self, guards: Safeguards) -> None:
        """For simulations and lessons, before `Started`: no setting of a node leads here."""
        self._ctx.guards = guards

    def deadline(self) -> float | None:
        """When the machine wants a `Tick`; None before `Started`. May move with every step."""
        moment = self._tick_at
        if moment is None:
            return None
        ctx = self._ctx
        if ctx.candidacy.start_at is not None:
            start_at = election.next_moment(ctx)
            if start_at is not None and ctx.now_ms < start_at < moment:
                moment = start_at
        if ctx.manual.end_at is not None and manual_failover.waiting(ctx):
            moment = min(moment, ctx.now_ms + manual_failover.POLL_MS)
        return moment

    def failure_reports(self, node_id: str) -> int | None:
        """How many masters said lately that a node is failing; None for an unknown node."""
        node = self.state.nodes.get(node_id)
        return None if node is None else failure.reports(self._ctx, node)

    def node_of_link(self, link: LinkId) -> str | None:
        """The id of the node at the other end of a link; None while that is not known."""
        node = self._ctx.link_nodes.get(link)
        return None if node is None else node.id

    def step(self, now_ms: float, wall_ms: float, event: Event) -> list[Effect]:
        """Take one event; returns its effects in the order in which they are to be performed.

        `now_ms` is the loop's time and never goes back. Raises Refused for an `Operator` event that is refused;
        nothing has changed then.
        """
        ctx = self._ctx
        ctx.now_ms = now_ms
        offset_ms = wall_ms - now_ms
        if abs(offset_ms - self._told_offset_ms) > _CLOCK_STEP_MS:
            self._told_offset_ms = offset_ms
            self.state.tell_anew()
        self.state.wall_offset_ms = offset_ms
        ctx.effects = []
        if ctx.followed is not None:
            # Replication has been told, and counts for itself.
            ctx.unrelated = False
        stopped_ms = 0.0 if self._tick_at is None else now_ms - self._ticked_at
        # A refused order must leave nothing behind, so this waits for the next event that is none.
        if stopped_ms > _STOPPED_MS and not isinstance(event, Operator):
            self._woke(stopped_ms)
        self._take(event)
        return self._finish()

    def _woke(self, stopped_ms: float) -> None:
        """The process did not run for a while; the world did."""
        ctx = self._ctx
        heartbeat.excuse(ctx, stopped_ms)
        if ctx.now_ms > self.view.trusted_until_ms:
            health.woke(ctx, stopped_ms)
            self.view.listening_until_ms = ctx.serve_from or 0.0
        self._ticked(ctx.now_ms)

    def _ticked(self, now_ms: float) -> None:
        self._ticked_at = now_ms
        self.view.trusted_until_ms = now_ms + health.trusted_ms(self._ctx)

    def _take(self, event: Event) -> None:
        ctx = self._ctx
        match event:
            case Received():
                receive.on_link(ctx, event)
            case ReceivedDatagram():
                receive.by_datagram(ctx, event)
            case Tick():
                self._tick()
            case LinkUp(link=link):
                links.connected(ctx, link)
                election.connected(ctx, link)
            case LinkDown(link=link):
                links.ended(ctx, link)
            case Heard(link=link):
                node = ctx.link_nodes.get(link)
                if node is not None:
                    node.heard_at = ctx.now_ms
            case PublishToCluster(channel=channel, payload=payload, sharded=sharded):
                to = self._shard() if sharded else None
                outgoing.broadcast(ctx, Publish(channel, payload, sharded), to=to)
            case Operator(command=command):
                operator.order(ctx, command)
            case Reconfigured(settings=settings):
                ctx.settings = settings
                heartbeat.look_at_all(ctx)
                self._introduce_myself()
                ctx.changed()
            case Started():
                self._start()

    def _start(self) -> None:
        ctx = self._ctx
        assert ctx.started_at is None, "started twice"
        ctx.started_at = ctx.now_ms
        self._tick_at = ctx.now_ms
        self._ticked(ctx.now_ms)
        self._introduce_myself()
        loaded_keys.settle(ctx)
        ctx.changed()

    def _introduce_myself(self) -> None:
        """Take what this node says of itself from the settings."""
        myself, settings = self.state.myself, self._ctx.settings
        myself.ip = settings.announce_ip or myself.ip
        myself.port, myself.cport, myself.pport = settings.port, settings.bus_port, settings.pport
        myself.hostname, myself.nodename = settings.hostname, settings.nodename
        myself.client_networks = settings.client_networks
        myself.nofailover = settings.replica_no_failover
        self.state.topology_changed = True

    def _shard(self) -> list[NodeEntry]:
        """The other nodes that hold this node's slots."""
        master = self.state.myself.claim
        return [node for node in [master, *master.replicas] if not node.myself]

    def _tick(self) -> None:
        """What Redis does in clusterCron, in its order; an early tick only goes on with a failover."""
        ctx = self._ctx
        assert self._tick_at is not None, "a tick before the start"
        if ctx.manual.end_at is not None:
            manual_failover.look(ctx)
        if ctx.now_ms < self._tick_at:
            ctx.try_failover = True
            return
        # Ticks missed while the process was stopped are not made up for.
        self._tick_at = max(self._tick_at + TICK_MS, ctx.now_ms)
        self._ticked(ctx.now_ms)
        due = self.state.attention.take(ctx.now_ms)
        if due:
            due = [node for node in due if self.state.nodes.get(node.id) is node]
            handshake.expire(ctx, due)
            links.dial_missing(ctx, due)
        self._ticks += 1
        if self._ticks % _TICKS_PER_RANDOM_PING == 0:
            heartbeat.ping_stalest(ctx)
        if self._ticks % _TICKS_PER_CALL == 0:
            comeback.call_replicas(ctx)
        for node in due:
            if node.noaddr:
                heartbeat.miss(ctx, node)
            elif not node.handshake:
                heartbeat.watch(ctx, node)
        if ctx.manual.end_at is not None:
            manual_failover.expire(ctx)
        if ctx.myself.master is not None:
            links.follow_address(ctx)
            replica_migration.consider(ctx)
        ctx.try_failover = True
        ctx.judge_state = ctx.judge_state or not self.state.ok

    def _finish(self) -> list[Effect]:
        """Do what the rules asked to have done last, and put the step's one `Save` in front."""
        ctx = self._ctx
        if ctx.try_failover:
            ctx.try_failover = False
            election.advance(ctx)
        if ctx.judge_state:
            ctx.judge_state = False
            health.judge(ctx)
        if ctx.announce:
            ctx.announce = False
            outgoing.broadcast_pong(ctx)
        if ctx.stands_back:
            # For as long as it must: it may have become a replica in this very step.
            comeback.stands_back(ctx)
        if self.state.topology_changed:
            self.state.topology_changed = False
            self.state.tell_anew()
            self.view.refresh()
            self.view.stands_back = ctx.stands_back
            ctx.emit(SlotsChanged())
        self.view.returning = not ctx.has_served and comeback.returning(ctx)
        effects = ctx.effects
        if ctx.stands_back and comeback.silent(ctx):
            effects = [effect for effect in effects if not comeback.withheld(effect)]
        if ctx.save_wanted:
            # First of all: whatever the step says to others rests on it.
            save = Save(fsync=ctx.save_with_fsync)
            effects = [save, *effects] if ctx.guards.save_before_vote else _save_late(save, effects)
            ctx.save_wanted = ctx.save_with_fsync = False
        ctx.effects = []
        return effects


def _save_late(save: Save, effects: list[Effect]) -> list[Effect]:
    """For lessons only: what is said leaves first."""
    said = [effect for effect in effects if isinstance(effect, Send | Broadcast | SendDatagram)]
    rest = [effect for effect in effects if not isinstance(effect, Send | Broadcast | SendDatagram)]
    return [*said, save, *rest]
