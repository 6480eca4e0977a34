"""An RDB on its way from a master: what has come of it and has not been read yet.

A replica that has nothing to lose (`repl-diskless-load on-empty-db`), or that keeps its old data until the new are
there (`swapdb`), loads its copy while it comes: it never holds the whole of it beside the data, and is in sync a moment
after the last byte.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

# So much may wait here; then the master is made to wait.
_WAITING_MAX = 8 * 1024 * 1024


class Arriving:
    """One copy: whoever receives it feeds it, whoever loads it takes from it."""

    __slots__ = ("_acknowledge", "_chunks", "_held", "_hold", "_news", "_wanted", "ended", "waiting")

    def __init__(self, hold: Callable[[bool], None]) -> None:
        """`hold` stops the connection, or lets it go on."""
        self._hold = hold
        self._held = False
        self._chunks: list[bytes] = []
        # Bytes that have come and have not been taken, and how many the loader wants to go on.
        self.waiting = 0
        self._wanted = 0
        # The last byte has come; and whether the master waits for our first acknowledgement then.
        self.ended = False
        self._acknowledge = False
        self._news = asyncio.Event()

    @property
    def starved(self) -> bool:
        """The loader has read everything, and the master has not sent everything."""
        return not self.ended and not self._held and self.waiting < max(self._wanted, 1)

    def feed(self, data: bytes) -> None:
        self._chunks.append(data)
        self.waiting += len(data)
        if self.waiting > max(_WAITING_MAX, self._wanted) and not self._held:
            self._held = True
            self._hold(True)
        self._news.set()

    def end(self, *, acknowledge: bool) -> None:
        """That was all."""
        self.ended = True
        self._acknowledge = acknowledge
        self._news.set()

    async def take(self, least: int) -> bytes:
        """All that has come, once that is `least` bytes; less only at the end."""
        self._wanted = least
        while self.waiting < least and not self.ended:
            self._news.clear()
            await self._news.wait()
        data = b"".join(self._chunks)
        self._chunks.clear()
        self.waiting = 0
        if self._held:
            self._held = False
            self._hold(False)
        return data

    async def wait_end(self) -> bool:
        """Return when the last byte has come: whether it is to be acknowledged. What was not taken is dropped."""
        while not self.ended:
            await self.take(1)
        return self._acknowledge
