"""A node that consists of its bus: no data, no clients. What the rules ask of it is written down."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random

from cluster.bus import Bus
from cluster.conf_file import NodesConfFile
from cluster.events import Command
from cluster.machine import ClusterMachine, new_state
from cluster.nodes_conf import parse
from cluster.settings import ClusterSettings
from runtime import Log, Tasks
from runtime.clock import SystemClock
from runtime.disk import RealDisk
from tests.waiting import wait_until

NODE_TIMEOUT_MS = 600


class BusNode:
    """One node; also the `Facts` and the `Member` of its own rules."""

    def __init__(self, folder: Path, port: int, *, datagrams: bool = True, node_id: str = "") -> None:
        folder.mkdir(exist_ok=True)
        self.port = port
        self.log_lines: list[str] = []
        clock = SystemClock()
        self.log = Log(clock, self.log_lines.append, pid=os.getpid())
        self.deaths: list[str] = []
        self.tasks = Tasks(lambda name, failure: self.deaths.append(f"{name}: {failure!r}"))
        self.conf = NodesConfFile(RealDisk(str(folder)), "nodes.conf")
        stored = self.conf.open()
        now_ms = asyncio.get_running_loop().time() * 1000
        state = parse(stored, now_ms) if stored else new_state(node_id or os.urandom(20).hex(), os.urandom(20).hex())
        settings = ClusterSettings(port, port + 10000, node_timeout_ms=NODE_TIMEOUT_MS, datagram_heartbeats=datagrams)
        self.machine = ClusterMachine(state, settings, self, Random(port))
        self.bus = Bus(self.machine, self, self.conf, clock, self.log, self.tasks)
        # What the rules asked for, in order.
        self.asked: list[str] = []
        self.published: list[tuple[bytes, bytes, bool]] = []
        self.offset = 100
        # How many keys there are, by slot.
        self.keys: dict[int, int] = {}

    @property
    def id(self) -> str:
        return self.machine.state.myself.id

    def knows(self, *others: BusNode) -> bool:
        """Whether the others are confirmed members, in touch with this node."""
        nodes = self.machine.state.nodes
        return all(
            other.id in nodes and not nodes[other.id].handshake and nodes[other.id].link_ready for other in others
        )

    def order(self, command: Command) -> str:
        return self.bus.operate(command)

    async def start(self) -> None:
        await self.bus.open(["127.0.0.1"], self.port + 10000)
        self.bus.start()

    async def stop(self) -> None:
        await self.bus.close()
        await self.tasks.cancel_all()
        self.conf.close()
        assert not self.deaths

    # ---- Facts

    def replication_offset(self) -> int:
        return self.offset

    def master_silence_ms(self) -> float | None:
        return 0.0

    def keys_in_slot(self, slot: int) -> int:
        return self.keys.get(slot, 0)

    def dataset_empty(self) -> bool:
        return not self.keys

    # ---- Member

    def follow(self, ip: str, port: int, *, unrelated: bool) -> None:  # noqa: ARG002 - there are no data
        self.asked.append(f"follow {ip}:{port}")

    def promote(self) -> None:
        self.asked.append("promote")

    def empty(self) -> None:
        self.asked.append("empty")

    def drop_slots(self, slots: tuple[int, ...]) -> None:
        self.asked.append(f"drop {slots}")

    def topology_changed(self) -> None:
        pass

    def state_changed(self, ok: bool) -> None:
        self.asked.append("ok" if ok else "fail")

    def pause_writes(self, until_ms: float) -> None:
        self.asked.append(f"pause until {until_ms:.0f}")

    def unpause_writes(self) -> None:
        self.asked.append("unpause")

    def deliver(self, channel: bytes, payload: bytes, sharded: bool) -> None:
        self.published.append((channel, payload, sharded))

    def cannot_save(self, error: OSError) -> None:
        self.asked.append(f"cannot save: {error.strerror}")


@contextlib.asynccontextmanager
async def running(*nodes: BusNode) -> AsyncIterator[None]:
    """Start the nodes; stop them at the end."""
    try:
        for node in nodes:
            await node.start()
        yield
    finally:
        for node in nodes:
            await node.stop()


async def until(condition: Callable[[], object]) -> None:
    """Let the loop run until `condition` is true."""

    async def holds() -> object:
        return condition()

    await wait_until(holds)
