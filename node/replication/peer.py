"""One replica, as its master sees it."""

from __future__ import annotations

from enum import Enum

from node.replication.backlog import Backlog
from node.session import NodeSession


class PeerState(Enum):
    """How far a replica is; the values are what INFO shows."""

    WAITING = "wait_bgsave"
    SENDING = "send_bulk"
    ONLINE = "online"


class ReplicaPeer:
    """A connection that turned out to be a replica, and what the master must remember of it."""

    __slots__ = (
        "_kept",
        "_taken",
        "_took_at",
        "ack_at",
        "ack_offset",
        "eof",
        "held",
        "ip",
        "old",
        "port",
        "psync2",
        "rdb_only",
        "session",
        "state",
        "synced_offset",
        "waiting_since",
        "without_data",
    )

    def __init__(self, session: NodeSession) -> None:
        self.session = session
        # Where it says it can be reached: REPLCONF listening-port and ip-address.
        self.port = 0
        self.ip = b""
        # REPLCONF capa: it takes a copy of unknown length; it understands that a history's name can change.
        self.eof = False
        self.psync2 = False
        # It wants a copy and no stream (redis-cli --rdb).
        self.rdb_only = False
        # It wants no keys in its copy: only functions, or nothing at all (redis-cli --replica).
        self.without_data = False
        # It came with SYNC: it will not acknowledge, and it cannot be told which history it gets.
        self.old = False
        self.state = PeerState.WAITING
        # Where the stream is kept for it from the beginning of its copy on, until it may have it.
        self._kept: Backlog | None = None
        # Bytes that its socket had taken in all when they were last looked at and found to be more, and when that was.
        self._taken = 0
        self._took_at = 0.0
        # Loop time at which it asked for a copy.
        self.waiting_since = 0.0
        # It may not get the stream yet: its copy is under way, or was of the kind after which it speaks first.
        self.held = True
        # What it said it has applied, and when it said so (loop time).
        self.ack_offset = 0
        self.ack_at = 0.0
        # What it said is on its disk; 0 when it logs nothing.
        self.synced_offset = 0

    @property
    def name(self) -> str:
        """For the log: where it listens."""
        return f"{self.address}:{self.port}" if self.port else f"{self.address}:<unknown-replica-port>"

    @property
    def address(self) -> str:
        """Its announced address, or the one it connects from."""
        return self.ip.decode("ascii", "replace") if self.ip else self.session.address.rpartition(":")[0]

    @property
    def socket_unsent(self) -> int:
        """Bytes written that the kernel has not taken yet."""
        connection = self.session.connection
        return connection.pending_output if connection is not None else 0

    @property
    def unsent(self) -> int:
        """Bytes that wait here or in the socket: what the output limits are about."""
        return self.kept_size + self.socket_unsent

    def stalled_s(self, now: float) -> float:
        """For how long it has taken nothing of what waits for it; to be asked now and then."""
        connection = self.session.connection
        if connection is None:
            return 0.0
        unsent = connection.pending_output
        taken = connection.bytes_out - unsent
        if taken != self._taken or not unsent:
            self._taken = taken
            self._took_at = now
        return now - self._took_at

    @property
    def kept_size(self) -> int:
        """Bytes of the stream that are kept for it."""
        return self._kept.kept_for(self) if self._kept is not None else 0

    def keep(self, backlog: Backlog) -> None:
        """Its copy begins: it will want the stream from here on."""
        self._kept = backlog
        backlog.hold(self)

    def release(self) -> None:
        """It may have the stream now, beginning with what was kept."""
        self.held = False
        if self._kept is not None:
            data = self._kept.let_go(self)
            self._kept = None
            if data:
                self.write(data)

    def forget(self) -> None:
        """It is gone: nothing need be kept."""
        if self._kept is not None:
            self._kept.forget(self)
            self._kept = None

    def write(self, data: bytes) -> None:
        """Send at once: the stream has its own step in the turn."""
        connection = self.session.connection
        if connection is not None:
            connection.write(data)

    def drop(self) -> None:
        self.session.drop()
