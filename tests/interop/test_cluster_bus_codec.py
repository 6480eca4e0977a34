"""Every message real nodes exchange, through joining, publishing, failures and failovers, is read and written back."""

from __future__ import annotations

from pathlib import Path

from cluster.codec import decode, encode
from cluster.messages import Heartbeat, MessageType, NodeFlag, Update
from tests.interop.bus_relay import BusRelay
from tests.interop.real_nodes import RealNode, needs_redis, running
from tests.ports import free_base
from tests.waiting import wait_until

# What stands between a client port and its relay, and the relay and the real bus port.
RELAY_OFFSET = 10100
TIMEOUT_MS = 800


@needs_redis
async def test_real_traffic_survives_decoding_and_encoding(tmp_path: Path) -> None:
    base = free_base()
    ports = range(base, base + 4)
    relays = {port: BusRelay(port + RELAY_OFFSET, port + 10000) for port in ports}
    nodes = {
        port: RealNode(
            tmp_path,
            port,
            *("--cluster-node-timeout", str(TIMEOUT_MS), "--cluster-announce-bus-port", str(port + RELAY_OFFSET)),
            *("--cluster-announce-hostname", f"node-{port}", "--repl-diskless-sync-delay", "0"),
        )
        for port in ports
    }
    seen: list[bytes] = []
    a, b, c, replica = (nodes[port] for port in ports)
    try:
        for relay in relays.values():
            await relay.start()
        async with running(*nodes.values()):
            await join(a, b, c, replica)
            await a.client.publish("news", "hello")
            # Slot 3443 is the first master's, and shard messages go only to its replica.
            await a.client.execute_command("SPUBLISH", "{user1000}", "hello")
            # MFSTART, AUTH_REQUEST, AUTH_ACK, and the old master's PAUSED pings.
            await replica.cluster("FAILOVER")
            await wait_until(lambda: is_master(replica))
            await wait_until(lambda: replicates(a, replica))
            # FAIL, and an election for real.
            replica.kill()
            await wait_until(lambda: is_master(a))
            # The old master comes back with old claims. With its successor silent, another one tells it, by UPDATE.
            a.pause()
            replica.start()
            await replica.ready()

            async def told() -> bool:
                return any(decode(frame).kind is MessageType.UPDATE for frame in relays[replica.port].frames)

            await wait_until(told)
            a.resume()
            await wait_until(lambda: replicates(replica, a))
    finally:
        for relay in relays.values():
            await relay.stop()
            seen += relay.frames
    kinds = {}
    for frame in seen:
        message = decode(frame)
        kinds.setdefault(message.kind, []).append(message)
        assert encode(message) == frame
    assert set(kinds) == set(MessageType) - {MessageType.MODULE}
    assert all(NodeFlag.MYSELF in message.header.flags for messages in kinds.values() for message in messages)
    heartbeats = [message.body for message in kinds[MessageType.PING] + kinds[MessageType.PONG]]
    assert any(isinstance(body, Heartbeat) and body.gossip and body.extensions.hostname for body in heartbeats)
    assert all(isinstance(message.body, Update) and any(message.body.slots) for message in kinds[MessageType.UPDATE])


RANGES = ((0, 5000), (5001, 10000), (10001, 16383))


async def join(a: RealNode, b: RealNode, c: RealNode, replica: RealNode) -> None:
    """Three masters with slots and one replica of the first."""
    masters = (a, b, c)
    for number, (master, (first, last)) in enumerate(zip(masters, RANGES, strict=True), 1):
        await master.cluster("ADDSLOTSRANGE", first, last)
        await master.cluster("SET-CONFIG-EPOCH", number)
    for node in (b, c, replica):
        await node.cluster("MEET", "127.0.0.1", a.port, a.port + RELAY_OFFSET)
    everybody = (*masters, replica)

    async def all_know_all() -> bool:
        return all([(await node.cluster("INFO")).count("cluster_known_nodes:4") for node in everybody])

    await wait_until(all_know_all)
    await replica.cluster("REPLICATE", await a.cluster("MYID"))

    async def all_is_well() -> bool:
        states = [await node.cluster("INFO") for node in everybody]
        return all("cluster_state:ok" in state for state in states) and await replicates(replica, a)

    await wait_until(all_is_well)


async def is_master(node: RealNode) -> bool:
    return "myself,master" in await node.cluster("NODES")


async def replicates(node: RealNode, master: RealNode) -> bool:
    info = await node.replication()
    return info["role"] == "slave" and (info["master_port"], info["master_link_status"]) == (str(master.port), "up")
