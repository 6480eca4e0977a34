"""Old answers: which are old for certain, for how long, and who gave them."""

from __future__ import annotations

import pytest

from lab.check.stale_reads import Source, count
from lab.history import Operation
from tests.lab.check.histories import failover, history, incr, op, read, unknown, write

TWO = [write("a", 0, 1), write("b", 2, 3)]


@pytest.mark.parametrize(
    "operations",
    [
        [*TWO, read("b", 4, 5)],
        # During the second write either will do.
        [*TWO, read("a", 2.5, 5, process=1)],
        # It is not known when the first one happened.
        [unknown(write("a", 0, 1)), write("b", 2, 3, process=1), read("a", 4, 5)],
        # Not even whether the second one did.
        [write("a", 0, 1), unknown(write("b", 2, 3)), read("a", 4, 5, process=1)],
        # Written again.
        [*TWO, write("a", 3.5, 3.6), read("a", 4, 5)],
        [incr(1, 0, 1), incr(2, 2, 5), read(1, 3, 4, process=1)],
        [op("add", "x", 0, 1), read(["x"], 2, 3), op("remove", "x", 4, 5), read([], 6, 7)],
    ],
)
def test_fresh(operations: list[Operation]) -> None:
    report = count(history(*operations))
    assert report.stale == []
    assert report.reads == sum(one.function == "read" for one in operations)
    assert report.age_max_s() == 0.0


@pytest.mark.parametrize(
    ("operations", "age_s"),
    [
        ([*TWO, read("a", 4, 5)], 1.0),
        ([*TWO, read(None, 4, 5)], 3.0),
        ([*TWO, write("c", 3.5, 3.6), read("a", 4, 5)], 1.0),
        ([incr(1, 0, 1), incr(2, 2, 3), incr(3, 3.5, 3.6), read(1, 4, 5)], 1.0),
        ([op("add", "x", 0, 1), op("remove", "x", 2, 3), read(["x"], 4, 5)], 1.0),
        ([op("add", "x", 0, 1), op("contains", "x", 4, 5, False)], 3.0),
    ],
)
def test_stale(operations: list[Operation], age_s: float) -> None:
    report = count(history(*operations))
    (stale,) = report.stale
    assert stale.operation == operations[-1]
    assert stale.source is Source.MASTER
    assert stale.age_s == pytest.approx(age_s)


def test_who_gave_the_old_answer() -> None:
    operations = [
        *TWO,
        read("a", 4, 5, replica=True, node="r"),
        read("a", 6, 7, node="m"),
        # After the failover the new master never had it.
        read("a", 11, 12, node="s"),
    ]
    report = count(history(*operations, moments=failover(10, 10.6)))
    assert report.by_source() == {Source.REPLICA: 1, Source.MASTER: 1, Source.SUCCESSOR: 1}
    assert report.by_node() == {"r": 1, "m": 1, "s": 1}
    assert report.age_max_s() == pytest.approx(8.0)


def test_what_was_written_after_the_failover_is_no_excuse() -> None:
    late = [write("a", 0, 1), write("b", 11, 12), read("a", 13, 14)]
    report = count(history(*late, moments=failover(10, 10.6)))
    assert report.by_source() == {Source.MASTER: 1}
