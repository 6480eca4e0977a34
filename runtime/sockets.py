"""Socket options that asyncio leaves to the operating system's defaults."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from typing import Any

# What the kernel's address of a Unix socket holds, the NUL at its end included.
UNIX_PATH_MAX = 108

_REAL = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)


def tune_stream(transport: asyncio.BaseTransport, keepalive_s: int) -> None:
    """`keep_alive` for a connection of our own making. That small writes go out at once is any loop's choice."""
    keep_alive(transport.get_extra_info("socket"), keepalive_s)


def keep_alive(raw: Any, seconds: int) -> None:
    """Keep-alive probes after `seconds` idle seconds (0: none). What a listening socket accepts has its options.

    What is no real TCP socket (a Unix socket, the simulator's) is left as it is.
    """
    if getattr(raw, "family", None) not in (socket.AF_INET, socket.AF_INET6):
        return
    # What uvloop gives out makes a socket for each option, and the kernel is asked each time what it is.
    own = socket.socket(raw.family, raw.type, raw.proto, fileno=raw.fileno())
    try:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(seconds > 0))
        if seconds > 0:
            # What the kernel does not take (more than 32767 seconds) is left as it was, as in Redis.
            with contextlib.suppress(OSError):
                own.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, seconds)
                # Probes at a third of the interval, three of them.
                own.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(seconds // 3, 1))
                own.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    finally:
        # It is the loop's to close.
        own.detach()


def hang_up(transport: asyncio.Transport) -> None:
    """Close a connection for both sides at once: a loop would let the other one know only at the end of its turn.

    Who has another client killed (CLIENT KILL) is answered after that has happened, as with Redis.
    """
    # Of one that is being closed the number may be another's already.
    raw = None if transport.is_closing() else transport.get_extra_info("socket")
    if raw is not None and getattr(raw, "family", None) in _REAL:
        # What uvloop gives out refuses this.
        own = socket.socket(raw.family, raw.type, raw.proto, fileno=raw.fileno())
        try:
            # Unless the other side was faster.
            with contextlib.suppress(OSError):
                own.shutdown(socket.SHUT_RDWR)
        finally:
            own.detach()
    transport.abort()


def gather_small_writes(transport: asyncio.BaseTransport) -> None:
    """Fewer and fuller packets, later: the opposite of what a loop chooses."""
    raw = transport.get_extra_info("socket")
    if raw is not None and getattr(raw, "family", None) in (socket.AF_INET, socket.AF_INET6):
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)


async def listen_on_path(
    factory: Callable[[], asyncio.BaseProtocol], path: str, permissions: int, backlog: int
) -> asyncio.Server:
    """A Unix socket in the file system, in place of whatever file is there already, as in Redis; `permissions` 0: as
    the umask has it. Raises OSError.
    """
    # A loop replaces sockets only, and a test's server is often given the name of a temporary file. What cannot be
    # removed is told of by the attempt to bind.
    with contextlib.suppress(OSError):
        os.unlink(path)
    server = await asyncio.get_running_loop().create_unix_server(factory, path, backlog=backlog)
    if permissions:
        os.chmod(path, permissions)
    return server


def path_length(path: str) -> int:
    """In bytes, as the kernel counts it against UNIX_PATH_MAX."""
    return len(os.fsencode(path))


def remove_socket(path: str) -> None:
    """Take a Unix socket's file away, if it is still there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def reason(error: OSError) -> str:
    """The operating system's words, without what asyncio says around them."""
    return os.strerror(error.errno) if error.errno else error.strerror or str(error)
