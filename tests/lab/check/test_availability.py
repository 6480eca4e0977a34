"""Windows without service, and the time from a fault to the end of the one that it opened."""

from __future__ import annotations

import pytest

from lab.check.availability import Window, measure, timeline
from lab.history import Kind, Moment, Operation
from tests.lab.check.histories import failed, history, read, unknown, write


def served(begin: float, end: float, group: str = "g") -> list[Operation]:
    """A success every tenth of a second."""
    count = round((end - begin) * 10)
    return [write(n, begin + n / 10, begin + n / 10 + 0.01, group=group) for n in range(count)]


KILL = Moment(2.0, Kind.FAULT, "kill", "node-0", ("g",))


def test_an_outage_and_the_recovery() -> None:
    refused = [failed(write("x", 2 + n / 10, 2.01 + n / 10, group="g")) for n in range(8)]
    (service,) = measure(history(*served(0, 2), *refused, *served(2.8, 5), moments=[KILL]))
    (window,) = service.windows
    assert window.begin == pytest.approx(1.91)
    assert window.end == pytest.approx(2.81)
    assert service.longest_s == pytest.approx(0.9)
    (recovery,) = service.recoveries
    assert recovery.window is window
    assert recovery.time_s == pytest.approx(0.81)
    assert (service.succeeded, service.failed, service.unknown) == (42, 8, 0)


def test_a_client_that_hangs_and_is_served_in_the_end_has_waited() -> None:
    (service,) = measure(history(*served(0, 2), write("x", 1.95, 3.0, group="g", process=1), *served(3, 4)))
    assert [round(window.length_s, 2) for window in service.windows] == [1.09]


def test_without_demand_there_is_no_outage() -> None:
    (service,) = measure(history(*served(0, 2), *served(3, 4)))
    assert service.windows == ()


def test_other_groups_are_apart() -> None:
    hurt = [*served(0, 2), unknown(write("x", 2, 4, group="g")), *served(4, 5)]
    services = measure(history(*hurt, *served(0, 5, "h"), moments=[KILL]))
    assert [(service.group, len(service.windows), len(service.recoveries)) for service in services] == [
        ("g", 1, 1),
        ("h", 0, 0),
    ]


def test_a_fault_that_nobody_noticed_took_no_time() -> None:
    (service,) = measure(history(*served(0, 5), moments=[KILL]))
    assert service.recoveries[0].window is None
    assert service.recoveries[0].time_s == 0.0


def test_the_wait_after_the_second_fault_is_not_blamed_on_the_first() -> None:
    # Nobody noticed that a sentinel died; a second later a master did, and its window began with the last success.
    sentinel = Moment(1.0, Kind.FAULT, "kill", "sentinel-0")
    refused = failed(write("x", 2.1, 2.2, group="g"))
    (service,) = measure(history(*served(0, 2), refused, *served(2.8, 5), moments=[sentinel, KILL]))
    assert [recovery.time_s for recovery in service.recoveries] == [0.0, pytest.approx(0.81)]
    # One that had lasted for a while when the second fault struck is the first one's.
    early = Moment(1.5, Kind.FAULT, "cut", "node-0")
    late = Moment(2.3, Kind.FAULT, "kill", "sentinel-0")
    (service,) = measure(history(*served(0, 2), refused, *served(2.8, 5), moments=[early, late]))
    assert [recovery.time_s for recovery in service.recoveries] == [pytest.approx(1.31), pytest.approx(0.51)]


def test_a_fault_after_which_nothing_succeeds_has_no_recovery() -> None:
    (service,) = measure(history(*served(0, 2), failed(write("x", 2, 4, group="g")), moments=[KILL]))
    (window,) = service.windows
    assert window == Window(pytest.approx(1.91), 4, open_end=True)  # type: ignore[arg-type]
    assert service.recoveries[0].time_s is None


def test_nothing_ever_succeeded() -> None:
    (service,) = measure(history(failed(write("x", 0, 1, group="g")), failed(write("x", 1, 2, group="g"))))
    assert service.windows == (Window(0, 2, open_end=True),)


def test_each_fault_has_its_own_window() -> None:
    again = Moment(6.0, Kind.FAULT, "pause", "node-3", ("g",))
    operations = [*served(0, 2), failed(write("x", 2, 2.5, group="g")), *served(2.5, 6)]
    operations += [failed(write("x", 6, 6.9, group="g")), *served(7, 8)]
    (service,) = measure(history(*operations, moments=[KILL, again]))
    assert [round(recovery.time_s or 0, 2) for recovery in service.recoveries] == [0.51, 1.01]


def test_replicas_are_no_service() -> None:
    (service,) = measure(
        history(
            *served(0, 2),
            failed(write("x", 2, 3, group="g")),
            read("x", 2.4, 2.5, group="g", replica=True),
            *served(3, 4),
        )
    )
    assert len(service.windows) == 1


def test_timeline() -> None:
    operations = [*served(0, 2), failed(write("x", 2.0, 2.9, group="g")), *served(4, 6)]
    assert timeline(history(*operations), "g", columns=6) == "##x.##"
    assert timeline(history(*operations), "elsewhere", columns=3) == "..."
    assert timeline(history(), "g") == ""
