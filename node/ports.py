"""Where a node listens and how it reaches others: addresses, ports and TLS, at the start and after CONFIG SET."""

from __future__ import annotations

import asyncio
from typing import Any

from node.settings import NodeSettings
from runtime import Runtime
from runtime.dial import Dialler, Factory, dial
from runtime.sockets import remove_socket
from runtime.tls import Tls, TlsError, TlsOptions
from wire.connection import Service
from wire.listener import Listener

# Addresses as in `bind`, and a port (0: none).
_Where = tuple[tuple[str, ...], int]
_NOWHERE: _Where = ((), 0)


class Ports:
    """The listeners for clients, one without TLS, one with it and one on a Unix socket, and the two TLS contexts."""

    __slots__ = ("_listeners", "_log", "_opened", "_opening", "_service", "_settings", "_started", "_unix", "tls")

    def __init__(self, settings: NodeSettings, runtime: Runtime, service: Service) -> None:
        self._settings = settings
        self._log = runtime.log
        self._service = service
        self.tls = Tls(runtime.tls_contexts)
        # Without TLS and with it.
        self._listeners = (Listener(service, settings.tcp_keepalive), Listener(service, settings.tcp_keepalive))
        # On `unixsocket`; None while there is none.
        self._unix: Listener | None = None
        # Where each of them listens, in the words of the settings.
        self._opened: list[_Where] = [_NOWHERE, _NOWHERE]
        # Clients who came by the first port may set others before the second one is open: one opening at a time.
        self._opening = asyncio.Lock()
        self._started = False

    def configure_tls(self) -> None:
        """Take the TLS settings as they are now, if TLS is used at all; raises TlsError, and keeps the old ones."""
        settings = self._settings
        if settings.tls_port or settings.tls_replication or settings.tls_cluster:
            try:
                self.tls.configure(TlsOptions.of(settings))
            except TlsError as error:
                self._log.warning(str(error))
                raise

    async def open_unix(self) -> None:
        """Listen on `unixsocket`, if there is to be one; raises BindError."""
        settings = self._settings
        if settings.unixsocket:
            unix = Listener(self._service)
            await unix.open_unix(settings.unixsocket, settings.unixsocketperm, settings.tcp_backlog)
            self._unix = unix

    async def open(self) -> None:
        """Listen where the settings say, and from then on nowhere else; raises BindError. Clients that are connected
        stay."""
        async with self._opening:
            # They may change while one is being opened.
            while self._opened != self._wanted():
                for at, (listener, wanted) in enumerate(zip(self._listeners, self._wanted(), strict=True)):
                    if wanted != self._opened[at]:
                        await self._open(at, listener, wanted)
            self._started = True

    async def _open(self, at: int, listener: Listener, wanted: _Where) -> None:
        await listener.close()
        self._opened[at] = _NOWHERE
        hosts, port = wanted
        if hosts and port:
            await listener.open(hosts, port, self._settings.tcp_backlog, self.tls.server if at else None)
        self._opened[at] = wanted

    @property
    def outdated(self) -> bool:
        """Whether CONFIG SET has chosen other addresses or ports than those that are open."""
        return self._started and self._opened != self._wanted()

    def described(self) -> list[tuple[int, str]]:
        """For INFO: where it listens, with the number that Redis 7.2 has for each kind of listener."""
        found = []
        for at, name, (hosts, port) in zip((0, 2), ("tcp", "tls"), self._opened, strict=True):
            if port:
                bound = "".join(f"bind={host}," for host in hosts)
                found.append((at, f"name={name},{bound}port={port}"))
        if self._unix is not None:
            found.append((1, f"name=unix,bind={self._settings.unixsocket}"))
        return sorted(found)

    async def close(self) -> None:
        for listener in self._listeners:
            await listener.close()
        if self._unix is not None:
            await self._unix.close()
            self._unix = None
            self._log.notice("Removing the unix socket file.")
            remove_socket(self._settings.unixsocket)

    def keep_alive(self, seconds: int) -> None:
        """`tcp-keepalive`, for connections to come."""
        for listener in self._listeners:
            listener.keep_alive(seconds)

    # To others

    def dialler(self, directive: str) -> Dialler:
        """Opens connections with TLS while the directive (`tls-replication`, `tls-cluster`) says so."""
        field = directive.replace("-", "_")

        async def open_connection(factory: Factory, host: str, port: int) -> Any:
            tls = self.tls.client if getattr(self._settings, field) else None
            return await dial(factory, host, port, tls=tls, source=self._settings.bind_source_addr)

        return open_connection

    def _wanted(self) -> list[_Where]:
        settings = self._settings
        return [(tuple(settings.bind), settings.port), (tuple(settings.bind), settings.tls_port)]
