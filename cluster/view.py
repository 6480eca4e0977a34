"""The read side, for whoever executes commands: which slots are served here, and who serves the others.

The rules change their tables whenever they like; the view is brought up to date at the end of each step, so between
two steps it does not move. `version` says whether anything a client could see has changed.
"""

from __future__ import annotations

import math

from cluster.membership import ClusterState, NodeEntry
from cluster.slots import SLOTS, slot_set, to_flags

_NOTHING = bytes(SLOTS)


class View:
    """What the hot path reads. Look things up again in every batch: `owned` is replaced, not changed."""

    __slots__ = (
        "_state",
        "listening_until_ms",
        "my_master",
        "owned",
        "returning",
        "stands_back",
        "state_ok",
        "trusted_until_ms",
        "version",
    )

    def __init__(self, state: ClusterState) -> None:
        self._state = state
        # One byte a slot: 1 where a command is served here without further thought, that is where the slot is ours,
        # neither leaving nor arriving, and the cluster is ok. 0: think.
        self.owned: bytes | bytearray = _NOTHING
        # cluster_state.
        self.state_ok = False
        # The loop's time after which all this may be out of date, because the process was stopped and the machine had
        # no tick: whoever executes commands then first has it take one.
        self.trusted_until_ms = math.inf
        # The loop's time until which a master that was stopped listens whether it has been replaced.
        self.listening_until_ms = 0.0
        # A master that has just started with slots: not serving yet, and for the sake of a replica that has more data
        # not at all (`cluster.comeback`).
        self.returning = False
        self.stands_back = False
        # The node we replicate; None on a master, and while a replica does not know its master.
        self.my_master: NodeEntry | None = None
        # Grows with every change of slots, open slots, roles, addresses, members or state.
        self.version = 0

    def refresh(self) -> None:
        """Bring the view up to date with the tables."""
        state = self._state
        self.version += 1
        self.state_ok = state.ok
        self.my_master = state.myself.master
        if state.ok and state.myself.slots:
            self.owned = to_flags(state.myself.slots & ~slot_set(state.migrating) & ~slot_set(state.importing))
        else:
            self.owned = _NOTHING

    @property
    def myself(self) -> NodeEntry:
        return self._state.myself

    def owner(self, slot: int) -> NodeEntry | None:
        """Who serves the slot; None when nobody does."""
        return self._state.owner[slot]

    def migrating(self, slot: int) -> NodeEntry | None:
        """Where our slot is going; None when it is not."""
        return self._state.migrating.get(slot)

    def importing(self, slot: int) -> NodeEntry | None:
        """Where the slot is coming from; None when it is not."""
        return self._state.importing.get(slot)

    def node(self, node_id: str) -> NodeEntry | None:
        return self._state.nodes.get(node_id)

    def nodes(self) -> list[NodeEntry]:
        """All nodes, this one included, in the table's order."""
        return list(self._state.nodes.values())
