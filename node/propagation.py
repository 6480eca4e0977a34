"""What replicas and the log must repeat: one stream of whole commands, fed in the order of execution.

A sink is called with the database and the encoded commands, which are the client's own bytes wherever the
request can be repeated as it came. A sink adds SELECT where its own stream needs one.
"""

from __future__ import annotations

from collections.abc import Callable

from wire.encoder import encode_command

Sink = Callable[[int, bytes], None]

_MULTI = encode_command([b"MULTI"])
_EXEC = encode_command([b"EXEC"])


class Propagation:
    """The way from the executor to the sinks."""

    __slots__ = ("_sinks", "active", "stream_offset")

    def __init__(self) -> None:
        self._sinks: list[Sink] = []
        # False while nobody listens: then nothing is encoded or sliced either.
        self.active = False
        # The replication offset behind everything fed so far; replication puts its own here. What WAIT waits for.
        self.stream_offset: Callable[[], int] = lambda: 0

    def attach(self, sink: Sink) -> None:
        """Feed `sink` from now on; the log attaches before the replication stream."""
        self._sinks.append(sink)
        self.active = True

    def detach(self, sink: Sink) -> None:
        self._sinks.remove(sink)
        self.active = bool(self._sinks)

    def feed(self, database: int, data: bytes) -> None:
        """Pass on whole commands, encoded, that ran in `database`."""
        for sink in self._sinks:
            sink(database, data)

    def feed_commands(self, commands: list[tuple[int, tuple[bytes, ...]]], *, atomic: bool) -> None:
        """Pass on `commands`, each with its database, wrapped in MULTI and EXEC when `atomic` and more than one.

        MULTI is fed in the database of the first command, so that the SELECT comes before it, as Redis 7.0 has it.
        """
        if not self.active or not commands:
            return
        wrap = atomic and len(commands) > 1
        if wrap:
            self.feed(commands[0][0], _MULTI)
        for database, argv in commands:
            self.feed(database, encode_command(argv))
        if wrap:
            self.feed(commands[-1][0], _EXEC)
