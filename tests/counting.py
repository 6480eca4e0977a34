"""A recorder of histories that knows how much has been acknowledged: tests wait for operations, not for a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import IO

from lab.history import Outcome, Recorder, Value
from tests.waiting import wait_until


class Counting(Recorder):
    """Knows how many operations have been acknowledged, and how many writes of each group."""

    def __init__(self, file: IO[str], now: Callable[[], float]) -> None:
        super().__init__(file, now)
        self.acknowledged = 0
        self.writes: Counter[str] = Counter()
        # The groups of writes under way, by number.
        self._writing: dict[int, str] = {}

    def begin(
        self, process: int, function: str, key: str, argument: Value = None, *, group: str = "", replica: bool = False
    ) -> int:
        number = super().begin(process, function, key, argument, group=group, replica=replica)
        if function != "read":
            self._writing[number] = group
        return number

    def end(self, number: int, outcome: Outcome, result: Value = None, *, node: str = "", error: str = "") -> None:
        super().end(number, outcome, result, node=node, error=error)
        group = self._writing.pop(number, "")
        if outcome is Outcome.OK:
            self.acknowledged += 1
            self.writes[group] += 1

    async def wait_acknowledged(self, more: int) -> None:
        """Return when so many more operations have been acknowledged."""
        goal = self.acknowledged + more
        await wait_until(lambda: _resolved(self.acknowledged >= goal), what=f"{more} acknowledged operations")

    async def wait_written(self, group: str, more: int) -> None:
        """Return when so many more writes of the group have been."""
        goal = self.writes[group] + more
        await wait_until(lambda: _resolved(self.writes[group] >= goal), what=f"{more} acknowledged writes of {group}")


async def _resolved(value: bool) -> bool:
    return value
