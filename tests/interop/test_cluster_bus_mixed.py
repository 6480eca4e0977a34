"""Clusters of real nodes and of ours: they take each other in, agree on deaths, and elect each other's replicas."""

from __future__ import annotations

from pathlib import Path

from cluster.events import AddSlots, Meet, Replicate
from cluster.messages import MessageType
from tests.cluster.bus_node import NODE_TIMEOUT_MS, BusNode, until
from tests.cluster.bus_node import running as running_ours
from tests.interop.real_nodes import RealNode, needs_redis, running
from tests.ports import free_base
from tests.waiting import wait_until

THIRDS = ((0, 5000), (5001, 10000), (10001, 16383))


def real_node(folder: Path, base: int, at: int) -> RealNode:
    return RealNode(
        folder,
        base + at,
        *("--cluster-node-timeout", str(NODE_TIMEOUT_MS), "--repl-diskless-sync-delay", "0"),
        *("--cluster-announce-hostname", f"real-{at}"),
    )


def our_node(folder: Path, base: int, at: int) -> BusNode:
    return BusNode(folder / f"ours-{at}", base + 2 + at)


async def real_ok(*nodes: RealNode) -> None:
    async def ok() -> bool:
        return all(["cluster_state:ok" in await node.cluster("INFO") for node in nodes])

    await wait_until(ok)


def take(node: BusNode, slots: tuple[int, int]) -> None:
    node.order(AddSlots(tuple(range(slots[0], slots[1] + 1))))


@needs_redis
async def test_they_take_each_other_in(tmp_path: Path) -> None:
    base = free_base()
    ours, theirs, invited = our_node(tmp_path, base, 0), real_node(tmp_path, base, 0), real_node(tmp_path, base, 1)
    async with running(theirs, invited), running_ours(ours):
        take(ours, THIRDS[0])
        await theirs.cluster("ADDSLOTSRANGE", *THIRDS[1])
        await invited.cluster("ADDSLOTSRANGE", *THIRDS[2])
        # We knock at one door, and are knocked at by the other.
        ours.order(Meet("127.0.0.1", theirs.port))
        await invited.cluster("MEET", "127.0.0.1", ours.port)
        await until(lambda: ours.machine.state.ok and len(ours.machine.state.nodes) == 3)
        await real_ok(theirs, invited)
        # One epoch each, without anybody's help.
        await until(lambda: len({node.config_epoch for node in ours.machine.state.nodes.values()}) == 3)

        for node in (theirs, invited):
            lines = (await node.cluster("NODES")).splitlines()
            [line] = [line for line in lines if line.startswith(ours.id)]
            assert line.split()[1:4] == [f"127.0.0.1:{ours.port}@{ours.port + 10000}", "master", "-"]
            assert line.split()[7:] == ["connected", "0-5000"]
        hostnames = sorted(node.hostname for node in ours.machine.state.others())
        assert hostnames == ["real-0", "real-1"]
        # Nothing we said was unknown to them.
        for node in (theirs, invited):
            assert "unknown" not in (node.folder / "redis.log").read_text()

        await theirs.client.publish("news", "hello")
        await until(lambda: ours.published == [(b"news", b"hello", False)])


@needs_redis
async def test_our_masters_elect_a_real_replica(tmp_path: Path) -> None:
    base = free_base()
    master, replica = real_node(tmp_path, base, 0), real_node(tmp_path, base, 1)
    voters = [our_node(tmp_path, base, 0), our_node(tmp_path, base, 1)]
    async with running(master, replica), running_ours(*voters):
        for voter, slots in zip(voters, THIRDS, strict=False):
            take(voter, slots)
            voter.order(Meet("127.0.0.1", master.port))
        await master.cluster("ADDSLOTSRANGE", *THIRDS[2])
        await replica.cluster("MEET", "127.0.0.1", master.port)
        await real_ok(master, replica)
        identity = await replica.cluster("MYID")
        await replica.cluster("REPLICATE", await master.cluster("MYID"))

        async def in_sync() -> bool:
            return (await replica.replication()).get("master_link_status") == "up"

        await wait_until(in_sync)
        await until(lambda: all(voter.machine.state.nodes[identity].master is not None for voter in voters))
        master.kill()
        await until(lambda: all(voter.machine.state.nodes[identity].slots.bit_count() == 6383 for voter in voters))
        assert [voter.bus.sent[MessageType.FAILOVER_AUTH_ACK] for voter in voters] == [1, 1]
        await real_ok(replica)


@needs_redis
async def test_real_masters_elect_our_replica(tmp_path: Path) -> None:
    base = free_base()
    ours = [our_node(tmp_path, base, 0), our_node(tmp_path, base, 1)]
    voters = [real_node(tmp_path, base, 0), real_node(tmp_path, base, 1)]
    master, replica = ours
    async with running(*voters), running_ours(*ours):
        take(master, THIRDS[0])
        for voter, slots in zip(voters, THIRDS[1:], strict=True):
            await voter.cluster("ADDSLOTSRANGE", *slots)
            await voter.cluster("MEET", "127.0.0.1", master.port)
        replica.order(Meet("127.0.0.1", master.port))
        await until(lambda: all(len(node.machine.state.nodes) == 4 for node in ours))
        await until(lambda: replica.knows(master) and replica.machine.state.ok)
        replica.order(Replicate(master.id))

        async def known() -> bool:
            return all([f"slave {master.id}" in await voter.cluster("NODES") for voter in voters])

        await wait_until(known)
        await master.stop()
        await until(lambda: "promote" in replica.asked)
        await real_ok(*voters)

        async def taken_over() -> bool:
            tables = [await voter.cluster("SLOTS") for voter in voters]
            return all(any(entry[:2] == [0, 5000] and entry[2][2] == replica.id for entry in t) for t in tables)

        await wait_until(taken_over)
