"""What the machine knows of its connections to one instance, and of the PINGs that travel on them.

Two connections to a master or replica (commands, and the hello channel), one to another sentinel.
A link to a sentinel is shared by all the masters which both watch. The sockets are `links.py`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sentinel.events import Half

# A link with this many unanswered commands gets no more periodic ones: an instance that stopped reading would
# otherwise be sent an endless backlog when it wakes.
MAX_PENDING = 100


@dataclass(slots=True)
class Wire:
    """One half of a link."""

    # When the connection came up; None while it is down.
    connected_at: int | None = None
    # Whether an attempt is under way.
    opening: bool = False
    # When the last attempt began.
    tried_at: int | None = None
    # When a hello last came on it, or it came up.
    heard_at: int = 0


@dataclass(slots=True, eq=False)
class Link:
    """The link to one instance."""

    # Names the link in events and effects.
    number: int
    created_at: int
    # Whether there is a hello channel to listen to at the other end.
    listens: bool
    # Until when silence is no reason to call the instance down; its first reply, to whatever, ends that.
    judged_from: int
    # How many masters share it.
    references: int = 1
    # Requests sent and not answered.
    pending: int = 0
    # Our own address on it.
    local_ip: str = ""
    # When the last PING was sent, and when any reply to one last came.
    pinged_at: int | None = None
    ponged_at: int = field(init=False)
    # When the last reply came that means "alive".
    alive_at: int = field(init=False)
    # Since when we wait for such a reply: the oldest PING without one, and, from the loss of the connection, the last
    # sign of life. It survives a reconnection, so an instance that accepts connections and says nothing stays silent.
    silent_since: int | None = field(init=False)
    command: Wire = field(default_factory=Wire)
    pubsub: Wire = field(default_factory=Wire)

    def __post_init__(self) -> None:
        # An instance that never answers at all is silent since we first heard of it.
        self.alive_at = self.ponged_at = self.created_at
        self.silent_since = self.created_at

    @property
    def up(self) -> bool:
        return self.command.connected_at is not None

    @property
    def whole(self) -> bool:
        """Whether every connection of it is up: one that refuses us the hello channel is not connected, for people."""
        return self.up and (not self.listens or self.pubsub.connected_at is not None)

    @property
    def accepts_periodic(self) -> bool:
        return self.command.connected_at is not None and self.pending < MAX_PENDING * self.references

    @property
    def was_alive(self) -> bool:
        """Whether the instance has been seen alive since we know of it."""
        return self.alive_at > self.created_at

    def half(self, half: Half) -> Wire:
        return self.command if half is Half.COMMAND else self.pubsub

    def connected(self, half: Half, now: int) -> None:
        wire = self.half(half)
        wire.connected_at = wire.heard_at = now
        wire.opening = False

    def disconnected(self, half: Half) -> None:
        wire = self.half(half)
        wire.connected_at = None
        wire.opening = False
        if half is Half.COMMAND:
            self.pending = 0
            if self.silent_since is None:
                self.silent_since = self.alive_at

    def answered(self, now: int) -> None:
        """A request was answered."""
        self.pending = max(0, self.pending - 1)
        if self.judged_from > now:
            # It has come up: from here on it is measured like everybody.
            self.judged_from = now
            self.silent_since = now

    @property
    def greeted(self) -> bool:
        """Whether a PING was sent on the connection that is up now."""
        connected_at = self.command.connected_at
        return connected_at is not None and self.pinged_at is not None and self.pinged_at >= connected_at

    def pinged(self, now: int) -> None:
        self.pinged_at = now
        if self.silent_since is None:
            self.silent_since = now

    def ponged(self, now: int, *, alive: bool) -> None:
        self.ponged_at = now
        if alive:
            self.alive_at = now
            self.silent_since = None
