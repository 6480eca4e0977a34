"""A cluster of real nodes and of ours whose bus speaks TLS: who is told which ports, and a failover."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from lab.authority import Certificates
from tests.interop.real_nodes import OURS, REDIS, RealNode, needs_redis, running
from tests.ports import free_base
from tests.waiting import wait_until

pytestmark = needs_redis

THIRDS = ((0, 5000), (5001, 10000), (10001, 16383))


def secure_node(folder: Path, base: int, at: int, program: tuple[str, ...], certs: Certificates) -> RealNode:
    return RealNode(
        folder,
        base + at,
        *("--tls-port", str(base + 100 + at), "--tls-cluster", "yes", "--tls-replication", "yes"),
        *("--cluster-node-timeout", "1000", "--repl-diskless-sync-delay", "0"),
        *(word for line in certs.directives() for word in f"--{line}".split()),
        program=program,
    )


def over_tls(node: RealNode, certs: Certificates) -> redis.Redis:
    return redis.Redis(
        port=node.port + 100,
        ssl=True,
        ssl_ca_certs=certs.ca_cert,
        ssl_certfile=certs.cert,
        ssl_keyfile=certs.key,
        decode_responses=True,
        protocol=3,
    )


@pytest.mark.timeout(90)
async def test_a_mixed_cluster(tmp_path: Path, authority: Certificates) -> None:
    base = free_base()
    nodes = [
        secure_node(tmp_path, base, at, program, authority) for at, program in enumerate((OURS, REDIS, OURS, REDIS))
    ]
    ours, theirs, third, replica = nodes
    async with running(*nodes):
        for node, slots in zip(nodes, THIRDS, strict=False):
            await node.cluster("ADDSLOTSRANGE", *slots)
        for node in nodes[1:]:
            await node.cluster("MEET", "127.0.0.1", ours.port + 100)

        async def whole() -> bool:
            infos = [await node.cluster("INFO") for node in nodes]
            return all("cluster_state:ok" in info and "known_nodes:4" in info for info in infos)

        await wait_until(whole)
        # Every node has heard of the plaintext ports, too.
        for ask in (_plain_slots, _plain_nodes):
            await wait_until(lambda ask=ask: _agree(ask, ours, theirs))
        assert {entry[2][1] for entry in await ours.cluster("SLOTS")} == {base, base + 1, base + 2}
        with over_tls(ours, authority) as first, over_tls(theirs, authority) as second:
            seen = [sorted(client.execute_command("CLUSTER", "SLOTS")) for client in (first, second)]
            assert seen[0] == seen[1]
            assert {entry[2][1] for entry in seen[0]} == {base + 100, base + 101, base + 102}
            shards = [sorted(map(_ports, client.execute_command("CLUSTER", "SHARDS"))) for client in (first, second)]
            assert shards[0] == shards[1]
            with pytest.raises(redis.ResponseError, match=f"12182 127.0.0.1:{base + 102}"):
                first.execute_command("GET", "foo")
        with pytest.raises(redis.ResponseError, match=f"12182 127.0.0.1:{base + 2}"):
            await ours.client.execute_command("GET", "foo")

        # Our master dies, and its real replica is elected by the two others; all of it over TLS.
        await replica.cluster("REPLICATE", await third.cluster("MYID"))

        async def in_sync() -> bool:
            return (await replica.replication()).get("master_link_status") == "up"

        await wait_until(in_sync)
        assert (await replica.replication())["master_port"] == str(base + 102)
        identity = await replica.cluster("MYID")
        third.kill()

        async def replaced() -> bool:
            return any(
                identity in line and "10001-16383" in line for line in (await ours.cluster("NODES")).splitlines()
            )

        await wait_until(replaced)


async def _agree(ask: object, *nodes: RealNode) -> bool:
    answers = [await ask(node) for node in nodes]  # type: ignore[operator]
    return bool(answers[0] == answers[1])


async def _plain_slots(node: RealNode) -> list[object]:
    return sorted(await node.cluster("SLOTS"))


async def _plain_nodes(node: RealNode) -> list[str]:
    return sorted(line.split()[1] for line in (await node.cluster("NODES")).splitlines())


def _ports(shard: dict[str, list[dict[str, object]]]) -> list[tuple[str, object]]:
    """Of the shard's first node: what comes before its role."""
    fields = list(shard["nodes"][0].items())
    return fields[: [name for name, _ in fields].index("role")]
