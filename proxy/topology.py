"""Keeps the slot map fresh: when it is read anew, from whom, and how often at most.

Asked for by whoever meets a MOVED or a broken connection; many such wishes become one reading. Any known node can
answer, so one is picked by chance (a node that everybody asks would be the first to be overloaded), never the one that
is suspected; the seeds come last, for the day when every known address has changed. A pause lies between two
readings, however many clients complain: a cluster in trouble has no time for questions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from proxy.slot_map import SLOTS, Address, SlotMap, SlotMapError
from runtime import Runtime, Tasks
from wire.errors import Error
from wire.outward import Greeting, Limits, Outward, OutwardError, connect


@dataclass(frozen=True, slots=True)
class RefreshPolicy:
    """How often and how patiently nodes are asked."""

    # The least time between the starts of two readings, and the most after several that brought nothing new.
    pause_ms: int = 50
    pause_max_ms: int = 200
    # A reading without any cause, for replicas that came and masters that nobody asked about.
    idle_ms: int = 15_000
    # How long one node may take, connecting included. Short: there are others to ask.
    answer_timeout_ms: int = 500


_USUAL = RefreshPolicy()


class Topology:
    """The slot map of one cluster, and its upkeep."""

    __slots__ = (
        "_control",
        "_greeting",
        "_pause_ms",
        "_policy",
        "_random",
        "_read",
        "_seeds",
        "_suspects",
        "_wanted",
        "last_error",
        "listeners",
        "readings",
        "slot_map",
    )

    def __init__(
        self, seeds: Sequence[Address], greeting: Greeting, runtime: Runtime, policy: RefreshPolicy = _USUAL
    ) -> None:
        self._seeds = list(seeds)
        self._greeting = greeting
        self._policy = policy
        self._random = runtime.random.stream("proxy topology")
        # The connection that answered last, kept for the next reading.
        self._control: tuple[Address, Outward] | None = None
        # Nodes that failed somebody since the last reading.
        self._suspects: dict[Address, None] = {}
        self._pause_ms = policy.pause_ms
        self._wanted = asyncio.Event()
        # Set at each reading that succeeded, for those who wait in `read_again`.
        self._read: asyncio.Future[None] | None = None
        self.slot_map = SlotMap()
        # Called after each change of the map: with the slot when only that one has a new owner.
        self.listeners: list[Callable[[int | None], None]] = []
        # For INFO: how often the map was read, and why the last attempt failed ("" after one that did not).
        self.readings = 0
        self.last_error = ""

    def start(self, tasks: Tasks) -> None:
        """Begin to keep the map; the first reading starts at once."""
        self._wanted.set()
        tasks.start("topology", self._run())

    def close(self) -> None:
        if self._control is not None:
            self._control[1].close()
            self._control = None

    def refresh(self, suspect: Address | None = None) -> None:
        """Read the map again soon; `suspect` has given somebody reason to doubt it and is not asked."""
        if suspect is not None:
            self._suspects[suspect] = None
        self._wanted.set()

    def moved(self, slot: int, address: Address) -> None:
        """A node said that `slot` is served at `address`: believe it at once, and read the rest of the map soon,
        because slots seldom move alone."""
        if self.slot_map.owners[slot] != address:
            self.slot_map.assign(slot, address)
            self._suspects.pop(address, None)
            self._tell(slot)
        self._wanted.set()

    async def read_again(self) -> None:
        """Return after the next successful reading."""
        if self._read is None:
            self._read = asyncio.get_running_loop().create_future()
        self._wanted.set()
        await asyncio.shield(self._read)

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._policy.idle_ms / 1000):
                    await self._wanted.wait()
            except TimeoutError:
                pass
            self._wanted.clear()
            news = await self._read_map()
            if self._wanted.is_set() and not news:
                # Nothing new, and somebody still complains. The node that was asked may be cut off from the others, so
                # the next reading asks another one; and as it is less likely to help, it comes later.
                self.close()
                self._pause_ms = min(self._pause_ms * 2, self._policy.pause_max_ms)
            else:
                self._pause_ms = self._policy.pause_ms
            await asyncio.sleep(self._pause_ms * self._random.uniform(0.75, 1.25) / 1000)

    async def _read_map(self) -> bool:
        """Ask nodes until one answers; True when the map changed. When nobody does, the wish stays."""
        suspects, self._suspects = self._suspects, {}
        if self._control is not None and self._control[0] in suspects:
            self.close()
        best: SlotMap | None = None
        for address in self._candidates(suspects):
            found = await self._ask(address)
            if found is not None and (best is None or found.served > best.served):
                best = found
            # A node that does not know an owner for every slot may have just joined, or have been cut off.
            if best is not None and best.served == SLOTS:
                break
        if best is None or (best.served == 0 and self.slot_map.served):
            # Forget nothing of what was known, and doubt the same nodes next time.
            self._suspects = {**suspects, **self._suspects}
            self._wanted.set()
            return False
        self.last_error = ""
        self.readings += 1
        changed = best != self.slot_map
        if changed:
            self.slot_map = best
            self._tell(None)
        waiting, self._read = self._read, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)
        return changed

    def _candidates(self, suspects: dict[Address, None]) -> list[Address]:
        nodes = self.slot_map.nodes()
        self._random.shuffle(nodes)
        if self._control is not None:
            nodes.insert(0, self._control[0])
        everyone = dict.fromkeys(nodes + self._seeds)
        trusted = [address for address in everyone if address not in suspects]
        # Suspects after all: one of them may be the only node there is.
        return trusted + [address for address in everyone if address in suspects]

    async def _ask(self, address: Address) -> SlotMap | None:
        timeout_ms = self._policy.answer_timeout_ms
        try:
            if self._control is None or self._control[0] != address or self._control[1].closed:
                self.close()
                limits = Limits(connect_timeout_ms=timeout_ms)
                self._control = address, await connect(address.host, address.port, self._greeting, limits)
            reply = await self._control[1].call(b"CLUSTER", b"SLOTS", timeout_ms=timeout_ms)
            return SlotMap.from_cluster_slots(reply, address)
        except (OutwardError, SlotMapError, Error) as error:
            text = error.text.decode(errors="replace") if isinstance(error, Error) else str(error)
            self.last_error = f"{address}: {text}" if isinstance(error, Error) else text
            self.close()
            return None

    def _tell(self, slot: int | None) -> None:
        for listener in self.listeners:
            listener(slot)
