"""The smart client of a cluster: knows where keys live, follows redirections, sits out failovers.

    async with ClusterClient([Address("127.0.0.1", 7000)], runtime) as client:
        await client.execute("SET", "user:42", "Ada")
        names = await client.pipeline([("GET", "user:42"), ("GET", "user:43")])

A command is tried until its deadline for as long as it definitely has not been executed: redirections, refusals such
as CLUSTERDOWN and LOADING, nodes that cannot be reached. Once it was sent and the answer is missing, nobody knows; it
is sent again only as far as `Repeat` allows, and otherwise raises UnknownOutcomeError. Every OutwardError says which
of the two it is (`happened`: False or None). What the server refuses for its own reasons is raised as
`wire.errors.Error`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any

from cluster.slots import key_slot
from proxy.attempt import Attempt, ClientWorld
from proxy.client_options import ClientOptions, NotExecutedError, Repeat
from proxy.client_pubsub import Messages
from proxy.client_script import Script
from proxy.learning import learn_commands
from proxy.node_pool import NodePool
from proxy.routing import CROSSSLOT, RouteTable, declared_specs
from proxy.slot_map import Address
from proxy.topology import Topology
from runtime import Runtime, Tasks
from wire.errors import Error
from wire.outward import Greeting, NotSentError, Outward, OutwardError

Word = bytes | str | int | float

_USUAL = ClientOptions()


class ClusterClient:
    """A client for one cluster. All methods may be used by many tasks at a time."""

    __slots__ = ("_tasks", "_world")

    def __init__(self, nodes: Sequence[Address], runtime: Runtime, options: ClientOptions = _USUAL) -> None:
        self._tasks = Tasks(lambda name, error: runtime.log.warning(f"Cluster client's task '{name}' died: {error!r}"))
        topology = Topology(nodes, options.greeting, runtime)
        topology.listeners.append(self._note_change)
        self._world = ClientWorld(
            options, topology, NodePool(options), RouteTable(declared_specs()), runtime.random.stream("cluster client")
        )

    async def __aenter__(self) -> ClusterClient:
        world = self._world
        world.topology.start(self._tasks)
        greeting = world.options.greeting
        self._tasks.start("learn commands", self._learn(greeting))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; commands under way end with an unknown outcome."""
        await self._tasks.cancel_all()
        self._world.pool.close()
        self._world.topology.close()

    async def execute(self, *words: Word, repeat: Repeat | None = None, deadline_ms: int = 0) -> Any:
        """Execute one command at the node of its keys (any node, when it has none) and return the reply. Raises Error
        when the server refuses, NotExecutedError at the deadline, UnknownOutcomeError when nobody knows."""
        attempt = Attempt(self._world, encode_words(words), repeat, deadline_ms)
        await attempt.learn()
        if attempt.route is not None and attempt.route.blocking:
            return await attempt.run_alone()
        return await attempt.run()

    async def pipeline(self, commands: Sequence[Sequence[Word]], repeat: Repeat | None = None) -> list[Any]:
        """Execute commands together, one write to each node; returns their replies in the same order, with exceptions
        (`Error`, OutwardError) in the places of commands that failed.

        Commands on one slot are executed in their order. One that was refused while a later one on its slot went
        through is not sent again: that would turn the order round.
        """
        # Without a map every command would have to be tried again, and each would wait for itself.
        try:
            await self._wait_for_map()
        except NotExecutedError as error:
            return [error for _ in commands]
        attempts = [Attempt(self._world, encode_words(words), repeat) for words in commands]
        for attempt in attempts:
            await attempt.learn()
        # The first round, node by node.
        by_address: dict[Address | None, list[Attempt]] = {}
        for attempt in attempts:
            by_address.setdefault(attempt.master(), []).append(attempt)
        sent = [_send_together(self._world.pool, address, group) for address, group in by_address.items()]
        await asyncio.gather(*sent)
        overtaken = _overtaken(attempts)
        # What is left goes one after the other.
        results: list[Any] = []
        for attempt in attempts:
            if attempt.error is None:
                results.append(attempt.reply)
            elif attempt in overtaken or not attempt.unfinished:
                results.append(attempt.error)
            else:
                try:
                    results.append(await attempt.go_on())
                except (Error, OutwardError) as error:
                    results.append(error)
        return results

    async def transaction(self, commands: Sequence[Sequence[Word]]) -> list[Any]:
        """Execute commands of one slot as MULTI ... EXEC; returns their replies. Raises as `execute` does; `Error`
        EXECABORT when a command was refused."""
        queued = [encode_words(words) for words in commands]
        slots = [route.slot(argv) for argv in queued if (route := self._world.routes.find(argv)) is not None]
        owned = dict.fromkeys(slot for slot in slots if slot is not None)
        if len(owned) > 1:
            raise Error(CROSSSLOT)
        attempt = Attempt(self._world, [b"EXEC"])
        attempt.slot = next(iter(owned), None)
        attempt.before = [[b"MULTI"], *queued]
        replies = await attempt.run()
        assert isinstance(replies, list)
        return replies

    @asynccontextmanager
    async def connection_for(self, key: Word) -> AsyncIterator[Outward]:
        """A connection of one's own to the node of `key`, for WATCH and the like; redirections and failures are the
        user's. Raises NotSentError."""
        slot = key_slot(encode_words([key])[0])
        await self._wait_for_map()
        address = self._world.topology.slot_map.owners[slot]
        if address is None:
            raise NotExecutedError(f"nobody serves slot {slot}")
        async with self._world.pool.private(address) as connection:
            yield connection

    async def masters(self) -> list[Address]:
        """Every master that serves slots, for commands that go to all: `execute_at` each."""
        await self._wait_for_map()
        return list(self._world.topology.slot_map.masters())

    async def execute_at(self, address: Address, *words: Word) -> Any:
        """Execute one command at one node, whatever its keys; no retries. Raises Error and OutwardError."""
        connection = await self._world.pool.get(address)
        return await connection.call(*encode_words(words))

    def subscribe(self, *channels: Word, patterns: Sequence[Word] = ()) -> Messages:
        """Messages of channels and patterns: ``async with client.subscribe("news") as messages``."""
        return Messages(self._world, self._tasks, encode_words(channels), encode_words(patterns))

    def script(self, source: Word) -> Script:
        """A script that is run by its digest, and sent whole to nodes that do not know it yet."""
        return Script(self.execute, encode_words([source])[0])

    async def _learn(self, greeting: Greeting) -> None:
        await learn_commands(self._world.topology, greeting, self._world.routes.add)
        self._world.learned.set()

    async def _wait_for_map(self) -> None:
        """Until the slot map has been read once; raises NotExecutedError."""
        topology, options = self._world.topology, self._world.options
        if topology.slot_map.served:
            return
        try:
            async with asyncio.timeout(options.deadline_ms / 1000):
                await topology.read_again()
        except TimeoutError:
            text = f"no node answered within {options.deadline_ms} ms: {topology.last_error}"
            raise NotExecutedError(text) from None

    def _note_change(self, _slot: int | None) -> None:
        changed, self._world.changed = self._world.changed, asyncio.Event()
        changed.set()


