"""When each key was last used, or how often it is: kept only while a policy, or OBJECT IDLETIME, needs it.

Both are 24 bits, as in Redis (fact sheet on eviction, section 5). Under an LRU policy, the second of the last use.
Under an LFU policy the minute of the last use, and a counter of eight bits that grows with the logarithm of the number
of uses and loses one for every `lfu-decay-time` minutes without any.

A look-up notes the use (`Clocks.note`) and everything else costs nothing: what has no entry has not been used since the
notes began, and counts as used then.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from cluster.slots import SLOTS

if TYPE_CHECKING:
    from node.settings import NodeSettings

_CLOCK_MAX = 0xFFFFFF
_MINUTES = 0xFFFF
COUNTER_MAX = 255
# What a new key starts with, so that it is not the first to go.
COUNTER_NEW = 5


class Uses:
    """How uses are noted in all databases: the clock, and what the settings say."""

    __slots__ = ("_chance", "_now_ms", "_settings", "counting", "quiet")

    def __init__(self, settings: NodeSettings, chance: Random, now_ms: Callable[[], int], *, counting: bool) -> None:
        self._settings = settings
        self._chance = chance
        self._now_ms = now_ms
        # Whether uses are counted (LFU) instead of timed (LRU).
        self.counting = counting
        # The command that runs is not to leave traces: CLIENT NO-TOUCH, and commands that only ask about a key.
        self.quiet = False

    def fresh(self) -> int:
        """The entry of a new key."""
        if self.counting:
            return self._minute() << 8 | COUNTER_NEW
        return self._now_ms() // 1000 & _CLOCK_MAX

    def used(self, entry: int) -> int:
        """The entry of a key that is used now and had `entry`."""
        if not self.counting:
            return self._now_ms() // 1000 & _CLOCK_MAX
        counter = self.frequency(entry)
        if counter < COUNTER_MAX:
            odds = max(counter - COUNTER_NEW, 0) * self._settings.lfu_log_factor + 1
            if odds == 1 or self._chance.random() * odds < 1:
                counter += 1
        return self._minute() << 8 | counter

    def idle_s(self, entry: int) -> int:
        """Seconds since the last use."""
        clock = self._now_ms() // 1000 & _CLOCK_MAX
        return clock - entry if clock >= entry else clock + _CLOCK_MAX - entry

    def frequency(self, entry: int) -> int:
        """The counter by now."""
        then, counter = entry >> 8, entry & COUNTER_MAX
        if not self._settings.lfu_decay_time:
            return counter
        now = self._minute()
        passed = now - then if now >= then else _MINUTES - then + now
        return max(counter - passed // self._settings.lfu_decay_time, 0)

    def imported(self, idle_s: int | None, frequency: int | None) -> int | None:
        """The entry of a key that has been idle for so long, or used so often; None when that is not given."""
        if self.counting:
            return None if frequency is None else self._minute() << 8 | frequency
        return None if idle_s is None else (self._now_ms() // 1000 - idle_s) & _CLOCK_MAX

    @property
    def saved(self) -> bool:
        """Whether snapshots tell of uses: where the policy goes by them."""
        return self._settings.maxmemory_policy.endswith(("lru", "lfu"))

    def exported(self, entry: int) -> tuple[int | None, int | None]:
        """(seconds idle, counter): one of them, for RDB files."""
        return (None, self.frequency(entry)) if self.counting else (self.idle_s(entry), None)

    def _minute(self) -> int:
        return self._now_ms() // 60_000 & _MINUTES


class Clocks:
    """The entries of one database."""

    __slots__ = ("_entries", "_since", "uses")

    def __init__(self, uses: Uses) -> None:
        self.uses = uses
        # By key, a dict a slot, made with the slot's first use.
        self._entries: list[dict[bytes, int] | None] = [None] * SLOTS
        # What counts for a key without an entry.
        self._since = uses.fresh()

    def count_from(self, moment_ms: int) -> None:
        """No key has been used since then, which is before the notes began."""
        self._since = moment_ms // 1000 & _CLOCK_MAX

    def note(self, slot: int, key: bytes) -> None:
        """`key` is used."""
        uses = self.uses
        if not uses.quiet:
            self.set(slot, key, uses.used(self.entry(slot, key)))

    def entry(self, slot: int, key: bytes) -> int:
        entries = self._entries[slot]
        return self._since if entries is None else entries.get(key, self._since)

    def set(self, slot: int, key: bytes, entry: int) -> None:
        entries = self._entries[slot]
        if entries is None:
            entries = self._entries[slot] = {}
        entries[key] = entry

    def written(self, slot: int, key: bytes, *, there: bool) -> None:
        """`key` was changed, or is gone unless it is `there`: one that comes again is a new one."""
        entries = self._entries[slot]
        if there:
            if entries is None or key not in entries:
                self.set(slot, key, self.uses.fresh())
        elif entries is not None and entries.pop(key, None) is not None and not entries:
            self._entries[slot] = None

    def drop_slot(self, slot: int) -> None:
        self._entries[slot] = None

    def clear(self) -> None:
        self._entries = [None] * SLOTS
