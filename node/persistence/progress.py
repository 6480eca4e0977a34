"""How far the child has come: it writes numbers into memory that its parent reads when INFO asks.

No pipe and no message: nobody has to wake up for it, and a child that is killed leaves its last numbers behind.
"""

from __future__ import annotations

from node.persistence.settings import SnapshotSettings, delay_s
from runtime import Runtime

# Between two looks at the memory that was copied; after one that took long, a hundred times as long at least.
_LOOK_EVERY_NS = 1_000_000_000
_LOOK_SHARE = 100
# The numbers: keys written, bytes copied at the last look and at most, when that look was (milliseconds).
_KEYS, _COPIED, _COPIED_MOST, _LOOKED_MS = range(4)


class Progress:
    """Of the child under way, or of the last one."""

    __slots__ = ("_next_look_ns", "_numbers", "_runtime", "_settings", "total")

    def __init__(self, settings: SnapshotSettings, runtime: Runtime) -> None:
        self._settings = settings
        self._runtime = runtime
        self._numbers = runtime.background.shared_numbers(4)
        # The child's clock for its next look.
        self._next_look_ns = 0
        # Keys there were at the fork.
        self.total = 0

    # Before the fork

    def begin(self, total: int) -> None:
        """A child is about to be made, which will write so many keys."""
        self.total = total
        self._next_look_ns = self._runtime.clock.perf_ns() + _LOOK_EVERY_NS
        for place in range(len(self._numbers)):
            self._numbers[place] = 0

    # In the child

    def advance(self, keys: int) -> None:
        """So many more keys have been written."""
        self.pace(keys)
        self._numbers[_KEYS] += keys
        if self._runtime.clock.perf_ns() >= self._next_look_ns:
            self.look()

    def look(self) -> None:
        """Note how much memory of its own the process has by now; the last thing a child does."""
        clock, numbers = self._runtime.clock, self._numbers
        began_ns = clock.perf_ns()
        numbers[_COPIED] = copied = self._runtime.process.private_dirty_bytes()
        numbers[_COPIED_MOST] = max(copied, numbers[_COPIED_MOST])
        numbers[_LOOKED_MS] = clock.wall_ms()
        ended_ns = clock.perf_ns()
        self._next_look_ns = ended_ns + max(_LOOK_EVERY_NS, _LOOK_SHARE * (ended_ns - began_ns))

    def pace(self, keys: int) -> None:
        """`rdb-key-save-delay`."""
        delay = self._settings.rdb_key_save_delay
        if delay:
            self._runtime.process.stall(delay_s(keys, delay))

    # In the parent

    @property
    def keys(self) -> int:
        return self._numbers[_KEYS]

    @property
    def copied_bytes(self) -> int:
        """Memory that was shared at the fork and is not any more."""
        return self._numbers[_COPIED]

    @property
    def copied_peak_bytes(self) -> int:
        return self._numbers[_COPIED_MOST]

    @property
    def look_age_s(self) -> int:
        """How old that news is."""
        looked_ms = self._numbers[_LOOKED_MS]
        return (self._runtime.clock.wall_ms() - looked_ms) // 1000 if looked_ms else 0