def encode_words(words: Sequence[Word]) -> list[bytes]:
    """Arguments as bytes: str as UTF-8, numbers as Python prints them."""
    return [word if isinstance(word, bytes) else str(word).encode() for word in words]


async def _send_together(pool: NodePool, address: Address | None, group: list[Attempt]) -> None:
    """One try for all of them, in one write."""
    try:
        if address is None:
            raise NotSentError("nobody serves its slot")
        connection = await pool.get(address)
        futures = connection.requests([attempt.argv for attempt in group])
    except OutwardError as error:
        for attempt in group:
            attempt.error, attempt.node = error, address
        return
    for attempt, future in zip(group, futures, strict=True):
        attempt.node = address
        try:
            attempt.take([await future])
        except OutwardError as error:
            attempt.error = error


def _overtaken(attempts: list[Attempt]) -> dict[Attempt, None]:
    """Those that failed while a later one on the same slot was, or may have been, executed."""
    executed: dict[int, bool] = {}
    overtaken: dict[Attempt, None] = {}
    for attempt in reversed(attempts):
        slot = attempt.slot
        if slot is None:
            continue
        if not attempt.unfinished:
            executed[slot] = executed.get(slot, False) or not attempt.reads
        elif slot in executed and (executed[slot] or not attempt.reads):
            overtaken[attempt] = None
    return overtaken
