"""A relay in front of a real node's bus port, which keeps every message that passes.

The node is told to announce the relay's port as its bus port, so its peers dial the relay. Both directions of such
a link are kept: what peers say unasked, and what the node answers.
"""

from __future__ import annotations

import asyncio

from cluster.codec import FrameReader


class BusRelay:
    """Forwards connections from one port to another."""

    def __init__(self, port: int, target_port: int) -> None:
        self._port = port
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._pumps: dict[asyncio.Task[None], None] = {}
        # Every whole message seen, in order of arrival.
        self.frames: list[bytes] = []

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", self._port)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for pump in list(self._pumps):
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            target_reader, target_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.close()
            return
        for source, sink in ((reader, target_writer), (target_reader, writer)):
            task = asyncio.create_task(self._pump(source, sink))
            self._pumps[task] = None
            task.add_done_callback(lambda done: self._pumps.pop(done, None))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = FrameReader()
        try:
            while data := await reader.read(65536):
                self.frames += frames.feed(data)
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()
