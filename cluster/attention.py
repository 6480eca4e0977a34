"""Which nodes the ticks have to look at: of a thousand, few need anything at a time.

Each node is looked at when the first of its waits may be over (`heartbeat.watch` says when that is), or at the next
tick, where something has begun that may be over sooner. Nobody else is touched.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cluster.membership import NodeEntry


class Attention:
    """One per cluster state."""

    __slots__ = ("_heap", "_planned", "_soon")

    def __init__(self) -> None:
        # Those of the next tick.
        self._soon: dict[NodeEntry, None] = {}
        # (moment, number, node). A plan counts while it is the node's newest (`NodeEntry.watch_at`).
        self._heap: list[tuple[float, int, NodeEntry]] = []
        self._planned = 0

    def soon(self, node: NodeEntry) -> None:
        """Look at it at the next tick."""
        node.watch_at = 0.0
        self._soon[node] = None

    def at(self, node: NodeEntry, moment: float) -> None:
        """Look at it at the first tick from that moment on, and not before unless `soon` is called."""
        node.watch_at = moment
        self._soon.pop(node, None)
        self._planned += 1
        heapq.heappush(self._heap, (moment, self._planned, node))

    def take(self, now: float) -> list[NodeEntry]:
        """Those to look at now, in the table's order; they must be planned anew."""
        due, self._soon = self._soon, {}
        heap = self._heap
        while heap and heap[0][0] <= now:
            moment, _, node = heapq.heappop(heap)
            if node.watch_at == moment:
                due[node] = None
        return sorted(due, key=_place)


def _place(node: NodeEntry) -> int:
    return node.place
