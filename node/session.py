"""A node's client: a session with a database, a transaction, and its standing in the cluster."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING

from wire.connection import Connection
from wire.errors import Error
from wire.reply import Reply
from wire.session import CLOSING, FIRST_FREE, IN_MULTI, SUBSCRIPTION_BYTES, Session
from wire.table import Command

if TYPE_CHECKING:
    from node.call import Call
    from node.database import Database
    from node.replication.peer import ReplicaPeer


# Of `Session.mask`, and in no gate: another database than the first is selected.
ELSEWHERE = 1 << FIRST_FREE + 12


class Debugging(Enum):
    """How a client wants its scripts debugged."""

    FORKED = "yes"
    SYNCHRONOUS = "sync"


class Transaction:
    """What a client has queued since MULTI."""

    __slots__ = ("aborted", "all_flags", "any_flags", "queue", "size")

    def __init__(self) -> None:
        self.queue: list[tuple[Command, list[bytes]]] = []
        # The flags that any of the commands has, and those that all have, by what scripts say of themselves.
        self.any_flags = 0
        self.all_flags = -1
        # A command was refused while queueing: EXEC will run none.
        self.aborted = False
        # Bytes of the arguments.
        self.size = 0

    def add(self, command: Command, argv: list[bytes], flags: int) -> None:
        self.queue.append((command, argv))
        self.any_flags |= flags
        self.all_flags &= flags
        self.size += sum(map(len, argv))


class Tracked:
    """What a client asked for with CLIENT TRACKING."""

    __slots__ = ("broadcast", "broken", "caching", "no_loop", "opt_in", "opt_out", "prefixes", "redirect")

    def __init__(self) -> None:
        # BCAST: told of every change of keys with these prefixes; otherwise of what it has read.
        self.broadcast = False
        self.prefixes: dict[bytes, None] = {}
        # Only what it reads after CLIENT CACHING YES, or all but what it reads after CLIENT CACHING NO.
        self.opt_in = False
        self.opt_out = False
        # What CLIENT CACHING said of the next command.
        self.caching: bool | None = None
        # Not told of what it changes itself.
        self.no_loop = False
        # The client that is told in its place; 0: itself. Broken when that one is gone.
        self.redirect = 0
        self.broken = False

    @property
    def remembers(self) -> bool:
        """Whether what the command reads is to be remembered."""
        if self.opt_in:
            return self.caching is True
        return not (self.opt_out and self.caching is False)


class NodeSession(Session):
    """State of one client of a node."""

    __slots__ = (
        "_measured",
        "_measured_pieces",
        "asking",
        "broken",
        "call",
        "debugging",
        "from_master",
        "hang_up",
        "has_let_others",
        "in_script",
        "monitoring",
        "parked_at_ns",
        "postponed",
        "readonly",
        "replica",
        "tracked",
        "transaction",
        "watched",
        "write_offset",
    )

    # For the compiler: `end` takes it away.
    __deletable__ = ("call",)

    call: Call

    def __init__(self, id: int, connection: Connection | None, now_ms: int) -> None:
        super().__init__(id, connection, now_ms)
        # MULTI under way.
        self.transaction: Transaction | None = None
        # Watched keys with their database, and whether each was alive when it was watched: neither missing nor expired.
        self.watched: dict[tuple[Database, bytes], bool] = {}
        # A watched key was touched: EXEC runs nothing and answers null.
        self.broken = False
        # ASKING: the next command may use a slot that is being imported. READONLY: reads are served by a replica.
        self.asking = False
        self.readonly = False
        # SCRIPT DEBUG: its next script is debugged, in a process of its own or here.
        self.debugging: Debugging | None = None
        # MONITOR.
        self.monitoring = False
        # When the command began that has parked it.
        self.parked_at_ns = 0
        # Of `out`: how many pieces have been measured, and their bytes.
        self._measured_pieces = 0
        self._measured = 0
        # Parked by a pause: its next command runs when the pause ends.
        self.postponed = False
        # Its CLIENT LIST has waited until everybody else was heard, and runs next.
        self.has_let_others = False
        # CLIENT TRACKING.
        self.tracked: Tracked | None = None
        # Scripts' commands run as this client.
        self.in_script = False
        # This session applies our master's stream.
        self.from_master = False
        # For our master's session, which has no connection of a listener: ends its link.
        self.hang_up: Callable[[], None] | None = None
        # Set once the client turned out to be a replica (PSYNC).
        self.replica: ReplicaPeer | None = None
        # The replication offset behind this client's last write: what WAIT waits for.
        self.write_offset = 0

    @property
    def kind(self) -> str:
        """normal, pubsub, replica or master; a monitor counts as a replica, as in Redis."""
        if self.from_master:
            return "master"
        if self.replica is not None or self.monitoring:
            return "replica"
        return super().kind

    @property
    def flags(self) -> str:
        letters = "M" if self.from_master else "O" if self.monitoring else "S" if self.replica is not None else ""
        letters += super().flags.removeprefix("N")
        letters += "x" if self.transaction is not None else ""
        letters += "d" if self.broken else ""
        if self.tracked is not None:
            letters += "t" + ("R" if self.tracked.broken else "") + ("B" if self.tracked.broadcast else "")
        return (letters + "r" if self.readonly else letters) or "N"

    @property
    def database(self) -> int:
        return self.call.db.index

    @property
    def queued(self) -> int:
        return -1 if self.transaction is None else len(self.transaction.queue)

    @property
    def queued_bytes(self) -> int:
        return 0 if self.transaction is None else self.transaction.size

    @property
    def noted_bytes(self) -> int:
        prefixes = 0 if self.tracked is None else len(self.tracked.prefixes)
        return super().noted_bytes + SUBSCRIPTION_BYTES * (len(self.watched) + prefixes)

    @property
    def redirection(self) -> int:
        return -1 if self.tracked is None else self.tracked.redirect

    def in_limit(self) -> bool:
        """Whether what waits to be sent is within `client-output-buffer-limit`; looks only at what is new."""
        out = self.out
        if len(out) < self._measured_pieces:
            # It has been sent.
            self._measured_pieces = self._measured = 0
        self._measured += sum(map(len, out[self._measured_pieces :]))
        self._measured_pieces = len(out)
        unsent = self._measured + (self.connection.pending_output if self.connection is not None else 0)
        return not self.call.node.service.output_limits.is_hard(self, unsent)

    def collected(self, size: int) -> None:
        limits = self.call.node.service.output_limits
        if limits.is_hard(self, size):
            limits.drop(self)

    def buffered(self) -> None:
        self.call.node.buffers.note(self)

    def answer_later(self, reply: Reply) -> None:
        """See `Session`; an error counts for INFO like one that came at once."""
        if type(reply) is Error:
            self.call.command.failed_calls += 1
            self.call.node.executor.aftermath.count(reply)
        super().answer_later(reply)
        if self.mask & CLOSING and self.connection is None:
            self.end()

    def end(self) -> None:
        """The client is gone, and every part has forgotten it; what is still at work for it ends it by its answer.

        It and its call hold each other, and a server's collector of garbage does not come to what lived for long
        (`runtime.process`): they would stay for ever.
        """
        if self.unblock is not None or self.postponed:
            # It waited for what nobody will tell it any more.
            self.unblock = None
            self.parked = False
        if not self.parked:
            del self.call

    def drop(self) -> None:
        """See `Session`; for our master's session, break the link."""
        if self.hang_up is not None:
            self.hang_up()
        elif self.connection is not None:
            super().drop()
            # The loop says so later that the connection is gone; nobody is to meet this client until then.
            self.call.node.clients.remove(self)

    def begin(self) -> None:
        """MULTI."""
        self.transaction = Transaction()
        self.mask |= IN_MULTI

    def end_transaction(self) -> None:
        """EXEC, DISCARD or RESET: nothing is queued or watched any more."""
        self.transaction = None
        self.mask &= ~IN_MULTI
        self.unwatch()

    def unwatch(self) -> None:
        for database, key in self.watched:
            database.unwatch(key, self)
        self.watched.clear()
        self.broken = False

    def touched(self, database: Database, key: bytes, *, gone: bool) -> None:
        """A watched key was changed. One that was not alive at WATCH and is not now is the same for this client."""
        if not gone or self.watched[database, key]:
            self.broken = True

    def watch_broken(self) -> bool:
        """Whether a watched key changed: touched since, or alive at WATCH and logically expired by now."""
        if self.broken:
            return True
        return any(was_alive and database.is_expired(key) for (database, key), was_alive in self.watched.items())
