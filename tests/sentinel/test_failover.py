"""The death of a master, from the first silence to the new address, in virtual time."""

from __future__ import annotations

from itertools import pairwise

import pytest

from sentinel.events import ForceFailover, SimulateFailure
from sentinel.failover import _STEPS, TRANSITIONS
from sentinel.instances import FailoverState
from sentinel.periods import Periods
from sentinel.requests import Follow, TakeOver
from tests.sentinel.world import NAME, Sentinel, World, memory


def switched(world: World, sentinels: list[Sentinel], port: int) -> bool:
    return all(world.master_port(s) == port for s in sentinels if s.alive)


def leader(world: World, sentinels: list[Sentinel]) -> Sentinel:
    (name,) = {who for _, who, channel, _ in world.log if channel == "+elected-leader"}
    return next(s for s in sentinels if s.name == name)


def test_the_leaders_story() -> None:
    """The order of the fact sheet, section 10."""
    world = World()
    sentinels = world.shard()
    mark = len(world.log)
    world.kill(world.redises[1])
    world.run_until(lambda: switched(world, sentinels, 2))
    first = leader(world, sentinels)
    told = [channel for _, who, channel, _ in world.log[mark:] if who == first.name and channel != "-odown"]
    assert told == [
        *("+sdown", "+odown", "+new-epoch", "+try-failover", "+vote-for-leader", "+elected-leader"),
        *("+failover-state-select-slave", "+selected-slave", "+failover-state-send-slaveof-noone"),
        *("+failover-state-wait-promotion", "-role-change", "+promoted-slave", "+failover-state-reconf-slaves"),
        *("+slave-reconf-sent", "+slave-reconf-inprog", "+slave-reconf-done", "+failover-end", "+switch-master"),
        *("+slave", "+slave"),
    ]
    assert world.heard("+switch-master", first.name) == [f"{NAME} 127.0.0.1 1 127.0.0.1 2"]
    assert world.heard("+promoted-slave", first.name) == [f"slave 127.0.0.1:2 127.0.0.1 2 @ {NAME} 127.0.0.1 1"]
    assert world.redises[2].orders == [Follow()]
    assert world.redises[3].orders == [Follow("127.0.0.1", 2)]
    assert "#quorum 2/2" in world.heard("+odown", first.name)[0]


def test_an_observers_story() -> None:
    world = World()
    sentinels = world.shard()
    mark = len(world.log)
    world.kill(world.redises[1])
    world.run_until(lambda: switched(world, sentinels, 2))
    first = leader(world, sentinels)
    for observer in sentinels:
        if observer is not first:
            told = [channel for _, who, channel, _ in world.log[mark:] if who == observer.name]
            at = told.index("+config-update-from")
            assert told[at:][:4] == ["+config-update-from", "+switch-master", "+slave", "+slave"]


@pytest.mark.parametrize("cluster", [False, True])
def test_it_is_fast(cluster: bool) -> None:
    """With down-after 500 ms, the new master is confirmed within a second of the kill, whatever the phase."""
    for phase in range(0, 130, 31):
        world = World()
        sentinels = world.shard(cluster=cluster)
        world.run(phase)
        world.kill(world.redises[1])
        took = world.run_until(lambda w=world: w.heard("+promoted-slave") != [])
        assert took <= 850, took
        world.run_until(lambda w=world, s=sentinels: switched(w, s, 2))


def test_a_cluster_shard_is_taken_over() -> None:
    """One command to the heir; nobody is sent REPLICAOF, the cluster bus tells the others."""
    world = World()
    sentinels = world.shard(cluster=True)
    world.kill(world.redises[1])
    took = world.run_until(lambda: switched(world, sentinels, 2))
    assert took <= 1_000
    world.restart(world.redises[1])
    world.run(60_000)
    assert world.redises[2].orders == [TakeOver()]
    assert world.redises[1].orders == world.redises[3].orders == []


@pytest.mark.parametrize("cluster", [False, True])
def test_twice_in_a_row(cluster: bool) -> None:
    """The limit between attempts is about one dead master: its successor may die at once."""
    world = World()
    sentinels = world.shard(cluster=cluster)
    world.kill(world.redises[1])
    world.run_until(lambda: switched(world, sentinels, 2))
    world.run(300)
    world.kill(world.redises[2])
    took = world.run_until(lambda: switched(world, sentinels, 3))
    assert took <= 2_500
    assert all(s.machine.knowledge.masters[NAME].config_epoch == 2 for s in sentinels)


