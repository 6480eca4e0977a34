"""CLUSTER FAILOVER across the border: our replica of a real master, a real replica of our master."""

from __future__ import annotations

from pathlib import Path

from cluster.events import AddSlots, Failover, Meet, Replicate, SetConfigEpoch
from tests.cluster.bus_node import NODE_TIMEOUT_MS, BusNode, until
from tests.cluster.bus_node import running as running_ours
from tests.interop.real_nodes import RealNode, needs_redis, running
from tests.waiting import wait_until

OURS, REAL = 21000, 21010


async def join(masters: list[BusNode | RealNode], heir: BusNode | RealNode) -> None:
    """Three masters with a third of the slots each, and a fourth node that has none, all in touch."""
    nodes = [*masters, heir]
    for i, node in enumerate(nodes):
        slots = range(16384 * i // 3, 16384 * (i + 1) // 3) if i < 3 else range(0)
        if isinstance(node, BusNode):
            node.order(SetConfigEpoch(i + 1))
            if slots:
                node.order(AddSlots(tuple(slots)))
        else:
            await node.cluster("SET-CONFIG-EPOCH", i + 1)
            if slots:
                await node.cluster("ADDSLOTSRANGE", slots[0], slots[-1])
    for node in nodes[1:]:
        if isinstance(node, BusNode):
            node.order(Meet("127.0.0.1", nodes[0].port))
        else:
            await node.cluster("MEET", "127.0.0.1", nodes[0].port)

    async def in_touch() -> bool:
        for node in nodes:
            if isinstance(node, BusNode):
                confirmed = sum(not other.handshake for other in node.machine.state.nodes.values())
                if not node.machine.state.ok or confirmed < len(nodes):
                    return False
            else:
                table = await node.cluster("NODES")
                if "cluster_state:ok" not in await node.cluster("INFO") or table.count("connected") < len(nodes):
                    return False
                if "handshake" in table:
                    return False
        return True

    await wait_until(in_touch)


def real_node(folder: Path, at: int) -> RealNode:
    return RealNode(folder, REAL + at, "--cluster-node-timeout", str(NODE_TIMEOUT_MS))


@needs_redis
async def test_our_replica_takes_over_from_a_real_master_that_waits_for_it(tmp_path: Path) -> None:
    voter, heir = BusNode(tmp_path / "voter", OURS), BusNode(tmp_path / "heir", OURS + 1)
    master, other = real_node(tmp_path, 0), real_node(tmp_path, 1)
    async with running(master, other), running_ours(voter, heir):
        await join([voter, master, other], heir)
        master_id = await master.cluster("MYID")
        heir.order(Replicate(master_id))

        async def attached() -> bool:
            return all([f"slave {master_id}" in await node.cluster("NODES") for node in (master, other)])

        await wait_until(attached)
        final = int((await master.replication())["master_repl_offset"])
        heir.offset = final + 1
        assert heir.order(Failover()) == "OK"
        offset = f"Received replication offset for paused master manual failover: {final}"
        await until(lambda: any(offset in line for line in heir.log_lines))
        assert "promote" not in heir.asked
        heir.offset = final
        await until(lambda: "promote" in heir.asked)

        async def replaced() -> bool:
            return (await master.replication())["master_port"] == str(heir.port)

        await wait_until(replaced)
        await until(lambda: voter.machine.state.nodes[heir.id].slots == heir.machine.state.myself.slots)
        await until(lambda: voter.machine.state.nodes[master_id].is_replica)


@needs_redis
async def test_a_real_replica_takes_over_from_our_master_that_waits_for_it(tmp_path: Path) -> None:
    master, voter = BusNode(tmp_path / "master", OURS + 2), BusNode(tmp_path / "voter", OURS + 3)
    other, heir = real_node(tmp_path, 2), real_node(tmp_path, 3)
    async with running(other, heir), running_ours(master, voter):
        await join([master, voter, other], heir)
        await heir.cluster("REPLICATE", master.id)
        await until(lambda: all(len(node.machine.state.nodes[master.id].replicas) == 1 for node in (master, voter)))

        async def attached() -> bool:
            return f"slave {master.id}" in await other.cluster("NODES")

        await wait_until(attached)
        slots = master.machine.state.myself.slots
        # Nobody here gives it data, so nothing is what it has applied.
        master.offset = 0
        await heir.cluster("FAILOVER")
        await until(lambda: f"follow 127.0.0.1:{heir.port}" in master.asked)
        assert [asked.split()[0] for asked in master.asked if "pause" in asked] == ["pause", "unpause"]
        heir_id = await heir.cluster("MYID")
        await until(lambda: voter.machine.state.nodes[heir_id].slots == slots)

        async def known() -> bool:
            return f"slave {heir_id}" in await other.cluster("NODES")

        await wait_until(known)
