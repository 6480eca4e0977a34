"""Every kind of client reads what the others wrote."""

from __future__ import annotations

import pytest
import redis

from tests.e2e.cluster import Cluster, slot_of

# One key for each of the three shards.
KEYS = {"b": 3300, "bar": 5061, "key:2": 10850, "foo": 12182}


def test_the_keys_are_where_the_specification_puts_them() -> None:
    assert {key: slot_of(key) for key in KEYS} == KEYS
    assert slot_of("{user1000}.following") == 3443


@pytest.mark.parametrize("key", KEYS)
def test_all_clients_meet(cluster: Cluster, key: str) -> None:
    smart = cluster.client()
    plain = redis.Redis(port=cluster.proxy_port, decode_responses=True)

    smart.set(key, "from redis-py")
    assert cluster.redis_cli("-c", "GET", key) == "from redis-py"
    assert plain.get(key) == "from redis-py"
    assert cluster.redis_cli("GET", key, port=cluster.proxy_port) == "from redis-py"

    assert cluster.redis_cli("-c", "SET", key, "from redis-cli").splitlines()[-1] == "OK"
    assert smart.get(key) == "from redis-cli"
    assert plain.get(key) == "from redis-cli"

    assert cluster.redis_cli("SET", key, "from the proxy", port=cluster.proxy_port) == "OK"
    assert smart.get(key) == "from the proxy"
    assert cluster.redis_cli("-c", "GET", key) == "from the proxy"
    smart.close()
    plain.close()


def test_redis_cli_without_c_is_redirected(cluster: Cluster) -> None:
    answer = cluster.redis_cli("GET", "foo", port=cluster.port_of(cluster.master_of(0)))
    assert answer == f"MOVED 12182 127.0.0.1:{cluster.port_of(cluster.master_of(12182))}"


def test_redis_cli_check_and_info(cluster: Cluster) -> None:
    cluster.check_coverage()
    assert "in 3 masters" in cluster.redis_cli("--cluster", "info", f"127.0.0.1:{cluster.base}")


def test_a_client_that_reads_from_replicas(cluster: Cluster) -> None:
    heir = next(name for name, view in cluster.views().items() if view.role == "replica")
    master = next(
        entry for entry in cluster.lab.nodes() if f"{entry.host}:{entry.port}" == cluster.views()[heir].master
    )
    first = cluster.views()[master.name].slots[0][0]
    assert first in (0, 5461, 10923)
    key = {0: "b", 5461: "key:2", 10923: "foo"}[first]
    with (
        redis.Redis(port=master.port) as writer,
        redis.Redis(port=cluster.port_of(heir), decode_responses=True) as reader,
    ):
        writer.set(key, "copied")
        assert writer.wait(1, 5000) == 1
        with pytest.raises(redis.exceptions.MovedError):
            reader.get(key)
        with reader.pipeline(transaction=False) as pipe:
            pipe.execute_command("READONLY")
            pipe.get(key)
            assert pipe.execute()[1] == "copied"
