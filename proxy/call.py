"""What the proxy's own commands are given beyond `wire.call.Call`."""

from __future__ import annotations

from collections.abc import Callable

from proxy.session import ProxySession
from wire.call import CallOf
from wire.front import Front


class ProxyCall(CallOf[ProxySession]):
    """A command that the proxy answers itself."""

    __slots__ = ("_on_reset", "info")

    def __init__(
        self,
        front: Front,
        session: ProxySession,
        info: Callable[[list[bytes]], bytes],
        on_reset: Callable[[ProxySession], None],
    ) -> None:
        super().__init__(front, session)
        # INFO's text for the sections asked for.
        self.info = info
        self._on_reset = on_reset

    def reset(self) -> None:
        # First what the proxy keeps: its subscriptions are not in the broker's tables.
        self._on_reset(self.session)
        super().reset()
