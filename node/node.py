"""A data node: puts the parts together from `(settings, runtime)`, starts and stops them, and does nothing else."""

from __future__ import annotations

import asyncio

from node import commands
from node.call import Call
from node.execute import Executor
from node.expiry import ActiveExpiry
from node.gates import Conditions, Gatekeeper, gates_of
from node.keyspace import DELETE_EXPIRED, HIDE_EXPIRED, Keyspace
from node.monitor import Monitor
from node.notifications import Notifier
from node.pause import Pauses
from node.propagation import Propagation
from node.service import NodeService
from node.session import NodeSession
from node.settings import NodeSettings
from runtime import Runtime
from wire.clients import Clients
from wire.front import Credentials, Front
from wire.listener import Listener
from wire.pubsub import Broker
from wire.table import CommandTable
from wire.turn import Turn


class Node:
    """One data node. Its parts are public: commands reach them by name through `Call.node`."""

    def __init__(self, settings: NodeSettings, runtime: Runtime) -> None:
        self.settings = settings
        self.runtime = runtime
        self.log = runtime.log
        self.run_id = runtime.random.hex_id("run-id")
        self.started_at_ms = runtime.clock.wall_ms()
        self.turn = Turn(asyncio.get_running_loop())
        self.clients: Clients[NodeSession] = Clients(settings.maxclients)
        self.broker = Broker()
        self.table = CommandTable(commands.MODULES, gates_of)
        self.front = Front(
            clock=runtime.clock,
            clients=self.clients,
            broker=self.broker,
            table=self.table,
            credentials=Credentials(settings.requirepass.encode()),
            identity=self,
        )
        self.notifier = Notifier(self.broker)
        self.keyspace = Keyspace(settings.databases, self.notifier)
        self.conditions = Conditions(self.clients)
        self.gatekeeper = Gatekeeper(self.conditions)
        self.monitor = Monitor(self.conditions, runtime.clock)
        self.propagation = Propagation()
        self.executor = Executor(
            self.table, self.keyspace, self.propagation, self.gatekeeper, self.monitor, runtime.clock
        )
        self.pauses = Pauses(self.conditions, self.clients, self._update_expiry_mode)
        self.expiry = ActiveExpiry(self.keyspace, runtime.clock, self.executor.pass_on_effects)
        self.service = NodeService(
            self.turn,
            self.front,
            self.clients,
            self.executor,
            self.conditions,
            self.monitor,
            lambda session: Call(self, session),
            self._session_closed,
        )
        self.listener = Listener(self.service, settings.tcp_keepalive)

    # `wire.front.Identity`

    @property
    def mode(self) -> str:
        return "cluster" if self.settings.cluster_enabled else "standalone"

    def role(self) -> str:
        return "master"

    async def start(self) -> None:
        """Open the ports; returns when clients can be served. Raises `BindError`."""
        await self.listener.open(self.settings.bind, self.settings.port, self.settings.tcp_backlog)

    async def stop(self) -> None:
        await self.listener.close()
        for session in self.clients:
            session.drop()

    def _update_expiry_mode(self) -> None:
        """Who may delete expired keys: a master whose clients are not paused."""
        is_master = self.role() == "master"
        self.keyspace.expiry = DELETE_EXPIRED if is_master and not self.pauses.active else HIDE_EXPIRED

    def _session_closed(self, session: NodeSession) -> None:
        self.service.output_limits.forget(session)
