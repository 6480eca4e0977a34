"""Every excuse for a lost write, with a history that it covers and ones that are nearly the same and that it does not.

A shard of three, node-0 the master with epoch 1 since 0 s; its replicas are node-3 and node-6. All times are seconds.
"""

from __future__ import annotations

import pytest

from cluster.slots import ALL_SLOTS
from sim.claims import Claims
from sim.copies import Lives
from sim.faults import Kind, Strike
from sim.losses import Judge, Loss, Reason
from sim.shape import Shape
from sim.troubles import NEVER, Troubles, longest_gap_s
from sim.workload import Holding, Mark

SENTINELS = Shape(3, 2)
VOTES = Shape(3, 2, 0, failover="cluster")
SHARD = ("node-0", "node-3", "node-6")
_THIRD = ALL_SLOTS // 3


class History:
    """What was seen of one write, node-0's unless told otherwise."""

    def __init__(self, shape: Shape = SENTINELS) -> None:
        self.shape = shape
        self.claims = Claims()
        self.lives = Lives()
        self.troubles = Troubles()
        self._strikes = 0
        self.mark = Mark(b"key", b"1", 7, begun_at=9.99)
        self.claims.note(0.0, "node-0", "a", 1, 0xFF)
        self.claims.note(0.0, "node-1", "b", 2, 0xFF00)
        self.claims.note(0.0, "node-2", "c", 3, 0xFF0000)

    def written(self, at: float, by: str = "node-0") -> None:
        self.mark.begun_at, self.mark.acknowledged_at, self.mark.acknowledged_by = at - 0.01, at, by

    def held(self, name: str, since: float, until: float = NEVER) -> None:
        self.mark.holdings.setdefault(name, []).append(Holding(since, until))

    def fault(self, kind: Kind, at: float, until: float, *targets: str, others: tuple[str, ...] = ()) -> Strike:
        strike = Strike(self._strikes, at, until - at, kind, targets, others)
        self._strikes += 1
        self.troubles.began(strike, at)
        self.troubles.ended(strike, until)
        return strike

    def killed(self, name: str, at: float, until: float) -> Strike:
        """Its process ends, and is restarted from its files."""
        strike = self.fault(Kind.KILL, at, until, name)
        self.lives.ended(name, at)
        self.lives.born(name, until)
        return strike

    def promoted(self, name: str, at: float, epoch: int = 4) -> None:
        self.claims.note(at, name, name, epoch, 0xFF)

    def judged(self) -> Loss:
        return Judge(self.shape, self.claims, self.lives, self.troubles).judge(self.mark, SHARD)


def excused(history: History, reason: Reason, *faults: Strike) -> Loss:
    loss = history.judged()
    assert (loss.reason, loss.why_not) == (reason, "")
    assert sorted(strike.number for strike in loss.faults) == sorted(strike.number for strike in faults)
    return loss


def inexcusable(history: History, why_not: str) -> None:
    loss = history.judged()
    assert loss.reason is Reason.NONE
    assert why_not in loss.why_not


# ---- superseded


def superseded(written_at: float, shape: Shape = SENTINELS) -> History:
    """node-0 takes a write although node-3 has been master since 20 s."""
    history = History(shape)
    history.promoted("node-3", 20.0)
    history.written(written_at, "node-0")
    history.held("node-0", written_at, written_at + 2.0)
    return history


def test_a_master_cut_off_does_not_know_that_it_was_replaced() -> None:
    history = superseded(22.0)
    cut = history.fault(Kind.CUT, 18.0, 23.0, "node-0")
    assert excused(history, Reason.SUPERSEDED, cut).window_s == -2.0


def test_news_of_a_promotion_take_a_moment() -> None:
    history = superseded(20.2)
    pause = history.fault(Kind.PAUSE, 18.0, 19.9, "node-0")
    excused(history, Reason.SUPERSEDED, pause)


def test_a_replaced_master_that_could_have_known_is_not_excused() -> None:
    history = superseded(30.0)
    history.fault(Kind.CUT, 18.0, 23.0, "node-0")
    inexcusable(history, "the news of node-3 could have reached node-0")


def test_a_cut_from_somebody_else_keeps_no_news_away() -> None:
    history = superseded(22.0)
    history.fault(Kind.PAUSE, 15.0, 16.0, "node-0")
    history.fault(Kind.CUT, 18.0, 23.0, "node-0", others=("node-6",))
    inexcusable(history, "the news of node-3 could have reached node-0")


def test_a_master_that_nothing_struck_may_not_be_replaced() -> None:
    history = superseded(20.1)
    history.fault(Kind.CUT, 18.0, 23.0, "node-0", others=("sentinel-1",))
    inexcusable(history, "nothing made node-0 seem dead")


