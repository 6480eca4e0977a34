"""Why a command may not run now: conditions as bits, refusals as one ordered list in Redis' own words.

Each session carries the conditions that hold for it in one integer (`Session.mask`), those of the whole node
included; each command has the set of conditions that concern it (`gates_of`). No common bit: it runs at once.
Otherwise `Gatekeeper.refuse` walks the list, which is in the order in which Redis checks (fact sheet on RESP,
section 4).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from node.session import NodeSession
from wire.clients import Clients
from wire.command import (
    ADMIN,
    ALLOW_BUSY,
    DENYOOM,
    IN_SUBSCRIPTION,
    MAY_REPLICATE,
    NO_ASYNC_LOADING,
    NO_AUTH,
    NO_MULTI,
    SKIP_MONITOR,
    UNQUEUED,
    WRITE,
    CommandSpec,
)
from wire.command import (
    LOADING as WHILE_LOADING,
)
from wire.command import (
    STALE as WHILE_STALE,
)
from wire.errors import LOADING as LOADING_TEXT
from wire.errors import LOST_DATA, NOAUTH, Error
from wire.session import (
    ALWAYS,
    CLOSING,
    FIRST_FREE,
    IN_MULTI,
    LISTENING,
    MUTED,
    NEEDS_AUTH,
    RESTRICTED,
    SUBSCRIBED,
)
from wire.table import Command

# Conditions of the whole node.
MONITORED = 1 << FIRST_FREE  # somebody runs MONITOR
LOADING = 1 << FIRST_FREE + 1
STALE = 1 << FIRST_FREE + 2  # a replica without its master, told not to serve old data
READ_ONLY = 1 << FIRST_FREE + 3  # a replica
TOO_FEW_REPLICAS = 1 << FIRST_FREE + 4  # `min-replicas-to-write`
DISK_ERROR = 1 << FIRST_FREE + 5  # the last snapshot or log write failed
OUT_OF_MEMORY = 1 << FIRST_FREE + 6  # over `maxmemory` and nothing may be evicted
WRITES_PAUSED = 1 << FIRST_FREE + 7  # CLIENT PAUSE WRITE, a failover under way
ALL_PAUSED = 1 << FIRST_FREE + 8  # CLIENT PAUSE ALL
STANDS_BACK = 1 << FIRST_FREE + 9  # a replica has more data than this master: nothing may take it for well
BUSY = 1 << FIRST_FREE + 11  # a script has run for too long
ASYNC_LOADING = 1 << FIRST_FREE + 14  # a copy is being loaded aside, and clients are served from the old data
# Conditions of one session.
TRACKING = 1 << FIRST_FREE + 13  # it wants to know when what it reads changes
MEASURED = 1 << FIRST_FREE + 15  # its replies are measured one by one: its kind has a hard limit of output
ONE_SHOT = 1 << FIRST_FREE + 10  # ASKING holds for the next command only
# What a command does may be pushed to the very client that sends it: EXEC's SUBSCRIBE, even in RESP2.
OWN_PUSHES = LISTENING | TRACKING | IN_MULTI


def gates_of(spec: CommandSpec) -> int:
    """The conditions under which the command must take the slow lane."""
    flags = spec.flags
    gates = MUTED | CLOSING | ALL_PAUSED | ONE_SHOT | TRACKING | MEASURED | LISTENING
    if spec.handler is None or "|" in spec.name:
        gates |= ALWAYS
    if not flags & NO_AUTH:
        gates |= NEEDS_AUTH | RESTRICTED
    if not flags & UNQUEUED or flags & NO_MULTI:
        gates |= IN_MULTI
    if not flags & IN_SUBSCRIPTION:
        gates |= SUBSCRIBED
    if not flags & (SKIP_MONITOR | ADMIN):
        gates |= MONITORED
    if not flags & WHILE_LOADING:
        gates |= LOADING
    if flags & NO_ASYNC_LOADING:
        gates |= ASYNC_LOADING
    if not flags & WHILE_STALE:
        gates |= STALE
    if not flags & ALLOW_BUSY:
        gates |= BUSY
    if flags & WRITE:
        gates |= READ_ONLY | TOO_FEW_REPLICAS
    if flags & WRITE or spec.name == "ping":
        gates |= DISK_ERROR
    if spec.name == "ping":
        gates |= STANDS_BACK
    if flags & DENYOOM or not flags & UNQUEUED:
        gates |= OUT_OF_MEMORY
    if flags & (WRITE | MAY_REPLICATE):
        gates |= WRITES_PAUSED
    if spec.name == "exec":
        # Since the commands were queued, a slot may have moved, the node become a replica or lost its master, or memory
        # run out.
        gates |= IN_MULTI | READ_ONLY | TOO_FEW_REPLICAS | OUT_OF_MEMORY | STALE | LOADING
    return gates


class Conditions:
    """The conditions of the whole node, copied into the mask of every session when one changes."""

    __slots__ = ("_clients", "_disk_errors", "busy", "mask")

    def __init__(self, clients: Clients[NodeSession]) -> None:
        self._clients = clients
        self.mask = ALWAYS
        # The MISCONF text of snapshots and of the log, while they have one: in this order, as in Redis.
        self._disk_errors = {"rdb": b"", "aof": b""}
        # The BUSY text that goes with BUSY.
        self.busy = b""

    def set(self, condition: int, holds: bool) -> None:
        """Switch `condition` on or off for all clients; a replica's stream from its master is not a client."""
        mask = self.mask | condition if holds else self.mask & ~condition
        if mask == self.mask:
            return
        self.mask = mask
        for session in self._clients:
            if not session.from_master:
                session.mask = session.mask | condition if holds else session.mask & ~condition

    @property
    def disk_error(self) -> bytes:
        """The text that goes with DISK_ERROR; empty when there is none."""
        return self._disk_errors["rdb"] or self._disk_errors["aof"]

    def set_disk_error(self, source: str, text: bytes) -> None:
        """Have writes refused with `text` because "rdb" or "aof" cannot be written; empty: it can again."""
        self._disk_errors[source] = text
        self.set(DISK_ERROR, bool(self.disk_error))

    def holds(self, condition: int) -> bool:
        return bool(self.mask & condition)


