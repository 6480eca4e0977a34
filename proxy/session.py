"""One client of the proxy: the order of its replies, and what holds its next commands back.

Replies must come in the order of the requests, though the nodes they come from know nothing of each other. Each
request, or run of requests to one node, has a place in `waiting`; the first place writes straight through to the
client, later ones keep their replies until it is their turn. With one node nothing is reordered and nothing is kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from proxy.lanes import Lane
from proxy.upstream import Link
from wire.call import CallOf
from wire.connection import Connection
from wire.encoder import encode
from wire.reply import Reply
from wire.session import CLOSING, FIRST_FREE, MUTED, Session
from wire.turn import Turn

if TYPE_CHECKING:
    from proxy.errands import Errand, Errands
    from proxy.subscriptions import Subscription
    from proxy.transactions import Transaction

# A condition of the session, as in `wire.session`: it has a connection of its own on which keys are watched.
WATCHING = 1 << FIRST_FREE

# Why the client's next commands wait: bits of `ProxySession.pauses`.
HELD = 1  # a request is being tried again, and what comes behind must not overtake it
DRAINING = 2  # a command waits until everything before it has been answered
BLOCKED = 4  # a command that may take as long as it likes
FULL = 8  # too much has been sent and not answered
UNREAD = 16  # the client does not read its replies
UNLEARNED = 32  # a command of which nobody has said yet how it is to be handled
# Reasons for not even reading from the client. Not for blocked ones: their going away must be noticed.
_UNHEARD = HELD | FULL | UNREAD

# Bytes of requests under way before a client has to wait, and at which it may go on. Each command weighs something by
# itself, because its reply may be large however small it is; so a client has at most a thousand under way.
WEIGHT_MAX = 4 * 1024 * 1024
COMMAND_WEIGHT = 4096
_WEIGHT_LOW = WEIGHT_MAX // 2


class Answer:
    """A place in a client's queue of replies."""

    __slots__ = ("done", "ready", "session", "size")

    def __init__(self, session: ProxySession, size: int = 0) -> None:
        self.session = session
        # Replies that came before their turn.
        self.ready: list[bytes] | None = None
        # All replies for this place have come.
        self.done = False
        # What the requests behind it weigh.
        self.size = size

    @property
    def in_flight(self) -> bool:
        """Whether replies to forwarded requests are due."""
        return False

    def deliver(self, data: bytes) -> None:
        """A whole reply, or several, for the client."""
        session = self.session
        waiting = session.waiting
        if waiting and waiting[0] is self:
            session.out.append(data)
            session.wake()
        elif self.ready is None:
            self.ready = [data]
        else:
            self.ready.append(data)

    def finish(self, data: bytes = b"") -> None:
        """`data` was the last of it."""
        if data:
            self.deliver(data)
        self.done = True
        waiting = self.session.waiting
        if waiting and waiting[0] is self:
            self.session.advance()


class MutedAnswer(Answer):
    """The place of a command whose reply the client does not want (CLIENT REPLY)."""

    __slots__ = ()

    def deliver(self, data: bytes) -> None:
        pass


