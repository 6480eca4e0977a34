"""The smart client of a cluster: knows where keys live, follows redirections, sits out failovers.

    async with ClusterClient([Address("127.0.0.1", 7000)], runtime) as client:
        await client.execute("SET", "user:42", "Ada")
        names = await client.pipeline([("GET", "user:42"), ("GET", "user:43")])

A command is tried until its deadline for as long as it definitely has not been executed: redirections, refusals such
as CLUSTERDOWN and LOADING, nodes that cannot be reached. Once it was sent and the answer is missing, nobody knows; it is
sent again only as far as `Repeat` allows, and otherwise raises UnknownOutcomeError. Every OutwardError says which of
the two it is (`happened`: False or None). What the server refuses for its own reasons is raised as `wire.errors.Error`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any

from proxy.client_options import ClientOptions, NotExecutedError, Repeat
from proxy.client_pubsub import Messages
from proxy.client_script import Script
from proxy.learning import learn_commands
from proxy.node_pool import NodePool
from proxy.redirections import Ask, Moved, Redirection, read_redirection
from proxy.routing import Route, RouteTable, declared_specs
from proxy.slot_map import Address
from proxy.topology import Topology
from runtime import Runtime, Tasks
from wire.errors import Error
from wire.outward import NotSentError, Outward, OutwardError, UnknownOutcomeError

Word = bytes | str | int | float

# Redirections followed at once; then the cluster is given time to agree with itself.
_HOPS_MAX = 5
_PAUSE_MS = 25
_PAUSE_MAX_MS = 200
_USUAL = ClientOptions()


class ClusterClient:
    """A client for one cluster. All methods may be used by many tasks at a time."""

    __slots__ = ("_changed", "_options", "_pool", "_random", "_routes", "_tasks", "_topology")

    def __init__(self, nodes: Sequence[Address], runtime: Runtime, options: ClientOptions = _USUAL) -> None:
        self._options = options
        self._random = runtime.random.stream("cluster client")
        self._tasks = Tasks(lambda name, error: runtime.log.warning(f"Cluster client's task '{name}' died: {error!r}"))
        self._topology = Topology(nodes, options.greeting, runtime)
        self._topology.listeners.append(self._note_change)
        # Replaced at each change of the slot map, and set then: whoever waits for better times waits for it.
        self._changed = asyncio.Event()
        self._pool = NodePool(options)
        self._routes = RouteTable(declared_specs())

    async def __aenter__(self) -> ClusterClient:
        self._topology.start(self._tasks)
        self._tasks.start("learn commands", learn_commands(self._topology, self._options.greeting, self._routes.add))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; commands under way end with an unknown outcome."""
        await self._tasks.cancel_all()
        self._pool.close()
        self._topology.close()

    async def execute(self, *words: Word, repeat: Repeat | None = None, deadline_ms: int = 0) -> Any:
        """Execute one command at the node of its keys (any node, when it has none) and return the reply. Raises Error
        when the server refuses, NotExecutedError at the deadline, UnknownOutcomeError when nobody knows."""
        argv = encode_words(words)
        attempt = _Attempt(self, argv, repeat, deadline_ms)
        if attempt.route is not None and attempt.route.blocking:
            return await attempt.run_alone()
        return await attempt.run()

    async def pipeline(self, commands: Sequence[Sequence[Word]], repeat: Repeat | None = None) -> list[Any]:
        """Execute commands together, one write to each node; returns their replies in the same order, with exceptions
        (`Error`, OutwardError) in the places of commands that failed.

        Commands on one slot are executed in their order. One that was refused while a later one on its slot went
        through is not sent again: that would turn the order round.
        """
        attempts = [_Attempt(self, encode_words(words), repeat, 0) for words in commands]
        # The first round, node by node.
        by_address: dict[Address | None, list[_Attempt]] = {}
        for attempt in attempts:
            by_address.setdefault(attempt.address(), []).append(attempt)
        sent = [_send_together(self._pool, address, group) for address, group in by_address.items()]
        await asyncio.gather(*sent)
        overtaken = _overtaken(attempts)
        # What is left goes one after the other.
        results: list[Any] = []
        for attempt in attempts:
            if attempt.error is None:
                results.append(attempt.reply)
            elif attempt in overtaken:
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
        slots = [route.slot(argv) for argv in queued if (route := self._routes.find(argv)) is not None]
        owned = dict.fromkeys(slot for slot in slots if slot is not None)
        if len(owned) > 1:
            raise Error(b"CROSSSLOT Keys in request don't hash to the same slot")
        attempt = _Attempt(self, [b"EXEC"], None, 0)
        attempt.slot = next(iter(owned), None)
        attempt.before = [[b"MULTI"], *queued]
        replies = await attempt.run()
        assert isinstance(replies, list)
        return replies

    @asynccontextmanager
    async def connection_for(self, key: Word) -> AsyncIterator[Outward]:
        """A connection of one's own to the node of `key`, for WATCH and the like; redirections and failures are the
        user's. Raises NotSentError."""
        slot = self._routes.by_name[b"GET"].slot([b"GET", *encode_words([key])])
        assert slot is not None
        address = self._topology.slot_map.owners[slot]
        if address is None:
            await self._topology.read_again()
            address = self._topology.slot_map.owners[slot]
        if address is None:
            raise NotExecutedError(f"nobody serves slot {slot}")
        async with self._pool.private(address) as connection:
            yield connection

    async def masters(self) -> list[Address]:
        """Every master that serves slots, for commands that go to all: `execute_at` each."""
        if not self._topology.slot_map.served:
            await self._topology.read_again()
        return list(self._topology.slot_map.masters())

    async def execute_at(self, address: Address, *words: Word) -> Any:
        """Execute one command at one node, whatever its keys; no retries. Raises Error and OutwardError."""
        connection = await self._pool.get(address)
        return await connection.call(*encode_words(words))

    def subscribe(self, *channels: Word, patterns: Sequence[Word] = ()) -> Messages:
        """Messages of channels and patterns: ``async with client.subscribe("news") as messages``."""
        return Messages(self._topology, self._pool, self._tasks, encode_words(channels), encode_words(patterns))

    def script(self, source: Word) -> Script:
        """A script that is run by its digest, and sent whole to nodes that do not know it yet."""
        return Script(self.execute, encode_words([source])[0])

    def _note_change(self, _slot: int | None) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def encode_words(words: Sequence[Word]) -> list[bytes]:
    """Arguments as bytes: str as UTF-8, numbers as Python prints them."""
    return [word if isinstance(word, bytes) else str(word).encode() for word in words]


