"""Our sentinels over a shard of a real redis cluster (`cluster-replica-no-failover yes`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.sentinel.running import Deployment, Process, cluster_ok
from tests.waiting import wait_for

# An election that nobody wins is waited out (see FAILOVER_TIMEOUT_MS).
pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def deployment(tmp_path: Path, start_redis: object) -> Iterator[Deployment]:
    del start_redis  # it is asked for because it knows what to do where redis-server is missing
    made = Deployment(tmp_path)
    made.cluster_shard(replicas=2)
    for _ in range(3):
        made.sentinel()
    made.wait_acquainted(replicas=2)
    yield made
    made.close()


def takes_writes(node: Process) -> bool:
    try:
        return bool(node.client.set("key", "value"))
    except (redis.ReadOnlyError, redis.ResponseError, redis.ConnectionError):
        return False


def test_a_killed_master_is_replaced_by_takeover(deployment: Deployment) -> None:
    """And its successor, too; the old master comes back as a replica, told by nobody but the cluster bus."""
    first, *others = deployment.redises
    first.kill()
    second = wait_for(lambda: next(filter(takes_writes, others), None), what="a master that takes writes")
    assert deployment.wait_switched(first) == second.port
    (third,) = [each for each in others if each is not second]
    wait_for(lambda: third.client.info("replication")["master_port"] == second.port, what="the other one follows")
    first.start()
    wait_for(first.answers)
    wait_for(lambda: first.client.info("replication")["role"] == "slave", what="the old master as a replica")
    deployment.wait_acquainted(replicas=2)

    second.kill()
    assert deployment.wait_switched(second) in (first.port, third.port)
    survivors = [first, third]
    wait_for(lambda: all(cluster_ok(each) for each in survivors), what="all slots served")
    for sentinel in deployment.sentinels:
        assert "+convert-to-slave" not in sentinel.log
        assert "+fix-slave-config" not in sentinel.log


def test_a_manual_failover_is_followed(deployment: Deployment) -> None:
    first, second, _ = deployment.redises
    for sentinel in deployment.sentinels:
        # So that the change of roles is seen in one second and not in ten.
        sentinel.client.execute_command("SENTINEL DEBUG", "info-period", "1000")
    wait_for(lambda: second.client.info("replication")["master_link_status"] == "up")
    second.client.execute_command("CLUSTER FAILOVER")
    assert deployment.wait_switched(first) == second.port
    for sentinel in deployment.sentinels:
        assert f"+sdown master mym 127.0.0.1 {first.port}" not in sentinel.log
