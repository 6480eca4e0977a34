"""The parts that every server speaking RESP has here: node, sentinel and proxy are built around one.

The connection's own commands (`wire.commands`) work on a Front and a Session alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from runtime.clock import Clock
from wire.clients import Clients
from wire.pubsub import Broker
from wire.session import NEEDS_AUTH, Session
from wire.table import CommandTable


class Identity(Protocol):
    """What HELLO says of the server."""

    @property
    def mode(self) -> str:
        """ "standalone", "cluster" or "sentinel"."""
        ...

    def role(self) -> str | None:
        """ "master" or "replica"; None where HELLO names no role (a sentinel)."""
        ...


# The Redis version whose behaviour this server has; clients choose features by it.
REDIS_VERSION = "7.0.15"
# Our own.
SHARDLAB_VERSION = "0.1.0"


class Credentials(Protocol):
    """Who may come in."""

    @property
    def needed(self) -> bool:
        """Whether a new client must authenticate."""
        ...

    @property
    def has_password(self) -> bool:
        """Whether the default user has one."""
        ...

    def exists(self, name: bytes) -> bool:
        """Whether there is an account of that name."""
        ...

    def accept(self, session: Session, name: bytes, password: bytes, command: bytes) -> bool:
        """Whether `password` opens the account `name` for a client that sent this command (AUTH, HELLO)."""
        ...

    def admitted(self, session: Session) -> None:
        """The client is somebody else now: `Session.user`."""
        ...


class Password:
    """One account, the default user's, with one password or none (`requirepass`)."""

    __slots__ = ("password",)

    def __init__(self, password: bytes = b"") -> None:
        self.password = password

    @property
    def needed(self) -> bool:
        return bool(self.password)

    @property
    def has_password(self) -> bool:
        return bool(self.password)

    def exists(self, name: bytes) -> bool:
        return name == b"default"

    def accept(self, session: Session, name: bytes, password: bytes, command: bytes) -> bool:  # noqa: ARG002
        """The default user without a password takes any."""
        return name == b"default" and (not self.password or password == self.password)

    def admitted(self, session: Session) -> None:
        """Whoever is in may do everything."""


@dataclass(slots=True)
class Front:
    """The common parts, by name."""

    clock: Clock
    clients: Clients[Any]
    broker: Broker
    table: CommandTable
    credentials: Credentials
    identity: Identity

    def admit(self, session: Session) -> None:
        """A new client, or one that begins anew: it must authenticate first when a password is set."""
        self.credentials.admitted(session)
        if self.credentials.needed:
            session.mask |= NEEDS_AUTH
            if session.connection is not None:
                session.connection.limit(True)

    def authenticated(self, session: Session, user: str) -> None:
        """The client gave the right password."""
        session.user = user
        session.mask &= ~NEEDS_AUTH
        self.credentials.admitted(session)
        if session.connection is not None:
            session.connection.limit(False)