def test_the_old_master_returns_as_a_replica() -> None:
    world = World()
    sentinels = world.shard()
    world.kill(world.redises[1])
    world.run_until(lambda: switched(world, sentinels, 2))
    world.restart(world.redises[1])
    took = world.run_until(lambda: world.redises[1].follows == 2, 30_000)
    assert took > 8_000
    assert world.heard("+convert-to-slave")[0] == f"slave 127.0.0.1:1 127.0.0.1 1 @ {NAME} 127.0.0.1 2"


def test_a_minority_cannot_fail_over() -> None:
    """Two of three sentinels are dead. The third knows, even with a quorum of 1, that it is not the majority."""
    world = World()
    sentinels = world.shard(quorum=1)
    for dead in sentinels[1:]:
        world.kill(dead)
    world.kill(world.redises[1])
    world.run(60_000)
    assert len(world.heard("+try-failover")) >= 2
    assert len(world.heard("-failover-abort-not-elected")) >= 2
    assert all(redis.orders == [] for redis in world.redises.values())


def test_attempts_are_two_failover_timeouts_apart() -> None:
    """And up to a second more: candidates that collided, because their disks are slow perhaps, must not do it again."""
    world = World()
    sentinels = world.shard(quorum=1)
    for dead in sentinels[1:]:
        world.kill(dead)
    world.kill(world.redises[1])
    world.run(200_000)
    tries = [at for at, _, channel, _ in world.log if channel == "+try-failover"]
    apart = [later - earlier for earlier, later in pairwise(tries)]
    assert 10_000 < min(apart) < max(apart) < 11_200
    assert max(apart) - min(apart) > 500
    aborts = [at for at, _, channel, _ in world.log if channel == "-failover-abort-not-elected"]
    assert all(5_000 < abort - begun < 5_200 for begun, abort in zip(tries, aborts, strict=False))


@pytest.mark.parametrize("seed", range(8))
def test_two_survivors_elect_one(seed: int) -> None:
    """One sentinel dies with the master: the other two must not each vote for themselves, whatever the dice say."""
    world = World()
    sentinels = world.shard()
    for sentinel in sentinels:
        sentinel.machine._random.seed(seed * 100 + sentinel.port)
    world.kill(sentinels[0])
    world.kill(world.redises[1])
    took = world.run_until(lambda: switched(world, sentinels, 2), 40_000)
    elected = world.heard("+elected-leader")
    assert len(elected) == 1
    assert took < 3_000, f"split votes: {world.heard('-failover-abort-not-elected')}"


class Hasty(Periods):
    """Candidates stand up within the time of a few messages, so that their elections collide."""

    def desync(self, down_after: int, *, again: bool) -> int:  # noqa: ARG002 - the rule's signature
        return 4


def test_one_leader_an_epoch() -> None:
    """However the candidates collide, no epoch has two leaders, and all end with the same master."""
    collisions = 0
    for seed in range(12):
        world = World()
        sentinels = world.shard(sentinels=5, quorum=2)
        for sentinel in sentinels:
            sentinel.machine.periods = Hasty()
            sentinel.machine._random.seed(seed + sentinel.port)
        world.run(seed * 37)
        world.kill(world.redises[1])
        world.run_until(lambda w=world, s=sentinels: all(w.master_port(x) != 1 for x in s), 200_000)
        world.run(3_000)
        assert len({s.machine.knowledge.masters[NAME].config_epoch for s in sentinels}) == 1
        assert len({world.master_port(s) for s in sentinels}) == 1
        assert len(world.heard("+elected-leader")) == 1
        collisions += len(world.heard("-failover-abort-not-elected"))
    assert collisions > 0, "the test has not tested what it is for"


def test_no_good_slave() -> None:
    world = World()
    sentinels = world.shard()
    for replica in (2, 3):
        world.redises[replica].priority = 0
    world.run(11_000)
    world.kill(world.redises[1])
    world.run_until(lambda: world.heard("-failover-abort-no-good-slave") != [])
    # One comes back into question; the next attempt finds it.
    world.redises[3].priority = 100
    world.run_until(lambda: switched(world, sentinels, 3), 30_000)


def test_the_freshest_replica_wins() -> None:
    """Offsets of the moment of death count, not those of the last INFO, up to ten seconds ago."""
    world = World()
    sentinels = world.shard()
    world.redises[3].offset = 2_000
    world.run(20)
    world.kill(world.redises[1])
    world.run_until(lambda: switched(world, sentinels, 3))


def test_a_frozen_replica_does_not_hold_up_the_others() -> None:
    world = World()
    sentinels = world.shard()
    world.redises[2].frozen = True
    world.kill(world.redises[1])
    took = world.run_until(lambda: switched(world, sentinels, 3))
    assert took < 2_000


