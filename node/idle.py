"""`timeout`: clients that have not said anything for too long are let go."""

from __future__ import annotations

from node.session import NodeSession
from node.settings import NodeSettings
from runtime import Log
from runtime.clock import Clock


class IdleClients:
    """Looks for them."""

    __slots__ = ("_clock", "_log", "_settings")

    def __init__(self, settings: NodeSettings, clock: Clock, log: Log) -> None:
        self._settings = settings
        self._clock = clock
        self._log = log

    def look(self, session: NodeSession) -> None:
        """Close one that is over the time; replicas, subscribers and blocked clients are silent for good reasons."""
        timeout_s = self._settings.timeout
        if not timeout_s or session.parked or session.kind != "normal":
            return
        if session.last_seen_ms < self._clock.wall_ms() - timeout_s * 1000:
            self._log.verbose("Closing idle client")
            session.drop()
