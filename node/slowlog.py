"""The slow log: commands that took longer than `slowlog-log-slower-than` microseconds to run.

Kept in memory, newest first; long commands are abridged as Redis abridges them, so that the log stays small.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from node.redaction import redacted
from node.session import NodeSession
from runtime.clock import Clock
from wire.command import SKIP_SLOWLOG
from wire.table import Command

_ARGUMENTS_MAX = 32
_ARGUMENT_BYTES_MAX = 128
# A threshold that no command reaches.
_NEVER = 1 << 62


@dataclass(frozen=True, slots=True)
class SlowCommand:
    """One entry."""

    id: int
    at_s: int
    duration_us: int
    argv: tuple[bytes, ...]
    address: str
    name: bytes


class SlowLog:
    """The entries, newest first."""

    __slots__ = ("_clock", "_next_id", "entries", "threshold_ns")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._next_id = 0
        self.threshold_ns = _NEVER
        self.entries: deque[SlowCommand] = deque()

    def configure(self, slower_than_us: int, length: int) -> None:
        """`slowlog-log-slower-than` (negative: nothing) and `slowlog-max-len`."""
        self.threshold_ns = slower_than_us * 1000 if slower_than_us >= 0 else _NEVER
        self.entries = deque(list(self.entries)[:length], maxlen=length)

    def note(self, session: NodeSession, command: Command, argv: list[bytes], duration_ns: int) -> None:
        """`command` took that long; it is kept if that is too long."""
        if duration_ns < self.threshold_ns or command.flags & SKIP_SLOWLOG:
            return
        self.entries.appendleft(
            SlowCommand(
                id=self._next_id,
                at_s=self._clock.wall_ms() // 1000,
                duration_us=duration_ns // 1000,
                argv=_abridged(command, argv),
                address="?:0" if session.in_script else session.address,
                name=b"" if session.in_script else session.name,
            )
        )
        self._next_id += 1


def _abridged(command: Command, argv: list[bytes]) -> tuple[bytes, ...]:
    words = redacted(command, argv)
    shown = words if len(words) <= _ARGUMENTS_MAX else words[: _ARGUMENTS_MAX - 1]
    pieces = [
        word
        if len(word) <= _ARGUMENT_BYTES_MAX
        else b"%b... (%d more bytes)" % (word[:_ARGUMENT_BYTES_MAX], len(word) - _ARGUMENT_BYTES_MAX)
        for word in shown
    ]
    if len(shown) < len(words):
        pieces.append(b"... (%d more arguments)" % (len(words) - len(shown)))
    return tuple(pieces)
