"""Seeds that broke something once: what was wrong then, in the product or in the simulator, stays mended.

A seed is another run once the product or the nemesis has moved on; what was found is tested by its own rule, too.
"""

from __future__ import annotations

import pytest

from sim.shape import Shape
from sim.trial import Plan, run

FOUND = {
    # A sentinel whose disk failed logged a vote, and did not give it, because it could not write it down; after a power
    # cut it was blamed for having forgotten it (the simulator's mistake).
    "a vote that is only in the log": Plan(208105914790),
    # A node that was about to end by what its failing disk had refused was taken for a bug when the disk was mended in
    # the very moment between (the simulator's mistake).
    "ends after its disk was mended": Plan(165, Shape(3, 2, 0, failover="cluster")),
    # A master that stood back gave up its links time and again, and two votes for its replica got lost between two of
    # them; so what it had forgotten was thrown away (a mistake in `cluster.heartbeat`).
    "its vote gets through": Plan(391, Shape(3, 1, 0, failover="cluster", down_after_ms=300)),
    # A master that had been replaced was cut off until its successor ended, and was blamed for not taking the place
    # (the simulator's mistake).
    "a replaced master that never followed": Plan(1169, Shape(3, 1, 0, failover="cluster")),
    # A sentinel that had just been restarted promoted a replica that had been, too, and was empty: only one that has
    # seen it in sync knew that it had forgotten something (a mistake in `sentinel.selection`).
    "an empty replica is not taken by a sentinel that cannot know": Plan(457, Shape(3, 2, down_after_ms=300)),
    # A replica lost what it was given in the last third of a second, and was promoted, because it had more than when it
    # was last asked; its master was only out of reach (a mistake in `sentinel.selection`).
    "a replica that was restarted may have forgotten something": Plan(30274, Shape(2, 1)),
    # The one vote that was missing was that of a master whose link was just being dialled anew (a gap in
    # `cluster.election`).
    "who has no link yet is asked for its vote when it has": Plan(
        31305, Shape(3, 1, 0, failover="cluster", down_after_ms=300)
    ),
    # The way to a master that was being replaced had just become free: a datagram would have got through to it at once,
    # and the news waited for TCP, which tries again after a second (a gap in `cluster.outgoing`).
    "the news of a promotion does not wait for TCP": Plan(30078, Shape(1, 1)),
    # A replica had been restarted while its master was down, and so did not know how old its data were; the master came
    # back with nothing, waited in vain for it to take over, and served that (a gap in `cluster.election`).
    # A master could not save for a while, answered PING with MISCONF, and so got no replica into sync; a sentinel took
    # it for dead, as Redis' would, and promoted the replica with what that had had before (a gap in
    # `replication.handshake`).
    "a master that cannot save gives copies": Plan(34787, Shape(3, 1, down_after_ms=1000)),
    # A master that was back after a power cut heard of its replica only when TCP tried again, after the way between
    # them had been cut for a second, and served what it had left before (a gap in `cluster.comeback`).
    "a master that is back calls its replicas": Plan(35218, Shape(1, 1, down_after_ms=300)),
    "better old data than what a master has that lost its own": Plan(33528, Shape(3, 1, 0, failover="cluster")),
    # The same where the link was there, but what had been said on it was lost (the rest of that gap).
    "nor for what TCP has lost before": Plan(37523, Shape(1, 1, down_after_ms=1000)),
    # The same with sentinels: a replica that had been restarted, and so might have forgotten something, was not taken
    # for a master that was back with nothing, and that waited in vain (a gap in `sentinel.selection`).
    "a replica that was restarted is better than nothing": Plan(37406, Shape(3, 1)),
    # A sentinel gave up a connection on which a replica had not answered for long, and waited for the INFO that it had
    # asked for on it: it took a replica with old data, of which it had heard (a mistake in `sentinel.monitoring`).
    "INFO is asked for anew on a new connection": Plan(38681, Shape(3, 2, down_after_ms=300)),
    # The same as with 30078, where the old master had not been asked anything since the way to it was cut (the rest of
    # that gap).
    "a master that was replaced is told both ways": Plan(1085363473733, Shape(2, 1)),
    # On a link that loses packets one was lost ten times running, which kept a replica's connection silent for 100 s,
    # long after the link was well again (the simulator's mistake).
    "no connection is silent for long because of lost packets": Plan(24618617953, Shape(1, 2, down_after_ms=1000)),
}


# Ten seconds of CPU, of which a busy machine gives little.
@pytest.mark.timeout(300)
@pytest.mark.parametrize("found", FOUND)
def test_it_breaks_nothing_any_more(found: str) -> None:
    verdict = run(FOUND[found])
    assert verdict.good, verdict.breaches
