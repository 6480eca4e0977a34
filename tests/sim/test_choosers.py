"""What keeps a replica from being chosen, and what makes a master seem dead, is what lies between them and those who
choose; a fault of somebody else's whole host is one of every way to it.
"""

from __future__ import annotations

import pytest

from sim.choosers import Choosers
from sim.claims import Claims
from sim.faults import Kind, Strike
from sim.shape import Shape
from sim.troubles import Troubles

SENTINELS = Shape(3, 2)
VOTES = Shape(3, 2, 0, failover="cluster")


def choosers(shape: Shape, *strikes: Strike) -> Choosers:
    claims, troubles = Claims(), Troubles()
    for number in range(3):
        claims.note(0.0, f"node-{number}", f"id {number}", number + 1, 0xFF << 8 * number)
    for strike in strikes:
        troubles.began(strike, strike.at_s)
        troubles.ended(strike, strike.at_s + strike.lasting_s)
    return Choosers(shape, claims, troubles)


def cut(*targets: str, others: tuple[str, ...] = ()) -> Strike:
    return Strike(0, 9.0, 2.0, Kind.CUT, targets, others)


@pytest.mark.parametrize(
    ("shape", "strike", "unseen"),
    [
        # Its own host is cut off from everybody.
        (SENTINELS, cut("node-6"), True),
        (VOTES, cut("node-6"), True),
        # Its rival's is, so that this one does not hear how much it has; sentinels hear both.
        (SENTINELS, cut("node-3"), False),
        (VOTES, cut("node-3"), True),
        # One of those who choose is.
        (SENTINELS, cut("sentinel-1"), True),
        (VOTES, cut("node-2"), True),
        # Neither has a say.
        (SENTINELS, cut("node-2"), False),
        (VOTES, cut("node-0"), False),
        # The two are on the same side of it, with those who choose or without.
        (SENTINELS, cut("node-3", "node-6", "sentinel-0", "sentinel-1", "sentinel-2"), False),
        (VOTES, cut("node-3", "node-6", "node-1", "node-2"), False),
        (SENTINELS, cut("node-3", "node-6", others=("node-0", "node-1")), False),
    ],
)
def test_what_keeps_a_replica_from_being_chosen(shape: Shape, strike: Strike, unseen: bool) -> None:
    trouble = choosers(shape, strike).unseen("node-6", "node-3", 10.0, 10.0)
    assert (None if trouble is None else trouble.strike) == (strike if unseen else None)


@pytest.mark.parametrize(
    ("shape", "strike", "unheard"),
    [
        (SENTINELS, cut("node-0"), True),
        (VOTES, cut("node-0"), True),
        # A quorum of two, of three sentinels; a majority of two, of three masters of which one is dead.
        (SENTINELS, cut("node-0", others=("sentinel-0", "sentinel-2")), True),
        (SENTINELS, cut("node-0", others=("sentinel-0", "node-1", "node-2")), False),
        (VOTES, cut("node-0", others=("node-1", "node-2")), True),
        (VOTES, cut("node-0", others=("node-1", "node-3")), False),
        # A slow disk holds up what the bus says, and an answer to a PING only when it is so slow that nodes.conf takes
        # longer to save than a dead node is waited for.
        (SENTINELS, Strike(0, 9.0, 2.0, Kind.SLOW_DISK, ("node-0",), (), 100.0), False),
        (SENTINELS, Strike(0, 9.0, 2.0, Kind.SLOW_DISK, ("node-0",), (), 400.0), True),
        (VOTES, Strike(0, 9.0, 2.0, Kind.SLOW_DISK, ("node-0",), (), 100.0), True),
    ],
)
def test_what_makes_a_master_seem_dead(shape: Shape, strike: Strike, unheard: bool) -> None:
    trouble = choosers(shape, strike).unheard("node-0", 12.0)
    assert (None if trouble is None else trouble.strike) == (strike if unheard else None)


def test_it_counts_for_a_moment_after_it_is_over() -> None:
    after = choosers(SENTINELS, cut("node-6"))
    assert after.unseen("node-6", "node-3", 12.9, 12.9) is not None
    assert after.unseen("node-6", "node-3", 13.1, 13.1) is None
    assert after.unseen("node-6", "node-3", 8.0, 8.9) is None
