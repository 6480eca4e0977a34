"""A replica that was moved to another shard shows no offset, and is nobody's choice, until it has that shard's data."""

from __future__ import annotations

from pathlib import Path

from cluster.slots import key_slot
from tests.interop.real_nodes import OURS, RealNode, running
from tests.ports import free_base
from tests.waiting import wait_until

OPTIONS = (
    *("--cluster-node-timeout", "1000", "--cluster-allow-replica-migration", "no", "--repl-diskless-sync-delay", "0"),
    # Any replica may stand, however old its data are.
    *("--cluster-replica-validity-factor", "0"),
)
THIRDS = ((0, 5460), (5461, 10922), (10923, 16383))


async def test_it_is_not_elected_for_its_old_offset(tmp_path: Path) -> None:
    base = free_base()
    nodes = [RealNode(tmp_path, base + at, *OPTIONS, program=OURS) for at in range(5)]
    rich, poor, third, guest, sibling = nodes
    async with running(*nodes):
        for node, slots in zip((rich, poor, third), THIRDS, strict=True):
            await node.cluster("ADDSLOTSRANGE", *slots)
            await node.cluster("SET-CONFIG-EPOCH", nodes.index(node) + 1)
        for node in nodes[1:]:
            await node.cluster("MEET", "127.0.0.1", rich.port)

        async def met() -> bool:
            tables = [await node.cluster("NODES") for node in nodes]
            return all(table.count(" connected") == 5 and "handshake" not in table for table in tables)

        await wait_until(met)
        rich_id, poor_id = await rich.cluster("MYID"), await poor.cluster("MYID")
        await guest.cluster("REPLICATE", rich_id)
        await sibling.cluster("REPLICATE", poor_id)

        async def synced(node: RealNode, master: RealNode) -> bool:
            mine, its = await node.replication(), await master.replication()
            return (
                mine.get("master_link_status") == "up"
                and mine["master_port"] == str(master.port)
                and mine["slave_repl_offset"] == its["master_repl_offset"]
            )

        keys = {
            node: next(f"k{at}" for at in range(99) if low <= key_slot(b"k%d" % at) <= high)
            for node, (low, high) in zip((rich, poor), THIRDS, strict=False)
        }
        for _ in range(200):
            await rich.client.set(keys[rich], "x" * 100)
        await poor.client.set(keys[poor], "here")

        async def both() -> bool:
            ready = [await synced(guest, rich), await synced(sibling, poor)]
            return all(ready) and "cluster_state:ok" in await third.cluster("INFO")

        await wait_until(both)
        poor.pause()
        await guest.cluster("REPLICATE", poor_id)
        assert (await guest.replication())["slave_repl_offset"] == "1"

        async def replaced() -> bool:
            roles = [(await node.replication())["role"] for node in (guest, sibling)]
            assert roles[0] == "slave", roles
            return roles[1] == "master" and await synced(guest, sibling)

        await wait_until(replaced)
        assert await sibling.client.get(keys[poor]) == "here"
        await guest.client.execute_command("READONLY")
        assert await guest.client.get(keys[poor]) == "here"
        poor.resume()
        await wait_until(lambda: synced(poor, sibling))
