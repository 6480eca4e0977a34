"""When clients were served, group by group: windows without a success, and how long it took from a fault to the end of
the one that it opened.

A window lies between two successes of a group. It counts when somebody wanted something meanwhile and had to wait, or
was refused, for longer than `notable_s`: without clients nothing is unavailable. Reads that replicas answer do not
count as service.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from lab.history import History, Kind, Moment, Operation, Outcome

NOTABLE_S = 0.2


@dataclass(frozen=True, slots=True)
class Window:
    """A time in which nothing succeeded although something was asked for."""

    begin: float
    end: float
    # It lasted until the history's end: nothing succeeded afterwards.
    open_end: bool = False

    @property
    def length_s(self) -> float:
        return self.end - self.begin


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a fault did to a group."""

    fault: Moment
    # The window that it opened or fell into; None when nobody noticed.
    window: Window | None

    @property
    def time_s(self) -> float | None:
        """From the fault to the first success; 0 when nobody noticed, None when it was never over."""
        if self.window is None:
            return 0.0
        return None if self.window.open_end else self.window.end - self.fault.at


@dataclass(frozen=True, slots=True)
class GroupService:
    """One group of keys."""

    group: str
    begin: float
    end: float
    # Operations by outcome.
    succeeded: int
    failed: int
    unknown: int
    windows: tuple[Window, ...]
    recoveries: tuple[Recovery, ...]

    @property
    def longest_s(self) -> float:
        return max((window.length_s for window in self.windows), default=0.0)


def measure(history: History, *, notable_s: float = NOTABLE_S) -> list[GroupService]:
    """The service that each group had, in the order of their names."""
    groups: dict[str, list[Operation]] = {group: [] for group in history.groups()}
    for operation in history.operations:
        if not operation.replica:
            groups[operation.group].append(operation)
    return [
        _measure_group(group, operations, history.of_kind(Kind.FAULT, group), notable_s)
        for group, operations in groups.items()
        if operations
    ]


def _measure_group(
    group: str, operations: Sequence[Operation], faults: Sequence[Moment], notable_s: float
) -> GroupService:
    begin = min(op.invoked_at for op in operations)
    end = max(op.completed_at if op.completed_at is not None else op.invoked_at for op in operations)
    successes = sorted(op.latest for op in operations if op.ok)
    windows = [
        Window(earlier, later, open_end=not successes or later > successes[-1])
        for earlier, later in pairwise([begin, *successes, end])
        if later - earlier > notable_s and _wanted(operations, earlier, later, notable_s)
    ]
    return GroupService(
        group=group,
        begin=begin,
        end=end,
        succeeded=len(successes),
        failed=sum(op.outcome is Outcome.FAIL for op in operations),
        unknown=sum(op.outcome is Outcome.UNKNOWN for op in operations),
        windows=tuple(windows),
        recoveries=tuple(
            Recovery(fault, _window_of(fault.at, later - notable_s, windows))
            for fault, later in zip(faults, [*(fault.at for fault in faults[1:]), end], strict=False)
        ),
    )


def _wanted(operations: Sequence[Operation], earlier: float, later: float, notable_s: float) -> bool:
    """Whether somebody gave up within the window, or waited in it."""
    for op in operations:
        until = later if op.completed_at is None else op.completed_at
        if not op.ok and earlier <= until <= later:
            return True
        if min(until, later) - max(op.invoked_at, earlier) > notable_s:
            return True
    return False


def _window_of(struck_at: float, until: float, windows: Sequence[Window]) -> Window | None:
    """The window that a fault fell into, or the first one that began from then on until a moment. That is early enough
    before the next fault to be none of its doing: its window begins with the last success before it."""
    return next(
        (window for window in windows if window.end > struck_at and window.begin <= max(struck_at, until)), None
    )


def timeline(history: History, group: str, columns: int = 72) -> str:
    """The group's time as a line of signs: `#` served, `+` some served and some not, `x` none served, `.` nothing
    was asked for or known."""
    moments = [op.completed_at or op.invoked_at for op in history.operations]
    if not moments:
        return ""
    begin, length = min(moments), max(max(moments) - min(moments), 1e-9)
    good, bad = [0] * columns, [0] * columns
    for op in history.operations:
        if op.group == group and not op.replica:
            column = min(columns - 1, int(((op.completed_at or op.invoked_at) - begin) / length * columns))
            (good if op.ok else bad)[column] += 1
    return "".join("#" if g and not b else "+" if g else "x" if b else "." for g, b in zip(good, bad, strict=True))
