"""The proxy: a client that knows nothing of clusters uses the cluster as one Redis.

Puts the parts together from settings and runtime, starts them and stops them; the parts do the work.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import ModuleType

import proxy.commands
from proxy.errands import Errands
from proxy.forwarding import Forwarder
from proxy.handlers import Handlers
from proxy.info import Info
from proxy.lanes import Lanes
from proxy.learning import learn_commands
from proxy.local import Local
from proxy.login import Login
from proxy.private import Blocking
from proxy.routing import RouteTable, declared_specs, specs_of
from proxy.scanning import Scanning
from proxy.service import ProxyService
from proxy.session import ProxySession
from proxy.settings import ProxySettings
from proxy.subscriptions import Subscriptions
from proxy.topology import Topology
from proxy.transactions import Transactions
from proxy.upstream import LOOK_MS, LinkLimits, LinkWorld
from proxy.waiting import Waiting
from runtime import Runtime, Tasks
from runtime.tls import Tls
from wire.clients import Clients
from wire.command import CommandSpec
from wire.commands import client, client_touch, connection, pubsub
from wire.front import Front, Password
from wire.listener import Listener
from wire.outward import Greeting
from wire.pubsub import Broker
from wire.table import CommandTable
from wire.turn import Turn

# Answered by the proxy itself.
_OWN: tuple[ModuleType, ...] = (connection, client, client_touch, proxy.commands)


class Identity:
    """What HELLO says of the proxy: one ordinary Redis."""

    mode = "standalone"

    def role(self) -> str:
        return "master"


class Proxy:
    """One proxy process."""

    __slots__ = (
        "_blocking",
        "_clients",
        "_greeting",
        "_handlers",
        "_info",
        "_lanes",
        "_listeners",
        "_routes",
        "_runtime",
        "_service",
        "_settings",
        "_tasks",
        "_tls",
        "_topology",
    )

    def __init__(self, settings: ProxySettings, runtime: Runtime) -> None:
        """Raises TlsError."""
        self._settings = settings
        self._runtime = runtime
        self._tasks = Tasks(self._task_died)
        self._tls = Tls(runtime.tls_contexts)
        if settings.tls_port or settings.tls.cluster:
            self._tls.configure(settings.tls)
        self._greeting = Greeting(
            user=settings.user.encode(),
            password=settings.password.encode(),
            tls=self._tls.client if settings.tls.cluster else None,
        )
        turn = Turn(asyncio.get_running_loop())
        self._topology = Topology(settings.nodes, self._greeting, runtime)
        limits = LinkLimits(silence_timeout_ms=settings.node_timeout_ms)
        world = LinkWorld(turn, self._tasks, self._topology, runtime.log, runtime.random, limits)
        self._lanes = Lanes(replace(self._greeting, ping=True), world, settings.connections)
        errands = Errands(self._topology, runtime.random, settings.hold_timeout_ms)
        self._clients: Clients[ProxySession] = Clients(settings.maxclients)
        table = CommandTable(_OWN, lambda _: 0)
        credentials = Password(settings.requirepass.encode())
        front = Front(runtime.clock, self._clients, Broker(), table, credentials, Identity())
        transactions = Transactions()
        subscriptions = Subscriptions(self._topology, settings.hold_timeout_ms)
        self._blocking = Blocking(self._topology)
        local = Local(table, self._lanes)
        self._handlers = Handlers(
            local,
            self._topology,
            transactions,
            subscriptions,
            self._blocking,
            Waiting(self._topology, self._blocking),
            Scanning(self._topology),
            Login(credentials, local, self._topology, self._tasks, self._greeting.tls),
            runtime.random.stream("proxy randomkey"),
        )
        self._routes = RouteTable([])
        self._learn(specs_of((*_OWN, pubsub)) + declared_specs())
        self._info = Info(
            runtime,
            settings.port or settings.tls_port,
            runtime.clock.wall_ms(),
            self._clients,
            self._topology,
            errands,
            self._lanes,
        )

        def reset(session: ProxySession) -> None:
            transactions.reset(session)
            subscriptions.reset(session)
            session.proto = 2
            local.change_lane(session, b"", b"")

        self._service = ProxyService(
            turn,
            front,
            self._clients,
            self._routes,
            self._lanes,
            Forwarder(self._routes),
            errands,
            transactions,
            self._blocking,
            self._describe,
            reset,
        )
        # Without TLS and with it.
        self._listeners = (
            Listener(self._service, settings.tcp_keepalive),
            Listener(self._service, settings.tcp_keepalive),
        )

    async def start(self) -> None:
        """Take clients; raises BindError. The cluster need not be there yet: requests wait for it."""
        plain, secure = self._listeners
        if self._settings.port:
            await plain.open(self._settings.bind, self._settings.port)
        if self._settings.tls_port:
            await secure.open(self._settings.bind, self._settings.tls_port, tls=self._tls.server)
        self._topology.start(self._tasks)
        self._tasks.start("look for silent nodes", self._look_for_silence())
        self._tasks.start("learn commands", self._learn_commands())
        # Without an answer clients are not kept waiting for longer than for anything else.
        asyncio.get_running_loop().call_later(self._settings.hold_timeout_ms / 1000, self._service.learned)
        self._runtime.log.notice("Ready to accept connections")

    async def stop(self) -> None:
        """Let go of clients and nodes."""
        for listener in self._listeners:
            await listener.close()
        for session in self._clients:
            session.drop()
        await self._tasks.cancel_all()
        self._lanes.close()
        self._topology.close()

    def _describe(self, wanted: list[bytes]) -> bytes:
        self._info.processed = self._service.processed
        return self._info.text(wanted)

    def _learn(self, specs: list[CommandSpec]) -> None:
        self._handlers.assign(self._routes.add(specs))

    async def _learn_commands(self) -> None:
        await learn_commands(self._topology, self._greeting, self._learn)
        self._service.learned()

    async def _look_for_silence(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_MS / 1000)
            self._lanes.check_silence()
            self._blocking.check_owners(loop.time())

    def _task_died(self, name: str, failure: BaseException) -> None:
        """As bad as any mistake of ours: the loop's own handler decides what becomes of the process."""
        context = {"message": f"Task '{name}' died", "exception": failure}
        asyncio.get_running_loop().call_exception_handler(context)