def test_it_is_the_time_of_the_write_that_counts_and_not_that_of_its_answer() -> None:
    """Written, and seen, before the promotion; the answer came later. So node-3 could have had it."""
    history = superseded(19.0)
    history.mark.acknowledged_at = 20.5
    history.fault(Kind.PAUSE, 19.5, 21.0, "node-0")
    inexcusable(history, "node-3 could have had it from node-0 for 0.500 s")


# ---- not replicated


def test_what_was_written_just_before_the_master_was_killed_may_be_lost() -> None:
    history = History()
    history.written(10.0)
    kill = history.killed("node-0", 10.1, 20.0)
    history.promoted("node-3", 11.0)
    assert excused(history, Reason.NOT_REPLICATED, kill).window_s == pytest.approx(0.1)


def test_what_was_written_a_while_before_may_not() -> None:
    history = History()
    history.written(10.0)
    history.killed("node-0", 10.4, 20.0)
    history.promoted("node-3", 11.0)
    inexcusable(history, "node-3 could have had it from node-0 for 0.400 s")


def test_a_master_that_ended_by_nothing_known_is_no_excuse() -> None:
    history = History()
    history.written(10.0)
    history.lives.ended("node-0", 10.1)
    history.promoted("node-3", 11.0)
    inexcusable(history, "nothing ended node-0")


@pytest.mark.parametrize("shape", [SENTINELS, VOTES], ids=["sentinels", "votes"])
def test_a_replica_with_a_cut_link_may_be_chosen_where_no_other_can(shape: Shape) -> None:
    history = History(shape)
    history.written(10.0)
    cut = history.fault(Kind.CUT, 9.0, 14.0, "node-3", others=("node-0",))
    other = history.fault(Kind.CUT, 9.0, 14.0, "node-6", others=("node-0",))
    kill = history.killed("node-0", 13.0, 20.0)
    history.promoted("node-3", 14.0)
    loss = excused(history, Reason.NOT_REPLICATED, cut, kill)
    assert loss.window_s == 3.0
    assert other not in loss.faults


@pytest.mark.parametrize("shape", [SENTINELS, VOTES], ids=["sentinels", "votes"])
def test_a_cut_to_one_of_two_replicas_does_not_excuse_that_it_is_the_one_chosen(shape: Shape) -> None:
    history = History(shape)
    history.written(10.0)
    history.held("node-6", 10.0, 16.0)
    history.fault(Kind.CUT, 9.0, 14.0, "node-3", others=("node-0",))
    history.killed("node-0", 13.0, 20.0)
    history.promoted("node-3", 14.0)
    inexcusable(history, "node-6 had it, and nothing kept it from taking the place of node-0")


@pytest.mark.parametrize(
    ("shape", "other", "counts"),
    [
        (SENTINELS, "sentinel-2", True),
        (SENTINELS, "node-3", False),
        (SENTINELS, "node-1", False),
        (VOTES, "node-3", True),
        (VOTES, "node-1", True),
        (VOTES, "node-0", False),
    ],
)
def test_the_other_one_must_have_been_kept_from_those_who_choose(shape: Shape, other: str, counts: bool) -> None:
    history = History(shape)
    history.written(10.0)
    history.held("node-6", 10.0, 16.0)
    cut = history.fault(Kind.CUT, 9.0, 14.0, "node-3", others=("node-0",))
    kill = history.killed("node-0", 13.0, 20.0)
    kept = history.fault(Kind.CUT, 12.5, 15.0, "node-6", others=(other,))
    history.promoted("node-3", 14.0)
    if counts:
        excused(history, Reason.NOT_REPLICATED, cut, kill, kept)
    else:
        inexcusable(history, "node-6 had it, and nothing kept it")


def test_what_struck_the_other_one_long_before_or_later_does_not_count() -> None:
    history = History()
    history.written(10.0)
    history.held("node-6", 10.0, 16.0)
    history.fault(Kind.CUT, 9.0, 14.0, "node-3", others=("node-0",))
    history.killed("node-0", 13.0, 20.0)
    history.fault(Kind.PAUSE, 10.5, 11.5, "node-6")
    history.fault(Kind.PAUSE, 14.1, 15.0, "node-6")
    history.promoted("node-3", 14.0)
    inexcusable(history, "node-6 had it, and nothing kept it")


