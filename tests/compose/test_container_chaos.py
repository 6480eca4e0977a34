"""Containers are killed, paused, cut off and restarted; the cluster goes on, and heals."""

from __future__ import annotations

import subprocess
import time

import pytest
from redis.cluster import RedisCluster
from redis.exceptions import RedisError

from tests.compose.conftest import EVERYTHING, FIRST_PORT, NODES, SENTINELS, ContainerLab
from tests.waiting import wait_for

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

# An idle machine needs 1 s (see the table of windows in the guide); a busy one with ten containers gets time.
FAILOVER_S = 20.0


def a_master(lab: ContainerLab) -> str:
    return next(seat for seat in NODES if lab.is_master(seat))


def is_replica(lab: ContainerLab, seat: str) -> bool:
    """Whether `seat` answers, and as a replica."""
    try:
        return not lab.is_master(seat)
    except RedisError:
        return False


def key_of(lab: ContainerLab, seat: str) -> str:
    """A key in a slot that `seat` serves."""
    client = lab.client()
    port = FIRST_PORT + NODES.index(seat)
    try:
        return next(key for number in range(1000) if _port_of(client, key := f"probe:{number}") == port)
    finally:
        client.close()


def _port_of(client: RedisCluster, key: str) -> int:
    node = client.get_node_from_key(key)
    assert node is not None
    return int(node.port)


def writes_work(lab: ContainerLab, key: str) -> bool:
    """Whether a fresh client can write `key` and read it back."""
    try:
        client = RedisCluster(host="localhost", port=_any_alive(lab), socket_timeout=1.0)
    except RedisError:
        return False
    try:
        client.set(key, time.monotonic_ns())
        return client.get(key) is not None
    except RedisError:
        return False
    finally:
        client.close()


def _any_alive(lab: ContainerLab) -> int:
    for seat in NODES:
        try:
            if lab.node(seat).ping():
                return FIRST_PORT + NODES.index(seat)
        except RedisError:
            continue
    raise AssertionError("no node answers")


def check_slots(lab: ContainerLab) -> None:
    checked = subprocess.run(
        ["redis-cli", "--cluster", "check", f"localhost:{_any_alive(lab)}"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert "All 16384 slots covered" in checked.stdout, checked.stdout + checked.stderr


def test_a_killed_master_is_replaced_and_comes_back_as_a_replica(whole: ContainerLab) -> None:
    master = a_master(whole)
    replica = whole.replica_of(master)
    key = key_of(whole, master)
    assert writes_work(whole, key)
    whole.container(master).kill()
    wait_for(lambda: writes_work(whole, key), timeout=FAILOVER_S, what="writes to the dead master's slots")
    assert whole.is_master(replica)
    check_slots(whole)
    whole.container(master).start()
    wait_for(lambda: is_replica(whole, master), timeout=FAILOVER_S, what="the old master's return as a replica")
    whole.wait_healthy(*EVERYTHING)
    check_slots(whole)


def test_a_paused_master_steps_down_when_it_wakes(whole: ContainerLab) -> None:
    master = a_master(whole)
    replica = whole.replica_of(master)
    key = key_of(whole, master)
    container = whole.container(master)
    container.pause()
    try:
        wait_for(lambda: writes_work(whole, key), timeout=FAILOVER_S, what="writes to the paused master's slots")
    finally:
        container.unpause()
    assert whole.is_master(replica)
    wait_for(lambda: is_replica(whole, master), timeout=FAILOVER_S, what="the old master's step back")
    whole.wait_healthy(*EVERYTHING)
    assert whole.client().get(key) is not None


def test_a_master_cut_off_from_the_network_is_replaced(whole: ContainerLab) -> None:
    master = a_master(whole)
    replica = whole.replica_of(master)
    key = key_of(whole, master)
    network = whole.network
    container = whole.container(master)
    network.disconnect(container)
    try:
        wait_for(lambda: writes_work(whole, key), timeout=FAILOVER_S, what="writes to the lost master's slots")
        assert whole.is_master(replica)
    finally:
        network.connect(container, ipv4_address=whole.address(master), aliases=[master])
    # Its own health check, which asks from inside, may never have failed: it has to learn of its successor.
    wait_for(lambda: is_replica(whole, master), timeout=FAILOVER_S, what="the old master's step back")
    whole.wait_healthy(*EVERYTHING)


def test_all_containers_restarted_find_each_other_again(whole: ContainerLab) -> None:
    client = whole.client()
    roles = {seat: whole.is_master(seat) for seat in NODES}
    client.close()
    whole.compose("restart", "--timeout", "5", *SENTINELS, *NODES)
    whole.wait_healthy(*EVERYTHING)
    assert sum(whole.is_master(seat) for seat in NODES) == 3
    assert len(roles) == 6
    check_slots(whole)
    assert writes_work(whole, "after-restart")
