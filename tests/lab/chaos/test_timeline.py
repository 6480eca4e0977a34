"""Timelines side by side, as a pure function: what is paired with what, and where it stands."""

from __future__ import annotations

from lab.chaos.events import Event, Kind
from lab.chaos.timeline import Row, align, alone


def story(*events: tuple[float, str, Kind, str]) -> list[Event]:
    return [Event(*event) for event in events]


def shown(rows: list[Row]) -> list[tuple[float | None, float | None]]:
    return [(row.left and row.left.at, row.right and row.right.at) for row in rows]


def test_who_said_it_does_not_matter() -> None:
    left = story((2.0, "nemesis", Kind.STRUCK, "kill"), (2.5, "sentinel-0", Kind.DOWN, "shard-0"))
    right = story((2.1, "nemesis", Kind.STRUCK, "kill"), (2.8, "sentinel-2", Kind.DOWN, "shard-0"))
    rows = align(left, right)
    assert shown(rows) == [(2.0, 2.1), (2.5, 2.8)]
    assert rows[1].text == "shard-0: enough agree that the master is down (+odown)"
    assert rows[1].difference_s is not None
    assert abs(rows[1].difference_s - 0.3) < 1e-9
    assert alone(rows) == 0


def test_what_it_is_about_does() -> None:
    left = story((2.5, "node-3", Kind.PROMOTED, "shard-0"), (2.6, "node-4", Kind.PROMOTED, "shard-1"))
    # The other way round over there: each promotion finds its own partner.
    right = story((2.5, "node-4", Kind.PROMOTED, "shard-1"), (2.7, "node-3", Kind.PROMOTED, "shard-0"))
    assert shown(align(left, right)) == [(2.6, 2.5), (2.5, 2.7)]


def test_the_second_of_a_kind_is_paired_with_the_second() -> None:
    left = story((1.0, "a", Kind.VOTE, ""), (2.0, "b", Kind.VOTE, ""), (3.0, "c", Kind.VOTE, ""))
    right = story((1.1, "c", Kind.VOTE, ""), (2.1, "a", Kind.VOTE, ""))
    rows = align(left, right)
    assert shown(rows) == [(1.0, 1.1), (2.0, 2.1), (3.0, None)]
    assert rows[-1].difference_s is None
    assert alone(rows) == 1


def test_what_happened_in_one_run_only_stands_at_its_time() -> None:
    left = story((1.0, "", Kind.STRUCK, "kill"), (9.0, "", Kind.WHOLE, ""))
    right = story((1.0, "", Kind.STRUCK, "kill"), (4.0, "s", Kind.TILT, "s"), (9.0, "", Kind.WHOLE, ""))
    assert shown(align(left, right)) == [(1.0, 1.0), (None, 4.0), (9.0, 9.0)]
    assert shown(align(right, left)) == [(1.0, 1.0), (4.0, None), (9.0, 9.0)]


def test_no_events_are_no_rows() -> None:
    assert align([], []) == []
    assert shown(align([], story((1.0, "", Kind.WHOLE, "")))) == [(None, 1.0)]
