"""The broker: who listens to which channel, pattern or shard channel, and delivery to them.

Channels are one space per process, whatever database a client has selected. Delivery is in order of subscribing.
"""

from __future__ import annotations

from collections.abc import Callable

from wire.glob import matcher, matches
from wire.reply import Push
from wire.session import LISTENING, SUBSCRIBED, Session

_Listeners = dict[bytes, dict[Session, None]]


class Broker:
    """Subscriptions of one process."""

    __slots__ = ("_matchers", "channels", "patterns", "shard_channels")

    def __init__(self) -> None:
        self.channels: _Listeners = {}
        self.patterns: _Listeners = {}
        # Of each pattern what tells whether a channel matches it, in the same order.
        self._matchers: dict[bytes, Callable[[bytes], object]] = {}
        self.shard_channels: _Listeners = {}

    def subscribe(self, session: Session, channel: bytes) -> None:
        _add(self.channels, session.channels, session, channel)

    def unsubscribe(self, session: Session, channel: bytes) -> None:
        _remove(self.channels, session.channels, session, channel)

    def psubscribe(self, session: Session, pattern: bytes) -> None:
        if pattern not in self._matchers:
            self._matchers[pattern] = matcher(pattern)
        _add(self.patterns, session.patterns, session, pattern)

    def punsubscribe(self, session: Session, pattern: bytes) -> None:
        _remove(self.patterns, session.patterns, session, pattern)
        if pattern not in self.patterns:
            self._matchers.pop(pattern, None)

    def ssubscribe(self, session: Session, channel: bytes) -> None:
        _add(self.shard_channels, session.shard_channels, session, channel)

    def sunsubscribe(self, session: Session, channel: bytes) -> None:
        _remove(self.shard_channels, session.shard_channels, session, channel)

    def end_shard_channel(self, channel: bytes) -> None:
        """The channel is not here any more: unsubscribe everybody, and tell them."""
        for session in list(self.shard_channels.get(channel, ())):
            self.sunsubscribe(session, channel)
            session.push(Push((b"sunsubscribe", channel, len(session.shard_channels))))

    def forget(self, session: Session) -> None:
        """The client is gone (or RESET): end all its subscriptions."""
        for channel in list(session.channels):
            self.unsubscribe(session, channel)
        for pattern in list(session.patterns):
            self.punsubscribe(session, pattern)
        for channel in list(session.shard_channels):
            self.sunsubscribe(session, channel)

    def publish(self, channel: bytes, message: bytes) -> int:
        """Deliver to the channel's subscribers and to matching patterns; returns how many received it."""
        received = 0
        listeners = self.channels.get(channel)
        if listeners:
            for session in list(listeners):
                session.push(Push((b"message", channel, message)))
            received += len(listeners)
        for pattern in [pattern for pattern, matches_it in self._matchers.items() if matches_it(channel)]:
            sessions = list(self.patterns.get(pattern, ()))
            for session in sessions:
                session.push(Push((b"pmessage", pattern, channel, message)))
            received += len(sessions)
        return received

    def spublish(self, channel: bytes, message: bytes) -> int:
        """Deliver to the shard channel's subscribers; returns how many received it."""
        listeners = self.shard_channels.get(channel, {})
        for session in list(listeners):
            session.push(Push((b"smessage", channel, message)))
        return len(listeners)

    def matching(self, pattern: bytes | None, *, shard: bool = False) -> list[bytes]:
        """Channels that somebody listens to by name (PUBSUB CHANNELS)."""
        table = self.shard_channels if shard else self.channels
        return [channel for channel in table if pattern is None or matches(pattern, channel)]


def update_mask(session: Session) -> None:
    """A RESP2 connection with any subscription may send only a few commands; one of RESP3 may publish to itself."""
    session.mask &= ~(SUBSCRIBED | LISTENING)
    if session.channels or session.patterns or session.shard_channels:
        session.mask |= SUBSCRIBED if session.proto == 2 else LISTENING


def _add(table: _Listeners, own: dict[bytes, None], session: Session, name: bytes) -> None:
    own[name] = None
    table.setdefault(name, {})[session] = None
    update_mask(session)


def _remove(table: _Listeners, own: dict[bytes, None], session: Session, name: bytes) -> None:
    if name not in own:
        return
    del own[name]
    listeners = table[name]
    del listeners[session]
    if not listeners:
        del table[name]
    update_mask(session)
