"""A cluster moves a master by itself; the sentinels follow, by vote, and only when it is sure."""

from __future__ import annotations

from sentinel.events import Reconfigure
from sentinel.requests import TakeOver
from tests.sentinel.world import NAME, Sentinel, World, memory


def manual_failover(world: World, old: int, new: int) -> None:
    """CLUSTER FAILOVER: the bus tells everybody."""
    for redis in world.redises.values():
        if redis.follows == old or redis.port == old:
            redis.follows, redis.serves_slots = new, False
    world.redises[new].become_master()


def addresses(world: World, sentinels: list[Sentinel]) -> set[int]:
    return {world.master_port(sentinel) for sentinel in sentinels if sentinel.alive}


def test_a_manual_failover_is_adopted() -> None:
    world = World()
    sentinels = world.shard(cluster=True)
    manual_failover(world, 1, 2)
    took = world.run_until(lambda: addresses(world, sentinels) == {2}, 30_000)
    assert took >= 2_000
    world.run(3_000)
    epochs = {s.machine.knowledge.masters[NAME].config_epoch for s in sentinels}
    assert len(epochs) == 1
    assert epochs != {0}
    assert len(world.heard("+elected-leader")) == 1
    # Nobody was told anything, and nobody was down.
    assert all(redis.orders == [] for redis in world.redises.values())
    assert world.heard("+sdown") == []


def test_and_back_again() -> None:
    world = World()
    sentinels = world.shard(cluster=True)
    manual_failover(world, 1, 2)
    world.run_until(lambda: addresses(world, sentinels) == {2}, 30_000)
    manual_failover(world, 2, 1)
    world.run_until(lambda: addresses(world, sentinels) == {1}, 40_000)


def test_a_minority_does_not_adopt() -> None:
    world = World()
    sentinels = world.shard(cluster=True)
    for dead in sentinels[1:]:
        world.kill(dead)
    manual_failover(world, 1, 2)
    world.run(20_000)
    assert addresses(world, sentinels) == {1}


def test_an_election_of_the_clusters_own_is_adopted() -> None:
    """The master died and the cluster elected a replica before the sentinels did: it gets no order, nor do others."""
    world = World()
    sentinels = world.shard(cluster=True)
    world.kill(world.redises[1])
    world.run(300)
    manual_failover(world, 1, 3)
    world.run_until(lambda: addresses(world, sentinels) == {3}, 10_000)
    assert all(redis.orders == [] for redis in world.redises.values())


def test_a_reset_replica_is_no_master() -> None:
    """CLUSTER RESET makes a master without slots of a replica; the shard's other replica is the heir."""
    world = World()
    sentinels = world.shard(cluster=True)
    world.redises[2].follows = None
    world.run(11_000)
    world.kill(world.redises[1])
    world.run_until(lambda: addresses(world, sentinels) == {3}, 10_000)
    assert world.redises[3].orders == [TakeOver()]


def test_a_replica_that_starts_is_soon_known_for_one() -> None:
    """A node calls itself master until it has read from its nodes.conf whose replica it is. With everybody started at
    the same time the sentinels may ask in that moment."""
    world = World()
    sentinels = world.shard(replicas=1, cluster=True)
    for sentinel in sentinels:
        world.kill(sentinel)
    world.redises[2].follows = None
    for sentinel in sentinels:
        world.sentinel(sentinel.port, sentinel.saved[-1])
    world.run(100)
    world.redises[2].follows = 1
    views = [sentinel.machine.knowledge.masters[NAME].replicas for sentinel in world.sentinels.values()]
    world.run_until(lambda: all(replica.link_up for view in views for replica in view.values()), 1_000)


def test_a_replica_that_left_for_another_shard_is_not_asked_to_take_over() -> None:
    """It would take the slots of its new, healthy master."""
    world = World()
    world.redis(7, cluster=True)
    sentinels = world.shard(cluster=True)
    world.redises[2].follows = 7
    world.run(11_000)
    world.kill(world.redises[1])
    world.run_until(lambda: addresses(world, sentinels) == {3}, 10_000)
    assert world.redises[2].orders == []


def test_a_returning_old_master_is_not_believed_at_once() -> None:
    """It calls itself master with slots until the bus tells it otherwise, and the real master dies at that moment."""
    world = World()
    sentinels = world.shard(cluster=True)
    world.kill(world.redises[1])
    world.run_until(lambda: addresses(world, sentinels) == {2}, 10_000)
    world.run(1_000)
    world.restart(world.redises[1])
    world.redises[1].become_master()
    world.run(200)
    world.kill(world.redises[2])
    world.run(900)
    # Now it has heard.
    world.redises[1].follows, world.redises[1].serves_slots = 2, False
    world.run_until(lambda: addresses(world, sentinels) == {3} or addresses(world, sentinels) == {1}, 20_000)
    assert sum(len(redis.orders) for redis in world.redises.values()) == 2


def test_sentinels_that_slept_through_it_find_the_new_master() -> None:
    """Started with an old file, whose master is now a replica of a node they never heard of."""
    world = World()
    world.redis(1, 2, cluster=True)
    world.redis(2, cluster=True)
    sentinels = [world.sentinel(port, memory(port)) for port in (91, 92, 93)]
    world.run_until(lambda: addresses(world, sentinels) == {2}, 20_000)


def test_a_plain_master_that_becomes_a_replica_is_not_followed() -> None:
    """Somebody typed REPLICAOF at a plain master: as in Redis, that is no failover."""
    world = World()
    sentinels = world.shard()
    world.redises[1].follows = 2
    world.redises[2].follows = None
    world.run(15_000)
    assert addresses(world, sentinels) == {1}
    assert world.heard("+try-failover") == []


def test_no_repairs_in_a_cluster() -> None:
    world = World()
    sentinels = world.shard(cluster=True)
    world.redises[2].follows = None
    world.redises[3].follows = 2
    world.run(60_000)
    assert all(redis.orders == [] for redis in world.redises.values())
    assert addresses(world, sentinels) == {1}


def test_a_cluster_is_known_by_its_replicas_after_a_restart() -> None:
    """The sentinels restart while the master is dead: its INFO, and with it cluster_enabled, was never seen."""
    world = World()
    sentinels = world.shard(cluster=True)
    for sentinel in sentinels:
        world.kill(sentinel)
    world.kill(world.redises[1])
    again = [world.sentinel(s.port, s.saved[-1]) for s in sentinels]
    world.run_until(lambda: addresses(world, again) == {2}, 10_000)
    assert world.redises[2].orders == [TakeOver()]


def test_options_survive_a_switch() -> None:
    world = World()
    sentinels = world.shard(cluster=True)
    master = sentinels[0].machine.knowledge.masters[NAME]
    options = master.options.model_copy(update={"down_after_ms": 700})
    sentinels[0].take(Reconfigure(NAME, options, (("down-after-milliseconds", "700"),)))
    manual_failover(world, 1, 2)
    world.run_until(lambda: addresses(world, sentinels) == {2}, 30_000)
    assert sentinels[0].saved[-1].masters[0].options.down_after_ms == 700
    assert world.heard("+set") == [f"master {NAME} 127.0.0.1 1 down-after-milliseconds 700"]
