"""SDOWN is one sentinel's patience, ODOWN a quorum's; and neither when it was we who were away."""

from __future__ import annotations

import pytest

from sentinel.instances import Master
from sentinel.requests import KillScript, Ping, Request
from tests.sentinel.world import NAME, Redis, Sentinel, World, memory
from wire.errors import LOST_DATA, Error


def master_of(sentinel: Sentinel) -> Master:
    return sentinel.machine.knowledge.masters[NAME]


def sdown_after(world: World, fault_at: int) -> list[int]:
    return [at - fault_at for at, _, channel, text in world.log if channel == "+sdown" and text.startswith("master")]


@pytest.mark.parametrize("offset", range(0, 130, 13))
def test_a_killed_master_is_down_when_its_time_is_up(offset: int) -> None:
    """Its reset connection neither shortens the time since the last valid reply nor begins a new one."""
    world = World()
    world.shard()
    world.run(offset)
    world.kill(world.redises[1])
    began = world.now
    world.run(700)
    times = sdown_after(world, began)
    assert len(times) >= 2
    # Pinged every 125 ms: the last sign of life is that old at most, or still on its way.
    assert all(500 - 125 - 5 <= time <= 502 for time in times), times


def test_a_frozen_master_is_down_one_ping_later() -> None:
    world = World()
    world.shard()
    world.redises[1].frozen = True
    began = world.now
    world.run(700)
    assert all(500 <= time <= 500 + 125 + 5 for time in sdown_after(world, began))


def test_accepting_connections_is_no_sign_of_life() -> None:
    """Killed, and something that answers nothing is in its place: the time goes on counting from the last reply."""
    world = World()
    world.shard()
    began = world.now
    world.kill(world.redises[1])
    world.redises[1].alive = world.redises[1].frozen = True
    world.run(700)
    times = sdown_after(world, began)
    assert times
    assert max(times) <= 501


def test_loading_and_masterdown_are_alive() -> None:
    world = World()
    sentinels = world.shard(sentinels=1, quorum=1)
    for words in ("LOADING Redis is loading the dataset in memory", "MASTERDOWN Link with MASTER is down"):
        redis = AnswersPing(world, words)
        world.redises[1] = redis
        world.run(2_000)
        assert not master_of(sentinels[0]).sdown, words


def test_other_errors_are_not() -> None:
    world = World()
    sentinels = world.shard(sentinels=1, quorum=1)
    world.redises[1] = AnswersPing(world, "MISCONF Redis is configured to save RDB snapshots")
    world.run_until(lambda: master_of(sentinels[0]).sdown, 700)


def test_a_master_that_has_lost_data_is_down_and_says_why() -> None:
    world = World()
    sentinels = world.shard(sentinels=1, quorum=1)
    usual, world.redises[1] = world.redises[1], AnswersPing(world, LOST_DATA.decode())
    world.run_until(lambda: master_of(sentinels[0]).sdown, 700)
    assert master_of(sentinels[0]).lost_data
    world.redises[1] = usual
    world.run_until(lambda: not master_of(sentinels[0]).sdown, 700)
    assert not master_of(sentinels[0]).lost_data


class AnswersPing(Redis):
    def __init__(self, world: World, words: str) -> None:
        super().__init__(world, 1)
        self.words = words

    def answer(self, request: Request) -> object:
        return Error(self.words.encode()) if isinstance(request, Ping) else super().answer(request)


def test_odown_needs_the_quorum() -> None:
    """One of three sentinels cannot see the master: it alone holds it to be down, and nothing happens."""
    world = World()
    sentinels = world.shard()
    world.cut([sentinels[0].port], [1])
    world.run(10_000)
    assert master_of(sentinels[0]).sdown
    assert world.heard("+odown") == []
    assert world.heard("+try-failover") == []


