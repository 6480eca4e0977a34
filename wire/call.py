"""What a command's handler is given.

One `Call` lives as long as its session and is used for every command of it: making one per command would cost
more than many commands do. A kind of server extends it with what its own commands need.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from wire.front import Front
from wire.reply import PARKED, Reply
from wire.session import MUTED, SUBSCRIBED, Session
from wire.table import Command

S = TypeVar("S", bound=Session)


class CallOf(Generic[S]):
    """A command being run, of one kind of session."""

    __slots__ = ("argv", "command", "front", "session")

    command: Command

    def __init__(self, front: Front, session: S) -> None:
        # The parts that every kind of server has.
        self.front = front
        self.session = session
        # The command's arguments, its name first. A handler that parks must copy what it needs of them.
        self.argv: list[bytes] = []

    def published(self, channel: bytes, message: bytes, *, sharded: bool) -> None:
        """The command published `message` here; a server that knows of subscribers elsewhere carries it to them."""

    def reset(self) -> None:
        """RESET: the connection becomes what it was when it was opened. A kind of server adds what it keeps itself."""
        session, front = self.session, self.front
        front.broker.forget(session)
        session.proto = 2
        session.name = b""
        session.user = "default"
        session.replies_off = False
        session.skip_replies = 0
        session.mask &= ~(MUTED | SUBSCRIBED)
        front.admit(session)

    def park(self) -> Reply:
        """Block the client: its answer comes by `session.answer_later`. Return what this returns."""
        self.session.parked = True
        return PARKED


# For the connection's own commands, which any kind of server has.
Call = CallOf[Session]
