"""The hello message: who is believed, and what follows."""

from __future__ import annotations

import pytest

from sentinel.events import Told
from sentinel.hello import Hello
from tests.sentinel.world import NAME, Sentinel, World, memory

OTHER = "e" * 40


def hello(**unusual: str | int) -> str:
    fields = {
        "ip": "127.0.0.1",
        "port": 99,
        "run_id": OTHER,
        "current_epoch": 0,
        "master_name": NAME,
        "master_ip": "127.0.0.1",
        "master_port": 1,
        "master_config_epoch": 0,
    }
    return ",".join(str(value) for value in {**fields, **unusual}.values())


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def sentinel(world: World) -> Sentinel:
    return world.sentinel(91, memory(91))


def peers(sentinel: Sentinel) -> list[tuple[str, int]]:
    return [(peer.run_id, peer.address.port) for peer in sentinel.machine.knowledge.masters[NAME].peers.values()]


def test_it_reads_what_it_writes() -> None:
    text = "127.0.0.1,25211,8abcf912135c7b95c133b1e65706790026a43896,0,mym,127.0.0.1,25201,0"
    assert str(Hello.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        hello() + ",1",
        hello(port="x"),
        hello(port=0),
        hello(port=65536),
        hello(master_port=-1),
        hello(master_config_epoch="1e3"),
        hello(current_epoch="9" * 30),
        hello(ip=""),
        hello(run_id=""),
        hello(run_id="a b"),
        hello(run_id="a\nsentinel"),
        # A name, which nobody said may be looked up: with it the file could not be read at the next start.
        hello(ip="localhost"),
        hello(ip="127.0.0.1\n"),
        hello(master_ip="localhost", master_config_epoch=3),
    ],
)
def test_nonsense_changes_nothing(world: World, sentinel: Sentinel, text: str) -> None:
    before = sentinel.machine.knowledge.remembered()
    sentinel.take(Told(text))
    assert sentinel.machine.knowledge.remembered() == before
    assert world.events("S1") == ["+monitor"]


def test_unknown_masters_and_ourselves_are_ignored(world: World, sentinel: Sentinel) -> None:
    sentinel.take(Told(hello(master_name="other")))
    sentinel.take(Told(hello(run_id=sentinel.machine.knowledge.my_id, master_config_epoch=9, master_port=5)))
    assert world.events("S1") == ["+monitor"]


def test_a_new_sentinel(world: World, sentinel: Sentinel) -> None:
    sentinel.take(Told(hello()))
    assert world.heard("+sentinel") == [f"sentinel {OTHER} 127.0.0.1 99 @ {NAME} 127.0.0.1 1"]
    assert [known.run_id for known in sentinel.saved[-1].masters[0].sentinels] == [OTHER]
    sentinel.take(Told(hello()))
    assert len(world.heard("+sentinel")) == 1


def test_the_same_id_elsewhere_has_moved(world: World, sentinel: Sentinel) -> None:
    sentinel.take(Told(hello()))
    sentinel.take(Told(hello(port=98)))
    assert peers(sentinel) == [(OTHER, 98)]
    assert world.heard("+sentinel-address-switch") == [f"master {NAME} 127.0.0.1 1 ip 127.0.0.1 port 98 for {OTHER}"]


def test_another_id_at_the_same_place_replaces(world: World, sentinel: Sentinel) -> None:
    sentinel.take(Told(hello()))
    sentinel.take(Told(hello(run_id="f" * 40)))
    assert peers(sentinel) == [("f" * 40, 99)]
    assert world.heard("+sentinel-invalid-addr") == [f"sentinel {OTHER} 127.0.0.1 99 @ {NAME} 127.0.0.1 1"]


def test_a_larger_epoch_is_adopted_and_saved(world: World, sentinel: Sentinel) -> None:
    sentinel.take(Told(hello(current_epoch=50)))
    assert world.heard("+new-epoch") == ["50"]
    assert sentinel.saved[-1].current_epoch == 50
    sentinel.take(Told(hello(current_epoch=49)))
    assert sentinel.machine.knowledge.current_epoch == 50


def test_a_larger_config_epoch_moves_the_master(world: World, sentinel: Sentinel) -> None:
    """A single hello is trusted, as in Redis: whoever holds the larger config epoch has won an election for it."""
    sentinel.take(Told(hello(master_config_epoch=3, current_epoch=3, master_port=9)))
    assert world.heard("+config-update-from") == [f"sentinel {OTHER} 127.0.0.1 99 @ {NAME} 127.0.0.1 1"]
    assert world.heard("+switch-master") == [f"{NAME} 127.0.0.1 1 127.0.0.1 9"]
    saved = sentinel.saved[-1].masters[0]
    assert (saved.port, saved.config_epoch) == (9, 3)
    assert [replica.port for replica in saved.replicas] == [1]
    assert peers(sentinel) == [(OTHER, 99)]


def test_the_same_or_a_smaller_config_epoch_does_not(world: World, sentinel: Sentinel) -> None:
    sentinel.take(Told(hello(master_config_epoch=3, master_port=9)))
    sentinel.take(Told(hello(master_config_epoch=3, master_port=5)))
    sentinel.take(Told(hello(master_config_epoch=2, master_port=5)))
    assert world.master_port(sentinel) == 9
    assert len(world.heard("+switch-master")) == 1


def test_sentinels_meet_at_once() -> None:
    """They answer a new one's hello directly, and do not wait for their next turn to speak."""
    world = World()
    world.redis(1)
    sentinels = [world.sentinel(port, memory(port)) for port in (91, 92, 93)]
    took = world.run_until(lambda: all(len(peers(s)) == 2 for s in sentinels), 3_000)
    assert took < 200


def test_a_sentinel_comes_back_with_its_memory() -> None:
    """Restarted while everything else is down, it still knows everybody."""
    world = World()
    sentinels = world.shard()
    world.kill(world.redises[1])
    world.run_until(lambda: all(world.master_port(s) == 2 for s in sentinels))
    world.run(3_000)
    again = Sentinel(world, 91, sentinels[0].saved[-1])
    assert world.master_port(again) == 2
    assert again.machine.knowledge.remembered() == sentinels[0].machine.knowledge.remembered()
