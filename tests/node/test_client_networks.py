"""Addresses in containers: each client is told what it can dial, by every node, about every node.

Loopback has many addresses, so one machine can play the host (which comes in through a published port, from the
gateway's address) and a neighbour in the container network.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import hiredis

from cluster.conf_file import NodesConfFile
from cluster.nodes_conf import parse
from lab.authority import Certificates
from runtime.disk import RealDisk
from tests.interop.real_nodes import OURS, RealNode, running
from tests.ports import free_base
from tests.waiting import wait_until

GATEWAY, NEIGHBOUR = "127.0.0.2", "127.0.0.3"


def container(folder: Path, base: int, at: int, *more: str) -> RealNode:
    """A node as in compose: with a published port of its own, and a name in the network."""
    return RealNode(
        folder,
        base + at,
        *("--cluster-announce-hostname", f"node-{at}", "--cluster-preferred-endpoint-type", "hostname"),
        *("--cluster-announce-client-network", f"{GATEWAY}/32", "localhost", f"{7000 + at}"),
        *("--cluster-node-timeout", "1000", *more),
        program=OURS,
    )


async def ask(source: str, node: RealNode, line: str) -> Any:
    """The reply to one command from a client with this address."""
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port, local_addr=(source, 0))
    try:
        writer.write(f"{line}\r\n".encode())
        decoder = hiredis.Reader(encoding="utf-8")
        while (reply := decoder.gets()) is False:
            decoder.feed(await reader.read(65536))
        return reply
    finally:
        writer.close()
        await writer.wait_closed()


async def test_each_client_is_told_its_own_addresses(tmp_path: Path) -> None:
    base = free_base()
    a, b = container(tmp_path, base, 0), container(tmp_path, base, 1)
    async with running(a, b):
        await a.cluster("ADDSLOTSRANGE", 0, 8000)
        await b.cluster("ADDSLOTSRANGE", 8001, 16383)
        await a.cluster("MEET", "127.0.0.1", b.port)

        async def ready() -> bool:
            return all(["cluster_state:ok" in await node.cluster("INFO") for node in (a, b)])

        await wait_until(ready)
        # What a node says of itself reaches the other with the next heartbeat.
        await wait_until(lambda: tells_host_about_everybody(a))
        await wait_until(lambda: tells_host_about_everybody(b))

        assert str(await ask(GATEWAY, a, "GET foo")) == "MOVED 12182 localhost:7001"
        assert str(await ask(NEIGHBOUR, a, "GET foo")) == f"MOVED 12182 node-1:{b.port}"
        assert await endpoints(NEIGHBOUR, a) == [("node-0", a.port), ("node-1", b.port)]

        for source, expected in (
            (GATEWAY, [("localhost", 7000), ("localhost", 7001)]),
            (NEIGHBOUR, [("node-0", a.port), ("node-1", b.port)]),
        ):
            shards = [dict(pairs(dict(pairs(shard))["nodes"][0])) for shard in await ask(source, a, "CLUSTER SHARDS")]
            assert sorted((shard["endpoint"], shard["port"]) for shard in shards) == expected
        addresses = sorted(line.split()[1] for line in (await ask(GATEWAY, b, "CLUSTER NODES")).splitlines())
        assert addresses == [f"localhost:7000@{a.port + 10000}", f"localhost:7001@{b.port + 10000}"]
        addresses = sorted(line.split()[1] for line in (await ask(NEIGHBOUR, b, "CLUSTER NODES")).splitlines())
        assert addresses == [f"127.0.0.1:{node.port}@{node.port + 10000},node-{at}" for at, node in enumerate((a, b))]

        # The rule goes, for everybody; and comes back.
        await a.client.execute_command("CONFIG", "SET", "cluster-announce-client-network", "")
        await wait_until(lambda: told(GATEWAY, b, [("node-0", a.port), ("localhost", 7001)]))
        rule = f"{GATEWAY}/32 localhost 7000"
        await a.client.execute_command("CONFIG", "SET", "cluster-announce-client-network", rule)
        await wait_until(lambda: tells_host_about_everybody(b))

        # A node that starts alone still knows what the others want to be called.
        b.kill()
        a.kill()
        file = NodesConfFile(RealDisk(str(a.folder)), "nodes.conf")
        stored = parse(file.open(), 0)
        file.close()
        assert sorted(str(rule) for node in stored.nodes.values() for rule in node.client_networks) == [
            f"{GATEWAY}/32@localhost:7000",
            f"{GATEWAY}/32@localhost:7001",
        ]


async def test_an_encrypted_bus_tells_the_rules_too(tmp_path: Path, authority: Certificates) -> None:
    """It has no datagrams, by which nodes know each other for our own."""
    base = free_base()
    tls = ["--tls-cluster", "yes", *(word for line in authority.directives() for word in f"--{line}".split())]
    a, b = (container(tmp_path, base, at, "--tls-port", str(base + 100 + at), *tls) for at in (0, 1))
    async with running(a, b):
        await a.cluster("ADDSLOTSRANGE", 0, 8000)
        await b.cluster("ADDSLOTSRANGE", 8001, 16383)
        await a.cluster("MEET", "127.0.0.1", b.port + 100)
        await wait_until(lambda: tells_host_about_everybody(a))
        await wait_until(lambda: tells_host_about_everybody(b))


async def tells_host_about_everybody(node: RealNode) -> bool:
    return await told(GATEWAY, node, [("localhost", 7000), ("localhost", 7001)])


async def told(source: str, node: RealNode, expected: list[tuple[str, int]]) -> bool:
    return await endpoints(source, node) == expected


async def endpoints(source: str, node: RealNode) -> list[tuple[str, int]]:
    """The masters' endpoints in CLUSTER SLOTS, by slot."""
    return [(entry[2][0], entry[2][1]) for entry in await ask(source, node, "CLUSTER SLOTS")]


def pairs(flat: list[Any]) -> list[tuple[Any, Any]]:
    return list(zip(flat[::2], flat[1::2], strict=True))
