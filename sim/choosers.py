"""Those who replace a master, and whom they could not see: sentinels, or the masters that are left.

A replica cannot be chosen by those who do not hear of it, nor can it outdo a rival that does not hear how much it has.
A master is replaced when enough of them do not hear it; without a fault between them, or on it, nobody may do that.
"""

from __future__ import annotations

from sim.claims import Claims
from sim.disk import SYNC_S
from sim.shape import Shape
from sim.troubles import CRASHING, SILENCING, SILENCING_ON_BUS, Trouble, Troubles, longest_gap_s

# So long after a fault a node may not be seen again yet: links are made, and sentinels ask for INFO once a second.
_BACK_S = 2.0
# So long after a restart a replica may not be in sync with its master yet.
_SYNCED_S = 5.0
# From the decision to replace a master until its successor says so: what struck it then may be over.
_DECIDED_S = 5.0
# A node that saves its nodes.conf waits for two syncs, of the file and of its folder, and everybody waits for the node.
_SAVE_S = 2 * SYNC_S[1]


class Choosers:
    """Of one cluster."""

    __slots__ = ("_claims", "_shape", "_troubles")

    def __init__(self, shape: Shape, claims: Claims, troubles: Troubles) -> None:
        self._shape = shape
        self._claims = claims
        self._troubles = troubles

    def unseen(self, replica: str, rival: str, after: float, until: float, back_s: float = _BACK_S) -> Trouble | None:
        """What kept a replica from being chosen in the place of another one within that time, if anything did."""
        for trouble in self._silencing(replica):
            if trouble.on(after, until, back_s):
                return trouble
        if self._shape.failover == "sentinel":
            # Any of them may have been the one that chose, out of what it knew.
            choosers, needed = self._shape.sentinel_names(), 1
        else:
            choosers = self._voters(replica, until)
            needed = len(choosers) - self._majority() + 1
            # Its rival waits for it only if it hears how much it has.
            untold = self.untold(replica, rival, after, until, back_s)
            if untold is not None:
                return untold
        return self._cut_off(replica, choosers, needed, after, until, back_s)

    def untold(self, replica: str, rival: str, after: float, until: float, back_s: float = _BACK_S) -> Trouble | None:
        """What kept a replica from telling another node, within that time, how much it has."""
        return next((way for way in self._troubles.of_way(replica, rival) if way.on(after, until, back_s)), None)

    def may_not_stand(self, replica: str, master_ended_at: float) -> Trouble | None:
        """What restarted a replica so shortly before its master ended that it was not in sync again: then it does not
        stand, since nobody knows how old its data are (`cluster-replica-validity-factor`). Sentinels choose it."""
        if self._shape.failover == "sentinel":
            return None
        restarts = self._troubles.of_host(replica, CRASHING)
        return next((trouble for trouble in restarts if trouble.on(master_ended_at, master_ended_at, _SYNCED_S)), None)

    def never_followed(self, replica: str, master: str, reigns_since: float, ended_at: float) -> Trouble | None:
        """What kept a replica from getting in sync with a new master before that ended: then it does not stand, too."""
        if self._shape.failover == "sentinel":
            return None
        keeping = [
            trouble
            for trouble in self._troubles.between(replica, master, SILENCING)
            if trouble.on(reigns_since, ended_at)
        ]
        spans = [(trouble.began_at, trouble.caught_up_at) for trouble in keeping]
        covered = not longest_gap_s([*spans, (reigns_since, reigns_since + _SYNCED_S)], reigns_since, ended_at)
        return keeping[0] if keeping and covered else None

    def unheard(self, master: str, moment: float) -> Trouble | None:
        """What made a master seem dead to those who replaced it at that moment."""
        for trouble in self._silencing(master):
            if trouble.on(moment, moment, _DECIDED_S):
                return trouble
        if self._shape.failover == "sentinel":
            choosers, needed = self._shape.sentinel_names(), self._shape.sentinels // 2 + 1
        else:
            choosers, needed = self._voters(master, moment), self._majority()
        return self._cut_off(master, choosers, needed, moment, moment, _DECIDED_S)

    def _silencing(self, name: str) -> list[Trouble]:
        silencing = self._troubles.of_host(name, SILENCING_ON_BUS)
        if self._shape.failover == "cluster":
            return list(silencing)
        # Sentinels miss the answers only of one that waits for its disk itself.
        return [
            trouble
            for trouble in silencing
            if trouble.strike.kind in SILENCING or trouble.strike.amount * _SAVE_S > self._shape.down_after_ms / 1000
        ]

    def _majority(self) -> int:
        return self._shape.masters // 2 + 1

    def _voters(self, name: str, moment: float) -> list[str]:
        """The masters of the other shards."""
        shard = self._shape.shard_of(name)
        return [master for master in self._claims.masters(moment) if self._shape.shard_of(master) != shard]

    def _cut_off(
        self, name: str, choosers: list[str], needed: int, after: float, until: float, lasting_s: float
    ) -> Trouble | None:
        """What hampered a node with so many of the choosers."""
        found = []
        for chooser in choosers:
            ways = self._troubles.of_way(name, chooser)
            trouble = next((way for way in ways if way.on(after, until, lasting_s)), None)
            if trouble is not None:
                found.append(trouble)
        return found[0] if 0 < needed <= len(found) else None
