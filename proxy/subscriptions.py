"""SUBSCRIBE and its relatives: each subscribed client has a connection of its own to a node.

All channels and patterns have one home, the owner of slot 0; PUBLISH and PUBSUB go there, too (`proxy.handlers`), so a
publisher is told of every receiver that came through a proxy, as one Redis would tell it. The nodes carry messages on
to each other, so publishers and subscribers that talk to nodes directly take part all the same. Shard channels live
where their slot lives, and one client's must all be on one node.

What the node says is passed on frame by frame. When that connection breaks, or the node ends a subscription because a
slot has left it, the client's is closed, too: messages may have been missed, and a client of one Redis learns of that
in just this way.
"""

from __future__ import annotations

import asyncio
import re

from proxy.redirections import Moved, read_redirection
from proxy.routing import CROSSSLOT, Route
from proxy.session import BLOCKED, ProxySession
from proxy.slot_map import Address
from proxy.topology import Topology
from proxy.upstream import Link
from wire.encoder import encode_command, encode_error
from wire.errors import Error
from wire.pubsub import update_mask
from wire.reply import Push

HOME_SLOT = 0

# Between two attempts to find a node that takes the subscription.
_RETRY_S = 0.1
_CONFIRMATION = re.compile(rb"[*>]3\r\n\$\d+\r\n[ps]?(?:un)?subscribe\r\n")
_SHARD_CHANNEL_ENDS = re.compile(rb"[*>]3\r\n\$12\r\nsunsubscribe\r\n\$(\d+)\r\n")