@dataclass(frozen=True, slots=True)
class Gate:
    """One refusal: the condition it belongs to, what else must be true, and Redis' words."""

    condition: int
    # Given the client, the command, and its flags: those of its script where that declares some.
    refuses: Callable[[NodeSession, Command, int], bool]
    text: Callable[[Command], bytes]


# What a script may declare that it does or needs, other than the command that runs it.
_OF_SCRIPTS = OUT_OF_MEMORY | DISK_ERROR | TOO_FEW_REPLICAS | READ_ONLY | STALE


def _always(*_: object) -> bool:
    return True


def _fixed(text: bytes) -> Callable[[Command], bytes]:
    return lambda command: text


_ONLY_SUBSCRIBERS = (
    b"ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
)


def is_write(session: NodeSession, command: Command, flags: int) -> bool:
    """A write, or EXEC of a transaction that holds one."""
    if command.name == "exec" and session.transaction is not None:
        return bool(session.transaction.any_flags & WRITE)
    return bool(flags & WRITE)


def _unfit(flag: int) -> Callable[[NodeSession, Command, int], bool]:
    """What lacks this flag, and EXEC of a transaction that holds such a command."""

    def refuses(session: NodeSession, command: Command, flags: int) -> bool:
        if command.name == "exec" and session.transaction is not None:
            return not session.transaction.all_flags & flag
        return not flags & flag

    return refuses


def _needs_memory(session: NodeSession, command: Command, flags: int) -> bool:
    """What may need memory, EXEC of it, and whatever is to be queued: Redis 7.0 looks no closer at that."""
    if session.transaction is None:
        return bool(flags & DENYOOM)
    if command.name == "exec":
        return bool(session.transaction.any_flags & DENYOOM)
    return not flags & UNQUEUED


