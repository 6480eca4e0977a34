"""One command of the smart client, tried until it is answered.

Where it goes, what its answer asks for, and whether it may be sent once more: the rules that `proxy.client` states.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from random import Random
from typing import Any

from proxy.client_options import ClientOptions, NotExecutedError, Repeat
from proxy.node_pool import NodePool
from proxy.redirections import Ask, Moved, Redirection, read_redirection
from proxy.routing import RouteTable
from proxy.slot_map import Address
from proxy.topology import Topology
from wire.errors import Error
from wire.outward import NotSentError, Outward, OutwardError, UnknownOutcomeError

# Redirections followed at once; then the cluster is given time to agree with itself.
_HOPS_MAX = 5
_PAUSE_MS = 25
_PAUSE_MAX_MS = 200
_UNSERVED = "nobody serves its slot"


@dataclass(slots=True)
class ClientWorld:
    """What all commands of one client share."""

    options: ClientOptions
    topology: Topology
    pool: NodePool
    routes: RouteTable
    random: Random
    # Replaced at each change of the slot map, and set then: whoever waits for better times waits for it.
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    # Set once the cluster has said which commands it has.
    learned: asyncio.Event = field(default_factory=asyncio.Event)


class Attempt:
    """A command on its way."""

    __slots__ = (
        "_asked",
        "_deadline",
        "_deadline_ms",
        "_hops",
        "_pause_ms",
        "_repeat",
        "_why",
        "_world",
        "argv",
        "before",
        "error",
        "node",
        "reply",
        "route",
        "slot",
    )

    def __init__(
        self, world: ClientWorld, argv: list[bytes], repeat: Repeat | None = None, deadline_ms: int = 0
    ) -> None:
        self._world = world
        self.argv = argv
        # Commands that go in front of it, in the same write (a transaction's).
        self.before: list[list[bytes]] = []
        self.route = world.routes.find(argv)
        self.slot = self.route.slot(argv) if self.route is not None else None
        self._repeat = world.options.repeat if repeat is None else repeat
        self._deadline_ms = deadline_ms or world.options.deadline_ms
        self._deadline = asyncio.get_running_loop().time() + self._deadline_ms / 1000
        self._pause_ms = _PAUSE_MS
        # Redirections followed since the last pause.
        self._hops = 0
        # The node that ASK named, for the next try.
        self._asked: Address | None = None
        # The node of the last try, and how that ended: with a reply, or with an error.
        self.node: Address | None = None
        self.reply: Any = None
        self.error: Error | OutwardError | None = None
        # Why it had to be tried again.
        self._why = ""

    @property
    def reads(self) -> bool:
        """Whether it changes nothing."""
        return self.route is not None and self.route.readonly

    def master(self) -> Address | None:
        """The node to ask; None when nobody is known to serve the slot."""
        slot_map = self._world.topology.slot_map
        if self._asked is not None:
            return self._asked
        if self.slot is not None:
            return slot_map.owners[self.slot]
        masters = list(slot_map.masters())
        return self._world.random.choice(masters) if masters else None

    @property
    def unfinished(self) -> bool:
        """Whether the last try failed in a way that allows another: it did not happen, or may be repeated."""
        error = self.error
        if error is None:
            return False
        if isinstance(error, Error):
            return self._redirection(error) is not None
        if not isinstance(error, UnknownOutcomeError) or self._repeat is Repeat.ALL:
            return True
        return self._repeat.allows(self.route, self.argv) and not self.before

    async def learn(self) -> None:
        """A command that nobody has declared yet: wait for what the cluster says of it. It may block, or have keys."""
        if self.route is None and not self._world.learned.is_set():
            try:
                async with asyncio.timeout_at(self._deadline):
                    await self._world.learned.wait()
            except TimeoutError:
                return
            self.route = self._world.routes.find(self.argv)
            self.slot = self.route.slot(self.argv) if self.route is not None else None

    async def run(self) -> Any:
        """Try until there is an answer; raises as `ClusterClient.execute` does."""
        while True:
            await self._try()
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
            self.node = self.master()
            try:
                if self.node is None:
                    raise NotSentError(_UNSERVED)
                async with self._world.pool.private(self.node, patient=True) as connection:
                    await self._send(connection)
            except NotSentError as error:
                self.error = error
            if self.error is None:
                return self.reply
            await self._recover(self.error)

    def take(self, replies: list[Any]) -> None:
        """The replies to everything that was sent for it; the last one is the answer."""
        self._asked = None
        *earlier, self.reply = replies
        self.error = self.reply if isinstance(self.reply, Error) else None
        if self.error is not None:
            # A transaction says EXECABORT; the reason stands with the command that was refused.
            self.error = next((reply for reply in earlier if isinstance(reply, Error)), self.error)

    def _redirection(self, error: Error) -> Redirection | None:
        """What the cluster wants, when it is the cluster that refused."""
        return read_redirection(error.text, self.node or Address("", 0))

    async def _try(self) -> None:
        self.node = self.master()
        replica = False
        if self.node is not None and self._may_read_elsewhere():
            replicas = self._world.topology.slot_map.replicas.get(self.node, ())
            chosen = self._world.random.choice((self.node, *replicas))
            self.node, replica = chosen, chosen != self.node
        try:
            if self.node is None:
                raise NotSentError(_UNSERVED)
            connection = self._world.pool.opened(self.node, replica=replica)
            if connection is None:
                async with asyncio.timeout_at(self._deadline):
                    connection = await self._world.pool.get(self.node, replica=replica)
        except (NotSentError, TimeoutError) as error:
            # Not longer than the command has: a node that accepts and says nothing may take all of a connection's time.
            self.error = error if isinstance(error, NotSentError) else NotSentError(f"{self.node}: no connection yet")
            self._world.topology.refresh(self.node)
            return
        await self._send(connection)

    def _may_read_elsewhere(self) -> bool:
        """Whether this try may go to a replica. After a refusal the master is asked."""
        first = not self._hops and not self._why and not self.before and self.slot is not None
        return first and self.reads and self._world.options.read_from_replicas

    async def _send(self, connection: Outward) -> None:
        asking = [[b"ASKING"]] if self._asked is not None else []
        try:
            futures = connection.requests([*asking, *self.before, self.argv])
            self.take([await future for future in futures])
        except OutwardError as error:
            self.error = error

    async def _recover(self, error: Error | OutwardError) -> None:
        """Return when it is time for another try; raises when there is to be none."""
        topology = self._world.topology
        if not self.unfinished:
            raise error
        if isinstance(error, Error):
            redirection = self._redirection(error)
            self._hops += 1
            self._why = error.text.decode(errors="replace")
            if isinstance(redirection, Moved):
                # The only way to learn where a command belongs whose keys nobody has declared.
                self.slot = redirection.slot
                topology.moved(redirection.slot, redirection.address)
            elif isinstance(redirection, Ask):
                self._asked = redirection.address
            if isinstance(redirection, (Moved, Ask)) and self._hops <= _HOPS_MAX:
                return
        else:
            topology.refresh(self.node)
            self._why = str(error)
        await self._pause()

    async def _pause(self) -> None:
        """Wait a little, or until the slot map changes; raises NotExecutedError at the deadline."""
        world = self._world
        now = asyncio.get_running_loop().time()
        if now >= self._deadline:
            raise NotExecutedError(f"not executed within {self._deadline_ms} ms: {self._why}")
        world.topology.refresh()
        pause_s = self._pause_ms * world.random.uniform(0.75, 1.25) / 1000
        self._pause_ms = min(self._pause_ms * 2, _PAUSE_MAX_MS)
        self._hops = 0
        changed = world.changed
        try:
            async with asyncio.timeout(min(pause_s, self._deadline - now)):
                await changed.wait()
        except TimeoutError:
            return
