"""`timeout`: clients that have not said anything for too long are let go."""

from __future__ import annotations

from node.session import NodeSession
from node.settings import NodeSettings
from runtime import Log
from runtime.clock import Clock
from wire.clients import Clients


class IdleClients:
    """Looks for them."""

    __slots__ = ("_clients", "_clock", "_log", "_settings")

    def __init__(self, settings: NodeSettings, clock: Clock, clients: Clients[NodeSession], log: Log) -> None:
        self._settings = settings
        self._clock = clock
        self._clients = clients
        self._log = log

    def check(self) -> None:
        """Close who is over the time; replicas, subscribers and blocked clients are silent for good reasons."""
        timeout_s = self._settings.timeout
        if not timeout_s:
            return
        silent_since_ms = self._clock.wall_ms() - timeout_s * 1000
        for session in self._clients:
            if session.last_seen_ms < silent_since_ms and session.kind == "normal" and not session.parked:
                self._log.verbose("Closing idle client")
                session.drop()
