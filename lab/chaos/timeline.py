"""Timelines, and two of them side by side. Pure functions of events.

Two runs of one scenario tell the same story with other times and other actors: here sentinel-1 led, there sentinel-0.
So events are paired by what they are about, and not by who said so: the first vote of one run with the first of the
other, the promotion in shard-0 with the promotion in shard-0. What has no partner stands alone, and is often the most
interesting row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lab.chaos import clients
from lab.chaos.events import Event, Kind
from lab.chaos.stage import Recording


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that happened in one run or in both."""

    left: Event | None
    right: Event | None

    @property
    def difference_s(self) -> float | None:
        """How much later it happened on the right; None where it has no partner."""
        return None if self.left is None or self.right is None else self.right.at - self.left.at

    @property
    def text(self) -> str:
        event = self.left or self.right
        assert event is not None
        return event.text

    @property
    def at(self) -> float:
        """Where it stands among the others: between its two times."""
        times = [event.at for event in (self.left, self.right) if event is not None]
        return sum(times) / len(times)


def timeline(recording: Recording) -> list[Event]:
    """Everything that happened, in order of time: what the programs' logs tell, and what clients saw."""
    return sorted([*recording.events, *clients.events(recording.history, recording.names)], key=lambda event: event.at)


def align(left: Iterable[Event], right: Iterable[Event]) -> list[Row]:
    """The two timelines as one list of rows. The n-th event of a kind about a subject is paired with the n-th of the
    other side. A row stands at the mean of its two times, so one side may now and then read out of order."""
    ours, theirs = _numbered(left), _numbered(right)
    rows = [Row(event, theirs.pop(key, None)) for key, event in ours.items()]
    rows += [Row(None, event) for event in theirs.values()]
    return sorted(rows, key=lambda row: row.at)


def _numbered(events: Iterable[Event]) -> dict[tuple[Kind, str, int], Event]:
    """Each event by what it is about, and the how-manieth of that it is."""
    counted: dict[tuple[Kind, str], int] = {}
    numbered = {}
    for event in events:
        what = event.kind, event.subject
        counted[what] = number = counted.get(what, 0) + 1
        numbered[(*what, number)] = event
    return numbered


def alone(rows: Sequence[Row]) -> int:
    """Rows without a partner."""
    return sum(row.difference_s is None for row in rows)
