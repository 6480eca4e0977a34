"""cluster_state: when a node stops serving, and when it may begin again."""

from cluster.events import AddSlots, DelSlots, Failover, FailoverMode, Reconfigured, Tick
from cluster.settings import ClusterSettings
from cluster.slots import SLOTS
from tests.cluster.mesh import TIMEOUT_MS, Mesh


def test_a_minority_stops_serving() -> None:
    mesh = Mesh()
    mesh.form()
    m0 = mesh.peers["m0"]
    rest = [peer for peer in mesh.peers.values() if peer is not m0]
    mesh.cut([m0], rest)
    took = mesh.until(lambda: not m0.ok)
    assert m0.logged("Cluster is currently down: I am part of a minority partition.")
    # Before anybody can be elected in its place.
    assert took < TIMEOUT_MS + 1200
    assert not any(peer.me.is_master for peer in mesh.peers.values() if peer.name.startswith("r"))
    assert not any(m0.machine.view.owned)


def test_at_no_time_do_two_masters_serve_one_slot() -> None:
    for seed in range(5):
        mesh = Mesh(seed)
        mesh.form(masters=3, replicas=1)
        m0 = mesh.peers["m0"]
        mesh.cut([m0], [peer for peer in mesh.peers.values() if peer is not m0])
        for _ in range(800):
            mesh.run(10)
            assert len(mesh.masters_claiming(0)) <= 1, seed
        assert mesh.masters_claiming(0) == [mesh.peers["r0"]]
        mesh.heal()
        for _ in range(300):
            mesh.run(10)
            assert len(mesh.masters_claiming(0)) <= 1, seed
        mesh.until(mesh.settled)


def test_a_master_back_from_a_minority_waits() -> None:
    mesh = Mesh()
    mesh.form(replica_no_failover=True)
    m0 = mesh.peers["m0"]
    mesh.cut([m0], [peer for peer in mesh.peers.values() if peer is not m0])
    mesh.until(lambda: not m0.ok)
    mesh.run(5000)
    mesh.heal()
    others = [m0.entry(mesh.peers[name]) for name in ("m1", "m2")]
    mesh.until(lambda: not any(node.pfail or node.fail for node in others))
    assert TIMEOUT_MS - 200 <= mesh.until(lambda: m0.ok) <= TIMEOUT_MS + 200


def test_an_uncovered_slot_stops_all_unless_told_otherwise() -> None:
    mesh = Mesh()
    a = mesh.add("a")
    a.order(AddSlots(tuple(range(SLOTS))))
    assert a.ok
    a.order(DelSlots((77,)))
    assert not a.ok
    a.take(Reconfigured(ClusterSettings(port=7000, bus_port=17000, require_full_coverage=False)))
    mesh.until(lambda: a.ok, limit_ms=10)
    assert a.machine.view.owned[76]
    assert not a.machine.view.owned[77]


def test_suspicion_alone_stops_nobody() -> None:
    mesh = Mesh()
    mesh.form(masters=5, replicas=0)
    m0, m4 = mesh.peers["m0"], mesh.peers["m4"]
    mesh.cut([m0], [m4])
    mesh.until(lambda: m0.entry(m4).pfail)
    assert m0.ok
    mesh.run(10_000)
    assert m0.ok


def test_a_failed_master_stops_all_with_full_coverage() -> None:
    mesh = Mesh()
    mesh.form(masters=5, replicas=0)
    m0, m4 = mesh.peers["m0"], mesh.peers["m4"]
    mesh.kill(m4)
    mesh.until(lambda: m0.entry(m4).fail)
    assert not m0.ok
    # A node that comes back while others know it as FAIL.
    mesh.restart(m4)
    mesh.until(mesh.settled)


def test_a_master_that_was_stopped_reads_its_mail_before_it_serves() -> None:
    mesh = Mesh()
    mesh.form(replica_no_failover=True)
    m0, r0 = mesh.peers["m0"], mesh.peers["r0"]
    assert m0.machine.view.trusted_until_ms > mesh.now
    mesh.pause(m0)
    mesh.run(700)
    r0.order(Failover(FailoverMode.TAKEOVER))
    mesh.run(300)
    # It wakes, and whoever executes commands has the machine look at the clock before anything else.
    assert m0.machine.view.trusted_until_ms < mesh.now
    m0.paused = False
    m0.take(Tick())
    assert not m0.ok
    assert not any(m0.machine.view.owned)
    mesh.resume(m0)
    mesh.until(lambda: m0.me.is_replica, limit_ms=50)
    mesh.until(mesh.settled)


def test_a_master_that_was_stopped_and_not_replaced_serves_soon() -> None:
    mesh = Mesh()
    mesh.form(replica_no_failover=True)
    m0 = mesh.peers["m0"]
    mesh.pause(m0)
    mesh.run(1000)
    mesh.resume(m0)
    assert m0.logged("This process was stopped for")
    assert 200 <= mesh.until(lambda: m0.ok) <= 400


def test_where_replicas_elect_each_other_a_short_stop_means_nothing() -> None:
    mesh = Mesh()
    mesh.form()
    m0 = mesh.peers["m0"]
    mesh.pause(m0)
    mesh.run(1000)
    mesh.resume(m0)
    assert m0.ok


def test_a_master_held_for_failed_does_not_serve_at_once() -> None:
    """Seed 7 of `shardlab sim run --failover cluster`: back from a restart, with a replica about to be elected in its
    place, it served for a quarter of a second, and what it took was lost."""
    mesh = Mesh()
    mesh.form()
    m0, r0 = mesh.peers["m0"], mesh.peers["r0"]
    mesh.kill(m0)
    mesh.until(lambda: r0.entry(m0).fail)
    mesh.run(100)
    mesh.restart(m0)
    while not r0.me.is_master:
        assert not m0.ok
        mesh.run(10)
    mesh.until(lambda: m0.me.is_replica)


def test_a_master_held_for_failed_serves_in_the_end() -> None:
    mesh = Mesh()
    mesh.form(replica_no_failover=True)
    m0, m1 = mesh.peers["m0"], mesh.peers["m1"]
    mesh.kill(m0)
    mesh.until(lambda: m1.entry(m0).fail)
    mesh.restart(m0)
    assert 1900 < mesh.until(lambda: m0.ok) < 2200
