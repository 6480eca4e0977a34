"""Who owns a slot when claims differ: the one with the greater configuration epoch ("Hash slots configuration
propagation" in the cluster specification).

Every heartbeat carries its sender's claims. A claim that beats what we know rebinds the slot; one that is beaten is
answered with UPDATE, so that a node that was away learns who has its slots now.
"""

from __future__ import annotations

from cluster import outgoing, roles
from cluster.context import Context
from cluster.events import DropKeysInSlots
from cluster.membership import NodeEntry
from cluster.messages import Header, Update
from cluster.slots import from_bitmap, members, ranges, slot_set, to_bitmap


def compare(ctx: Context, sender: NodeEntry, header: Header) -> None:
    """Compare a heartbeat's claims with our table. A replica shows its master's."""
    shown = sender.claim if sender.is_replica else sender
    if sender.is_replica and sender.master is None:
        return
    claimed = shown.slots_of(header.slots)
    if claimed == shown.slots and not shown.slots & ctx.state.unclaimed:
        return
    if sender.is_master:
        rebind(ctx, sender, header.config_epoch, claimed)
    _correct(ctx, sender, shown, header.config_epoch, claimed)


def rebind(ctx: Context, claimant: NodeEntry, config_epoch: int, claimed: int) -> None:
    """Give the claimant every claimed slot that nobody has a better claim to."""
    state, myself = ctx.state, ctx.myself
    if claimant is myself:
        return
    # Ours to lose: a replica counts with its master.
    current_master = myself.claim
    mine_before, lost_before = myself.slots, current_master.slots
    won = _won(ctx, claimant, config_epoch, claimed)
    # What it once claimed and no longer does stays bound to it, but anybody may have it.
    state.unclaimed = (state.unclaimed & ~claimant.slots) | (claimant.slots & ~claimed)
    if won:
        state.assign(won, claimant)
        for slot in [slot for slot in state.migrating if won >> slot & 1]:
            state.close_slot(state.migrating, slot)
        # A successor comes with an epoch that is news, and news of an epoch are synced. Redis syncs here, too; but in a
        # resharding this is said slot by slot, and is to be forgotten no more than the SETSLOT that comes behind it.
        ctx.changed()
    lost = won & lost_before
    if lost and not current_master.slots and _may_follow(ctx, claimed, lost):
        ctx.notice(f"Configuration change detected. Reconfiguring myself as a replica of {claimant.called}")
        roles.follow(ctx, claimant)
    elif not roles.move_up(ctx):
        _drop_keys(ctx, won & mine_before)


def succeeded(ctx: Context, sender: NodeEntry, header: Header, master: NodeEntry | None) -> None:
    """A master has become a replica of `master`: it has no slots any more.

    Its new master has them, and says so itself; but should its word come later than this one, Redis leaves the slots
    without owner until then, and stops serving. A replica's header shows its master's slots and epoch, which is as
    good as an UPDATE, so it is taken as one (Valkey 8 does the like). A slot we are importing from the sender, which
    no claim may touch, comes from its successor now.
    """
    state = ctx.state
    if master is not None and master is not sender:
        told(ctx, Update(master.id, header.config_epoch, header.slots))
    imported = sender.slots & slot_set(state.importing)
    state.become_replica(sender, master)
    if master is not None and master.is_master:
        state.assign(imported, master)
        for slot in members(imported):
            if state.importing[slot] is sender:
                state.open_slot(state.importing, slot, master)
    ctx.changed()


def _won(ctx: Context, claimant: NodeEntry, config_epoch: int, claimed: int) -> int:
    """The claimed slots that change hands. A slot we are importing is the operator's until it is closed."""
    state = ctx.state
    contested = claimed & ~claimant.slots & ~slot_set(state.importing)
    if not contested:
        return 0
    for other in state.nodes.values():
        if other is claimant or not other.slots & contested:
            continue
        beaten = other.config_epoch < config_epoch or not ctx.guards.reject_stale_slot_claims
        if not beaten:
            contested &= ~(other.slots & ~state.unclaimed)
    return contested


def _may_follow(ctx: Context, claimed: int, lost: int) -> bool:
    if not ctx.guards.step_down_when_replaced:
        return False
    # Without replica migration we follow only a successor, and not somebody who took the slots in besides its own.
    return ctx.settings.allow_replica_migration or claimed == lost


def _drop_keys(ctx: Context, lost: int) -> None:
    """A master that keeps other slots throws away the keys of those it lost."""
    slots = tuple(slot for slot in members(lost) if ctx.facts.keys_in_slot(slot))
    if slots:
        spans = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges(slot_set(slots)))
        ctx.notice(f"Deleting keys in dirty slots: {spans}")
        ctx.emit(DropKeysInSlots(slots))


def _correct(ctx: Context, sender: NodeEntry, shown: NodeEntry, config_epoch: int, claimed: int) -> None:
    """Tell a node whose claims are out of date who has one of its slots: one owner a heartbeat is enough."""
    state = ctx.state
    for slot in members(claimed & ~shown.slots & ~state.unclaimed):
        owner = state.owner[slot]
        if owner is not None and owner.config_epoch > config_epoch:
            ctx.verbose(
                f"Node {sender.called} has old slots configuration, sending an UPDATE message about {owner.called}"
            )
            outgoing.send(ctx, sender, Update(owner.id, owner.config_epoch, to_bitmap(owner.slots & ~state.unclaimed)))
            return


def told(ctx: Context, update: Update) -> None:
    """UPDATE: somebody corrects us. It counts as if the owner itself had said it; nobody corrects us about us."""
    owner = ctx.state.nodes.get(update.node)
    if owner is None or owner.myself or owner.config_epoch >= update.config_epoch:
        return
    ctx.state.become_master(owner)
    owner.config_epoch = update.config_epoch
    # What the owner said before it was in that epoch counts no more: it may have been held up by a partition.
    owner.epoch_announced = max(owner.epoch_announced, update.config_epoch)
    ctx.changed(fsync=True)
    rebind(ctx, owner, update.config_epoch, from_bitmap(update.slots))
