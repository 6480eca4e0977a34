"""Messages for the smart client: one connection to any node, replaced when it breaks.

Pub/sub promises nothing to who is not connected: what was published while the connection was being replaced is lost.
The iterator says so with a `Gap`, and so it does when its reader is too slow and messages had to be dropped.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from proxy.attempt import ClientWorld
from proxy.client_options import NotExecutedError
from runtime import Tasks
from wire.errors import Error
from wire.outward import ConnectError, Outward, OutwardError

# Messages kept for a reader that is slower than the publishers.
_KEPT_MAX = 10_000
_RETRY_S = 0.1
# A connection that delivers nothing is asked whether it is still there.
_PING_S = 5.0


@dataclass(frozen=True, slots=True)
class Message:
    """One publication."""

    channel: bytes
    data: bytes
    # The pattern that matched; None for a channel subscribed to by name.
    pattern: bytes | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages may have been missed here."""


class Messages:
    """An asynchronous iterator over messages and gaps; made by `ClusterClient.subscribe`, used with ``async with``."""

    __slots__ = (
        "_arrived",
        "_channels",
        "_confirmed",
        "_kept",
        "_patterns",
        "_ready",
        "_task",
        "_tasks",
        "_world",
    )

    def __init__(self, world: ClientWorld, tasks: Tasks, channels: list[bytes], patterns: list[bytes]) -> None:
        self._world = world
        self._tasks = tasks
        self._channels = channels
        self._patterns = patterns
        # What came and was not read yet.
        self._kept: deque[Message | Gap] = deque()
        self._arrived = asyncio.Event()
        # Confirmations that are still to come on this connection, and whether all have come once.
        self._confirmed = 0
        self._ready = asyncio.Event()
        self._task: asyncio.Task[Any] | None = None

    async def __aenter__(self) -> Messages:
        """Returns when the subscription holds: whatever is published from now on is delivered. Raises
        NotExecutedError."""
        self._task = self._tasks.start("subscription", self._run())
        deadline_ms = self._world.options.deadline_ms
        try:
            async with asyncio.timeout(deadline_ms / 1000):
                await self._ready.wait()
        except TimeoutError:
            self._task.cancel()
            raise NotExecutedError(f"not subscribed within {deadline_ms} ms") from None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])

    def __aiter__(self) -> Messages:
        return self

    async def __anext__(self) -> Message | Gap:
        while not self._kept:
            self._arrived.clear()
            await self._arrived.wait()
        return self._kept.popleft()

    async def _run(self) -> None:
        """Keep a subscribed connection."""
        topology = self._world.topology
        while True:
            # The node of slot 0 first: proxies publish and subscribe there, too.
            for address in list(topology.slot_map.masters()):
                try:
                    async with self._world.pool.private(address) as connection:
                        await self._listen(connection)
                except ConnectError:
                    topology.refresh(address)
                    continue
                except (OutwardError, Error):
                    topology.refresh(address)
                if self._ready.is_set():
                    self._keep(Gap())
                break
            await asyncio.sleep(_RETRY_S)

    async def _listen(self, connection: Outward) -> None:
        """Subscribe, and stay until the connection is lost; raises OutwardError."""
        lost = asyncio.Event()
        connection.on_push = self._push
        connection.on_lost = lambda _: lost.set()
        self._confirmed = len(self._channels) + len(self._patterns)
        for word, names in ((b"SUBSCRIBE", self._channels), (b"PSUBSCRIBE", self._patterns)):
            if names:
                connection.post(word, *names)
        while not lost.is_set():
            try:
                async with asyncio.timeout(_PING_S):
                    await lost.wait()
            except TimeoutError:
                await connection.call(b"PING")

    def _push(self, push: list[Any]) -> None:
        match push:
            case [b"message", channel, data]:
                self._keep(Message(channel, data))
            case [b"pmessage", pattern, channel, data]:
                self._keep(Message(channel, data, pattern))
            case [b"subscribe" | b"psubscribe", *_]:
                self._confirmed -= 1
                if not self._confirmed:
                    self._ready.set()

    def _keep(self, item: Message | Gap) -> None:
        kept = self._kept
        if isinstance(item, Gap) and kept and isinstance(kept[-1], Gap):
            return
        if len(kept) >= _KEPT_MAX:
            kept.clear()
            kept.append(Gap())
        kept.append(item)
        self._arrived.set()
