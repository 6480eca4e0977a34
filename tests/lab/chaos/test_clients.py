"""What clients saw, read off their history: errors that begin and end, and the first write after them."""

from __future__ import annotations

from lab.chaos.clients import events
from lab.chaos.events import Event, Kind
from lab.history import History, Moment, Operation, Outcome
from lab.history import Kind as Sort

NAMES = {"127.0.0.1 7000": "node-0"}


def operation(begin: float, end: float, outcome: Outcome, function: str = "write", error: str = "") -> Operation:
    result = "x" if function == "read" and outcome is Outcome.OK else None
    argument = None if function == "read" else "x"
    return Operation(2, function, "k", argument, begin, end, outcome, result, group="shard-0", error=error)


def test_a_fault_as_clients_saw_it() -> None:
    history = History(
        [
            operation(1.9, 1.95, Outcome.OK),
            operation(2.1, 2.2, Outcome.UNKNOWN, error="127.0.0.1:7000: connection reset"),
            operation(2.3, 2.4, Outcome.FAIL, error="CLUSTERDOWN"),
            operation(2.6, 2.7, Outcome.OK, "read"),
            operation(2.8, 2.9, Outcome.OK),
            operation(3.0, 3.1, Outcome.OK),
        ],
        [Moment(2.0, Sort.FAULT, "kill", "node-0", ("shard-0",))],
    )
    assert events(history, NAMES) == [
        Event(2.2, "client-2", Kind.ERRORS, "shard-0", "node-0: connection reset"),
        Event(2.4, "client-2", Kind.ERRORS_END, "shard-0", "1 refused, 1 unknown"),
        # Service was back with the read; the first write came later, and the last one before was earlier.
        Event(2.9, "client-2", Kind.WRITES, "shard-0", "after 0.950 s without"),
    ]


def test_troubles_far_apart_are_told_apart() -> None:
    history = History([operation(at, at + 0.1, Outcome.FAIL) for at in (1.0, 2.0, 3.0, 8.0)])
    found = [(event.at, event.kind) for event in events(history, NAMES)]
    assert found == [(1.1, Kind.ERRORS), (3.1, Kind.ERRORS_END), (8.1, Kind.ERRORS), (8.1, Kind.ERRORS_END)]


def test_where_nothing_failed_there_is_nothing_to_tell() -> None:
    assert events(History([operation(1.0, 1.1, Outcome.OK), operation(2.0, 2.1, Outcome.OK)]), NAMES) == []
