"""The server that the rows of `linux_rows` strike: the same program in the simulator and as a process of its own."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import suppress

GREETING = b"hello"


async def serve(ip: str, port: int, *, deaf: bool = False, backlog: int = 100) -> None:
    """Greet every client and, unless `deaf`, send back what it says, until SIGTERM."""
    writers: dict[asyncio.StreamWriter, None] = {}

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers[writer] = None
        writer.write(GREETING)
        if deaf:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()

    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    server = await asyncio.start_server(talk, ip, port, backlog=backlog)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await stopping.wait()
    server.close()
    for writer in writers:
        writer.close()
    await asyncio.sleep(0)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), deaf=sys.argv[3] == "deaf", backlog=int(sys.argv[4])))
