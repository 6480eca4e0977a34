"""A running lab as end-to-end tests use it: who serves a slot now, and what redis-cli says of it."""

from __future__ import annotations

import asyncio
import binascii
import subprocess
from collections.abc import Iterator

import redis
from redis.backoff import ConstantBackoff
from redis.cluster import ClusterNode
from redis.retry import Retry

from lab.drivers.process import Life
from lab.observe import NodeView, observe
from lab.readiness import missing
from lab.topology import Role, Topology
from tests.lab.running import Shardlab
from tests.waiting import wait_for

# So long that a busy machine does not look like a dead process.
DOWN_AFTER_MS = 1000


class Cluster(Shardlab):
    """The nodes by the slots they serve."""

    @property
    def topology(self) -> Topology:
        return self.lab.topology

    @property
    def proxy_port(self) -> int:
        return self.lab.find("proxy").port

    def views(self) -> dict[str, NodeView]:
        """What every node that answers says of itself."""
        observations = asyncio.run(observe(self.lab, timeout=1.0))
        return {seen.name: seen.node for seen in observations if seen.node is not None}

    def master_of(self, slot: int) -> str:
        """The name of the node that says it serves the slot, waiting while there is none."""

        def serving() -> list[str]:
            # After a failover the old master may claim it for a moment longer: the larger epoch is right.
            claims = [
                (view.epoch, name)
                for name, view in self.views().items()
                if any(first <= slot <= last for first, last in view.slots)
            ]
            return [name for _, name in sorted(claims)]

        return wait_for(serving, what=f"a master for slot {slot}")[-1]

    def wait_ready(self, timeout: float = 30.0) -> None:
        faults = ["never looked"]

        def whole() -> bool:
            faults[:] = missing(asyncio.run(observe(self.lab, timeout=1.0)))
            return not faults

        try:
            wait_for(whole, timeout=timeout)
        except AssertionError:
            raise AssertionError(f"not ready after {timeout:g} s: {'; '.join(faults)}") from None

    def wait_write(self, client: redis.RedisCluster, key: str) -> None:
        """Write a key, which is its own value, as soon as somebody takes it."""

        def written() -> bool:
            try:
                return bool(client.set(key, key))
            except redis.RedisError:
                return False

        wait_for(written, what=f"a master that takes {key}")

    def wait_in_sync(self, master: str, replica_port: int) -> None:
        """Return when the master counts the node at that port among its replicas."""
        address = f"127.0.0.1:{replica_port}"
        wait_for(lambda: address in self.views()[master].online_replicas, what=f"{address} as a replica of {master}")

    def port_of(self, name: str) -> int:
        return self.lab.find(name).port

    def life_of(self, name: str) -> Life:
        return self.lab.find(name).life

    def has(self, role: Role) -> bool:
        return any(entry.role is role for entry in self.lab.processes)

    def redis_cli(self, *words: str, port: int | None = None) -> str:
        """What redis-cli prints; it must succeed."""
        done = subprocess.run(
            ["redis-cli", "-p", str(port or self.base), *words], capture_output=True, text=True, check=False, timeout=20
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.rstrip("\n")

    def check_coverage(self) -> None:
        """`redis-cli --cluster check`, asked through a node that is alive, finds every slot covered."""
        port = next(entry.port for entry in self.lab.nodes() if entry.life is Life.RUNNING)
        done = subprocess.run(
            ["redis-cli", "--cluster", "check", f"127.0.0.1:{port}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )
        assert "[OK] All 16384 slots covered." in done.stdout, done.stdout + done.stderr

    def client(self, timeout: float = 0.25) -> redis.RedisCluster:
        """redis-py's cluster client, in a hurry: it tries once more and then tells the caller."""
        return redis.RedisCluster(
            startup_nodes=[ClusterNode(entry.host, entry.port) for entry in self.lab.nodes()],  # type: ignore[no-untyped-call]
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            decode_responses=True,
            retry=Retry(ConstantBackoff(0.02), 1),
            # The shards that are left go on without the one that has lost its master.
            require_full_coverage=False,
        )


def slot_of(key: str) -> int:
    tag = key[key.index("{") + 1 : key.index("}")] if "{" in key else key
    return binascii.crc_hqx(tag.encode(), 0) % 16384


def tags_in(first: int, last: int) -> Iterator[str]:
    """Hash tags whose slots lie in the range."""
    return (f"{{t{n}}}" for n in range(100_000) if first <= slot_of(f"{{t{n}}}") <= last)
