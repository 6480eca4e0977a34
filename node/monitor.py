"""MONITOR: every command that runs, shown to the clients that asked for it.

A line is ``<unix>.<microseconds> [<db> <address>] "command" "argument" …``. Administration is not shown, nor
are passwords.
"""

from __future__ import annotations

from collections.abc import Sequence

from node.gates import MONITORED, Conditions
from node.session import NodeSession
from runtime.clock import Clock
from wire.command import ADMIN, SKIP_MONITOR
from wire.reply import Simple
from wire.encoder import encode
from wire.table import Command

_ESCAPED = {0x0A: b"\\n", 0x0D: b"\\r", 0x09: b"\\t", 0x07: b"\\a", 0x08: b"\\b", 0x22: b'\\"', 0x5C: b"\\\\"}
_SECRET = b'"(redacted)"'


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
        """Send the line for a command that is about to run."""
        if command.flags & (ADMIN | SKIP_MONITOR):
            return
        now_us = self._clock.wall_us()
        words = b" ".join(self._words(command, argv))
        source = session.address.encode() or b"master"
        line = b"%d.%06d [%d %b] %b" % (now_us // 1_000_000, now_us % 1_000_000, session.call.db.index, source, words)
        encoded = encode(Simple(line), 2)
        for watcher in self._sessions:
            watcher.out.append(encoded)
            if watcher.connection is not None:
                watcher.connection.wake()

    def _update(self) -> None:
        self.watched = bool(self._sessions)
        self._conditions.set(MONITORED, self.watched)

    @staticmethod
    def _words(command: Command, argv: Sequence[bytes]) -> list[bytes]:
        if command.name == "auth":
            return [quoted(argv[0])] + [_SECRET] * (len(argv) - 1)
        words = [quoted(argument) for argument in argv]
        if command.name == "hello":
            upper = [argument.upper() for argument in argv]
            if b"AUTH" in upper:
                at = upper.index(b"AUTH")
                words[at + 1 : at + 3] = [_SECRET] * len(words[at + 1 : at + 3])
        return words


def quoted(text: bytes) -> bytes:
    """`text` in double quotes with Redis' escapes (``sdscatrepr``)."""
    pieces = [b'"']
    for byte in text:
        if byte in _ESCAPED:
            pieces.append(_ESCAPED[byte])
        elif 0x20 <= byte < 0x7F:
            pieces.append(bytes((byte,)))
        else:
            pieces.append(b"\\x%02x" % byte)
    pieces.append(b'"')
    return b"".join(pieces)
