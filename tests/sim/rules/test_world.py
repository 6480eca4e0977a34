"""The world the rules are run in: what each fault looks like to the others, and what was found by it."""

from typing import Any

from cluster.codec import encoded_length
from cluster.events import Failover, FailoverMode, LinkId
from cluster.messages import Heartbeat, Message
from sim.rules.forming import Shape
from sim.rules.host import Host, Watcher
from sim.rules.invariants import Invariants
from sim.rules.network import Weather
from sim.rules.world import World, between

TIMEOUT_MS = 1000


def settled(masters: int = 3, replicas: int = 1, *, seed: int = 1, **settings: Any) -> World:
    world = World(seed, Shape(masters, replicas), **{"node_timeout_ms": TIMEOUT_MS, **settings})
    world.run(1000)
    assert all(host.machine.state.ok for host in world.hosts)
    return world


def well(world: World) -> bool:
    return not Invariants(world).wounds()


def test_it_starts_in_the_middle_of_a_healthy_life() -> None:
    world = settled()
    before = world.trace.events
    assert well(world)
    for host in world.hosts:
        host.machine.state._check()
        assert len(host.ends) == 2 * (len(world.hosts) - 1)
        for entry in host.machine.state.others():
            assert entry.link is not None
            assert host.machine.node_of_link(entry.link) == entry.id
            assert host.ends[entry.link].peer.host is world.by_id(entry.id)
    world.run(5000)
    assert world.trace.events > before
    assert well(world)


def test_a_killed_master_is_replaced_and_comes_back_as_a_replica() -> None:
    world = settled()
    m0, r0 = world["m0"], world["r0"]
    world.kill(m0)
    # Its links ended: nobody has to wait for half a timeout to ask where it is.
    took_ms = world.run_until(lambda: r0.me.is_master, 10_000)
    assert took_ms is not None
    assert TIMEOUT_MS < took_ms < 3 * TIMEOUT_MS
    world.run(500)
    world.restart(m0)
    assert world.run_until(lambda: well(world), 5000) is not None
    assert m0.me.master is not None
    assert m0.me.master.id == r0.node_id


def test_a_master_that_lost_its_data_votes_for_its_replica() -> None:
    # Seed 5069 with partitions, pauses and takeovers: with another master down its vote is the one that is missing.
    world = settled()
    m0, r0 = world["m0"], world["r0"]
    invariants = Invariants(world)
    world.kill(world["r1"])
    world.kill(world["m1"])
    world.kill(m0)
    m0.offset = 0
    r0.offset = 100
    world.restart(m0)
    assert world.run_until(lambda: r0.me.is_master, 10_000) is not None
    assert invariants.judged["vote"] == 2
    assert m0.machine.state.last_vote_epoch == r0.me.config_epoch


def test_a_power_cut_is_silent_and_forgets_what_was_not_synced() -> None:
    world = settled()
    m0 = world["m0"]
    assert m0.conf is not None
    m0.conf.save(b"garbage", fsync=False)
    ends = len(world["m1"].ends)
    world.power_off(m0)
    world.run(TIMEOUT_MS / 4)
    assert len(world["m1"].ends) == ends, "nobody said goodbye"
    world.restart(m0)
    assert world.run_until(lambda: well(world), 5000) is not None


def test_a_paused_node_reads_late_what_it_was_sent() -> None:
    world = settled()
    m0, r0 = world["m0"], world["r0"]
    world.pause(m0)
    assert world.run_until(lambda: r0.me.is_master, 10_000) is not None
    assert m0.me.is_master
    assert not m0.serving
    world.resume(m0)
    assert world.run_until(lambda: well(world), 10_000) is not None
    assert m0.me.is_replica


def test_what_a_cut_holds_arrives_after_it() -> None:
    world = settled()
    m0, r0 = world["m0"], world["r0"]
    others = [host for host in world.hosts if host is not m0]
    directions = between([m0], others)
    world.cut(directions)
    assert world.run_until(lambda: r0.me.is_master, 10_000) is not None
    assert world.run_until(lambda: not m0.serving, 10_000) is not None
    world.heal(directions)
    assert world.run_until(lambda: well(world), 10_000) is not None
    assert world.network.whole


def test_a_link_that_hangs_while_it_is_dialled_is_given_up() -> None:
    """Found by `sim rules`, seed 6. Whoever is heard of, but does not answer our dialling, stayed failed for us."""
    world = settled(4, 1, seed=6, node_timeout_ms=500)
    others = [host for host in world.hosts if host.name not in ("m1", "r1")]
    directions = between([world["m1"], world["r1"]], others, one_way=True)
    world.cut(directions)
    world.run(10_000)
    assert not well(world)
    world.heal(directions)
    assert world.run_until(lambda: well(world), 5000) is not None


def test_an_operators_order() -> None:
    world = settled()
    r0 = world["r0"]
    assert world.order(r0, Failover(FailoverMode.TAKEOVER)) == "OK"
    assert world.order(r0, Failover()) is None, "it is a master now"
    assert world.run_until(lambda: well(world), 5000) is not None
    assert r0.me.is_master


class _Heartbeats(Watcher):
    def __init__(self) -> None:
        self.count = 0
        self.bytes = 0

    def says(self, host: Host, message: Message, links: tuple[LinkId, ...]) -> None:  # noqa: ARG002
        if isinstance(message.body, Heartbeat):
            self.count += len(links) or 1
            self.bytes += encoded_length(message)


def test_bad_weather_is_no_failure() -> None:
    world = settled(weather=Weather(latency_ms=2.0, jitter_ms=20.0, loss=0.1, duplication=0.1, reordering=0.3))
    said = _Heartbeats()
    world.watch(said)
    world.run(20_000)
    assert well(world)
    assert not any(entry.fail for host in world.hosts for entry in host.machine.state.others())
    assert world.network.dropped > said.count / 50
    assert said.bytes > 2256 * said.count


def test_a_hundred_nodes_are_quick() -> None:
    world = World(1, Shape(50, 1), lasting=False, node_timeout_ms=15_000)
    world.kill(world["m7"])
    world.run(20_000)
    heir = world["r7"]
    assert heir.me.is_master
    assert all(
        host.machine.state.owner[world.shape.first_slot(7)] is host.machine.state.nodes[heir.node_id]
        for host in world.hosts
        if host.alive
    )
