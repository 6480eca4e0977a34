"""Clients that cost next to nothing, for loads on a simulated cluster: a timer, a command, the first byte of its reply.

No tasks, no futures, no retries. A client knows which node serves each shard, believes what MOVED says, asks another
node when a connection breaks, and hangs up on one that is silent for a second.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from random import Random

from sim.host import Main
from sim.process import Process

Address = tuple[str, int]

_KEYS = 10_000
_SILENCE_S = 1.0
# Hash tags whose slots lie in the first, second and last third of all slots: for three masters.
_TAGS = (b"3", b"1", b"0")
_SHARDS = len(_TAGS)


class RawClient:
    """One client: so many commands a second, half of them writes, wherever the answers are."""

    def __init__(self, nodes: Sequence[Address], chance: Random, per_second: float) -> None:
        self._nodes = nodes
        self._chance = chance
        self._period_s = 1.0 / per_second
        # Who serves each shard; the first nodes are the masters.
        self._owners = list(nodes[:_SHARDS])
        self._connections: dict[Address, _Connection] = {}
        self.answered = 0
        self.refused = 0
        self.redirected = 0
        self.lost = 0

    def program(self) -> Main:
        async def main(_: Process) -> int:
            self._loop = asyncio.get_running_loop()
            self._ask()
            await self._loop.create_future()
            return 0

        return main

    def _ask(self) -> None:
        self._loop.call_later(self._period_s, self._ask)
        number = self._chance.randrange(_KEYS)
        shard = number % _SHARDS
        key = b"{%s}%d" % (_TAGS[shard], number)
        if number & 1:
            command = b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$5\r\nvalue\r\n" % (len(key), key)
        else:
            command = b"*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n" % (len(key), key)
        self.send(shard, command)

    def send(self, shard: int, command: bytes) -> None:
        address = self._owners[shard]
        connection = self._connections.get(address)
        if connection is None:
            connection = self._connections[address] = _Connection(self, address)
            self._loop.create_task(connection.open())
        connection.send(shard, command)

    def moved(self, shard: int, to: Address, command: bytes) -> None:
        self.redirected += 1
        self._owners[shard] = to
        self.send(shard, command)

    def broken(self, address: Address, waiting: int) -> None:
        self.lost += waiting
        self._connections.pop(address, None)
        for shard, owner in enumerate(self._owners):
            if owner == address:
                self._owners[shard] = self._nodes[self._chance.randrange(len(self._nodes))]


class _Connection(asyncio.Protocol):
    """To one node; replies come in the order of the commands."""

    def __init__(self, client: RawClient, address: Address) -> None:
        self._client = client
        self._address = address
        self._transport: asyncio.Transport | None = None
        # Commands sent or to be sent, with their shards, and when the last reply came.
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._heard_at = asyncio.get_running_loop().time()
        self._rest = b""

    async def open(self) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: self, *self._address)
        except OSError:
            self._client.broken(self._address, len(self._waiting))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(b"".join(command for _, command in self._waiting))

    def send(self, shard: int, command: bytes) -> None:
        now = asyncio.get_running_loop().time()
        if not self._waiting:
            self._heard_at = now
        self._waiting.append((shard, command))
        if self._transport is not None:
            self._transport.write(command)
            if now - self._heard_at > _SILENCE_S:
                self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        lines = (self._rest + data).split(b"\r\n")
        self._rest = lines.pop()
        client = self._client
        for line in lines:
            kind = line[:1]
            if kind == b"$" and line != b"$-1":
                # The value follows.
                continue
            shard, command = self._waiting.popleft()
            if kind == b"-":
                if line.startswith(b"-MOVED"):
                    host, _, port = line.split()[2].decode().rpartition(":")
                    client.moved(shard, (host, int(port)), command)
                else:
                    client.refused += 1
            else:
                client.answered += 1

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._client.broken(self._address, len(self._waiting))