class _Attempt:
    """One command until it is answered."""

    __slots__ = (
        "_asked",
        "_client",
        "_deadline",
        "_deadline_ms",
        "_hops",
        "_pause_ms",
        "_repeat",
        "argv",
        "before",
        "error",
        "reply",
        "route",
        "slot",
        "why",
    )

    def __init__(self, client: ClusterClient, argv: list[bytes], repeat: Repeat | None, deadline_ms: int) -> None:
        options = client._options
        self._client = client
        self.argv = argv
        # Commands that go in front of it, in the same write (a transaction's).
        self.before: list[list[bytes]] = []
        self.route: Route | None = client._routes.find(argv)
        self.slot = self.route.slot(argv) if self.route is not None else None
        self._repeat = options.repeat if repeat is None else repeat
        self._deadline_ms = deadline_ms or options.deadline_ms
        self._deadline = asyncio.get_running_loop().time() + self._deadline_ms / 1000
        self._pause_ms = _PAUSE_MS
        self._hops = 0
        # The node that ASK named, for the next try.
        self._asked: Address | None = None
        # How the last try ended: with a reply, or with an error.
        self.reply: Any = None
        self.error: Error | OutwardError | None = None
        # Why it had to be tried again.
        self.why = ""

    def address(self) -> Address | None:
        """The node to ask; None when nobody is known to serve the slot."""
        client = self._client
        slot_map = client._topology.slot_map
        if self._asked is not None:
            return self._asked
        if self.slot is None:
            masters = list(slot_map.masters())
            return client._random.choice(masters) if masters else None
        owner = slot_map.owners[self.slot]
        if owner is not None and self.reads_replica():
            # A refusal by a replica leads to its master, so `_hops` keeps the next try away from replicas.
            return client._random.choice((owner, *slot_map.replicas.get(owner, ())))
        return owner

    def reads_replica(self) -> bool:
        """Whether this try may go to a replica."""
        read = self.route is not None and self.route.readonly and not self.before
        return read and self._client._options.read_from_replicas and not self._hops and not self.why

    async def run(self) -> Any:
        """Try until there is an answer; raises as `ClusterClient.execute` does."""
        while True:
            await self._try(self.address())
            if self.error is None:
                return self.reply
            await self._recover(self.error)

    async def go_on(self) -> Any:
        """The same after a first try that failed."""
        assert self.error is not None
        await self._recover(self.error)
        return await self.run()

    async def run_alone(self) -> Any:
        """On a connection of its own, which may block for as long as it likes."""
        while True:
            address = self.address()
            try:
                if address is None:
                    raise NotSentError("nobody serves its slot")
                async with self._client._pool.private(address, patient=True) as connection:
                    await self._send(connection)
            except NotSentError as error:
                self.error = error
            if self.error is None:
                return self.reply
            await self._recover(self.error)

    async def _try(self, address: Address | None) -> None:
        try:
            if address is None:
                raise NotSentError("nobody serves its slot")
            connection = await self._client._pool.get(address, replica=self.reads_replica())
        except NotSentError as error:
            self.error = error
            self._client._topology.refresh(address)
            return
        await self._send(connection)

    async def _send(self, connection: Outward) -> None:
        asking = [[b"ASKING"]] if self._asked is not None else []
        try:
            futures = connection.requests([*asking, *self.before, self.argv])
            self.take([await future for future in futures])
        except OutwardError as error:
            self.error = error

    def take(self, replies: list[Any]) -> None:
        """The replies to everything that was sent for it; the last one is the answer."""
        self._asked = None
        *earlier, self.reply = replies
        self.error = self.reply if isinstance(self.reply, Error) else None
        if self.error is not None:
            # A transaction says EXECABORT; the reason stands with the command that was refused.
            self.error = next((reply for reply in earlier if isinstance(reply, Error)), self.error)

    async def _recover(self, error: Error | OutwardError) -> None:
        """Return when it is time for another try; raises when there is to be none."""
        client = self._client
        if isinstance(error, Error):
            redirection = self.redirection(error)
            if redirection is None:
                raise error
            self._hops += 1
            self.why = error.text.decode(errors="replace")
            if isinstance(redirection, Moved):
                client._topology.moved(redirection.slot, redirection.address)
            elif isinstance(redirection, Ask):
                self._asked = redirection.address
            if isinstance(redirection, (Moved, Ask)) and self._hops <= _HOPS_MAX:
                return
        elif isinstance(error, UnknownOutcomeError):
            client._topology.refresh()
            if not self._repeat.allows(self.route, self.argv) or self.before:
                raise error
            self.why = str(error)
        else:
            self.why = str(error)
        await self._pause()

    def redirection(self, error: Error) -> Redirection | None:
        """What the cluster wants, when it is the cluster that refused."""
        owner = self._client._topology.slot_map.owners[self.slot or 0]
        return read_redirection(error.text, owner or Address("", 0))

    async def _pause(self) -> None:
        """Wait a little, or until the slot map changes; raises NotExecutedError at the deadline."""
        client = self._client
        now = asyncio.get_running_loop().time()
        if now >= self._deadline:
            raise NotExecutedError(f"not executed within {self._deadline_ms} ms: {self.why}")
        client._topology.refresh()
        pause_s = self._pause_ms * client._random.uniform(0.75, 1.25) / 1000
        self._pause_ms = min(self._pause_ms * 2, _PAUSE_MAX_MS)
        self._hops = 0
        changed = client._changed
        try:
            async with asyncio.timeout(min(pause_s, self._deadline - now)):
                await changed.wait()
        except TimeoutError:
            return


async def _send_together(pool: NodePool, address: Address | None, group: list[_Attempt]) -> None:
    """One try for all of them, in one write."""
    try:
        if address is None:
            raise NotSentError("nobody serves its slot")
        connection = await pool.get(address)
        futures = connection.requests([attempt.argv for attempt in group])
    except OutwardError as error:
        for attempt in group:
            attempt.error = error
        return
    for attempt, future in zip(group, futures, strict=True):
        try:
            attempt.take([await future])
        except OutwardError as error:
            attempt.error = error


def _overtaken(attempts: list[_Attempt]) -> dict[_Attempt, None]:
    """Those that failed while a later one on the same slot was, or may have been, executed."""
    executed: dict[int, bool] = {}
    overtaken: dict[_Attempt, None] = {}
    for attempt in reversed(attempts):
        slot = attempt.slot
        if slot is None:
            continue
        reads = attempt.route is not None and attempt.route.readonly
        error = attempt.error
        refused = isinstance(error, NotSentError) or (isinstance(error, Error) and attempt.redirection(error))
        if not refused:
            executed[slot] = executed.get(slot, False) or not reads
        elif slot in executed and (executed[slot] or not reads):
            overtaken[attempt] = None
    return overtaken
