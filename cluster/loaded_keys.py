"""What a node that starts makes of keys that it loaded for slots that are not its own.

nodes.conf and the snapshot are two files, and either can be older than the other or brought by hand. Keys are never
thrown away for that: a slot that nobody has is taken, and one that somebody else has is marked as being imported from
there, so that an operator (`redis-cli --cluster fix`) sees it and decides. A replica leaves the matter to its master.
"""

from __future__ import annotations

from cluster.context import Context
from cluster.slots import SLOTS, slot_set


def settle(ctx: Context) -> None:
    """Bring the table and the loaded keys together; the first thing that happens at the start."""
    state, myself = ctx.state, ctx.myself
    if myself.is_replica or ctx.facts.dataset_empty():
        return
    unassigned: list[int] = []
    for slot in range(SLOTS):
        owner = state.owner[slot]
        if owner is myself or slot in state.importing or not ctx.facts.keys_in_slot(slot):
            continue
        if owner is None:
            ctx.warning(f"I have keys for unassigned slot {slot}. Taking responsibility for it.")
            unassigned.append(slot)
        else:
            ctx.warning(
                f"I have keys for slot {slot}, but the slot is assigned to another node. Setting it to importing state."
            )
            state.open_slot(state.importing, slot, owner)
            ctx.save(fsync=True)
    if unassigned:
        state.assign(slot_set(unassigned), myself)
        ctx.save(fsync=True)
