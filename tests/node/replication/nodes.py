"""Nodes in the test's own loop, and a plain client for them and for real servers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import hiredis

from node.node import Node
from node.settings import NodeSettings
from runtime.runtime import system_runtime
from tests.waiting import wait_until
from wire.encoder import encode_command


class Client:
    """One connection; replies as hiredis decodes them, refusals as ReplyError values."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._decoder = hiredis.Reader()

    @classmethod
    async def connect(cls, port: int) -> Client:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def __call__(self, *argv: bytes | str | int) -> Any:
        """The reply to one command."""
        self.send(*argv)
        return await self.reply()

    def send(self, *argv: bytes | str | int) -> None:
        words = [word if isinstance(word, bytes) else str(word).encode() for word in argv]
        self._writer.write(encode_command(words))

    async def reply(self) -> Any:
        while (reply := self._decoder.gets()) is False:
            data = await self._reader.read(1 << 16)
            if not data:
                raise ConnectionResetError("connection closed")
            self._decoder.feed(data)
        return reply

    async def raw(self, size: int = 1 << 16) -> bytes:
        """Bytes as they come, for a client that plays a replica."""
        return await self._reader.read(size)

    async def raw_line(self) -> bytes:
        return (await self._reader.readuntil(b"\n")).rstrip(b"\r\n")

    async def raw_exactly(self, size: int) -> bytes:
        return await self._reader.readexactly(size)

    async def info(self, section: str = "replication") -> dict[str, str]:
        text: bytes = await self("INFO", section)
        return dict(line.split(":", 1) for line in text.decode().splitlines() if ":" in line)

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


class Running:
    """A node that serves, and a client of it."""

    def __init__(self, node: Node, client: Client) -> None:
        self.node = node
        self.client = client
        self.port = node.settings.port

    @property
    def log(self) -> str:
        return "".join(self.lines)

    lines: list[str]

    async def in_sync(self) -> None:
        """Wait until its link is up."""
        await until(lambda: self.node.replication.link_up, what="the link")

    async def caught_up_with(self, master: Running) -> None:
        await until(lambda: self.node.replication.offset == master.node.replication.offset, what="the offset")

    async def stop(self) -> None:
        await self.client.close()
        await self.node.stop()


async def until(condition: Callable[[], bool], *, what: str = "") -> None:
    """Wait for something that can be seen at once."""

    async def seen() -> bool:
        return condition()

    await wait_until(seen, what=what)


async def every_turn_until(condition: Callable[[], bool]) -> None:
    """Wait for something that may last no longer than a few turns of the loop."""
    for _ in range(1_000_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("the condition did not come true")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Nodes:
    """Starts nodes that end with the test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[Running] = []

    async def start(self, name: str, **settings: Any) -> Running:
        """A node whose folder is called `name`; started again under the same name it finds its files."""
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        chosen = {
            "port": free_port(),
            "bind": ["127.0.0.1"],
            "dir": str(folder),
            "save": [],
            "repl_diskless_sync_delay": 0,
            **settings,
        }
        runtime = system_runtime()
        lines: list[str] = []
        runtime.log.redirect(lines.append)
        node = Node(NodeSettings(**chosen), runtime)
        try:
            await node.start()
        except BaseException:
            await node.stop()
            raise
        running = Running(node, await Client.connect(node.settings.port))
        running.lines = lines
        self._started.append(running)
        return running

    async def stop(self, running: Running) -> None:
        self._started.remove(running)
        await running.stop()

    async def stop_all(self) -> None:
        while self._started:
            await self._started.pop().stop()


async def nodes_in(folder: Path) -> AsyncIterator[Nodes]:
    """The fixture's body, for every package that wants one."""
    nodes = Nodes(folder)
    yield nodes
    await nodes.stop_all()
