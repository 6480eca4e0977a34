"""Connections that this process opens: with TLS or without it, from an address of its own choosing or from any."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from runtime.tls import Context

Factory = Callable[[], asyncio.BaseProtocol]


class Dialler(Protocol):
    """Open one connection; raises OSError."""

    async def __call__(self, factory: Factory, host: str, port: int) -> Any: ...


async def dial(
    factory: Factory, host: str, port: int, *, tls: Context | None = None, source: str = ""
) -> tuple[asyncio.BaseTransport, asyncio.BaseProtocol]:
    """Open a connection on the running loop, `source` being the local address ("": any); raises OSError.

    A handshake that fails is an OSError, too (`ssl.SSLError`).
    """
    options: dict[str, Any] = {}
    if tls is not None:
        options["ssl"] = tls
    if source:
        options["local_addr"] = (source, 0)
    return await asyncio.get_running_loop().create_connection(factory, host, port, **options)
