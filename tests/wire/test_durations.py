"""The distribution of durations, beside one that keeps every value."""

from __future__ import annotations

from random import Random

from wire.durations import Durations


def _upper(value: int) -> int:
    """The upper end of a value's bucket, found by counting up."""
    width = 1
    while value >= 256 * width:
        width *= 2
    return value // width * width + width - 1


def test_percentiles_and_sums_are_those_of_all_values() -> None:
    rng = Random(5)
    values = [int(10 ** rng.uniform(0, 9)) for _ in range(3000)]
    durations = Durations()
    for calls, value in enumerate(values, 1):
        durations.sample(value, 1)
        durations.settle(calls)
    values.sort()
    for share in (0.1, 25.0, 50.0, 99.0, 99.9, 100.0):
        place = max(int(share / 100 * len(values) + 0.5), 1)
        assert durations.percentile(share) == _upper(values[place - 1])
    bounds = [_upper(1 << bit) for bit in range(10, 30)]
    expected = [(bound // 1000, sum(value <= bound for value in values)) for bound in bounds]
    assert [*durations.cumulative()] == [*expected, (1_073_741, len(values))]
    assert [micros for micros, _ in expected][:7] == [1, 2, 4, 8, 16, 33, 66]


def test_zero_and_what_is_longer_than_a_second() -> None:
    durations = Durations()
    durations.sample(0, 1)
    durations.sample(1 << 40, 1)
    durations.settle(2)
    assert list(durations.cumulative()) == [(1, 1), (1_073_741, 2)]
    assert durations.percentile(0.0) == 1
    assert durations.percentile(100.0) == 1_002_438_655


def test_runs_that_are_not_sampled_are_spread_like_the_others() -> None:
    durations = Durations()
    calls = 0
    while durations.sample(1000 if calls % 4 else 50_000, 2):
        calls += 1
    durations.sample(1_000_000_000, 1)
    durations.settle(100_000)
    assert durations.known == 100_000
    quick = dict(durations.cumulative())[1]
    assert 74_000 < quick < 76_000
    assert durations.percentile(100.0) > 1_000_000_000


def test_who_waits_in_vain_is_not_in_it() -> None:
    durations = Durations()
    durations.omitted += 2
    durations.settle(2)
    assert durations.known == 0
    durations.finish(5000)
    durations.settle(2)
    assert list(durations.cumulative()) == [(8, 1)]


def test_switched_off_nothing_is_kept_and_nothing_made_up_for_later() -> None:
    durations = Durations()
    durations.kept = False
    assert not durations.sample(1000, 1)
    durations.settle(10)
    durations.kept = True
    durations.sample(1000, 1)
    durations.settle(11)
    assert durations.known == 1
