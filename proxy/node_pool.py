"""The smart client's connections: one for each node, shared by all who use the client, opened when needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from proxy.client_options import ClientOptions
from proxy.slot_map import Address
from wire.outward import Limits, Outward, connect


class NodePool:
    """Open connections by node, and by whether they may read from a replica."""

    __slots__ = ("_connecting", "_greetings", "_limits", "_open", "_private")

    def __init__(self, options: ClientOptions) -> None:
        self._limits = Limits(
            connect_timeout_ms=options.connect_timeout_ms, silence_timeout_ms=options.silence_timeout_ms
        )
        greeting = replace(options.greeting, ping=True)
        self._greetings = {False: greeting, True: replace(greeting, readonly=True)}
        self._open: dict[tuple[Address, bool], Outward] = {}
        # Those who want the same connection while it is being opened wait for one another.
        self._connecting: dict[tuple[Address, bool], asyncio.Lock] = {}
        # Connections lent to one user each.
        self._private: dict[Outward, None] = {}

    def opened(self, address: Address, *, replica: bool = False) -> Outward | None:
        """The shared connection to a node, if there is one."""
        connection = self._open.get((address, replica))
        return None if connection is None or connection.closed else connection

    async def get(self, address: Address, *, replica: bool = False) -> Outward:
        """The shared connection to a node; raises ConnectError."""
        key = address, replica
        async with self._connecting.setdefault(key, asyncio.Lock()):
            connection = self.opened(address, replica=replica)
            if connection is None:
                connection = await connect(address.host, address.port, self._greetings[replica], self._limits)
                self._open[key] = connection
        return connection

    @asynccontextmanager
    async def private(self, address: Address, *, patient: bool = False) -> AsyncIterator[Outward]:
        """A connection for one user, closed afterwards; a `patient` one may stay silent. Raises ConnectError."""
        limits = replace(self._limits, silence_timeout_ms=0) if patient else self._limits
        connection = await connect(address.host, address.port, self._greetings[False], limits)
        self._private[connection] = None
        try:
            yield connection
        finally:
            self._private.pop(connection, None)
            connection.close()

    def close(self) -> None:
        """Close everything."""
        for connection in [*self._open.values(), *self._private]:
            connection.close()
        self._open.clear()
