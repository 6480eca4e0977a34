"""Notes of use: the second of the last one, or a counter that grows with the logarithm of their number."""

from __future__ import annotations

from random import Random

import pytest

from node.memory.access import COUNTER_MAX, COUNTER_NEW, Uses
from node.settings import NodeSettings

_DAY_MS = 24 * 3600 * 1000


class Clock:
    """A wall clock that is set by hand."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms


def uses(clock: Clock, *, counting: bool, **settings: int) -> Uses:
    return Uses(NodeSettings(**settings), Random(1), clock, counting=counting)


def test_idle_seconds_are_those_since_the_last_use() -> None:
    clock = Clock()
    timed = uses(clock, counting=False)
    entry = timed.fresh()
    assert timed.idle_s(entry) == 0
    clock.now_ms += 12_000
    assert timed.idle_s(entry) == 12
    assert timed.idle_s(timed.used(entry)) == 0


def test_the_clock_of_24_bits_wraps() -> None:
    clock = Clock((1 << 24) * 1000 - 5000)
    timed = uses(clock, counting=False)
    entry = timed.fresh()
    clock.now_ms += 10_000
    assert timed.idle_s(entry) in (9, 10)


@pytest.mark.parametrize(("hits", "least", "most"), [(100, 8, 13), (1000, 16, 24)])
def test_the_counter_grows_as_measured_with_redis(hits: int, least: int, most: int) -> None:
    counted = uses(Clock(), counting=True)
    counters = []
    for _ in range(20):
        entry = counted.fresh()
        assert counted.frequency(entry) == COUNTER_NEW
        for _ in range(hits):
            entry = counted.used(entry)
        counters.append(counted.frequency(entry))
    assert least <= sum(counters) / len(counters) <= most, counters


def test_without_a_factor_every_use_counts_up_to_the_most() -> None:
    counted = uses(Clock(), counting=True, lfu_log_factor=0)
    entry = counted.fresh()
    for expected in range(COUNTER_NEW + 1, COUNTER_NEW + 400):
        entry = counted.used(entry)
        assert counted.frequency(entry) == min(expected, COUNTER_MAX)


def test_the_counter_decays_by_the_minute() -> None:
    clock = Clock()
    counted = uses(clock, counting=True, lfu_log_factor=0, lfu_decay_time=2)
    entry = counted.fresh()
    for _ in range(20):
        entry = counted.used(entry)
    clock.now_ms += 10 * 60_000
    assert counted.frequency(entry) == COUNTER_NEW + 20 - 5
    clock.now_ms += _DAY_MS
    assert counted.frequency(entry) == 0


def test_without_a_decay_time_it_never_does() -> None:
    clock = Clock()
    counted = uses(clock, counting=True, lfu_decay_time=0)
    entry = counted.fresh()
    clock.now_ms += _DAY_MS
    assert counted.frequency(entry) == COUNTER_NEW


@pytest.mark.parametrize("counting", [False, True])
def test_what_another_server_noted_is_taken_over_where_it_fits(counting: bool) -> None:
    clock = Clock()
    noted = uses(clock, counting=counting)
    idle, frequent = noted.imported(77, None), noted.imported(None, 200)
    if counting:
        assert idle is None
        assert frequent is not None
        assert noted.frequency(frequent) == 200
    else:
        assert frequent is None
        assert idle is not None
        assert noted.idle_s(idle) == 77
