"""Acknowledged writes that are gone in the end, how long before the end of their master, and whether that is excused.

Redis replicates asynchronously, so three kinds of losses are permitted. *Superseded*: whoever acknowledged it had been
replaced and could not know. *Not replicated*: nobody else had it yet when its master ended or was replaced; how long
ago it was acknowledged then is the window, which is measured, and is short unless the replicas were hampered.
*Forgotten*: others had it, and all who had it were struck afterwards. Anything else is a broken promise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from node.node import Node
from sentinel.selection import FORGOTTEN_MS
from sim.claims import Claims
from sim.cluster import SimCluster
from sim.troubles import Troubles
from sim.workload import Mark

# A write is with the replicas a few milliseconds after it was acknowledged, when nothing is wrong with them.
WINDOW_S = 0.25
# So long after one a replica may not be seen yet by those who choose.
_BACK_S = 2.0
# How long a write is looked for at the replicas.
_SOUGHT_S = 10.0
_NEVER = float("inf")


class Reason(StrEnum):
    """Why a write may be gone."""

    SUPERSEDED = "acknowledged by a master that had been replaced"
    NOT_REPLICATED = "not replicated yet when its master ended"
    FORGOTTEN = "everybody who had it was struck"
    NONE = "no reason"


@dataclass(frozen=True, slots=True)
class Loss:
    """An acknowledged write that is gone."""

    mark: Mark
    reason: Reason
    # How long before the end of its master it was acknowledged, or, where that had ended, after it (negative).
    window_s: float | None

    @property
    def explained(self) -> bool:
        return self.reason is not Reason.NONE


class Copies:
    """Watches writes arrive at the replicas, and looks for them in the end."""

    __slots__ = ("_cluster", "_ended_at", "_loop", "_sought")

    def __init__(self, cluster: SimCluster) -> None:
        self._cluster = cluster
        self._loop = cluster.world.loop
        # Acknowledged writes that not all replicas have been seen to have.
        self._sought: dict[Mark, None] = {}
        # When processes ended, by seat.
        self._ended_at: dict[str, list[float]] = {}

    def acknowledged(self, mark: Mark) -> None:
        self._sought[mark] = None

    def ended(self, name: str) -> None:
        """A process is dead."""
        self._ended_at.setdefault(name, []).append(self._loop.now)

    def look(self) -> None:
        """See who has what by now."""
        now, nodes = self._loop.now, self._cluster.nodes()
        for mark in list(self._sought):
            assert mark.acknowledged_at is not None
            names = self._shard_of(mark)
            for name in names:
                node = nodes.get(name)
                if name not in mark.copies and node is not None and _has(node, mark):
                    mark.copies[name] = now
            if len(mark.copies) == len(names) or now - mark.acknowledged_at > _SOUGHT_S:
                del self._sought[mark]

    def _shard_of(self, mark: Mark) -> list[str]:
        shape = self._cluster.shape
        shard = shape.shard_of(mark.acknowledged_by)
        return [name for name in shape.node_names() if shape.shard_of(name) == shard]

    def losses(self, marks: Sequence[Mark], claims: Claims, troubles: Troubles) -> list[Loss]:
        """What is not where it should be, now that the cluster has healed."""
        nodes = self._cluster.nodes()
        owners = dict(_owners(nodes))
        found = []
        for mark in marks:
            owner = owners.get(mark.slot)
            if mark.acknowledged_at is not None and owner is not None and not _has(nodes[owner], mark):
                found.append(self._loss(mark, claims, troubles))
        return found

    def _loss(self, mark: Mark, claims: Claims, troubles: Troubles) -> Loss:
        at, master = mark.acknowledged_at, mark.acknowledged_by
        assert at is not None
        claim = claims.at(master, mark.slot, at)
        successor = None if claim is None else claims.successor(claim, mark.slot)
        if successor is not None and successor.at_s <= at:
            return Loss(mark, Reason.SUPERSEDED, successor.at_s - at)
        if successor is None and self._cluster.shape.logs:
            # It was on the platter before it was acknowledged, and nobody else has had a say since.
            return Loss(mark, Reason.NONE, None)
        crashed_at = self._first_end(master, at)
        replaced_at = _NEVER if successor is None else successor.at_s
        ended_at = min(crashed_at, replaced_at)
        others = [name for name in self._shard_of(mark) if name != master]
        had_it = [name for name in others if mark.copies.get(name, _NEVER) < ended_at]
        window_s = None if ended_at == _NEVER else ended_at - at

        def behind(name: str) -> bool:
            return troubles.struck(name, at, at + WINDOW_S)

        on_its_way = ended_at <= at + WINDOW_S or behind(master) or all(behind(name) for name in others)
        if not had_it and ended_at < _NEVER and on_its_way:
            return Loss(mark, Reason.NOT_REPLICATED, window_s)
        lagging_heir = successor is not None and successor.name not in had_it
        # Where one was promoted that lacks it, those who had it were out of reach then. What befell them later matters
        # only where the heir had it, too.
        until = replaced_at if lagging_heir else _NEVER
        others_out = all(troubles.struck(name, at, until, _BACK_S) for name in had_it)
        if successor is not None and lagging_heir and behind(successor.name) and others_out:
            return Loss(mark, Reason.NOT_REPLICATED, window_s)
        # A master that is only cut off, or stopped, forgets nothing; but in the end the sentinels take what there is.
        heir_crashed = successor is not None and self._first_end(successor.name, replaced_at) < _NEVER
        given_up = troubles.out_of_reach(master, at, replaced_at) >= FORGOTTEN_MS / 1000
        gone = crashed_at < _NEVER or heir_crashed or given_up
        if had_it and gone and others_out and troubles.struck(master, at, _NEVER) and not self._cluster.shape.logs:
            return Loss(mark, Reason.FORGOTTEN, window_s)
        return Loss(mark, Reason.NONE, window_s)

    def _first_end(self, name: str, after: float) -> float:
        """When a process of that seat ended first after a moment."""
        return min((moment for moment in self._ended_at.get(name, ()) if moment >= after), default=_NEVER)


def _has(node: Node, mark: Mark) -> bool:
    return node.keyspace.database(0).shards[mark.slot].get(mark.key) == mark.value


def _owners(nodes: dict[str, Node]) -> Iterator[tuple[int, str]]:
    """Each slot with the seat of its master."""
    for name, node in nodes.items():
        assert node.cluster is not None
        myself = node.cluster.state.myself
        if myself.is_master:
            for slot in range(16384):
                if myself.slots >> slot & 1:
                    yield slot, name
