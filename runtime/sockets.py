"""Socket options that asyncio leaves to the operating system's defaults."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable


def tune_stream(transport: asyncio.BaseTransport, keepalive_s: int) -> None:
    """No delay for small replies, and keep-alive probes after `keepalive_s` idle seconds (0: none).

    A transport without a real TCP socket (a Unix socket, the simulator's) is left as it is.
    """
    raw = transport.get_extra_info("socket")
    if raw is None or getattr(raw, "family", None) not in (socket.AF_INET, socket.AF_INET6):
        return
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if keepalive_s > 0:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, keepalive_s)
        # As Redis does: probes at a third of the interval, three of them.
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(keepalive_s // 3, 1))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)


def gather_small_writes(transport: asyncio.BaseTransport) -> None:
    """Fewer and fuller packets, later: the opposite of what `tune_stream` chose."""
    raw = transport.get_extra_info("socket")
    if raw is not None and getattr(raw, "family", None) in (socket.AF_INET, socket.AF_INET6):
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)


async def listen_on_path(
    factory: Callable[[], asyncio.BaseProtocol], path: str, permissions: int, backlog: int
) -> asyncio.Server:
    """A Unix socket in the file system, in place of one that is there already; `permissions` 0: as the umask has it.

    Raises OSError.
    """
    server = await asyncio.get_running_loop().create_unix_server(factory, path, backlog=backlog)
    if permissions:
        os.chmod(path, permissions)
    return server


def remove_socket(path: str) -> None:
    """Take a Unix socket's file away, if it is still there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def reason(error: OSError) -> str:
    """The operating system's words, without what asyncio says around them."""
    return os.strerror(error.errno) if error.errno else error.strerror or str(error)
