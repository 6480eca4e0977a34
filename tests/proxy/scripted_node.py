"""A node that answers by a script, for moments that a real one cannot be made to have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from wire.decoder import Decoder


class ScriptedNode:
    """Claims all slots. Other commands get the replies of the script, then OK."""

    def __init__(self) -> None:
        self.port = 0
        # Encoded replies to come; None closes the connection.
        self.script: list[bytes | None] = []
        # Commands that were executed (answered with anything but an error), and all that came.
        self.executed: list[bytes] = []
        self.received: list[bytes] = []

    def answer(self, argv: list[bytes]) -> bytes | None:
        line = b" ".join(argv)
        if line == b"CLUSTER SLOTS":
            return b"*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$9\r\n127.0.0.1\r\n:%d\r\n$2\r\nid\r\n" % self.port
        if line == b"PING":
            return b"+PONG\r\n"
        if line == b"COMMAND":
            return b"*0\r\n"
        self.received.append(line)
        reply = self.script.pop(0) if self.script else b"+OK\r\n"
        if reply is not None and not reply.startswith(b"-"):
            self.executed.append(line)
        return reply

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        decoder = Decoder()
        try:
            while data := await reader.read(65536):
                for argv in decoder.feed(data).commands:
                    reply = self.answer(argv)
                    if reply is None:
                        return
                    writer.write(reply)
        finally:
            writer.close()


@asynccontextmanager
async def scripted_node() -> AsyncIterator[ScriptedNode]:
    node = ScriptedNode()
    server = await asyncio.start_server(node.serve, "127.0.0.1", 0)
    node.port = server.sockets[0].getsockname()[1]
    async with server:
        yield node
