"""What a run's clients saw, as events for its timeline: when they began to fail, when they stopped, and when a shard
took its first write again. Read off their history, which both worlds record in one format (`lab.history`)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from lab.chaos.events import Event, Kind
from lab.check import availability
from lab.history import History, Operation, Outcome

# Failures of one shard that lie closer together than this are one trouble.
_APART_S = 2.0
# host:port, as errors name whom they are about.
_ADDRESS = re.compile(r"([\d.]+):(\d+)")


def events(history: History, names: Mapping[str, str]) -> list[Event]:
    """Everything that clients have to say, in order of time. `names` has seats by `address port`."""
    found: list[Event] = []
    for group in history.groups():
        mine = [operation for operation in history.operations if operation.group == group]
        for trouble in _troubles(mine):
            found += _ends_of(group, trouble, names)
    found += _first_writes(history)
    return sorted(found, key=lambda event: event.at)


def _troubles(operations: list[Operation]) -> Iterator[list[Operation]]:
    """Operations that failed, or whose outcome is unknown, each trouble by itself."""
    failed = sorted((op for op in operations if not op.ok), key=_told_at)
    trouble: list[Operation] = []
    for operation in failed:
        if trouble and _told_at(operation) - _told_at(trouble[-1]) > _APART_S:
            yield trouble
            trouble = []
        trouble.append(operation)
    if trouble:
        yield trouble


def _ends_of(group: str, trouble: list[Operation], names: Mapping[str, str]) -> list[Event]:
    first, last = trouble[0], trouble[-1]
    outcomes = Counter(operation.outcome for operation in trouble)
    counted = f"{outcomes[Outcome.FAIL]} refused, {outcomes[Outcome.UNKNOWN]} unknown"
    error = _ADDRESS.sub(lambda address: names.get(f"{address[1]} {address[2]}", address[0]), first.error)
    return [
        Event(_told_at(first), _client(first), Kind.ERRORS, group, error),
        Event(_told_at(last), _client(last), Kind.ERRORS_END, group, counted),
    ]


def _first_writes(history: History) -> Iterator[Event]:
    """The first write that each shard took after a fault of its own had left it without service, and after how long."""
    for service in availability.measure(history):
        writes = [op for op in history.operations if op.ok and op.group == service.group and _changes(op)]
        writes.sort(key=_told_at)
        # One time without service may follow from several faults.
        windows = {recovery.window.end: recovery.window for recovery in service.recoveries if recovery.window}
        for window in windows.values():
            first = next((op for op in writes if _told_at(op) >= window.end), None)
            if first is not None and not window.open_end:
                before = max((_told_at(op) for op in writes if _told_at(op) <= window.begin), default=window.begin)
                gap = f"after {_told_at(first) - before:.3f} s without"
                yield Event(_told_at(first), _client(first), Kind.WRITES, service.group, gap)


def _changes(operation: Operation) -> bool:
    return operation.function not in ("read", "contains")


def _told_at(operation: Operation) -> float:
    return operation.invoked_at if operation.completed_at is None else operation.completed_at


def _client(operation: Operation) -> str:
    return f"client-{operation.process}"