def test_an_opinion_ages() -> None:
    """Two sentinels see the master down, then one of them is cut off: its opinion counts for five ask periods."""
    world = World()
    sentinels = world.shard(replicas=0)
    world.kill(world.redises[1])
    world.run_until(lambda: all(master_of(s).odown for s in sentinels))
    for other in sentinels[1:]:
        world.kill(other)
    took = world.run_until(lambda: not master_of(sentinels[0]).odown, 6_000)
    assert took >= 4_400


def test_a_master_that_calls_itself_replica_is_down_in_time() -> None:
    world = World()
    sentinels = world.shard(sentinels=1, quorum=1)
    world.redises[1].follows = 2
    took = world.run_until(lambda: master_of(sentinels[0]).sdown, 40_000)
    assert took >= 20_500


def test_a_long_pause_means_tilt() -> None:
    """Woken after 5 s, a sentinel finds everyone silent, concludes nothing for 30 s, and answers "not down"."""
    world = World()
    sentinels = world.shard()
    sleeper = sentinels[0]
    world.freeze(sleeper, 5_000)
    world.run(5_001)
    assert world.heard("+tilt", "S1") == ["#tilt mode entered"]
    world.kill(world.redises[1])
    world.run(20_000)
    assert "+sdown" not in world.events("S1")
    world.run_until(lambda: "-tilt" in world.events("S1"), 11_000)
    assert world.heard("+try-failover", "S1") == []


def test_a_short_pause_is_no_death_of_others() -> None:
    """Held up for a second with down-after 500 ms: what lies in our own buffers is read before anyone is judged."""
    world = World()
    sentinels = world.shard()
    world.freeze(sentinels[0], 1_000)
    world.run(3_000)
    assert world.heard("+sdown", "S1") == []
    assert world.heard("+tilt") == []


def test_a_busy_script_is_killed_once() -> None:
    world = World()
    world.shard(replicas=0)
    busy = AnswersPing(world, "BUSY Redis is busy running a script.")
    world.redises[1] = busy
    world.run(3_000)
    # Once by each sentinel.
    assert busy.orders == [KillScript()] * 3


def test_who_is_not_up_yet_is_not_dead() -> None:
    """Everything starts together, and the master last: for five seconds nobody who was never heard is called down."""
    world = World()
    world.redis(1).alive = False
    world.redis(2, 1)
    sentinels = [world.sentinel(port, memory(port)) for port in (91, 92, 93)]
    world.run(4_900)
    assert world.heard("+sdown") == []
    world.restart(world.redises[1])
    world.run(10_000)
    assert world.heard("+sdown") == []
    assert {world.master_port(s) for s in sentinels} == {1}


def test_who_was_seen_once_is_judged() -> None:
    """Killed right after the sentinels met it: it has been up, so it is dead in the usual time."""
    world = World()
    world.redis(1)
    world.redis(2, 1)
    sentinels = [world.sentinel(port, memory(port)) for port in (91, 92, 93)]
    world.run_until(lambda: all(master_of(s).info_at is not None and master_of(s).peers for s in sentinels), 1_000)
    world.kill(world.redises[1])
    took = world.run_until(lambda: {world.master_port(s) for s in sentinels} == {2})
    assert took < 1_500


def test_who_never_comes_up_is_dead() -> None:
    """The sentinels are restarted while the master is dead."""
    world = World()
    sentinels = world.shard()
    for sentinel in sentinels:
        world.kill(sentinel)
    world.kill(world.redises[1])
    again = [world.sentinel(s.port, s.saved[-1]) for s in sentinels]
    took = world.run_until(lambda: {world.master_port(s) for s in again} == {2})
    assert 5_000 <= took < 7_000


def test_a_verdict_on_a_master_that_is_well_again_ages_too() -> None:
    """The other sentinels' "down" would else be shown for ever, and count at the next suspicion."""
    world = World()
    sentinels = world.shard(replicas=0)
    world.redises[1].frozen = True
    world.run_until(lambda: all(master_of(s).odown for s in sentinels))
    world.redises[1].frozen = False
    world.run(6_000)
    for sentinel in sentinels:
        assert not master_of(sentinel).sdown
        assert [peer.says_down for peer in master_of(sentinel).peers.values()] == [False, False]
