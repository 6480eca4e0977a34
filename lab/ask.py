"""Questions to a running process: a few commands, one connection, a deadline.

This is how lab looks at what it started, so it leans on nothing of what it looks at: plain asyncio,
replies decoded by hiredis. Every failure to answer in time is the same `NoAnswerError`, because to a
caller a refused connection, a silent process and a cut one all mean that there is nothing to show.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Any

import hiredis


class NoAnswerError(Exception):
    """The process did not answer all the questions before the deadline."""


async def ask(
    address: tuple[str, int], *commands: str, timeout: float = 0.5, tls: ssl.SSLContext | None = None
) -> list[Any]:
    """The replies to `commands` (words split at blanks), in order; error replies are hiredis.ReplyError values."""
    try:
        async with asyncio.timeout(timeout):
            return await _converse(address, commands, tls)
    except (OSError, TimeoutError, hiredis.ProtocolError) as error:
        raise NoAnswerError(str(error) or "no answer in time") from None


async def _converse(address: tuple[str, int], commands: tuple[str, ...], tls: ssl.SSLContext | None) -> list[Any]:
    reader, writer = await asyncio.open_connection(*address, ssl=tls)
    try:
        writer.write(b"".join(_encode(command) for command in commands))
        decoder = hiredis.Reader(encoding="utf-8", errors="replace")
        replies: list[Any] = []
        while len(replies) < len(commands):
            data = await reader.read(65536)
            if not data:
                raise ConnectionResetError("connection closed")
            decoder.feed(data)
            while (reply := decoder.gets()) is not False:
                replies.append(reply)
        return replies
    finally:
        # Not close(): that would wait for the peer, which may be paused.
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _encode(command: str) -> bytes:
    """A command as clients send it: an array of bulk strings."""
    words = [word.encode() for word in command.split()]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def pairs(flat: list[str]) -> dict[str, str]:
    """A flat name, value, name, value ... reply as a dictionary."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def info_fields(text: str) -> dict[str, str]:
    """INFO or CLUSTER INFO as a dictionary; section headings are left out."""
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line and not line.startswith("#"))
