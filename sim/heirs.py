"""Who is promoted in place of a dead master: of several replicas the one that has most of its data.

What the others have in front of it would be thrown away. Whoever chooses can only choose among those it hears of, so
a replica counts only if no fault has kept it from being chosen lately (`sim.choosers`); and only a master that says
nothing any more is judged, because of a living one the replicas are ahead and behind by turns.
"""

from __future__ import annotations

from collections.abc import Callable

from sim.choosers import Choosers
from sim.cluster import SimCluster

BEST = "of several replicas the one with the most data is promoted"

# For so long a replica must have been well.
_CALM_S = 5.0


class Heirs:
    """Judges the promotions in one cluster."""

    __slots__ = ("_breach", "_choosers", "_cluster")

    def __init__(self, cluster: SimCluster, choosers: Choosers, breach: Callable[[str, str], None]) -> None:
        self._cluster = cluster
        self._choosers = choosers
        self._breach = breach

    def judge(self, name: str) -> None:
        """A node has just taken its master's place."""
        nodes, now = self._cluster.nodes(), self._cluster.world.loop.now
        heir = nodes.get(name)
        if heir is None:
            return
        for other, node in nodes.items():
            if self._cluster.shape.shard_of(other) != self._cluster.shape.shard_of(name) or other == name:
                continue
            assert node.cluster is not None
            master = node.cluster.state.myself.master
            dead = master is not None and not self._cluster.seats[self._cluster.name_at(master.ip)].runs
            calm = self._choosers.unseen(other, name, now - _CALM_S, now, back_s=0.0) is None
            if dead and calm and node.replication.offset > heir.replication.offset:
                self._breach(
                    BEST, f"{name} has {heir.replication.offset} bytes of the stream, {other} {node.replication.offset}"
                )
