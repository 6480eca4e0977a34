"""Since when no key has been used at all: what is known of a key's idleness before uses are noted key by key.

A note of each use would make every GET dearer. The table knows which commands have run since it was settled last, ten
times a second, and that is enough for times in seconds.
"""

from __future__ import annotations

from runtime.clock import Clock
from wire.table import Command, CommandTable

# They look at keys without using them (Redis: LOOKUP_NOTOUCH).
_LOOKING = ("exists", "type", "ttl", "pttl", "expiretime", "pexpiretime", "object", "memory", "debug")


class Quiet:
    """Looks at the table just before it is settled."""

    __slots__ = ("_clock", "_table", "_used_at_ms")

    def __init__(self, table: CommandTable, clock: Clock) -> None:
        self._table = table
        self._clock = clock
        # When keys were in use for the last time, at the latest.
        self._used_at_ms = clock.wall_ms()

    def tick(self) -> None:
        if self._in_use():
            self._used_at_ms = self._clock.wall_ms()

    def since_ms(self) -> int | None:
        """None when keys have been used just now."""
        return None if self._in_use() else self._used_at_ms

    def _in_use(self) -> bool:
        return any(map(_uses_keys, self._table.noticed))


def _uses_keys(command: Command) -> bool:
    return bool(command.spec.keys) and command.name.partition("|")[0] not in _LOOKING