def test_the_chosen_replica_dies_before_its_promotion() -> None:
    """The attempt runs into its timeout; the next one takes another replica."""
    world = World()
    sentinels = world.shard()
    world.kill(world.redises[1])
    world.run_until(lambda: world.heard("+failover-state-wait-promotion") != [])
    world.kill(world.redises[2])
    world.run_until(lambda: world.heard("-failover-abort-slave-timeout") != [], 10_000)
    world.run_until(lambda: switched(world, sentinels, 3), 20_000)


def test_the_promoted_replica_dies_while_others_are_repointed() -> None:
    """It is the master all the same, and as such is failed over."""
    world = World()
    sentinels = world.shard(replicas=3)
    world.kill(world.redises[1])
    world.run_until(lambda: world.heard("+promoted-slave") != [])
    world.kill(world.redises[2])
    took = world.run_until(lambda: all(world.master_port(s) in (3, 4) for s in sentinels), 20_000)
    assert took < 4_000


def test_parallel_syncs() -> None:
    world = World()
    world.redis(1)
    for port in range(2, 7):
        world.redis(port, 1)
    sentinel = world.sentinel(91, memory(91, quorum=1, parallel_syncs=2))
    world.run(3_000)
    world.kill(world.redises[1])
    world.run_until(lambda: world.heard("+slave-reconf-sent") != [])
    world.run(50)
    assert len(world.heard("+slave-reconf-sent")) == 2
    world.run_until(lambda: world.master_port(sentinel) != 1, 20_000)
    assert len(world.heard("+slave-reconf-done")) == 4


def test_a_replica_that_does_not_follow_in_time() -> None:
    """failover-timeout ends the failover; the rest is told once more, without waiting."""
    world = World()
    sentinels = world.shard(replicas=3)
    stubborn = world.redises[3]
    answer = stubborn.answer
    stubborn.answer = lambda request: b"OK" if isinstance(request, Follow) else answer(request)  # type: ignore[method-assign]
    world.kill(world.redises[1])
    world.run_until(lambda: switched(world, sentinels, 2), 20_000)
    assert world.heard("+failover-end-for-timeout") != []
    assert world.heard("+slave-reconf-sent-be") == [f"slave 127.0.0.1:4 127.0.0.1 4 @ {NAME} 127.0.0.1 1"]
    # Afterwards it is told again, as any replica with the wrong master is.
    world.run_until(lambda: world.heard("+fix-slave-config") != [], 30_000)


def test_a_forced_failover_asks_nobody() -> None:
    world = World()
    sentinels = world.shard()
    first = sentinels[0]
    answer = first.take(ForceFailover(NAME))
    assert answer is not None
    assert answer.error is None
    again = first.take(ForceFailover(NAME))
    assert again is not None
    assert again.error == "INPROG Failover already in progress"
    world.run_until(lambda: switched(world, sentinels, 2))
    assert world.heard("+vote-for-leader") == []


def test_a_forced_failover_without_a_good_replica() -> None:
    world = World()
    (alone,) = world.shard(replicas=0, sentinels=1, quorum=1)
    answer = alone.take(ForceFailover(NAME))
    assert answer is not None
    assert answer.error == "NOGOODSLAVE No suitable replica to promote"


def test_a_leader_that_dies_after_its_election_is_replaced() -> None:
    world = World()
    sentinels = world.shard()
    for sentinel in sentinels:
        sentinel.take(SimulateFailure(crash_after_election=True, crash_after_promotion=False))
    world.kill(world.redises[1])
    world.run_until(lambda: any(not s.alive for s in sentinels))
    for sentinel in sentinels:
        if sentinel.alive:
            sentinel.take(SimulateFailure(crash_after_election=False, crash_after_promotion=False))
    world.run_until(lambda: switched(world, sentinels, 2), 30_000)


def test_a_promotion_survives_its_leader() -> None:
    """The leader dies right behind the promotion: nobody has heard of it, and the next failover finds it done."""
    world = World()
    sentinels = world.shard(cluster=True)
    for sentinel in sentinels:
        sentinel.take(SimulateFailure(crash_after_election=False, crash_after_promotion=True))
    world.kill(world.redises[1])
    world.run_until(lambda: any(not s.alive for s in sentinels))
    for sentinel in sentinels:
        sentinel.machine.knowledge.crash_after_promotion = False
    world.run_until(lambda: switched(world, sentinels, 2), 30_000)
    assert world.redises[2].orders == [TakeOver()]
    assert world.redises[3].orders == []


def test_the_table_is_whole() -> None:
    """Every state has a step, is reached, and ends somewhere."""
    assert set(TRANSITIONS) == set(_STEPS) == set(FailoverState)
    reached = {state for ends in TRANSITIONS.values() for state in ends}
    assert reached == {*FailoverState, None} - {FailoverState.WAIT_START}
