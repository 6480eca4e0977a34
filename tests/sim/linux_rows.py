"""What faults look like from outside, as data: what is done, what a client does, what it sees and when.

Each row holds in the simulator and on Linux. What happens at once is allowed a tenth of a second; what a kernel's timer
decides has its moment: data is sent again 0.2, 0.4, 0.8 ... s after it was sent first, a SYN every second.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from tests.sim.linux_server import GREETING

Address = tuple[str, int]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
# How long a client waits before it says that nothing happens; shorter where nothing will.
_PATIENCE_S = 6.0
_SHORT_S = 0.8


class Ground(Protocol):
    """Where the server runs."""

    address: Address

    def strike(self, fault: str) -> None:
        """Make it happen; it has happened on return."""
        ...

    def mend(self) -> None: ...


@dataclass(frozen=True)
class Row:
    """One fault and what a client sees of it."""

    name: str
    # One of those that a ground knows.
    fault: str
    # Calls `strike` when all is prepared, and says what came of it.
    client: Callable[[Ground, Callable[[], None]], Awaitable[str]]
    sees: str
    # From the strike on, in seconds.
    after_s: float = 0.0
    # When the fault is mended; None: never.
    mended_after_s: float | None = None
    # The server does not read.
    deaf: bool = False
    backlog: int = 100

    @property
    def of_the_network(self) -> bool:
        return self.fault in ("cut", "cut there", "cut back", "power cut")


# ---- clients


async def dial(ground: Ground, strike: Callable[[], None]) -> str:
    strike()
    try:
        _, writer = await asyncio.open_connection(*ground.address)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    writer.close()
    return "connected"


async def read(ground: Ground, strike: Callable[[], None], patience_s: float = _PATIENCE_S) -> str:
    reader, writer = await _greeted(ground)
    strike()
    return await _reads(reader, writer, patience_s)


async def ask(ground: Ground, strike: Callable[[], None], patience_s: float = _PATIENCE_S) -> str:
    reader, writer = await _greeted(ground)
    strike()
    writer.write(b"?")
    return await _reads(reader, writer, patience_s)


read_in_vain = partial(read, patience_s=_SHORT_S)
ask_in_vain = partial(ask, patience_s=_SHORT_S)


async def leave_input_unread(ground: Ground, strike: Callable[[], None]) -> str:
    reader, writer = await _greeted(ground)
    writer.write(b"nobody reads this")
    await asyncio.sleep(0.1)
    strike()
    return await _reads(reader, writer, _PATIENCE_S)


async def read_to_the_end_and_write(ground: Ground, strike: Callable[[], None]) -> str:
    reader, writer = await _greeted(ground)
    strike()
    assert await reader.read() == b""
    # The first is answered by a reset; nobody reads who could hear of that.
    writer.write(b"?")
    await asyncio.sleep(0.05)
    writer.write(b"?")
    try:
        await writer.wait_closed()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "closed"


async def write_without_end(ground: Ground, strike: Callable[[], None]) -> str:
    """Nobody reads: buffers fill, and then the writer waits."""
    _, writer = await _greeted(ground)
    strike()
    piece = bytes(1_000_000)
    try:
        for _ in range(200):
            writer.write(piece)
            async with asyncio.timeout(0.5):
                await writer.drain()
    except TimeoutError:
        return "waits"
    finally:
        writer.transport.abort()
    return "all is taken"


async def come_in_crowds(ground: Ground, strike: Callable[[], None]) -> str:
    """How many connect to a process that accepts nobody, one after another."""
    strike()
    writers = []
    try:
        while len(writers) < 20:
            async with asyncio.timeout(0.3):
                _, writer = await asyncio.open_connection(*ground.address)
            writers.append(writer)
            # The server's kernel knows of it, too.
            await asyncio.sleep(0.01)
    except TimeoutError:
        pass
    finally:
        for writer in writers:
            writer.transport.abort()
    return f"{len(writers)} connected"


async def _greeted(ground: Ground) -> Streams:
    reader, writer = await asyncio.open_connection(*ground.address)
    assert await reader.readexactly(len(GREETING)) == GREETING
    # The kernels have acknowledged everything.
    await asyncio.sleep(0.1)
    return reader, writer


async def _reads(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, patience_s: float) -> str:
    try:
        async with asyncio.timeout(patience_s):
            data = await reader.read(100)
    except TimeoutError:
        return "nothing"
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    finally:
        writer.transport.abort()
    return data.decode() or "the end"


ROWS = [
    Row("nobody listens", "kill", dial, "ECONNREFUSED"),
    Row("kill", "kill", read, "the end"),
    Row("kill, input unread", "kill", leave_input_unread, "ECONNRESET", deaf=True),
    Row("kill, then written to", "kill", read_to_the_end_and_write, "EPIPE"),
    Row("SIGTERM", "stop", read, "the end"),
    Row("SIGTERM, then dialled", "stop", dial, "ECONNREFUSED"),
    Row("pause: dialled", "pause", dial, "connected"),
    Row("pause: asked", "pause", ask, "?", after_s=0.5, mended_after_s=0.5),
    Row("pause: buffers fill", "pause", write_without_end, "waits", after_s=0.5, deaf=True),
    Row("pause: the backlog fills", "pause", come_in_crowds, "4 connected", after_s=0.3, backlog=3),
    Row("pause, then kill", "pause and kill", read, "the end"),
    Row("pause, then SIGTERM", "pause and stop", read, "the end", after_s=0.5, mended_after_s=0.5),
    Row("cut: asked", "cut", ask_in_vain, "nothing", after_s=_SHORT_S),
    Row("cut and mended", "cut", ask, "?", after_s=0.4, mended_after_s=0.3),
    Row("cut on the way there", "cut there", ask, "?", after_s=0.4, mended_after_s=0.3),
    Row("cut on the way back", "cut back", ask, "?", after_s=0.4, mended_after_s=0.3),
    Row("cut, idle", "cut", read_in_vain, "nothing", after_s=_SHORT_S),
    Row("cut: dialled", "cut", dial, "connected", after_s=1.0, mended_after_s=0.6),
    Row("cut: dialled, for longer", "cut", dial, "connected", after_s=2.0, mended_after_s=1.4),
    Row("power cut", "power cut", read_in_vain, "nothing", after_s=_SHORT_S),
    Row("power cut and boot, idle", "power cut", read_in_vain, "nothing", after_s=_SHORT_S, mended_after_s=0.3),
    Row("power cut and boot: asked", "power cut", ask, "ECONNRESET", after_s=0.4, mended_after_s=0.3),
    Row("power cut and boot: dialled", "power cut", dial, "ECONNREFUSED", after_s=1.0, mended_after_s=0.6),
]
