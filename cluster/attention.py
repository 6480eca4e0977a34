"""Which nodes the ticks have to look at: of a thousand, few need anything at a time.

Each node is looked at when the first of its waits may be over (`heartbeat.watch` says when that is), or at the next
tick, where something has begun that may be over sooner. Nobody else is touched.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cluster.membership import NodeEntry

# Plans are kept by the tenth of a second they are for, as the ticks come.
_SPAN_MS = 100
_PLACE = attrgetter("place")


class Attention:
    """One per cluster state."""

    __slots__ = ("_later", "_present", "_soon")

    def __init__(self) -> None:
        # Those of the next tick.
        self._soon: dict[NodeEntry, None] = {}
        # By span of time, those that were planned for it. A plan counts while it is the node's newest, which the node
        # knows itself (`NodeEntry.watch_at`).
        self._later: dict[int, list[NodeEntry]] = {}
        # The span in which nodes were last looked at; there are no plans for those before it.
        self._present = 0

    def soon(self, node: NodeEntry) -> None:
        """Look at it at the next tick."""
        node.watch_at = 0.0
        self._soon[node] = None

    def at(self, node: NodeEntry, moment: float) -> None:
        """Look at it at the first tick from that moment on, and not before unless `soon` is called."""
        node.watch_at = moment
        self._soon.pop(node, None)
        span = max(int(moment // _SPAN_MS), self._present)
        planned = self._later.get(span)
        if planned is None:
            self._later[span] = [node]
        else:
            planned.append(node)

    def take(self, now: float) -> list[NodeEntry]:
        """Those to look at now, in the table's order; they must be planned anew."""
        due, self._soon = self._soon, {}
        later, present = self._later, int(now // _SPAN_MS)
        # The clock may have begun anywhere.
        first = self._present or min(later, default=present)
        self._present = present
        left: list[NodeEntry] = []
        for span in range(first, present + 1):
            for node in later.pop(span, ()):
                moment = node.watch_at
                if moment <= now:
                    due[node] = None
                elif moment // _SPAN_MS == present:
                    # It was planned for this very span, or is planned anew.
                    left.append(node)
        if left:
            later[present] = left
        return sorted(due, key=_PLACE) if len(due) > 1 else list(due)
