"""Memory beside the data: what waits for clients and replicas, and `maxmemory-clients`, which bounds the clients' part.

Added up from time to time, since it takes a look at every client.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from node.session import NodeSession
from node.settings import NodeSettings
from runtime import Log
from wire.client_line import client_bytes
from wire.clients import Clients

# The least that a share of `maxmemory` comes to, so that somebody can still connect.
_CLIENTS_MIN = 128 * 1024


@dataclass(frozen=True, slots=True)
class Buffers:
    """Bytes, by what they are for."""

    clients: int
    replicas: int
    backlog: int
    # What is still to be written to the log; not counted for eviction, because evicting makes more of it.
    log: int

    @property
    def total(self) -> int:
        return self.clients + self.replicas + self.backlog + self.log

    @property
    def counted(self) -> int:
        """What counts against `maxmemory`; what replicas have not taken yet does not, as that of the log."""
        return self.clients + self.backlog


class ClientMemory:
    """Adds up, and lets the largest clients go when there is a limit and it is passed."""

    __slots__ = ("_backlog", "_clients", "_log_buffer", "_settings", "_words", "evicted")

    def __init__(
        self,
        settings: NodeSettings,
        clients: Clients[NodeSession],
        words: Log,
        backlog: Callable[[], int],
        log_buffer: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._clients = clients
        self._words = words
        self._backlog = backlog
        self._log_buffer = log_buffer
        # For INFO: clients that had to go.
        self.evicted = 0

    def buffers(self) -> Buffers:
        clients = replicas = 0
        for session in self._clients:
            if session.kind == "replica":
                replicas += client_bytes(session)
            else:
                clients += client_bytes(session)
        return Buffers(clients, replicas, self._backlog(), self._log_buffer())

    def limit(self) -> int:
        """`maxmemory-clients` in bytes; 0: none."""
        wanted = self._settings.maxmemory_clients
        if wanted >= 0:
            return wanted
        return max(-wanted * self._settings.maxmemory // 100, _CLIENTS_MIN) if self._settings.maxmemory else 0

    def enforce(self) -> None:
        """Disconnect the largest clients until the others fit; replicas, our master and CLIENT NO-EVICT stay."""
        limit = self.limit()
        if not limit:
            return
        sizes = [(client_bytes(session), session) for session in self._clients if session.kind in ("normal", "pubsub")]
        total = sum(size for size, _ in sizes)
        for size, session in sorted(sizes, key=lambda sized: sized[0], reverse=True):
            if total < limit:
                return
            if not session.no_evict:
                self._words.notice(f"Evicting client: id={session.id} addr={session.address} tot-mem={size}")
                self.evicted += 1
                total -= size
                session.drop()
