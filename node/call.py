"""What a node's handler is given: the arguments, the selected database, and the parts of the node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from node.session import ELSEWHERE, NodeSession
from wire.call import CallOf
from wire.errors import Error
from wire.table import Command

if TYPE_CHECKING:
    from node.database import Database
    from node.keyspace import Keyspace
    from node.node import Node


class Call(CallOf[NodeSession]):
    """A command being run by a node; one object a session, see `wire.call`."""

    __slots__ = ("db", "keyspace", "node", "rewritten")

    def __init__(self, node: Node, session: NodeSession) -> None:
        super().__init__(node.front, session)
        self.node = node
        self.keyspace: Keyspace = node.keyspace
        # The selected database.
        self.db: Database = node.keyspace.database(0)
        # The command gave its own effects to propagate: the request itself is not passed on.
        self.rewritten = False

    def reset(self) -> None:
        session = self.session
        if session.from_master or session.replica is not None:
            raise Error(b"ERR can only reset normal client connections")
        session.end_transaction()
        session.asking = False
        session.readonly = False
        self.node.monitor.remove(session)
        self.node.tracking.stop(session)
        self.select(0)
        super().reset()

    def select(self, index: int) -> None:
        """Select a database; raises IndexError beyond the configured count."""
        self.db = self.keyspace.database(index)
        session = self.session
        session.mask = session.mask | ELSEWHERE if index else session.mask & ~ELSEWHERE

    @property
    def may_block(self) -> bool:
        """Whether the command may wait: not in a transaction or a script, nor in our master's stream.

        There it answers at once what it would answer after its timeout.
        """
        return self.session.connection is not None and self.session.transaction is None

    def propagate(self, *argv: bytes) -> None:
        """Have replicas and the log repeat this command instead of the request; may be called several times."""
        self.rewritten = True
        self.keyspace.effects.append((self.db.index, argv))

    def propagate_nothing(self) -> None:
        """The request changed the data but is not to be repeated."""
        self.rewritten = True

    def published(self, channel: bytes, message: bytes, *, sharded: bool) -> None:
        """In a cluster the bus carries a message to the other nodes; alone, the stream carries it to the replicas."""
        relay = self.node.relay_message
        if relay is None:
            self.propagate(*self.argv)
        else:
            relay(channel, message, sharded)

    def notify(self, kind: int, event: bytes, key: bytes) -> None:
        """A keyspace event of class `kind` (`node.notifications`)."""
        notifier = self.keyspace.notifier
        if notifier.flags:
            notifier.notify(kind, event, key, self.db.index)


class Conclude(Protocol):
    """Ends a command that was parked in the middle of its work (`Executor.conclude`)."""

    def __call__(self, call: Call, command: Command, argv: list[bytes], *, changed: bool) -> None: ...
