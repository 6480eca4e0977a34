"""What replicas and the log must repeat: one stream of whole commands, fed in the order of execution.

There are two takers, each with a SELECT of its own where it needs one: the log (`node.persistence.aof`), and the stream
to the replicas (`node.replication`). Both get the client's own bytes wherever the request can be repeated as it came.
Published messages are for replicas only.
"""

from __future__ import annotations

from collections.abc import Callable

from wire.encoder import encode_command

# Takes the database and the encoded commands.
Sink = Callable[[int, bytes], None]
# Commands, each with its database.
Effects = list[tuple[int, tuple[bytes, ...]]]

_MULTI = encode_command([b"MULTI"])
_EXEC = encode_command([b"EXEC"])
_MESSAGES = frozenset((b"PUBLISH", b"SPUBLISH"))


class Propagation:
    """The way from the executor to the log and to the replicas."""

    __slots__ = ("_log", "_stream", "active", "stream_offset")

    def __init__(self) -> None:
        self._log: Sink | None = None
        self._stream: Sink | None = None
        # False while nobody listens: then nothing is encoded or sliced either.
        self.active = False
        # The replication offset behind everything fed so far; replication puts its own here. What WAIT waits for.
        self.stream_offset: Callable[[], int] = lambda: 0

    @property
    def logging(self) -> bool:
        """There is a log."""
        return self._log is not None

    def set_log(self, sink: Sink | None) -> None:
        """Feed the log from now on, or not any more."""
        self._log = sink
        self.active = sink is not None or self._stream is not None

    def set_stream(self, sink: Sink | None) -> None:
        """Feed the stream to the replicas from now on, or not any more."""
        self._stream = sink
        self.active = sink is not None or self._log is not None

    def feed(self, database: int, data: bytes) -> int:
        """Pass on whole commands, encoded, that ran in `database`: to the log before the replicas.

        Returns the replication offset behind them.
        """
        if self._log is not None:
            self._log(database, data)
        if self._stream is not None:
            self._stream(database, data)
        return self.stream_offset()

    def feed_commands(self, commands: Effects, *, atomic: bool) -> None:
        """Pass on `commands`, wrapped in MULTI and EXEC when `atomic` and more than one.

        MULTI is fed in the database of the first command, so that the SELECT comes before it, as Redis 7.0 has it.
        """
        if self._stream is not None:
            _feed(self._stream, commands, atomic=atomic)
        self.log_commands(commands, atomic=atomic)

    def log_commands(self, commands: Effects, *, atomic: bool) -> None:
        """Pass `commands` on to the log alone: what our master sent, which goes to our own replicas as it came."""
        if self._log is not None:
            logged = [(database, argv) for database, argv in commands if argv[0].upper() not in _MESSAGES]
            _feed(self._log, logged, atomic=atomic)


def _feed(sink: Sink, commands: Effects, *, atomic: bool) -> None:
    wrap = atomic and len(commands) > 1
    if wrap:
        sink(commands[0][0], _MULTI)
    for database, argv in commands:
        sink(database, encode_command(argv))
    if wrap:
        sink(commands[-1][0], _EXEC)
