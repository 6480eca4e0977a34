"""Names: resolved while they resolve, and not needed when they do not."""

from __future__ import annotations

from sentinel.settings import KnownReplica, Memory
from tests.sentinel.world import NAME, Sentinel, World, memory


def named(port: int, *, announce: bool = False) -> Memory:
    """A sentinel told to watch ``node-1``."""
    plain = memory(port, quorum=1)
    master = plain.masters[0].model_copy(update={"host": "node-1"})
    return plain.model_copy(update={"masters": (master,), "resolve_hostnames": True, "announce_hostnames": announce})


def start(world: World, *, announce: bool = False) -> Sentinel:
    world.redis(1)
    world.redis(2, 1)
    return world.sentinel(91, named(91, announce=announce))


def test_a_name_that_resolves_later() -> None:
    """The sentinel starts before its master's container."""
    world = World()
    sentinel = start(world)
    world.run(300)
    world.names["node-1"] = "127.0.0.1"
    world.run_until(lambda: world.heard("+slave") != [], 3_000)
    assert sentinel.machine.knowledge.masters[NAME].address.ip == "127.0.0.1"


def test_a_stopped_containers_name_is_not_needed() -> None:
    world = World()
    world.names["node-1"] = "127.0.0.1"
    sentinel = start(world)
    world.run(3_000)
    world.kill(world.redises[1])
    del world.names["node-1"]
    took = world.run_until(lambda: world.master_port(sentinel) == 2, 5_000)
    assert took < 1_500
    old = next(iter(sentinel.machine.knowledge.masters[NAME].replicas.values())).address
    assert (old.host, old.ip) == ("node-1", "127.0.0.1")


def test_a_container_that_comes_back_elsewhere() -> None:
    world = World()
    world.names["node-1"] = "127.0.0.9"
    world.redis(1).alive = False
    world.redis(2, 1)
    sentinel = world.sentinel(91, named(91))
    world.run(1_000)
    world.redises[1].alive = True
    world.names["node-1"] = "127.0.0.1"
    world.run_until(lambda: sentinel.machine.knowledge.masters[NAME].address.ip == "127.0.0.1", 5_000)


def test_who_is_told_what() -> None:
    for announce, shown in ((False, "127.0.0.1"), (True, "node-1")):
        world = World()
        world.names["node-1"] = "127.0.0.1"
        sentinel = start(world, announce=announce)
        world.run(3_000)
        assert sentinel.saved[-1].masters[0].host == shown
        assert world.heard("+slave") == [f"slave 127.0.0.1:2 127.0.0.1 2 @ {NAME} {shown} 1"]
        world.kill(world.redises[1])
        world.run_until(lambda w=world: w.heard("+switch-master") != [])
        assert world.heard("+switch-master") == [f"{NAME} {shown} 1 127.0.0.1 2"]


def test_two_names_of_one_replica() -> None:
    """Known by IP and by a name that turns out to be the same place: one replica."""
    world = World()
    world.names |= {"node-1": "127.0.0.1", "node-2": "127.0.0.1"}
    world.redis(1)
    world.redis(2, 1)
    start_with = named(91)
    replicas = (KnownReplica(host="127.0.0.1", port=2), KnownReplica(host="node-2", port=2))
    master = start_with.masters[0].model_copy(update={"replicas": replicas})
    sentinel = world.sentinel(91, start_with.model_copy(update={"masters": (master,)}))
    world.run(3_000)
    known = sentinel.machine.knowledge.masters[NAME].replicas
    assert [replica.address.ip for replica in known.values()] == ["127.0.0.1"]
    links = sentinel.machine.knowledge.links
    assert len(links) == 2
