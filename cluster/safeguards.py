"""The rules that keep the cluster safe, by name, so that a test or a lesson can take one away.

All are on, and redis.conf cannot reach them: they are no settings. A test switches one off and requires that
something goes wrong; a lesson does the same to show what the rule is for.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Safeguards:
    """Each names what holds while it is true."""

    # A master votes once in an epoch, and for one replica of a master in a while. Otherwise two replicas win the
    # same election, with the same epoch.
    vote_once_per_epoch: bool = True
    # The vote is on disk before it leaves. Otherwise a restarted master votes in the same epoch again.
    save_before_vote: bool = True
    # An election needs the votes of a majority of the masters with slots. Otherwise both sides of a cut elect.
    majority_for_election: bool = True
    # A node is FAIL when a majority of masters say so. Otherwise one cut-off node declares the others dead.
    majority_for_fail: bool = True
    # A master does not vote against one it believes alive. Otherwise any impatient replica takes over.
    vote_only_when_master_failed: bool = True
    # Slots go to the claim with the greater configuration epoch. Otherwise a returning master takes its slots back.
    reject_stale_slot_claims: bool = True
    # A voter refuses a replica whose slots somebody newer owns. Otherwise an old copy wins an election.
    reject_stale_candidates: bool = True
    # A master that lost its last slot to another follows it. Otherwise it stays a master that nobody writes to.
    step_down_when_replaced: bool = True
    # A master that sees only a minority stops serving. Otherwise it takes writes that will be thrown away.
    minority_stops_serving: bool = True
    # A master that starts with its old slots serves none at first: it may have been replaced while it was away.
    wait_before_serving: bool = True
    # Two masters with one configuration epoch: the one with the smaller id takes a new one.
    resolve_epoch_collisions: bool = True
    # A replica whose data are too old does not stand.
    replica_data_age: bool = True
    # Of several replicas the one with the most data stands first. Otherwise what only the others have is lost.
    most_data_first: bool = True
