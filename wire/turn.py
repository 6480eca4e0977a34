"""The end of the loop's turn: log first, then replies.

Everything that connections execute in one turn of the loop is answered at its end, after the steps
registered here have run: the log's write, then the replication stream. So no reply leaves before the log,
one system call serves a whole turn (group commit), and each connection is written to once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol


class Flushable(Protocol):
    def flush(self) -> None: ...


class Turn:
    """Collects what must happen before the loop sleeps."""

    __slots__ = ("_loop", "_scheduled", "_waiting", "steps")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._scheduled = False
        # Connections with output, in order of their first output of the turn.
        self._waiting: dict[Flushable, None] = {}
        # What comes before replies, in this order.
        self.steps: list[Callable[[], None]] = []

    def reply(self, connection: Flushable) -> None:
        """Flush `connection` at the end of this turn."""
        self._waiting[connection] = None
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._end)

    def request(self) -> None:
        """Run the steps at the end of this turn even if nobody is to be answered."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._end)

    def _end(self) -> None:
        self._scheduled = False
        for step in self.steps:
            step()
        waiting = self._waiting
        self._waiting = {}
        for connection in waiting:
            connection.flush()
