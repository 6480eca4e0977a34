"""One vote a sentinel and epoch, and it is on disk before anyone hears of it."""

from __future__ import annotations

import pytest

from sentinel.events import Answer, Asked, Save
from sentinel.machine import SentinelMachine
from tests.sentinel.world import World, memory

A, B = "a" * 40, "b" * 40


def ask(machine: SentinelMachine, now: int, epoch: int, candidate: str) -> tuple[int, str, int]:
    effects = machine.step(now, Asked("127.0.0.1", 1, epoch, candidate))
    (answer,) = [effect for effect in effects if isinstance(effect, Answer)]
    assert answer.value is not None
    return answer.value


@pytest.fixture
def machine() -> SentinelMachine:
    return World().sentinel(91, memory(91)).machine


def test_first_come_first_served(machine: SentinelMachine) -> None:
    """The table of the fact sheet, section 4."""
    now = 1_000_000
    assert ask(machine, now, 60, A) == (0, A, 60)
    assert ask(machine, now, 60, B) == (0, A, 60)
    assert ask(machine, now, 59, B) == (0, A, 60)
    assert ask(machine, now, 61, B) == (0, B, 61)
    assert machine.knowledge.current_epoch == 61


def test_a_mere_question_is_no_vote(machine: SentinelMachine) -> None:
    assert ask(machine, 1_000_000, 60, "*") == (0, "*", 0)
    assert machine.knowledge.current_epoch == 0


def test_an_unknown_master(machine: SentinelMachine) -> None:
    (answer,) = machine.step(1_000_000, Asked("127.0.0.1", 9, 60, A))
    assert answer == Answer((0, "*", 0))


def test_the_vote_is_saved_before_the_answer(machine: SentinelMachine) -> None:
    effects = machine.step(1_000_000, Asked("127.0.0.1", 1, 7, A))
    assert isinstance(effects[0], Save)
    assert effects[0].memory.masters[0].leader_epoch == 7
    assert effects[0].memory.current_epoch == 7
    assert isinstance(effects[-1], Answer)


def test_a_restart_keeps_the_vote() -> None:
    world = World()
    sentinel = world.sentinel(91, memory(91))
    assert sentinel.take(Asked("127.0.0.1", 1, 7, A)) == Answer((0, A, 7))
    again = world.sentinel(91, sentinel.saved[-1])
    answer = again.take(Asked("127.0.0.1", 1, 7, B))
    # It no longer knows for whom (Redis does not write that down), but that it has voted.
    assert answer == Answer((0, "*", 7))
    assert again.take(Asked("127.0.0.1", 1, 8, B)) == Answer((0, B, 8))


def test_an_unsaved_vote_is_not_given() -> None:
    world = World()
    sentinel = world.sentinel(91, memory(91))
    sentinel.disk_full = True
    assert sentinel.take(Asked("127.0.0.1", 1, 7, A)) is None
    # While it cannot save, it votes for nobody.
    assert sentinel.take(Asked("127.0.0.1", 1, 8, B)) == Answer((0, "*", 0))
    sentinel.disk_full = False
    world.run(2_000)
    assert sentinel.saved[-1].masters[0].leader_epoch == 7
    answer = sentinel.take(Asked("127.0.0.1", 1, 8, B))
    assert answer is not None
    assert answer.value is not None
    assert answer.value[1:] == (B, 8)


def test_a_sentinel_that_cannot_save_does_not_fail_over() -> None:
    world = World()
    (alone,) = world.shard(sentinels=1, quorum=1)
    alone.disk_full = True
    world.kill(world.redises[1])
    world.run(5_000)
    assert all(redis.orders == [] for redis in world.redises.values())
    alone.disk_full = False
    world.run_until(lambda: world.master_port(alone) != 1, 15_000)


def test_who_voted_waits() -> None:
    """A voter leaves the chosen leader two failover-timeouts before it tries for itself."""
    world = World()
    sentinels = world.shard(sentinels=2, quorum=2)
    voter, candidate = sentinels
    began = world.now
    voter.take(Asked("127.0.0.1", 1, 1, candidate.machine.knowledge.my_id))
    world.kill(candidate)
    world.kill(world.redises[1])
    # A second voter, so that the first one has a quorum to stand on.
    replacement = candidate.saved[-1]
    world.sentinel(92, replacement)
    world.run_until(lambda: world.heard("+try-failover", "S1") != [] or world.heard("+switch-master") != [], 20_000)
    firsts = [at for at, who, channel, _ in world.log if channel == "+try-failover" and who == "S1"]
    assert all(at - began >= 10_000 for at in firsts)
