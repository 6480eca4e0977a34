"""What replicas and the log must repeat: one stream of whole commands, fed in the order of execution.

There are two takers, each with a SELECT of its own where it needs one: the log (`node.persistence.aof`), and the stream
to the replicas (`node.replication`). Both get the client's own bytes wherever the request can be repeated as it came.
Published messages are for replicas only, and a script may choose one of the two (`redis.set_repl`).
"""

from __future__ import annotations

from collections.abc import Callable

from node.effects import Effects, ForLog, ForReplicas
from node.replication.feed import Feed
from wire.encoder import encode_command

# Takes the database and the encoded commands; returns the replication offset behind them.
Stream = Callable[[int, bytes], int]
# The same without an offset.
Sink = Callable[[int, bytes], object]

_MULTI = encode_command([b"MULTI"])
_EXEC = encode_command([b"EXEC"])
_MESSAGES = frozenset((b"PUBLISH", b"SPUBLISH"))


class Propagation:
    """The way from the executor to the log and to the replicas."""

    __slots__ = ("_log", "_stream", "active", "direct", "feed", "stream_offset")

    def __init__(self) -> None:
        self._log: Sink | None = None
        self._stream: Feed | None = None
        # False while nobody listens: then nothing is encoded or sliced either.
        self.active = False
        # The replication offset behind everything fed so far; replication puts its own here. What WAIT waits for.
        self.stream_offset: Callable[[], int] = lambda: 0
        # Passes on whole commands, encoded, that ran in one database: to the log before the replicas. Returns the
        # replication offset behind them. Without a log it is the stream itself: every write passes here.
        self.feed: Stream = self._feed
        # The stream, while it is the only taker.
        self.direct: Feed | None = None

    @property
    def logging(self) -> bool:
        """There is a log."""
        return self._log is not None

    def set_log(self, sink: Sink | None) -> None:
        """Feed the log from now on, or not any more."""
        self._log = sink
        self._route()

    def set_stream(self, stream: Feed | None) -> None:
        """Feed the stream to the replicas from now on, or not any more."""
        self._stream = stream
        self._route()

    def _route(self) -> None:
        self.active = self._log is not None or self._stream is not None
        self.direct = self._stream if self._log is None else None
        self.feed = self.direct.feed if self.direct is not None else self._feed

    def _feed(self, database: int, data: bytes) -> int:
        if self._log is not None:
            self._log(database, data)
        if self._stream is not None:
            self._stream.feed(database, data)
        return self.stream_offset()

    def feed_command(self, database: int, argv: tuple[bytes, ...]) -> int:
        """Pass on one command that ran in `database`; returns the replication offset behind it."""
        if type(argv) is ForLog or (self._log is not None and not _is_logged(argv)):
            self.feed_commands([(database, argv)], atomic=False)
            return self.stream_offset()
        return self.feed(database, encode_command(argv))

    def feed_commands(self, commands: Effects, *, atomic: bool) -> None:
        """Pass on `commands`, wrapped in MULTI and EXEC when `atomic` and more than one.

        MULTI is fed in the database of the first command, so that the SELECT comes before it, as Redis 7.0 has it.
        """
        if self._stream is not None:
            replicated = [(database, argv) for database, argv in commands if type(argv) is not ForLog]
            _feed(self._stream.feed, replicated, atomic=atomic)
        self.log_commands(commands, atomic=atomic)

    def log(self, database: int, data: bytes) -> None:
        """Pass whole commands, encoded, on to the log alone; there is one, and they are of the kind that it takes."""
        assert self._log is not None
        self._log(database, data)

    def log_commands(self, commands: Effects, *, atomic: bool) -> None:
        """Pass `commands` on to the log alone: what our master sent, which goes to our own replicas as it came."""
        if self._log is not None:
            _feed(self._log, [effect for effect in commands if _is_logged(effect[1])], atomic=atomic)


def _is_logged(argv: tuple[bytes, ...]) -> bool:
    return type(argv) is not ForReplicas and argv[0].upper() not in _MESSAGES


def _feed(sink: Sink, commands: Effects, *, atomic: bool) -> None:
    wrap = atomic and len(commands) > 1
    if wrap:
        sink(commands[0][0], _MULTI)
    for database, argv in commands:
        sink(database, encode_command(argv))
    if wrap:
        sink(commands[-1][0], _EXEC)
