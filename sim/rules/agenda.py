"""Virtual time: what is to happen, in order of its time, and in order of planning where times are equal."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any


class Agenda:
    """A clock that jumps from one planned thing to the next. Times are milliseconds."""

    __slots__ = ("_heap", "_planned", "now")

    def __init__(self) -> None:
        self.now = 0.0
        # (time, number, what, its arguments). Numbers are unique, so nothing behind them is ever compared.
        self._heap: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        # How many things were planned so far.
        self._planned = 0

    def at(self, moment: float, do: Callable[..., object], *arguments: Any) -> None:
        """Plan a call; what should have happened already happens next."""
        self._planned += 1
        heapq.heappush(self._heap, (moment if moment > self.now else self.now, self._planned, do, arguments))

    def run_until(self, end: float) -> None:
        """Let everything happen that is due by `end`, which is then the time."""
        heap, pop = self._heap, heapq.heappop
        while heap and heap[0][0] <= end:
            self.now, _, do, arguments = pop(heap)
            do(*arguments)
        self.now = end
