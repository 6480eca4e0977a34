"""What clients do during a run, and the record of it.

Three sorts of keys. *Marks* are written once, by one client, and never changed: if one was acknowledged it must be
there at the end, or it was lost. *Registers* are written and read by all clients, and *counters* incremented: for the
checkers of histories. A client is a process on a host of its own, so that it can be on either side of a cut; the record
is kept outside of it, in the world's time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

from cluster.slots import key_slot
from sim.client import Address, ClusterClient, happened
from sim.host import Host
from sim.process import Process
from sim.world import World
from wire.errors import Error
from wire.outward import OutwardError

_REGISTERS = 8
_COUNTERS = 4
_PAUSE_AFTER_FAILURE_S = 0.05
# How many marks share a key's beginning does not matter; that keys spread over all slots does.
_MARK = "mark:%d:%d"


class Recorder(Protocol):
    """Where operations are written down: before they are sent, and when their outcome is known."""

    def begin(self, client: int, function: str, key: str, argument: str | int | None) -> int:
        """Returns the operation's number."""
        ...

    def ok(self, number: int, result: str | int | None, node: str) -> None: ...

    def refused(self, number: int, why: str) -> None:
        """It definitely did not happen."""
        ...

    def unknown(self, number: int, why: str) -> None: ...


@dataclass(slots=True)
class Mark:
    """A key that was written once."""

    key: bytes
    value: bytes
    slot: int
    begun_at: float
    # When it was acknowledged, by whom; None when it was not.
    acknowledged_at: float | None = None
    acknowledged_by: str = ""


class Workload:
    """Clients, until they are told to stop."""

    def __init__(self, world: World, nodes: Sequence[Address], recorders: Sequence[Recorder] = ()) -> None:
        self._world = world
        self._nodes = nodes
        self._recorders = recorders
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
                    ok = await self._do(client, number, "write", register, value, b"SET", value.encode())
                elif choice < 0.9:
                    register = f"register:{chance.randrange(_REGISTERS)}"
                    ok = await self._do(client, number, "read", register, None, b"GET")
                else:
                    counter = f"counter:{chance.randrange(_COUNTERS)}"
                    ok = await self._do(client, number, "incr", counter, 1, b"INCR")
                await asyncio.sleep(chance.expovariate(1.0 / period_s) if ok else _PAUSE_AFTER_FAILURE_S)
            client.close()
            return 0

        return main

    async def _write_mark(self, client: ClusterClient, number: int, count: int) -> bool:
        name = _MARK % (number, count)
        key, value = name.encode(), b"%d" % count
        mark = self.marks[number, count] = Mark(key, value, key_slot(key), self._world.loop.now)
        ok = await self._do(client, number, "write", name, value.decode(), b"SET", value)
        if ok:
            mark.acknowledged_at = self._world.loop.now
            mark.acknowledged_by = client.answered_by
        return ok

    async def _do(
        self,
        client: ClusterClient,
        number: int,
        function: str,
        key: str,
        argument: str | int | None,
        name: bytes,
        *arguments: bytes,
    ) -> bool:
        """One operation, written down; returns whether it succeeded."""
        self.begun += 1
        entries = [(recorder, recorder.begin(number, function, key, argument)) for recorder in self._recorders]
        try:
            reply = await client.call(key.encode(), name, key.encode(), *arguments)
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
        result = reply if isinstance(reply, int) or reply is None or function == "write" else reply.decode()
        for recorder, entry in entries:
            recorder.ok(entry, None if function == "write" else result, client.answered_by)
        return True
