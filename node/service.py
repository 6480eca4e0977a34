"""A node as its listener sees it: sessions come, send batches, and go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from node.call import Call
from node.connection import NodeConnection
from node.crowds import Crowds
from node.execute import Executor
from node.gates import MEASURED, Conditions
from node.monitor import Monitor
from node.output_limits import OutputLimit, OutputLimits
from node.session import NodeSession
from wire.clients import Clients
from wire.connection import Connection
from wire.decoder import Batch
from wire.front import Front
from wire.session import Session
from wire.turn import Turn

_MAX_CLIENTS = b"ERR max number of clients reached"


class NodeService:
    """Implements `wire.connection.Service` for a node."""

    __slots__ = (
        "_clients",
        "_conditions",
        "_crowds",
        "_executor",
        "_front",
        "_make_call",
        "_monitor",
        "_on_closed",
        "_query_buffer_max",
        "bulk_max",
        "denied",
        "execute",
        "output_limits",
        "overfilled",
        "turn",
    )

    def __init__(
        self,
        turn: Turn,
        front: Front,
        clients: Clients[NodeSession],
        executor: Executor,
        conditions: Conditions,
        monitor: Monitor,
        make_call: Callable[[NodeSession], Call],
        on_closed: Callable[[NodeSession], None],
    ) -> None:
        self.turn = turn
        turn.openings.append(executor.open_turn)
        # Commands go to the executor without a stop here.
        self.execute: Callable[[Any, Batch, int], int] = executor.execute
        self._executor = executor
        self._crowds = Crowds(executor, turn)
        self._front = front
        self._clients = clients
        self._conditions = conditions
        self._monitor = monitor
        self._make_call = make_call
        self._on_closed = on_closed
        # `proto-max-bulk-len` and `client-query-buffer-limit`.
        self.bulk_max = 512 * 1024 * 1024
        self._query_buffer_max = 1024 * 1024 * 1024
        # `client-output-buffer-limit`.
        self.output_limits = OutputLimits()
        # For INFO: clients that sent more than their query buffer may hold.
        self.overfilled = 0
        # Whether protected mode turns a client at this address away, and with which words.
        self.denied: Callable[[str], bytes | None] = lambda ip: None

    def connect(self) -> Connection:
        return NodeConnection(self, self._executor, self._crowds)

    def opened(self, connection: Connection) -> NodeSession | bytes:
        if self._clients.full:
            self._clients.rejected += 1
            return _MAX_CLIENTS
        peer = connection.transport.get_extra_info("peername")
        local = connection.transport.get_extra_info("sockname")
        if isinstance(peer, tuple):
            denial = self.denied(str(peer[0]))
            if denial is not None:
                self._clients.rejected += 1
                return denial
        session = NodeSession(self._clients.next_id(), connection, self._front.clock.wall_ms())
        # By a Unix socket a client has no name of its own, so it is shown the server's.
        session.address = _address(peer or local)
        session.local_address = _address(local)
        session.mask = self._conditions.mask
        session.call = self._make_call(session)
        connection.decoder.bulk_max = self.bulk_max
        connection.decoder.buffer_max = self._query_buffer_max
        connection.output_max = self.output_limits.hard_min
        if self.output_limits.by_class["normal"].hard:
            session.mask |= MEASURED
        self._clients.add(session)
        self._front.admit(session)
        return session

    def closed(self, session: Session) -> None:
        assert isinstance(session, NodeSession)
        if session.connection is not None and session.connection.decoder.overfilled:
            self.overfilled += 1
        session.end_transaction()
        self._front.broker.forget(session)
        self._monitor.remove(session)
        self._clients.remove(session)
        self._on_closed(session)
        session.end()

    def output_blocked(self, session: Session, pending: int) -> None:
        assert isinstance(session, NodeSession)
        if self.output_limits.exceeded(session, pending):
            self.output_limits.drop(session)

    def look(self, session: NodeSession) -> None:
        """A soft limit is passed by time alone, too, by who has been written nothing lately."""
        connection = session.connection
        if connection is None:
            return
        # For a replica that may not have the stream yet it waits elsewhere.
        unsent = session.replica.unsent if session.replica is not None else connection.pending_output
        if unsent:
            self.output_blocked(session, unsent)

    def limit_output(self, by_class: dict[str, OutputLimit]) -> None:
        """`client-output-buffer-limit`, for those who are connected, too."""
        self.output_limits.by_class = by_class
        measured = by_class["normal"].hard > 0
        for session in self._clients:
            session.mask = session.mask | MEASURED if measured else session.mask & ~MEASURED
            if session.connection is not None:
                session.connection.output_max = self.output_limits.hard_min

    def limit_requests(self, bulk_max: int, buffer_max: int) -> None:
        """`proto-max-bulk-len` and `client-query-buffer-limit`, for those who are connected, too."""
        self.bulk_max = bulk_max
        self._query_buffer_max = buffer_max
        for session in self._clients:
            if session.connection is not None:
                session.connection.decoder.bulk_max = bulk_max
                session.connection.decoder.buffer_max = buffer_max


def _address(name: object) -> str:
    if isinstance(name, tuple):
        host, port = str(name[0]), name[1]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return f"{name}:0"
