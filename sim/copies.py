"""Who has which write, from when to when.

Marks are looked for in all nodes of their shard, ten times a second and at every promotion; processes are noted as they
are born and end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cluster.slots import SLOTS
from node.node import Node
from sim.cluster import SimCluster
from sim.troubles import NEVER
from sim.workload import Holding, Mark


class Lives:
    """When the process of each seat began and ended."""

    __slots__ = ("_born_at", "_ended_at")

    def __init__(self) -> None:
        # By seat, in order.
        self._born_at: dict[str, list[float]] = {}
        self._ended_at: dict[str, list[float]] = {}

    def born(self, name: str, now: float) -> None:
        self._born_at.setdefault(name, []).append(now)

    def ended(self, name: str, now: float) -> None:
        self._ended_at.setdefault(name, []).append(now)

    def births(self, name: str, after: float, until: float) -> Iterator[float]:
        return (moment for moment in self._born_at.get(name, ()) if after < moment <= until)

    def first_end(self, name: str, after: float) -> float:
        """When a process of that seat ended first after a moment."""
        return next((moment for moment in self._ended_at.get(name, ()) if moment >= after), NEVER)


class Copies:
    """Watches the nodes of one cluster."""

    __slots__ = ("_cluster", "_held", "_lacked", "_loop", "_shards", "lives")

    def __init__(self, cluster: SimCluster) -> None:
        self._cluster = cluster
        self._loop = cluster.world.loop
        self._shards: dict[str, list[str]] = {}
        for members in cluster.shape.shards().values():
            self._shards[f"shard-{cluster.shape.shard_of(members[0])}"] = members
        # By node: marks of its shard that it has, and that it has not, as far as was seen.
        self._held: dict[str, dict[Mark, None]] = {name: {} for name in cluster.shape.node_names()}
        self._lacked: dict[str, dict[Mark, None]] = {name: {} for name in cluster.shape.node_names()}
        self.lives = Lives()

    def shard_of(self, mark: Mark) -> list[str]:
        """The nodes that are to have it."""
        return self._shards[self._cluster.shape.group_of(mark.slot)]

    def begun(self, mark: Mark) -> None:
        """It has been sent."""
        for name in self.shard_of(mark):
            self._lacked[name][mark] = None

    def failed(self, mark: Mark) -> None:
        """It was not acknowledged, and nobody will ask for it."""
        for name in self.shard_of(mark):
            self._lacked[name].pop(mark, None)
            self._held[name].pop(mark, None)

    def born(self, name: str) -> None:
        self.lives.born(name, self._loop.now)

    def ended(self, name: str) -> None:
        """A process is dead, and what it had in memory is gone."""
        self.lives.ended(name, self._loop.now)
        self.emptied(name)

    def emptied(self, name: str) -> None:
        """A node has nothing any more, or throws what it has away for a copy of its master's data."""
        held = self._held.get(name)
        if held:
            for mark in held:
                mark.holdings[name][-1].until = self._loop.now
            self._lacked[name].update(held)
            held.clear()

    def look(self) -> None:
        """See who has what by now."""
        now = self._loop.now
        for name, node in self._cluster.nodes().items():
            lacked = self._lacked[name]
            if not lacked:
                continue
            shards, held = node.keyspace.database(0).shards, self._held[name]
            for mark in [mark for mark in lacked if shards[mark.slot].get(mark.key) == mark.value]:
                mark.holdings.setdefault(name, []).append(Holding(now))
                held[mark] = None
                del lacked[mark]

    def missing(self, marks: Iterable[Mark]) -> list[Mark]:
        """Those that are not with their slot's master, now that the cluster has healed."""
        nodes = self._cluster.nodes()
        owners = dict(_owners(nodes))
        return [
            mark
            for mark in marks
            if mark.slot in owners
            and nodes[owners[mark.slot]].keyspace.database(0).shards[mark.slot].get(mark.key) != mark.value
        ]


def _owners(nodes: dict[str, Node]) -> Iterator[tuple[int, str]]:
    """Each slot with the seat of its master."""
    for name, node in nodes.items():
        assert node.cluster is not None
        myself = node.cluster.state.myself
        if myself.is_master:
            for slot in range(SLOTS):
                if myself.slots >> slot & 1:
                    yield slot, name
