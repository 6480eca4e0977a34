"""A multiplexed connection to one node: many clients' requests go out together, replies come back in order.

A link carries encoded bytes and counts replies; what a reply means is the business of the entry that waits for it.
Everything sent in one turn of the loop leaves in one write, which is what makes a shared link cheaper than a
connection for each client. A link opens itself when it is first used, and again after it broke; what it had not
written yet definitely did not happen, and it says so.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

from proxy.reply_splitter import ReplyError, ReplySplitter
from proxy.slot_map import Address
from proxy.topology import Topology
from runtime import Log, Randomness, Tasks
from wire.outward import Greeting, Limits, OutwardError, connect
from wire.turn import Turn

# How often silent links are looked for.
LOOK_MS = 100


class Entry(Protocol):
    """What waits on a link for `left` replies."""

    left: int

    def replied(self, data: bytes, count: int) -> None:
        """`data` is `count` whole replies, none of them an error. Lowers `left`."""
        ...

    def refused(self, reply: bytes) -> None:
        """The next reply is an error: the whole line. Lowers `left` by one."""
        ...

    def lost(self, sent: bool, why: str) -> None:
        """The replies still due will not come. Not `sent`: the requests definitely did not happen."""
        ...


@dataclass(frozen=True, slots=True)
class LinkLimits:
    """Patience and bounds of a link."""

    connect_timeout_ms: int = 1000
    # Requests wait and nothing is heard: after this long the slot map is asked whether the node still serves.
    doubt_after_ms: int = 500
    # ... and after this long the connection is given up. Redis' own idea of a busy server is five seconds, too.
    silence_timeout_ms: int = 5000
    # A pause between attempts to connect, doubled after each failure.
    retry_ms: int = 50
    retry_max_ms: int = 500
    # Requests that wait for a connection under way.
    queued_bytes_max: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class LinkWorld:
    """What all links of one proxy share."""

    turn: Turn
    tasks: Tasks
    topology: Topology
    log: Log
    random: Randomness
    limits: LinkLimits


class Link(asyncio.Protocol):
    """One connection to one node; see the module's text."""

    __slots__ = (
        "_connecting",
        "_failures",
        "_loop",
        "_out",
        "_out_entries",
        "_out_size",
        "_pending",
        "_retry_at",
        "_silent_looks",
        "_splitter",
        "_transport",
        "_turn",
        "_world",
        "address",
        "closed",
        "greeting",
        "on_lost",
        "patient",
        "stream",
    )

    def __init__(self, address: Address, greeting: Greeting, world: LinkWorld) -> None:
        self._world = world
        self._turn = world.turn
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._splitter = ReplySplitter()
        # Requests of this turn, not written yet, and who waits for them.
        self._out: list[bytes] = []
        self._out_entries: list[Entry] = []
        self._out_size = 0
        # Who waits for replies, in the order of the requests written.
        self._pending: deque[Entry] = deque()
        self._connecting = False
        # Attempts to connect that failed in a row, and before when no other is made.
        self._failures = 0
        self._retry_at = 0.0
        # For how many looks (`check_silence`) requests have waited and nothing was heard. Looks and not seconds: a
        # proxy that was itself stopped for a while must not blame the nodes for it.
        self._silent_looks = 0
        self.address = address
        self.greeting = greeting
        # Closed for good by this side.
        self.closed = False
        # A link that only one client uses may be left to block for as long as it likes.
        self.patient = False
        # Set on a subscribed connection: whole frames go here, and nobody counts replies.
        self.stream: Callable[[list[bytes]], None] | None = None
        # Told when the connection is lost, or could not be made.
        self.on_lost: Callable[[str], None] | None = None

    @property
    def up(self) -> bool:
        return self._transport is not None

    @property
    def usable(self) -> bool:
        """Whether `send` would at least try."""
        return not self.closed and (self.up or self._connecting or self._loop.time() >= self._retry_at)

    @property
    def idle(self) -> bool:
        return not self._pending and not self._out

    def send(self, data: bytes, entry: Entry) -> None:
        """Send requests for which `entry` expects `entry.left` replies; they leave at the end of the turn."""
        if self._transport is None and not self._begin(len(data)):
            entry.lost(False, f"{self.address} cannot be reached")
            return
        self._out.append(data)
        self._out_entries.append(entry)
        self._turn.reply(self)

    def post(self, data: bytes) -> bool:
        """Send requests whose answers come to `stream`; False when that is no use now."""
        if self._transport is not None:
            self._transport.write(data)
            return True
        if not self._begin(len(data)):
            return False
        self._out.append(data)
        return True

    def flush(self) -> None:
        """Write the turn's requests."""
        transport = self._transport
        out = self._out
        if transport is None or not out:
            return
        pending = self._pending
        if not pending:
            self._silent_looks = 0
        pending.extend(self._out_entries)
        self._out_entries.clear()
        data = b"".join(out) if len(out) > 1 else out[0]
        out.clear()
        self._out_size = 0
        transport.write(data)

    def data_received(self, data: bytes) -> None:
        self._silent_looks = 0
        splitter = self._splitter
        try:
            ends = splitter.feed(data)
        except ReplyError as broken:
            self._lose(str(broken))
            return
        if not ends:
            return
        if self.stream is not None:
            data = splitter.data
            self.stream([data[start:end] for start, end in zip([0, *ends], ends, strict=False)])
            return
        if not splitter.errors:
            self._hand_out(splitter.data, ends, 0, len(ends))
            return
        data, errors = splitter.data, splitter.errors
        first = 0
        for error in errors:
            self._hand_out(data, ends, first, error)
            if not self._pending:
                break
            entry = self._pending[0]
            if entry.left == 1:
                self._pending.popleft()
            entry.refused(data[ends[error - 1] if error else 0 : ends[error]])
            first = error + 1
        self._hand_out(data, ends, first, len(ends))

    def _hand_out(self, data: bytes, ends: list[int], first: int, stop: int) -> None:
        """Give replies `first` to `stop` - 1 to those who wait."""
        pending = self._pending
        start = ends[first - 1] if first else 0
        while first < stop:
            if not pending:
                # Emptied because one of those answered closed the link; or else a server that answers what nobody
                # asked, which cannot be trusted with the order either.
                if pending is self._pending:
                    self._lose("a reply that nobody asked for")
                return
            entry = pending[0]
            count = entry.left
            if count <= stop - first:
                pending.popleft()
            else:
                count = stop - first
            first += count
            end = ends[first - 1]
            entry.replied(data[start:end], count)
            start = end

    def check_silence(self, serves: bool) -> None:
        """Called every `LOOK_MS`: a node that owes replies and says nothing is doubted, then given up; at once when
        the slot map says that others serve in its place (it is frozen, or cut off)."""
        if self.patient or not self._pending:
            return
        limits = self._world.limits
        self._silent_looks += 1
        silent_ms = self._silent_looks * LOOK_MS
        if silent_ms > limits.silence_timeout_ms or (silent_ms > limits.doubt_after_ms and not serves):
            self._lose(f"no answer for {silent_ms} ms")
        elif silent_ms >= limits.doubt_after_ms:
            self._world.topology.refresh(self.address)

    def abort(self) -> None:
        """Lose the connection at once."""
        if self._transport is not None:
            self._lose("aborted")

    def close(self) -> None:
        """Close for good."""
        self.closed = True
        self._drop("closed")

    # Opening and losing.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._splitter = ReplySplitter()
        self._failures = 0
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._lose(str(exc) if exc else "the node closed the connection")

    def _begin(self, size: int) -> bool:
        """Start connecting if need be; False when that is no use now."""
        if self.closed or self._out_size + size > self._world.limits.queued_bytes_max:
            return False
        if not self._connecting:
            if self._loop.time() < self._retry_at:
                return False
            self._connecting = True
            self._world.tasks.start(f"connect to {self.address}", self._connect())
        self._out_size += size
        return True

    async def _connect(self) -> None:
        world = self._world
        limits = Limits(connect_timeout_ms=world.limits.connect_timeout_ms)
        try:
            outward = await connect(self.address.host, self.address.port, self.greeting, limits)
            self._connecting = False
            if self.closed:
                outward.close()
            else:
                outward.hand_over(self)
        except OutwardError as error:
            self._connecting = False
            pause_ms = min(world.limits.retry_ms << min(self._failures, 10), world.limits.retry_max_ms)
            chance = world.random.stream("proxy links").uniform(0.75, 1.25)
            self._failures += 1
            self._retry_at = self._loop.time() + pause_ms * chance / 1000
            if self._failures == 1:
                world.log.warning(f"Cannot connect to {error}")
            world.topology.refresh(self.address)
            self._drop(str(error))

    def _lose(self, why: str) -> None:
        self._world.log.warning(f"Lost the connection to {self.address}: {why}")
        self._world.topology.refresh(self.address)
        self._drop(f"the connection to {self.address} was lost ({why})")

    def _drop(self, why: str) -> None:
        """Tell all who wait. Their answers may use this very link again, so its own state comes first."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        sent = list(self._pending)
        self._pending.clear()
        self._pending = deque()
        queued, self._out_entries = self._out_entries, []
        self._out.clear()
        self._out_size = 0
        if self.on_lost is not None and not self.closed:
            self.on_lost(why)
        for entry in sent:
            entry.lost(True, why)
        for entry in queued:
            entry.lost(False, why)