class ProxySession(Session):
    """State of one client connection."""

    __slots__ = (
        "_when_idle",
        "call",
        "errands",
        "flying",
        "held",
        "lane",
        "pauses",
        "private",
        "shard_subscription",
        "spoke_to",
        "subscription",
        "transaction",
        "turn",
        "waiting",
        "watching",
        "weight",
    )

    def __init__(self, id: int, connection: Connection, now_ms: int, lane: Lane, turn: Turn, errands: Errands) -> None:
        super().__init__(id, connection, now_ms)
        self.turn = turn
        self.errands = errands
        # For commands that the proxy answers itself.
        self.call: CallOf[ProxySession]
        # The links its commands travel on: one lane for each protocol and set of credentials.
        self.lane = lane
        # Requests not answered yet, in order.
        self.waiting: deque[Answer] = deque()
        # What the requests in `waiting` weigh.
        self.weight = 0
        # Requests to be tried again, in order, and how many that the proxy carries itself are under way.
        self.held: list[Errand] = []
        self.flying = 0
        # Why the next commands wait (bits above).
        self.pauses = 0
        # To be done when `waiting` has emptied.
        self._when_idle: Callable[[], None] | None = None
        # MULTI without its EXEC.
        self.transaction: Transaction | None = None
        # The private link on which keys are watched.
        self.watching: Link | None = None
        # The private connections on which this client is subscribed, to channels and patterns and to shard channels.
        self.subscription: Subscription | None = None
        self.shard_subscription: Subscription | None = None
        # Every private link in use, to be closed with the client.
        self.private: dict[Link, None] = {}
        # Links this client has sent anything on: the nodes that WAIT asks.
        self.spoke_to: dict[Link, None] = {}

    @property
    def open(self) -> bool:
        return self.connection is not None

    @property
    def owed(self) -> bool:
        return bool(self.waiting)

    def wake(self) -> None:
        """There is output: it leaves at the end of the turn."""
        if self.connection is not None:
            self.turn.reply(self.connection)

    def answer(self, reply: Reply) -> None:
        """Answer a command without any node's help, in its turn."""
        data = encode(reply, self.proto)
        if self.waiting:
            self.place().finish(data)
        elif not self.mask & MUTED:
            self.out.append(data)
            self.wake()

    def place(self) -> Answer:
        """The next place in the queue."""
        place = MutedAnswer(self) if self.mask & MUTED else Answer(self)
        self.waiting.append(place)
        return place

    def advance(self) -> None:
        """The first place is done: go on to the next that is not."""
        waiting = self.waiting
        self.weight -= waiting.popleft().size
        while waiting:
            head = waiting[0]
            if head.ready is not None:
                self.out += head.ready
                head.ready = None
                self.wake()
            if not head.done:
                break
            self.weight -= waiting.popleft().size
        if self.pauses:
            if self.pauses & FULL and self.weight <= _WEIGHT_LOW:
                self.unpause(FULL)
            if not waiting and self._when_idle is not None:
                action, self._when_idle = self._when_idle, None
                action()
                self.unpause(DRAINING)

    def replace(self, place: Answer, others: list[Answer]) -> None:
        """Put `others` where `place` was."""
        waiting = self.waiting
        at = waiting.index(place)
        self.waiting = deque([*list(waiting)[:at], *others, *list(waiting)[at + 1 :]])
        self.weight -= place.size
        if at == 0 and self.waiting:
            # A place in front of the first one, already empty: `advance` takes it away and looks at what follows.
            self.waiting.appendleft(Answer(self))
            self.advance()

    def when_idle(self, action: Callable[[], None]) -> None:
        """Do `action` once everything before it has been answered; the commands behind it wait that long."""
        assert self._when_idle is None, "two commands wait for silence"
        if not self.waiting:
            action()
        else:
            self._when_idle = action
            self.pause(DRAINING)

    def pause(self, reason: int) -> None:
        """Run no more commands of this client until `unpause`."""
        self.pauses |= reason
        self.parked = True
        if reason & _UNHEARD and self.connection is not None:
            self.connection.transport.pause_reading()

    def unpause(self, reason: int) -> None:
        """One reason to wait is gone."""
        if not self.pauses & reason:
            return
        self.pauses &= ~reason
        connection = self.connection
        if connection is None:
            return
        if not self.pauses & _UNHEARD:
            connection.transport.resume_reading()
        if not self.pauses:
            self.parked = False
            connection.resume()

    def close(self) -> None:
        """Close the connection once everything asked so far has been answered; a blocked command is not waited for,
        because who has gone would otherwise be given an element of a list."""
        if not self.waiting or self.pauses & BLOCKED:
            super().close()
            return
        connection = self.connection
        broken = connection is not None and connection.decoder.error is not None
        if broken and self.out and not self.mask & CLOSING:
            # The connection has just put the protocol error behind the replies that were there; more come before it.
            self.place().finish(self.out.pop())
        self.mask |= CLOSING
        before, last = self._when_idle, self.close

        def finish() -> None:
            if before is not None:
                before()
            last()

        self._when_idle = finish
        self.pause(DRAINING)

    def forget_everything(self) -> None:
        """The client has gone."""
        self.waiting.clear()
        self._when_idle = None
        self.transaction = None
        self.watching = None
        for link in list(self.private):
            link.close()
        self.private.clear()