def test_a_lag_must_last_until_the_end_of_the_master() -> None:
    """The link was slow when it was written, and well again long before the master died."""
    history = History()
    history.written(10.0)
    history.fault(Kind.SLOW_LINK, 9.0, 11.0, "node-3", others=("node-0",))
    history.killed("node-0", 30.0, 40.0)
    history.promoted("node-3", 31.0)
    inexcusable(history, "node-3 could have had it from node-0 for 14.000 s")


def test_after_a_long_cut_it_takes_as_long_again_until_tcp_tries_again() -> None:
    history = History()
    history.written(10.0)
    cut = history.fault(Kind.CUT_ONE_WAY, 8.0, 20.0, "node-0", others=("node-3", "node-6"))
    kill = history.killed("node-0", 32.0, 50.0)
    history.promoted("node-3", 33.0)
    excused(history, Reason.NOT_REPLICATED, cut, kill)


def test_a_new_masters_replicas_need_a_moment_to_follow_it() -> None:
    history = History()
    first = history.killed("node-0", 5.0, 30.0)
    history.promoted("node-3", 6.0, epoch=4)
    history.written(7.0, "node-3")
    second = history.killed("node-3", 8.0, 30.0)
    history.promoted("node-6", 9.0, epoch=5)
    assert first.number == 0
    excused(history, Reason.NOT_REPLICATED, second)


def test_but_not_forever() -> None:
    history = History()
    history.killed("node-0", 5.0, 30.0)
    history.promoted("node-3", 6.0, epoch=4)
    history.written(12.0, "node-3")
    history.killed("node-3", 13.0, 30.0)
    history.promoted("node-6", 14.0, epoch=5)
    inexcusable(history, "node-6 could have had it from node-3 for 1.000 s")


# ---- forgotten


def test_who_lost_its_memory_by_itself_is_excused_where_nobody_else_had_it() -> None:
    history = History()
    history.written(10.0)
    history.held("node-0", 10.0, 15.0)
    history.held("node-3", 10.0, 14.0)
    replica = history.killed("node-3", 14.0, 16.0)
    master = history.killed("node-0", 15.0, 15.5)
    assert excused(history, Reason.FORGOTTEN, master, replica).window_s == 5.0


def test_a_master_that_was_restarted_must_let_a_replica_that_has_it_take_over() -> None:
    history = History()
    history.written(10.0)
    history.held("node-0", 10.0, 15.0)
    history.held("node-3", 10.0, 17.0)
    history.killed("node-0", 15.0, 15.5)
    # A fault that comes when the replica has thrown it away already.
    history.fault(Kind.PAUSE, 18.0, 20.0, "node-3")
    inexcusable(history, "node-3 had it, and nothing kept it from taking the place of node-0")


def test_unless_a_fault_kept_that_from_taking_over() -> None:
    history = History()
    history.written(10.0)
    history.held("node-0", 10.0, 15.0)
    history.held("node-3", 10.0, 30.0)
    kill = history.killed("node-0", 15.0, 15.5)
    pause = history.fault(Kind.PAUSE, 16.0, 29.0, "node-3")
    excused(history, Reason.FORGOTTEN, kill, pause)


@pytest.mark.parametrize("shape", [SENTINELS, VOTES])
@pytest.mark.parametrize(("others", "counts"), [(("node-0",), True), (("node-6",), False)])
def test_a_master_that_was_restarted_must_hear_of_what_the_replica_has(
    shape: Shape, others: tuple[str, ...], counts: bool
) -> None:
    history = History(shape)
    history.written(10.0)
    history.held("node-0", 10.0, 15.0)
    history.held("node-3", 10.0, 20.0)
    kill = history.killed("node-0", 15.0, 15.5)
    cut = history.fault(Kind.CUT, 14.0, 19.0, "node-3", others=others)
    if counts:
        excused(history, Reason.FORGOTTEN, kill, cut)
    else:
        inexcusable(history, "node-3 had it, and nothing kept it from taking the place of node-0")


@pytest.mark.parametrize(
    ("shape", "back_at", "counts"), [(VOTES, 14.9, True), (VOTES, 8.0, False), (SENTINELS, 14.9, False)]
)
def test_a_replica_that_was_not_in_sync_again_may_not_stand(shape: Shape, back_at: float, counts: bool) -> None:
    """Seed 922 of `shardlab sim run --failover cluster`: it came back just before its master ended."""
    history = History(shape)
    history.written(4.0)
    history.held("node-0", 4.0, 15.0)
    history.held("node-3", 4.0, 5.0)
    history.held("node-3", back_at, 40.0)
    stop = history.fault(Kind.STOP, 5.0, back_at, "node-3")
    history.lives.ended("node-3", 5.0)
    history.lives.born("node-3", back_at)
    kill = history.killed("node-0", 15.0, 20.0)
    if counts:
        excused(history, Reason.FORGOTTEN, kill, stop)
    else:
        inexcusable(history, "node-3 had it, and nothing kept it from taking the place of node-0")


