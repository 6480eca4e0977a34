"""What clients do during a run, and the record of it.

Three sorts of keys. *Marks* are written once, by one client, and never changed: if one was acknowledged it must be
there at the end, or it was lost. *Registers* are written and read by all clients, and *counters* incremented: for the
checkers of histories. A client is a process on a host of its own, so that it can be on either side of a cut; the record
is kept outside of it, in the world's time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from cluster.slots import key_slot
from sim.client import ClusterClient, happened
from sim.host import Host
from sim.process import Process
from sim.shape import NODE_PORT, Shape
from sim.world import World
from wire.errors import Error
from wire.outward import OutwardError

_REGISTERS = 8
_COUNTERS = 4
_PAUSE_AFTER_FAILURE_S = 0.05
_READ_BACK_WITHIN_S = 60.0
# How many marks share a key's beginning does not matter; that keys spread over all slots does.
_MARK = "mark:%d:%d"


class Recorder(Protocol):
    """Where operations are written down: before they are sent, and when their outcome is known."""

    def begin(self, client: int, function: str, key: str, argument: str | int | None, group: str) -> int:
        """Returns the operation's number. `group` is the shard of its key."""
        ...

    def ok(self, number: int, result: str | int | None, node: str) -> None: ...

    def refused(self, number: int, why: str) -> None:
        """It definitely did not happen."""
        ...

    def unknown(self, number: int, why: str) -> None: ...


@dataclass(slots=True)
class Holding:
    """A host has a mark in memory: from when it was first seen there, until its process ended, or threw it away."""

    since: float
    until: float = float("inf")


@dataclass(slots=True, eq=False)
class Mark:
    """A key that was written once."""

    key: bytes
    value: bytes
    slot: int
    begun_at: float
    # When it was acknowledged, by whom (a host); None when it was not.
    acknowledged_at: float | None = None
    acknowledged_by: str = ""
    # Which hosts had it when, in order of time.
    holdings: dict[str, list[Holding]] = field(default_factory=dict)

    def held(self, name: str, after: float, until: float) -> Holding | None:
        """When a host had it at some moment within that time, or throughout."""
        return next((held for held in self.holdings.get(name, ()) if held.since <= until and after < held.until), None)

    def last_held(self, name: str, before: float) -> Holding | None:
        """The last time that it had it and lost it again before a moment."""
        return next((held for held in reversed(self.holdings.get(name, [])) if held.until <= before), None)


