"""Memory beside the data: what waits for clients and replicas, and `maxmemory-clients`, which bounds the clients' part.

Added up when somebody asks, which takes a look at every client. Where there are many, each counts as it was when it was
looked at last, a second ago or less (`node.client_rounds`); with a limit, who has more than before is looked at soon.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from node.replication.backlog import Backlog
from node.session import NodeSession
from node.settings import NodeSettings
from runtime import Log
from wire.client_line import client_bytes
from wire.clients import Clients
from wire.connection import Connection
from wire.session import CLOSING
from wire.turn import Turn

# The least that a share of `maxmemory` comes to, so that somebody can still connect.
_CLIENTS_MIN = 128 * 1024
# Up to so many clients are looked at when somebody asks.
_FEW_CLIENTS = 500


@dataclass(frozen=True, slots=True)
class Buffers:
    """Bytes, by what they are for."""

    clients: int
    replicas: int
    # Of the stream: what waits in replicas' sockets, the backlog, and what it holds beyond its size for replicas whose
    # copy is under way.
    unsent: int
    backlog: int
    kept: int
    # What is still to be written to the log; not counted for eviction, because evicting makes more of it.
    log: int
    # What is still to be sent to other nodes of the cluster.
    links: int

    @property
    def total(self) -> int:
        return self.clients + self.replicas + self.backlog + self.kept + self.log + self.links

    @property
    def stream(self) -> int:
        """What there is of the replication stream."""
        return self.unsent + self.backlog + self.kept

    @property
    def counted(self) -> int:
        """What counts against `maxmemory`; what replicas have not taken yet does not, as that of the log."""
        return self.clients + self.backlog + self.links


# What a client holds, what a replica does, and what of that waits in its socket.
_Parts = tuple[int, int, int]


def _parts(session: NodeSession) -> _Parts:
    if session.kind != "replica":
        return client_bytes(session), 0, 0
    unsent = session.connection.pending_output if session.connection is not None else 0
    return 0, client_bytes(session), unsent


class ClientMemory:
    """Adds up, and lets the largest clients go when there is a limit and it is passed.

    With a limit, a client is looked at when a part of a command has come from it, and when a turn ends in which it was
    answered or told something; all are looked at when the limit changes, and now and then by the clockwork.
    """

    __slots__ = (
        "_anew",
        "_backlog",
        "_clients",
        "_limit",
        "_links",
        "_log_buffer",
        "_parts",
        "_parts_of",
        "_settings",
        "_sizes",
        "_total",
        "_turn",
        "_words",
        "evicted",
    )

    def __init__(
        self,
        settings: NodeSettings,
        clients: Clients[NodeSession],
        turn: Turn,
        words: Log,
        backlog: Callable[[], Backlog | None],
        log_buffer: Callable[[], int],
        links: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._clients = clients
        self._turn = turn
        self._words = words
        self._backlog = backlog
        self._log_buffer = log_buffer
        self._links = links
        # `maxmemory-clients` in bytes; 0: none.
        self._limit = 0
        # The limit may have changed: all are to be looked at.
        self._anew = False
        # With a limit: what those that count held when they were looked at last, and the sum.
        self._sizes: dict[NodeSession, int] = {}
        self._total = 0
        # Where clients are many: what each was for in `Buffers` when it was looked at last, and the sum.
        self._parts_of: dict[NodeSession, _Parts] = {}
        self._parts: _Parts = (0, 0, 0)
        # For INFO: clients that had to go.
        self.evicted = 0

    def buffers(self) -> Buffers:
        if len(self._clients) > _FEW_CLIENTS:
            clients, replicas, unsent = self._parts
        else:
            clients = replicas = unsent = 0
            for session in self._clients:
                of_client, of_replica, in_socket = _parts(session)
                clients += of_client
                replicas += of_replica
                unsent += in_socket
        backlog = self._backlog()
        held = backlog.memory if backlog is not None else 0
        # As in Redis, what there is beyond its size counts for replicas only while there are some.
        kept = max(held - backlog.size, 0) if backlog is not None and replicas else 0
        return Buffers(clients, replicas, unsent, held - kept, kept, self._log_buffer(), self._links())

    def configured(self) -> None:
        """`maxmemory-clients` or, where that is a share of it, `maxmemory` may have changed."""
        limit = self._settings.maxmemory_clients
        if limit < 0:
            maxmemory = self._settings.maxmemory
            limit = max(-limit * maxmemory // 100, _CLIENTS_MIN) if maxmemory else 0
        steps = self._turn.steps
        if limit and not self._limit:
            steps.append(self._end_turn)
        elif self._limit and not limit:
            steps.remove(self._end_turn)
            self._sizes.clear()
            self._total = 0
        self._limit = limit
        # Who holds too much by now goes before anything else is run.
        self._anew = True

    def look(self, session: NodeSession) -> None:
        """It may hold more than it did, or less (the clockwork's)."""
        if len(self._clients) > _FEW_CLIENTS or session in self._parts_of:
            before, now = self._parts_of.get(session, (0, 0, 0)), _parts(session)
            self._parts_of[session] = now
            self._add(now, before)
        self.note(session)

    def note(self, session: NodeSession) -> None:
        """A client holds more than it did."""
        if self._limit:
            self._look(session)
            self._enforce()

    def forget(self, session: NodeSession) -> None:
        """It is gone."""
        self._total -= self._sizes.pop(session, 0)
        before = self._parts_of.pop(session, None)
        if before is not None:
            self._add((0, 0, 0), before)

    def _add(self, now: _Parts, before: _Parts) -> None:
        clients, replicas, unsent = self._parts
        self._parts = clients + now[0] - before[0], replicas + now[1] - before[1], unsent + now[2] - before[2]

    def _end_turn(self) -> None:
        if self._anew:
            self._anew = False
            for session in self._clients:
                self._look(session)
        # Who is hung up on is not written to.
        self._turn.spread()
        for connection in [*self._turn.waiting, *self._turn.replies]:
            if isinstance(connection, Connection) and isinstance(connection.session, NodeSession):
                self._look(connection.session)
        self._enforce()

    def _look(self, session: NodeSession) -> None:
        # Replicas and our master cannot be spared; who is on the way out holds nothing for long.
        counts = session.kind in ("normal", "pubsub") and not session.mask & CLOSING
        size = client_bytes(session) if counts else 0
        self._total += size - self._sizes.get(session, 0)
        self._sizes[session] = size

    def _enforce(self) -> None:
        """Disconnect the largest clients until the others fit; who asked for CLIENT NO-EVICT stays."""
        if self._total < self._limit:
            return
        for session, size in sorted(self._sizes.items(), key=lambda sized: sized[1], reverse=True):
            if self._total < self._limit:
                return
            if size and not session.no_evict:
                self._words.notice(f"Evicting client: id={session.id} addr={session.address} tot-mem={size}")
                self.evicted += 1
                self.forget(session)
                session.drop()