class Gatekeeper:
    """Walks the gates in Redis' order."""

    __slots__ = ("_after_redirection", "_before_redirection", "_conditions", "flags_of", "forbid", "redirect")

    def __init__(self, conditions: Conditions) -> None:
        self._conditions = conditions
        # Where a key of the command belongs to another node; it is given the command's flags, too: set in cluster mode
        # (`node.redirection`).
        self.redirect: Callable[[NodeSession, Command, int, list[bytes]], Error | None] | None = None
        # A command's flags, or what its script says of itself: set where there are scripts (`node.scripting.declared`).
        self.flags_of: Callable[[Command, list[bytes]], int] = lambda command, argv: command.flags
        # Whether a client's user may run a command: set where there are users (`wire.acl`).
        self.forbid: Callable[[NodeSession, Command, list[bytes]], Error | None] | None = None
        self._before_redirection = (
            Gate(NEEDS_AUTH, _always, _fixed(NOAUTH)),
            Gate(
                IN_MULTI,
                lambda session, command, flags: bool(flags & NO_MULTI),
                lambda command: b"ERR Command not allowed inside a transaction",
            ),
        )
        self._after_redirection = (
            Gate(OUT_OF_MEMORY, _needs_memory, _fixed(b"OOM command not allowed when used memory > 'maxmemory'.")),
            Gate(
                DISK_ERROR,
                lambda session, command, flags: bool(flags & WRITE) or command.name == "ping",
                lambda command: conditions.disk_error,
            ),
            Gate(STANDS_BACK, _always, _fixed(LOST_DATA)),
            Gate(TOO_FEW_REPLICAS, is_write, _fixed(b"NOREPLICAS Not enough good replicas to write.")),
            Gate(READ_ONLY, is_write, _fixed(b"READONLY You can't write against a read only replica.")),
            Gate(SUBSCRIBED, _always, lambda command: _ONLY_SUBSCRIBERS % command.name.encode()),
            Gate(
                STALE,
                _unfit(WHILE_STALE),
                _fixed(b"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."),
            ),
            Gate(LOADING, _unfit(WHILE_LOADING), _fixed(LOADING_TEXT)),
            Gate(ASYNC_LOADING, _always, _fixed(LOADING_TEXT)),
            Gate(BUSY, _always, lambda command: conditions.busy),
        )

    def refuse(self, session: NodeSession, command: Command, argv: list[bytes]) -> Error | None:
        """The first refusal that applies, or None: the command may run, or be queued."""
        flags = self.flags_of(command, argv)
        concerns = (command.gates if flags == command.flags else command.gates | _OF_SCRIPTS) & session.mask
        for gate in self._before_redirection:
            if concerns & gate.condition and gate.refuses(session, command, flags):
                return Error(gate.text(command))
        if concerns & RESTRICTED and self.forbid is not None:
            refusal = self.forbid(session, command, argv)
            if refusal is not None:
                return refusal
        if self.redirect is not None:
            refusal = self.redirect(session, command, flags, argv)
            if refusal is not None:
                return refusal
        for gate in self._after_redirection:
            if concerns & gate.condition and gate.refuses(session, command, flags):
                return Error(gate.text(command))
        return None

    def postpones(self, session: NodeSession, command: Command, argv: list[bytes]) -> bool:
        """Whether the command must wait for the end of a pause. A replica's connection is never paused."""
        if session.replica is not None:
            return False
        concerns = command.gates & session.mask
        if concerns & ALL_PAUSED:
            return True
        if not session.mask & WRITES_PAUSED:
            return False
        if command.name == "exec" and session.transaction is not None:
            return bool(session.transaction.any_flags & (WRITE | MAY_REPLICATE))
        return bool(concerns & WRITES_PAUSED) and bool(self.flags_of(command, argv) & (WRITE | MAY_REPLICATE))