@pytest.mark.parametrize(
    ("shape", "over_at", "counts"), [(VOTES, 26.0, True), (VOTES, 11.0, False), (SENTINELS, 26.0, False)]
)
def test_a_replaced_master_that_never_followed_its_successor_may_not_stand(
    shape: Shape, over_at: float, counts: bool
) -> None:
    """Seed 1169 of `shardlab sim run --failover cluster`: its successor ended before the cut did."""
    history = History(shape)
    history.written(4.0)
    history.held("node-0", 4.0, 42.0)
    history.held("node-3", 4.0, 24.0)
    cut = history.fault(Kind.CUT_ONE_WAY, 10.0, over_at, "node-0")
    history.promoted("node-3", 12.0)
    kill = history.killed("node-3", 24.0, 31.0)
    if counts:
        excused(history, Reason.FORGOTTEN, kill, cut)
    else:
        inexcusable(history, "node-0 had it, and nothing kept it from taking the place of node-3")


def test_what_is_in_a_snapshot_is_not_forgotten() -> None:
    """The master came back with it, and went on; then it was gone without anything having happened."""
    history = History()
    history.written(10.0)
    history.held("node-0", 10.0, 15.0)
    history.held("node-0", 15.6, 20.0)
    history.killed("node-0", 15.0, 15.5)
    inexcusable(history, "its slot's masters have always had it")


def test_nor_is_what_is_in_a_log() -> None:
    history = History(Shape(3, 2, directives=("appendonly yes", "appendfsync always")))
    history.written(10.0)
    history.held("node-0", 10.0, 15.0)
    history.killed("node-0", 15.0, 15.5)
    inexcusable(history, "node-0 had it in its log")


def test_a_replica_that_forgot_may_take_over_when_the_master_has_been_out_of_reach_for_long() -> None:
    history = History()
    history.written(10.0)
    history.held("node-0", 10.0, 40.0)
    history.held("node-3", 10.0, 12.0)
    cut = history.fault(Kind.CUT, 11.0, 30.0, "node-0")
    kill = history.killed("node-3", 12.0, 12.5)
    history.promoted("node-3", 22.0)
    excused(history, Reason.FORGOTTEN, cut, kill)


def test_but_not_when_it_may_soon_be_back() -> None:
    history = History()
    history.written(10.0)
    history.held("node-0", 10.0, 40.0)
    history.held("node-3", 10.0, 12.0)
    history.fault(Kind.CUT, 11.0, 15.0, "node-0")
    history.killed("node-3", 12.0, 12.5)
    history.promoted("node-3", 14.0)
    inexcusable(history, "node-0 still had it, and was not to be given up for node-3")


def test_a_later_fault_on_a_holder_is_no_excuse() -> None:
    """node-6 had it and was well when node-3, which did not, took over; later it was killed."""
    history = History()
    history.written(10.0)
    history.held("node-6", 10.0, 18.0)
    history.killed("node-0", 10.1, 30.0)
    history.promoted("node-3", 11.0)
    history.killed("node-6", 18.0, 19.0)
    inexcusable(history, "node-6 had it, and nothing kept it from taking the place of node-0")


def test_what_one_master_lacked_and_the_next_one_had_is_not_lost_by_the_first() -> None:
    """node-0 forgot it, node-3 took over with it; then node-3 was killed and node-6, which lacked it, took over."""
    history = History()
    history.written(10.0)
    history.held("node-0", 10.0, 15.0)
    history.held("node-3", 10.0, 40.0)
    history.killed("node-0", 15.0, 15.5)
    history.promoted("node-3", 17.0, epoch=4)
    history.killed("node-3", 40.0, 60.0)
    history.promoted("node-6", 41.0, epoch=5)
    inexcusable(history, "node-6 could have had it from node-3 for 18.000 s")


@pytest.mark.parametrize(
    ("spans", "gap"),
    [
        ([], 10.0),
        ([(0.0, 20.0)], 0.0),
        ([(2.0, 3.0)], 7.0),
        ([(-5.0, 1.0), (4.0, 6.0), (5.0, 20.0)], 3.0),
        ([(4.0, 6.0), (-5.0, 5.0)], 4.0),
        ([(11.0, 12.0)], 10.0),
    ],
)
def test_the_longest_gap(spans: list[tuple[float, float]], gap: float) -> None:
    assert longest_gap_s(spans, 0.0, 10.0) == gap