class Subscription:
    """One subscribed connection, of one client."""

    __slots__ = (
        "_argv",
        "_hold_s",
        "_loop",
        "_topology",
        "confirmed",
        "deadline",
        "expected",
        "link",
        "session",
        "slot",
    )

    def __init__(self, session: ProxySession, slot: int, topology: Topology, hold_ms: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._topology = topology
        # The command whose confirmations are still to come.
        self._argv: list[bytes] = []
        self.session = session
        # Its owner is the node.
        self.slot = slot
        self.link: Link | None = None
        # Confirmations to come; the client's next commands wait for them.
        self.expected = 0
        # The node has confirmed something: from now on a broken connection ends the client's.
        self.confirmed = False
        # When the node must have answered.
        self.deadline = 0.0
        self._hold_s = hold_ms / 1000

    @property
    def address(self) -> Address | None:
        """The node that has, or would get, this subscription."""
        if self.link is not None:
            return self.link.address
        shared = self.session.lane.by_slot[self.slot]
        return shared.address if shared is not None else None

    def ask(self, argv: list[bytes], expected: int) -> None:
        """Send a command that will be confirmed `expected` times."""
        self._argv = argv
        self.expected = expected
        self.deadline = self._loop.time() + self._hold_s
        self.session.pause(BLOCKED)
        self._send()

    def close(self) -> None:
        if self.link is not None:
            self.session.private.pop(self.link, None)
            self.link.on_lost = None
            self.link.close()
            self.link = None

    def _send(self) -> None:
        session = self.session
        if not session.open:
            return
        if self.link is None:
            address = self.address
            if address is None:
                self._again("nobody serves its slot")
                return
            link = self.link = session.lane.borrow(address)
            session.private[link] = None
            link.stream = self._frames
            link.on_lost = self._lost
        if not self.link.post(encode_command(self._argv)):
            self._lost(f"{self.link.address} cannot be reached")

    def _frames(self, frames: list[bytes]) -> None:
        """Whole frames from the node: messages, confirmations, errors."""
        session = self.session
        for frame in frames:
            if self._ended(frame):
                session.drop()
                return
            if self.expected:
                if frame.startswith(b"-"):
                    if self._refused(frame):
                        return
                elif _CONFIRMATION.match(frame):
                    self.confirmed = True
                    self.expected -= 1
            session.out.append(frame)
        session.wake()
        if not self.expected:
            session.unpause(BLOCKED)

    def _ended(self, frame: bytes) -> bool:
        """Whether the node has ended a subscription that the client means to keep."""
        told = _SHARD_CHANNEL_ENDS.match(frame)
        if told is None:
            return False
        channel = frame[told.end() : told.end() + int(told[1])]
        return channel in self.session.shard_channels

    def _refused(self, error: bytes) -> bool:
        """One error stands for all confirmations of a command. True when the command was sent elsewhere instead."""
        assert self.link is not None
        redirection = read_redirection(error[1:-2], self.link.address)
        if redirection is not None and not self.confirmed:
            if isinstance(redirection, Moved):
                self._topology.moved(redirection.slot, redirection.address)
            self._again(error[1:-2].decode(errors="replace"))
            return True
        self.expected = 0
        return False

    def _lost(self, why: str) -> None:
        if self.confirmed:
            self.session.drop()
        else:
            self._again(why)

    def _again(self, why: str) -> None:
        """Try another time, perhaps elsewhere, as long as the deadline allows."""
        self.close()
        if self._loop.time() < self.deadline:
            self._topology.refresh()
            self._loop.call_later(_RETRY_S, self._send)
            return
        self.expected = 0
        session = self.session
        session.out.append(encode_error(b"CLUSTERDOWN not subscribed: " + why.encode()))
        for names in (session.channels, session.patterns, session.shard_channels):
            names.clear()
        update_mask(session)
        session.wake()
        session.unpause(BLOCKED)


class Subscriptions:
    """The commands; each is a handler of the service."""

    __slots__ = ("_hold_ms", "_topology")

    def __init__(self, topology: Topology, hold_ms: int) -> None:
        self._topology = topology
        self._hold_ms = hold_ms

    def change(self, session: ProxySession, argv: list[bytes], route: Route) -> None:
        """Any of the six commands. After everything before it: its confirmations come on another connection."""
        if route.name in ("ssubscribe", "sunsubscribe"):
            try:
                slot = route.slot(argv)
            except Error as error:
                session.answer(error)
                return
        else:
            slot = HOME_SLOT
        session.when_idle(lambda: self._change(session, argv, route.name, slot))

    def _change(self, session: ProxySession, argv: list[bytes], name: str, slot: int | None) -> None:
        sharded = name in ("ssubscribe", "sunsubscribe")
        channels = session.channels, session.patterns, session.shard_channels
        own = channels[2] if sharded else channels[1] if name.startswith("p") else channels[0]
        subscription = session.shard_subscription if sharded else session.subscription
        if subscription is None:
            if name.endswith("unsubscribe"):
                self._confirm_nothing(session, argv, name)
                return
            assert slot is not None
            subscription = Subscription(session, slot, self._topology, self._hold_ms)
            if sharded:
                session.shard_subscription = subscription
            else:
                session.subscription = subscription
        elif sharded and slot is not None:
            shared = session.lane.by_slot[slot]
            if shared is not None and shared.address != subscription.address:
                session.answer(Error(CROSSSLOT))
                return
        names = argv[1:]
        expected = len(names)
        if name.endswith("unsubscribe"):
            expected = expected or max(len(own), 1)
            for channel in names or list(own):
                own.pop(channel, None)
        else:
            own.update(dict.fromkeys(names))
        update_mask(session)
        subscription.ask(argv, expected)

    def reset(self, session: ProxySession) -> None:
        """No subscriptions any more (RESET)."""
        for subscription in (session.subscription, session.shard_subscription):
            if subscription is not None:
                subscription.close()
        session.subscription = session.shard_subscription = None
        for names in (session.channels, session.patterns, session.shard_channels):
            names.clear()
        update_mask(session)

    def _confirm_nothing(self, session: ProxySession, argv: list[bytes], name: str) -> None:
        """Unsubscribing from what one is not subscribed to is confirmed all the same."""
        count = len(session.shard_channels) if name == "sunsubscribe" else session.subscriptions
        channels: list[bytes | None] = [*argv[1:]] or [None]
        for channel in channels:
            session.answer(Push((name.encode(), channel, count)))
