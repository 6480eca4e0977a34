"""Acknowledged writes that are gone: found, measured against the failover, and told from what may be."""

from __future__ import annotations

import pytest

from lab.check.lost_writes import LostWrites, find
from lab.history import Moment, Operation
from tests.lab.check.histories import failed, failover, history, incr, op, read, unknown, write

STRUCK_AT, AT = 10.0, 10.6
WINDOW_S = 0.25


def judge(*operations: Operation, moments: list[Moment] | None = None) -> LostWrites:
    return find(history(*operations, moments=failover(STRUCK_AT, AT) if moments is None else moments))


@pytest.mark.parametrize(
    "operations",
    [
        [write("a", 0, 1), read("a", 20, 21)],
        # Overwritten.
        [write("a", 0, 1), write("b", 2, 3), read("b", 20, 21)],
        # By one of two at a time, in either order.
        [write("a", 0, 5), write("b", 1, 4, process=1), read("a", 20, 21)],
        [write("a", 0, 5), write("b", 1, 4, process=1), read("b", 20, 21)],
        # By one of unknown outcome, which may have happened at the very end.
        [unknown(write("b", 0, 1)), write("a", 2, 3, process=1), read("b", 20, 21)],
        # Never acknowledged.
        [unknown(write("a", 0, 1)), failed(write("b", 2, 3)), read(None, 20, 21)],
        [write("a", 0, 1), op("cas", ["a", "b"], 2, 3, True), op("cas", ["x", "y"], 4, 5, False), read("b", 20, 21)],
        [op("add", "x", 0, 1), op("add", "y", 2, 3), op("remove", "x", 4, 5), read(["y"], 20, 21)],
        [op("add", "x", 0, 1), unknown(op("remove", "x", 2, 3, process=1)), read([], 20, 21)],
        [incr(1, 0, 1), unknown(incr(None, 2, 3)), incr(2, 4, 5, process=1), read(2, 20, 21)],
        [incr(1, 0, 1), unknown(incr(None, 2, 3)), incr(3, 4, 5, process=1), read(3, 20, 21)],
    ],
)
def test_nothing_is_lost(operations: list[Operation]) -> None:
    report = judge(*operations)
    assert report.losses == []
    assert report.from_nowhere == []
    assert not any(end.doubled or end.unexplained for end in report.counters)
    assert report.judged == sum(one.ok and one.function != "read" and one.result is not False for one in operations) + (
        any(one.function == "cas" for one in operations)
    )


@pytest.mark.parametrize(
    ("operations", "lost"),
    [
        ([write("a", 0, 1), read(None, 20, 21)], [0]),
        ([write("a", 0, 1), write("b", 2, 3), write("c", 4, 5), read("a", 20, 21)], [1, 2]),
        ([write("a", 0, 1), op("cas", ["a", "b"], 2, 3, True), read("a", 20, 21)], [1]),
        ([op("add", "x", 0, 1), op("add", "y", 2, 3), read(["y"], 20, 21)], [0]),
        # A removal can be lost, too.
        ([op("add", "x", 0, 1), op("remove", "x", 2, 3), read(["x"], 20, 21)], [1]),
        ([incr(1, 0, 1), incr(2, 2, 3), incr(2, 4, 5), read(2, 20, 21)], [1]),
        ([incr(1, 0, 1), incr(2, 2, 3), read(1, 20, 21)], [1]),
    ],
)
def test_what_is_lost(operations: list[Operation], lost: list[int]) -> None:
    report = judge(*operations)
    assert [loss.operation for loss in report.losses] == [operations[index] for index in lost]
    assert not any(end.doubled or end.unexplained for end in report.counters)


@pytest.mark.parametrize(
    ("ended", "before_fault_s", "permitted"),
    [
        (9.9, 0.1, True),
        # Between the fault and the failover: a master that is cut off does not know yet.
        (10.3, -0.3, True),
        # Long before: a replica should have had it.
        (9.5, 0.5, False),
        # After it was replaced.
        (10.7, -0.7, False),
    ],
)
def test_the_window_of_loss(ended: float, before_fault_s: float, permitted: bool) -> None:
    report = judge(write("a", ended - 0.05, ended), read(None, 20, 21))
    (loss,) = report.losses
    assert loss.before_fault_s == pytest.approx(before_fault_s)
    assert loss.permitted(WINDOW_S) is permitted
    assert report.forbidden(WINDOW_S) == ([] if permitted else [loss])


def test_each_loss_is_measured_against_its_own_failover() -> None:
    moments = [*failover(10, 10.6, "one"), *failover(30, 30.6, "one"), *failover(9, 9.1, "other")]
    lost = [write("a", 9.8, 9.9, key="x", group="one"), write("b", 29.8, 29.95, key="y", group="one")]
    finals = [read(None, 40, 41, key=key, group="one") for key in "xy"]
    report = judge(*lost, *finals, moments=moments)
    assert [round(loss.before_fault_s or 0, 3) for loss in report.losses] == [0.1, 0.05]
    assert report.forbidden(0.1001) == []


def test_without_a_failover_no_loss_is_permitted() -> None:
    report = judge(write("a", 0, 1), read(None, 20, 21), moments=[])
    (loss,) = report.losses
    assert loss.before_fault_s is None
    assert not loss.permitted(1e9)


def test_a_counter_that_counted_twice() -> None:
    report = judge(incr(1, 0, 1), unknown(incr(None, 2, 3)), read(3, 20, 21))
    (end,) = report.counters
    assert (end.acknowledged, end.attempted, end.final, end.doubled) == (1, 2, 3, 1)


def test_a_value_from_nowhere() -> None:
    assert judge(write("a", 0, 1), read("z", 20, 21)).from_nowhere == [read("z", 20, 21)]
    assert judge(op("add", "a", 0, 1), read(["a", "z"], 20, 21)).from_nowhere == [read(["a", "z"], 20, 21)]
    assert judge(failed(write("a", 0, 1)), read("a", 20, 21)).from_nowhere


def test_without_a_final_read_nothing_is_known() -> None:
    for final in (read("a", 20, 21, replica=True), read("a", 0.5, 21, process=1), failed(read("a", 20, 21))):
        report = judge(write("a", 0, 1), final)
        assert (report.judged, report.unjudged) == (0, 1)
