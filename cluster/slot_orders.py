"""CLUSTER ADDSLOTS, DELSLOTS, FLUSHSLOTS and SETSLOT: an operator's orders about slots.

They change this node's own table only; heartbeats carry the change to the others. Moving a slot goes: IMPORTING at
the target, MIGRATING at the source, MIGRATE key by key, then NODE at both.
"""

from __future__ import annotations

from cluster import epochs, roles
from cluster.context import Context
from cluster.events import Refused
from cluster.membership import NodeEntry
from cluster.slots import slot_set


def add(ctx: Context, slots: tuple[int, ...]) -> None:
    """Take slots that nobody has."""
    _each_once(ctx, slots, busy=False)
    for slot in slots:
        # Whoever it was to come from, it is ours now.
        ctx.state.close_slot(ctx.state.importing, slot)
    ctx.state.assign(slot_set(slots), ctx.myself)
    ctx.changed()
    ctx.announce = True


def delete(ctx: Context, slots: tuple[int, ...]) -> None:
    """Forget who has these slots."""
    _each_once(ctx, slots, busy=True)
    for slot in slots:
        ctx.state.close_slot(ctx.state.migrating, slot)
    ctx.state.unassign(slot_set(slots))
    ctx.changed()


def _each_once(ctx: Context, slots: tuple[int, ...], *, busy: bool) -> None:
    """Refuse slots that are not all assigned (`busy`) or all unassigned, or one named twice."""
    seen: dict[int, None] = {}
    for slot in slots:
        if (ctx.state.owner[slot] is not None) != busy:
            raise Refused(f"ERR Slot {slot} is already {'unassigned' if busy else 'busy'}")
        if slot in seen:
            raise Refused(f"ERR Slot {slot} specified multiple times")
        seen[slot] = None


def flush(ctx: Context) -> None:
    """Give up all our slots."""
    if not ctx.facts.dataset_empty():
        raise Refused("ERR DB must be empty to perform CLUSTER FLUSHSLOTS.")
    ctx.state.unassign(ctx.myself.slots)
    ctx.changed()


def set_migrating(ctx: Context, slot: int, node_id: str) -> None:
    """Our slot is going to a node: its missing keys are asked for there."""
    _masters_only(ctx)
    if ctx.state.owner[slot] is not ctx.myself:
        raise Refused(f"ERR I'm not the owner of hash slot {slot}")
    ctx.state.open_slot(ctx.state.migrating, slot, _partner(ctx, node_id))
    ctx.changed()


def set_importing(ctx: Context, slot: int, node_id: str) -> None:
    """A slot is coming here: clients that were sent here (ASKING) are served."""
    _masters_only(ctx)
    if ctx.state.owner[slot] is ctx.myself:
        raise Refused(f"ERR I'm already the owner of hash slot {slot}")
    ctx.state.open_slot(ctx.state.importing, slot, _partner(ctx, node_id))
    ctx.changed()


def set_stable(ctx: Context, slot: int) -> None:
    """The slot stays where it is."""
    _masters_only(ctx)
    ctx.state.close_slot(ctx.state.importing, slot)
    ctx.state.close_slot(ctx.state.migrating, slot)
    ctx.changed()


def set_node(ctx: Context, slot: int, node_id: str) -> None:
    """The slot belongs to a node, as far as we are concerned."""
    state, myself = ctx.state, ctx.myself
    _masters_only(ctx)
    node = state.nodes.get(node_id)
    if node is None:
        raise Refused(f"ERR Unknown node {node_id}")
    if node.is_replica:
        raise Refused("ERR Target node is not a master")
    was_mine = state.owner[slot] is myself
    keys = ctx.facts.keys_in_slot(slot)
    if was_mine and node is not myself and keys:
        raise Refused(
            f"ERR Can't assign hashslot {slot} to a different node while I still hold keys for this hash slot."
        )
    if not keys:
        state.close_slot(state.migrating, slot)
    state.assign(1 << slot, node)
    ctx.changed()
    if was_mine and not myself.slots and ctx.settings.allow_replica_migration:
        ctx.notice(f"Configuration change detected. Reconfiguring myself as a replica of {node.called}")
        roles.follow(ctx, node)
    if node is myself and slot in state.importing:
        # The others must prefer our claim to the source's, so it needs a greater epoch. Nobody is asked: the operator
        # decided, and if two nodes do so at once the collision is resolved later.
        if epochs.bump_without_consensus(ctx):
            ctx.notice(f"configEpoch updated after importing slot {slot}")
        state.close_slot(state.importing, slot)
        ctx.announce = True


def _masters_only(ctx: Context) -> None:
    if ctx.myself.is_replica:
        raise Refused("ERR Please use SETSLOT only with masters.")


def _partner(ctx: Context, node_id: str) -> NodeEntry:
    node = ctx.state.nodes.get(node_id)
    if node is None:
        raise Refused(f"ERR I don't know about node {node_id}")
    if node.is_replica:
        raise Refused("ERR Target node is not a master")
    return node
