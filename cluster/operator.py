"""What an operator (or redis-cli, or a sentinel) may order with CLUSTER: members, roles, epochs.

Each order first checks everything that could stand against it, in Redis' order and words, and only then changes
anything. Orders about slots are in `slot_orders`.
"""

from __future__ import annotations

import ipaddress

from cluster import epochs, handshake, manual_failover, roles, slot_orders
from cluster.context import Context
from cluster.events import (
    AddSlots,
    Answer,
    BumpEpoch,
    Command,
    DelSlots,
    EmptyDataset,
    Failover,
    FailoverMode,
    FlushSlots,
    Forget,
    Meet,
    PromoteSelf,
    Refused,
    Replicate,
    Reset,
    SaveConfig,
    SetConfigEpoch,
    SetSlotImporting,
    SetSlotMigrating,
    SetSlotNode,
    SetSlotStable,
)
from cluster.membership import BLACKLIST_MS
from cluster.messages import BUS_PORT_OFFSET

_PORT_MAX = 65535


def order(ctx: Context, command: Command) -> None:
    """Carry out a command and answer it; raises Refused, with nothing changed."""
    answer = "OK"
    match command:
        case Meet():
            _meet(ctx, command)
        case Forget(node_id=node_id):
            _forget(ctx, node_id)
        case Replicate(node_id=node_id):
            _replicate(ctx, node_id)
        case Failover(mode=mode):
            _failover(ctx, mode)
        case PromoteSelf():
            _promote_self(ctx)
        case Reset(hard=hard):
            _reset(ctx, hard=hard)
        case SetConfigEpoch(epoch=epoch):
            _set_config_epoch(ctx, epoch)
        case BumpEpoch():
            bumped = epochs.bump_without_consensus(ctx)
            answer = f"{'BUMPED' if bumped else 'STILL'} {ctx.myself.config_epoch}"
        case SaveConfig():
            ctx.save(fsync=True)
        case AddSlots(slots=slots):
            slot_orders.add(ctx, slots)
        case DelSlots(slots=slots):
            slot_orders.delete(ctx, slots)
        case FlushSlots():
            slot_orders.flush(ctx)
        case SetSlotMigrating(slot=slot, node_id=node_id):
            slot_orders.set_migrating(ctx, slot, node_id)
        case SetSlotImporting(slot=slot, node_id=node_id):
            slot_orders.set_importing(ctx, slot, node_id)
        case SetSlotNode(slot=slot, node_id=node_id):
            slot_orders.set_node(ctx, slot, node_id)
        case SetSlotStable(slot=slot):
            slot_orders.set_stable(ctx, slot)
    ctx.emit(Answer(answer))


def _meet(ctx: Context, command: Meet) -> None:
    cport = command.port + BUS_PORT_OFFSET if command.bus_port is None else command.bus_port
    try:
        ip = str(ipaddress.ip_address(command.ip))
    except ValueError:
        ip = ""
    if not ip or not 0 < command.port <= _PORT_MAX or not 0 < cport <= _PORT_MAX:
        raise Refused(f"ERR Invalid node address specified: {command.ip}:{command.port}")
    handshake.start(ctx, ip, command.port, cport, meet=True)


def _forget(ctx: Context, node_id: str) -> None:
    node = ctx.state.nodes.get(node_id)
    if node is None:
        if ctx.state.is_blacklisted(node_id, ctx.now_ms):
            # Told twice, perhaps by a tool that tells every node (Redis 7.2).
            return
        raise Refused(f"ERR Unknown node {node_id}")
    if node is ctx.myself:
        raise Refused("ERR I tried hard but I can't forget myself...")
    if node is ctx.myself.master:
        raise Refused("ERR Can't forget my master!")
    # For a minute gossip cannot bring it back; so long the operator has to tell the other nodes.
    ctx.state.blacklist[node_id] = ctx.now_ms + BLACKLIST_MS
    handshake.forget(ctx, node)
    ctx.changed()


def _replicate(ctx: Context, node_id: str) -> None:
    state, myself = ctx.state, ctx.myself
    master = state.nodes.get(node_id)
    if master is None:
        raise Refused(f"ERR Unknown node {node_id}")
    if master is myself:
        raise Refused("ERR Can't replicate myself")
    if master.is_replica:
        raise Refused("ERR I can only replicate a master, not a replica.")
    if myself.is_master and (myself.slots or not ctx.facts.dataset_empty()):
        raise Refused("ERR To set a master the node must be empty and without assigned slots.")
    roles.follow(ctx, master)


def _failover(ctx: Context, mode: FailoverMode) -> None:
    master = ctx.myself.master
    if ctx.myself.is_master:
        raise Refused("ERR You should send CLUSTER FAILOVER to a replica")
    if master is None:
        raise Refused("ERR I'm a replica but my master is unknown to me")
    if mode is FailoverMode.DEFAULT and (master.fail or master.link is None):
        raise Refused("ERR Master is down or failed, please use CLUSTER FAILOVER FORCE")
    manual_failover.begin(ctx)
    if mode is FailoverMode.TAKEOVER:
        ctx.warning("Taking over the master (user request).")
        epochs.bump_without_consensus(ctx)
        roles.replace_master(ctx)
    elif mode is FailoverMode.FORCE:
        ctx.warning("Forced failover user request accepted.")
        manual_failover.start_now(ctx)
    else:
        ctx.warning("Manual failover user request accepted.")
        manual_failover.coordinate(ctx, master)


def _promote_self(ctx: Context) -> None:
    """Take the master's slots, and, as Redis does here, no new epoch.

    If the master's epoch is greater than this node's own, its claim stands, and this node soon follows it again.
    """
    if ctx.myself.master is not None:
        roles.replace_master(ctx)


def _reset(ctx: Context, *, hard: bool) -> None:
    state, myself = ctx.state, ctx.myself
    if myself.is_master and not ctx.facts.dataset_empty():
        raise Refused("ERR CLUSTER RESET can't be called with master nodes containing keys")
    was_replica = myself.is_replica
    if was_replica:
        roles.stop_following(ctx)
        ctx.emit(EmptyDataset())
    state.migrating.clear()
    state.importing.clear()
    manual_failover.reset(ctx)
    for node in state.others():
        handshake.forget(ctx, node)
    state.unassign(myself.slots)
    myself.migrate_to = False
    if hard:
        state.current_epoch = 0
        state.last_vote_epoch = 0
        myself.config_epoch = 0
        old_id = myself.id
        state.rename(myself, ctx.random_id())
        ctx.notice(f"Node hard reset, now I'm {myself.id}")
        assert old_id not in state.nodes
    if hard or was_replica:
        # Its shard is its old master's, or its own former self's, and lives on without it.
        myself.shard_id = ctx.random_id()
    ctx.changed(fsync=True)


def _set_config_epoch(ctx: Context, epoch: int) -> None:
    state, myself = ctx.state, ctx.myself
    if epoch < 0:
        raise Refused(f"ERR Invalid config epoch specified: {epoch}")
    if len(state.nodes) > 1:
        raise Refused("ERR The user can assign a config epoch only when the node does not know any other node.")
    if myself.config_epoch:
        raise Refused("ERR Node config epoch is already non-zero")
    myself.config_epoch = epoch
    state.current_epoch = max(state.current_epoch, epoch)
    ctx.notice(f"configEpoch set to {epoch} via CLUSTER SET-CONFIG-EPOCH")
    ctx.changed()
