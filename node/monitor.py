"""MONITOR: every command that runs, shown to the clients that asked for it.

A line is ``<unix>.<microseconds> [<db> <address>] "command" "argument" …``, with ``lua`` for the address of what a
script runs. Administration is not shown, nor are passwords.
"""

from __future__ import annotations

from collections.abc import Sequence

from node.gates import MONITORED, Conditions
from node.redaction import redacted
from node.session import NodeSession
from runtime.clock import Clock
from runtime.quoting import quoted
from wire.command import ADMIN, SKIP_MONITOR
from wire.encoder import encode
from wire.reply import Simple
from wire.table import Command


class Monitor:
    """The clients that watch, and the line they are sent."""

    __slots__ = ("_clock", "_conditions", "_sessions", "watched")

    def __init__(self, conditions: Conditions, clock: Clock) -> None:
        self._conditions = conditions
        self._clock = clock
        self._sessions: dict[NodeSession, None] = {}
        # True while anybody watches.
        self.watched = False

    def add(self, session: NodeSession) -> None:
        session.monitoring = True
        self._sessions[session] = None
        self._update()

    def remove(self, session: NodeSession) -> None:
        if session.monitoring:
            session.monitoring = False
            del self._sessions[session]
            self._update()

    def show(self, session: NodeSession, command: Command, argv: Sequence[bytes]) -> None:
        """Send the line for a command that was run."""
        if not command.flags & (ADMIN | SKIP_MONITOR):
            self._write(session, command, argv)

    def announce(self, session: NodeSession, command: Command, argv: Sequence[bytes]) -> None:
        """Send the line for a script that is about to run, so that it stands in front of its commands."""
        if self.watched:
            self._write(session, command, argv)

    def _write(self, session: NodeSession, command: Command, argv: Sequence[bytes]) -> None:
        now_us = self._clock.wall_us()
        words = b" ".join(quoted(word) for word in redacted(command, argv))
        source = b"lua" if session.in_script else _source(session)
        line = b"%d.%06d [%d %b] %b" % (now_us // 1_000_000, now_us % 1_000_000, session.call.db.index, source, words)
        encoded = encode(Simple(line), 2)
        for watcher in self._sessions:
            watcher.push_encoded(encoded)

    def _update(self) -> None:
        self.watched = bool(self._sessions)
        self._conditions.set(MONITORED, self.watched)


def _source(session: NodeSession) -> bytes:
    address = session.address.encode()
    if session.by_unix_socket:
        return b"unix:" + address.removesuffix(b":0")
    return address or b"master"