class Workload:
    """Clients, until they are told to stop."""

    def __init__(self, world: World, shape: Shape, recorders: Sequence[Recorder] = ()) -> None:
        self._world = world
        self._shape = shape
        self._nodes = [(world.hosts[name].ip, NODE_PORT) for name in shape.node_names()]
        self._recorders = recorders
        # Told of every answer: who got it and who gave it (hosts), about which slot, and when the command was begun.
        self.on_answer: Callable[[str, str, int, float], None] = _nobody_asks
        # Told of every mark that is sent, and of those that are not acknowledged.
        self.on_begin: Callable[[Mark], None] = _nobody_cares
        self.on_failure: Callable[[Mark], None] = _nobody_cares
        self._names = {host.ip: name for name, host in world.hosts.items()}
        self._stopping = False
        self._clients: list[Process] = []
        # By client and number.
        self.marks: dict[tuple[int, int], Mark] = {}
        self.begun = 0
        self.acknowledged = 0
        self.refused = 0
        self.unknown = 0

    def start(self, hosts: Sequence[Host], per_second: float) -> None:
        """One client on each host, each beginning so many operations a second if answers come at once."""
        for number, host in enumerate(hosts):
            chance = self._world.stream(f"client {number}")
            self._clients.append(host.start(host.name, self._program(number, chance, 1.0 / per_second)))

    def stop(self) -> None:
        """Begin nothing new."""
        self._stopping = True

    @property
    def stopped(self) -> bool:
        return not any(client.alive for client in self._clients)

    async def read_back(self, host: Host) -> None:
        """Read every key once more, for those who write down; the clients have stopped."""
        if not self._recorders:
            return
        number = len(self._clients)
        client = ClusterClient(self._nodes, self._world.stream("last reads"))
        keys = [mark.key.decode() for mark in self.marks.values()]
        keys += [f"register:{n}" for n in range(_REGISTERS)] + [f"counter:{n}" for n in range(_COUNTERS)]

        async def main(_: Process) -> int:
            for key in keys:
                await self._do(client, number, "read", key, None, (b"GET",))
            client.close()
            return 0

        reader = host.start(host.name, main)
        self._clients.append(reader)
        await self._world.until(lambda: not reader.alive, _READ_BACK_WITHIN_S, "reading everything back")

    def _program(self, number: int, chance: Random, period_s: float):  # type: ignore[no-untyped-def]
        async def main(_: Process) -> int:
            client = ClusterClient(self._nodes, chance)
            written = 0
            while not self._stopping:
                choice = chance.random()
                if choice < 0.5:
                    ok = await self._write_mark(client, number, written)
                    written += 1
                elif choice < 0.7:
                    register = f"register:{chance.randrange(_REGISTERS)}"
                    value = f"{number}-{self.begun}"
                    ok = await self._do(client, number, "write", register, value, (b"SET", value.encode()))
                elif choice < 0.9:
                    register = f"register:{chance.randrange(_REGISTERS)}"
                    ok = await self._do(client, number, "read", register, None, (b"GET",))
                else:
                    counter = f"counter:{chance.randrange(_COUNTERS)}"
                    ok = await self._do(client, number, "incr", counter, 1, (b"INCR",))
                await asyncio.sleep(chance.expovariate(1.0 / period_s) if ok else _PAUSE_AFTER_FAILURE_S)
            client.close()
            return 0

        return main

    async def _write_mark(self, client: ClusterClient, number: int, count: int) -> bool:
        name = _MARK % (number, count)
        key, value = name.encode(), b"%d" % count
        mark = self.marks[number, count] = Mark(key, value, key_slot(key), self._world.loop.now)
        self.on_begin(mark)
        written = await self._do(client, number, "write", name, value.decode(), (b"SET", value), mark)
        if not written:
            self.on_failure(mark)
        return written

    async def _do(
        self,
        client: ClusterClient,
        number: int,
        function: str,
        key: str,
        argument: str | int | None,
        command: tuple[bytes, ...],
        mark: Mark | None = None,
    ) -> bool:
        """One operation, written down; returns whether it succeeded. `command` is without its key."""
        self.begun += 1
        begun_at = self._world.loop.now
        slot = key_slot(key.encode())
        group = self._shape.group_of(slot)
        entries = [(recorder, recorder.begin(number, function, key, argument, group)) for recorder in self._recorders]
        try:
            reply = await client.call(key.encode(), command[0], key.encode(), *command[1:])
        except (Error, OutwardError) as error:
            if happened(error) is False:
                self.refused += 1
                for recorder, entry in entries:
                    recorder.refused(entry, str(error))
            else:
                self.unknown += 1
                for recorder, entry in entries:
                    recorder.unknown(entry, str(error))
            return False
        self.acknowledged += 1
        by = self._names[client.answered_by.partition(":")[0]]
        if mark is not None:
            mark.acknowledged_at, mark.acknowledged_by = self._world.loop.now, by
        self.on_answer(self._clients[number].host.name, by, slot, begun_at)
        result = None if function == "write" or reply is None else reply
        if isinstance(result, bytes):
            result = int(result) if key.startswith("counter") else result.decode()
        for recorder, entry in entries:
            recorder.ok(entry, result, by)
        return True


def _nobody_cares(mark: Mark) -> None:
    pass


def _nobody_asks(client: str, by: str, slot: int, begun_at: float) -> None:
    pass
