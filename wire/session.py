"""One client, as commands see it: who it is, what it has chosen, and where its replies go.

The transport belongs to `wire.connection`. A kind of server with more to remember per client (the node's
transactions and watched keys) extends `Session`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from wire.encoder import encode_into
from wire.reply import Push, Reply, Several

if TYPE_CHECKING:
    from wire.connection import Connection

# Conditions of a session, as bits of `Session.mask`. A command whose gate mask has none of the session's
# bits runs at once; the others take the slow lane, which knows what each condition forbids.
ALWAYS = 1 << 0  # set in every session: containers of subcommands are never run directly
NEEDS_AUTH = 1 << 1
IN_MULTI = 1 << 2
SUBSCRIBED = 1 << 3  # a RESP2 connection with subscriptions
MUTED = 1 << 4  # CLIENT REPLY OFF or SKIP
CLOSING = 1 << 5  # nothing that comes after QUIT is executed
RESTRICTED = 1 << 6  # its user may not do everything (`wire.acl`)
LISTENING = 1 << 7  # a RESP3 connection with subscriptions: its own commands may bring it pushes
# What a name takes that is remembered for a client, besides its own length: two entries in tables.
SUBSCRIPTION_BYTES = 64
# The first bit that a kind of server may use for conditions of its own.
FIRST_FREE = 8


class Session:
    """State of one client connection."""

    __slots__ = (
        "address",
        "channels",
        "connection",
        "created_at_ms",
        "id",
        "last_command",
        "last_seen_ms",
        "lib_name",
        "lib_version",
        "local_address",
        "mask",
        "name",
        "no_evict",
        "no_touch",
        "out",
        "parked",
        "patterns",
        "proto",
        "pushes",
        "replies_off",
        "shard_channels",
        "skip_replies",
        "superuser",
        "unblock",
        "user",
    )

    def __init__(self, id: int, connection: Connection | None, now_ms: int) -> None:
        self.id = id
        # None for a session without a socket (a replica's stream, a script).
        self.connection = connection
        # "ip:port" of both ends.
        self.address = ""
        self.local_address = ""
        self.created_at_ms = now_ms
        self.last_seen_ms = now_ms
        self.name = b""
        self.lib_name = b""
        self.lib_version = b""
        self.user = "default"
        # It belongs to no user, and may do everything: a master's stream, a log that is read back.
        self.superuser = False
        # 2 or 3 (HELLO).
        self.proto = 2
        # The name of the last command run, for CLIENT LIST.
        self.last_command = ""
        # The conditions above.
        self.mask = ALWAYS
        # Encoded replies and pushes of this turn.
        self.out: list[bytes] = []
        # Pushes that come behind the reply of the command that runs (`hold`); None while they need not wait.
        self.pushes: list[bytes] | None = None
        # A blocking command waits; what follows it waits too.
        self.parked = False
        # Ends a parked command before its time: False as if it had timed out, True with an error (CLIENT UNBLOCK).
        # None while nothing is parked, and for a command that cannot be ended so.
        self.unblock: Callable[[bool], None] | None = None
        # CLIENT NO-EVICT and NO-TOUCH.
        self.no_evict = False
        self.no_touch = False
        # CLIENT REPLY OFF, and how many replies CLIENT REPLY SKIP still drops (its own and the next).
        self.replies_off = False
        self.skip_replies = 0
        # Subscriptions, in order of subscribing; kept with the broker's tables by the broker.
        self.channels: dict[bytes, None] = {}
        self.patterns: dict[bytes, None] = {}
        self.shard_channels: dict[bytes, None] = {}

    def push(self, message: Push) -> None:
        """Send out-of-band data; it goes out with this turn's replies."""
        if self.pushes is not None:
            encode_into(self.pushes, message, self.proto)
            return
        encode_into(self.out, message, self.proto)
        if self.connection is not None:
            self.connection.wake()

    def hold(self) -> None:
        """A command is about to run: what it pushes to its own client comes behind its reply, as in Redis 7.2.

        In 7.0 it came when it happened, in the middle of a reply, too.
        """
        self.pushes = []

    def release(self) -> None:
        """The reply is in `out`: now what was held."""
        if self.pushes:
            self.out += self.pushes
            if self.connection is not None:
                self.connection.wake()
        self.pushes = None

    def push_encoded(self, data: bytes) -> None:
        """The same for bytes as they are."""
        self.out.append(data)
        if self.connection is not None:
            self.connection.wake()

    def put_reply(self, reply: Reply) -> None:
        """A command's reply, unless CLIENT REPLY holds it back; for commands that the hot path did not run."""
        if self.mask & MUTED:
            if not self.replies_off:
                self.skip_replies -= 1
                if not self.skip_replies:
                    self.mask &= ~MUTED
            if not isinstance(reply, (Several, Push)):
                return
            # CLIENT REPLY holds back no push, and confirmations of subscriptions are pushes.
        encode_into(self.out, reply, self.proto)

    def buffered(self) -> None:
        """A part of a command has come, and waits for the rest. May drop the session."""

    def answer_later(self, reply: Reply) -> None:
        """The answer of a parked command; what the client sent behind it runs next."""
        assert self.parked, "only a parked command is answered later"
        self.parked = False
        self.unblock = None
        self.put_reply(reply)
        self.release()
        if self.connection is not None:
            self.connection.resume()

    def close(self) -> None:
        """Close the connection once what is in `out` has been sent; nothing more is executed."""
        self.mask |= CLOSING
        if self.connection is not None:
            self.connection.close_after_replies()

    def collected(self, size: int) -> None:
        """So many bytes are about to be sent at once, more than `Connection.output_max`. May drop the session."""

    def drop(self) -> None:
        """Close the connection at once, unsent replies and all (CLIENT KILL, output limits)."""
        self.mask |= CLOSING
        if self.connection is not None:
            self.connection.abort()

    @property
    def kind(self) -> str:
        """normal, pubsub, and on a node master or replica: CLIENT LIST and KILL choose by it."""
        return "pubsub" if self.channels or self.patterns or self.shard_channels else "normal"

    @property
    def owed(self) -> bool:
        """Whether replies are still to come for commands that have parked nobody: a proxy's, from its nodes."""
        return False

    @property
    def redirection(self) -> int:
        """The client that is told of changed keys in this one's place; -1 when there is no tracking."""
        return -1

    @property
    def queued_bytes(self) -> int:
        """What the commands take that a transaction has queued."""
        return 0

    @property
    def noted_bytes(self) -> int:
        """About what it takes to remember what the client wants to hear of."""
        return SUBSCRIPTION_BYTES * (len(self.channels) + len(self.patterns) + len(self.shard_channels))

    @property
    def flags(self) -> str:
        """The letters that CLIENT LIST shows; N when there is none."""
        letters = "P" if self.kind == "pubsub" else ""
        letters += "b" if self.parked else ""
        letters += "c" if self.mask & CLOSING else ""
        letters += "U" if self.by_unix_socket else ""
        letters += "e" if self.no_evict else ""
        return (letters + "T" if self.no_touch else letters) or "N"

    @property
    def database(self) -> int:
        """The number of the selected database."""
        return 0

    @property
    def queued(self) -> int:
        """Commands queued since MULTI; -1 outside a transaction."""
        return -1

    @property
    def user_shown(self) -> str:
        """The user, for people."""
        return "(superuser)" if self.superuser else self.user

    @property
    def secure(self) -> bool:
        """Whether the client came by TLS."""
        return self.connection is not None and self.connection.secure

    @property
    def by_unix_socket(self) -> bool:
        """Whether the client came by a Unix socket: its address is the socket's path, and a port that is none."""
        return self.address.endswith(":0")

    @property
    def is_local(self) -> bool:
        """Whether the client is on this machine."""
        return self.by_unix_socket or is_loopback(self.address.rpartition(":")[0].strip("[]"))

    @property
    def subscriptions(self) -> int:
        """The count that SUBSCRIBE's confirmations carry."""
        return len(self.channels) + len(self.patterns)


def is_loopback(ip: str) -> bool:
    """Whether a client at `ip` is on this machine."""
    return ip.removeprefix("::ffff:").startswith("127.") or ip == "::1"
