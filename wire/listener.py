"""Listening sockets: one service on any number of addresses."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Sequence
from typing import cast

from runtime.sockets import UNIX_PATH_MAX, keep_alive, listen_on_path, path_length, reason
from runtime.tls import Context
from wire.connection import Service


class BindError(Exception):
    """No address could be bound; the message names the address and the reason. `port` is 0 for a Unix socket."""

    def __init__(self, message: str, port: int = 0) -> None:
        super().__init__(message)
        self.port = port


class Listener:
    """The servers of one service, all with TLS or all without it."""

    __slots__ = ("_keepalive_s", "_servers", "_service")

    def __init__(self, service: Service, keepalive_s: int = 300) -> None:
        self._service = service
        self._servers: list[asyncio.Server] = []
        self._keepalive_s = keepalive_s

    async def open(self, hosts: Sequence[str], port: int, backlog: int = 511, tls: Context | None = None) -> None:
        """Listen on `port` of every host. A host written ``-host`` may be missing on this machine, as in Redis'
        ``bind``; ``*`` stands for all addresses. Raises BindError, and then listens nowhere."""
        loop = asyncio.get_running_loop()
        for host in hosts:
            optional = host.startswith("-")
            name = host.removeprefix("-")
            address = {"*": "0.0.0.0", "::*": "::"}.get(name, name)
            try:
                server = await loop.create_server(
                    self._connect, address, port, backlog=backlog, reuse_address=True, ssl=tls
                )
            except OSError as error:
                if optional and error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT):
                    continue
                await self.close()
                raise BindError(
                    f"Could not create server TCP listening socket {name}:{port}: bind: {reason(error)}", port
                ) from error
            self._servers.append(server)
        self.keep_alive(self._keepalive_s)
        if not self._servers:
            raise BindError(f"Failed listening on port {port} (TCP), aborting.", port)

    async def open_unix(self, path: str, permissions: int, backlog: int = 511) -> None:
        """Listen on a Unix socket. Raises BindError."""
        length = path_length(path)
        if length >= UNIX_PATH_MAX:
            raise BindError(
                f"Failed opening Unix socket: unix socket path too long ({length}), must be under {UNIX_PATH_MAX}"
            )
        try:
            server = await listen_on_path(self._connect, path, permissions, backlog)
        except OSError as error:
            raise BindError(f"Failed opening Unix socket: bind: {reason(error)}") from error
        self._servers.append(server)

    async def close(self) -> None:
        """Stop accepting; connections that are open stay."""
        servers, self._servers = self._servers, []
        for server in servers:
            server.close()

    def keep_alive(self, seconds: int) -> None:
        """`tcp-keepalive`, for connections to come."""
        self._keepalive_s = seconds
        for server in self._servers:
            for listening in server.sockets:
                keep_alive(listening, seconds)

    def _connect(self) -> asyncio.BaseProtocol:
        return cast(asyncio.BaseProtocol, self._service.connect())
