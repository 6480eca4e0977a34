"""What listeners of shard channels hear when slots change hands: the same from our nodes as from real ones."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from cluster.slots import key_slot
from tests.interop.real_nodes import OURS, REDIS, RealNode, needs_redis, running
from tests.node.raw_client import RawClient
from tests.ports import free_base
from tests.waiting import wait_until

# Told in a folder, on ports from a base on, of one program's nodes, in one protocol; returns what was heard.
Story = Callable[[Path, int, tuple[str, ...], str], Awaitable[list[bytes]]]


@contextlib.asynccontextmanager
async def three(folder: Path, base: int, program: tuple[str, ...], *, replicas: int) -> AsyncIterator[list[RealNode]]:
    """A master with all slots, and two more nodes, of which the last, or both, are its replicas."""
    nodes = [RealNode(folder, base + at, "--repl-diskless-sync-delay", "0", program=program) for at in range(3)]
    master, *others = nodes
    async with running(*nodes):
        await master.cluster("ADDSLOTSRANGE", 0, 16383)
        for node in others:
            await node.cluster("MEET", "127.0.0.1", master.port)
        master_id = await master.cluster("MYID")

        async def met() -> bool:
            tables = [await node.cluster("NODES") for node in nodes]
            # New masters begin with the same epoch, and settle that later: by then one of them may have been replaced,
            # and its new epoch be as good as its successor's.
            epochs = [{line.split()[0]: line.split()[6] for line in table.splitlines()} for table in tables]
            agreed = all(each == epochs[0] for each in epochs) and len(set(epochs[0].values())) == len(nodes)
            return agreed and all(
                table.count(" connected") == len(nodes) and "handshake" not in table and "0-16383" in table
                for table in tables
            )

        await wait_until(met)
        for replica in others[-replicas:]:
            await replica.cluster("REPLICATE", master_id)

        async def followed() -> bool:
            tables = [await node.cluster("NODES") for node in nodes]
            synced = [(await replica.replication())["master_link_status"] == "up" for replica in others[-replicas:]]
            return all(synced) and all(table.count(f"slave {master_id}") == replicas for table in tables)

        await wait_until(followed)
        yield nodes


class Listeners:
    """Subscribed connections, all of one protocol."""

    def __init__(self, proto: str) -> None:
        self._proto = proto
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Listeners:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def at(self, node: RealNode, *channels: str) -> RawClient:
        client = self._stack.enter_context(contextlib.closing(RawClient(node.port)))
        client.ask("HELLO", self._proto)
        for channel in channels:
            assert b"ssubscribe" in client.ask("SSUBSCRIBE", channel)
        return client


async def slots_leave(folder: Path, base: int, program: tuple[str, ...], proto: str) -> list[bytes]:
    async with three(folder, base, program, replicas=1) as (master, other, replica):
        with Listeners(proto) as listeners:
            at_master = listeners.at(master, "{x}1", "{x}2", "y", "z")
            at_replica = listeners.at(replica, "{x}1", "y")
            ids = [await node.cluster("MYID") for node in (master, other)]
            # Moved by hand: the master knows it by order, its replica from the new owner.
            slot = key_slot(b"x")
            await other.cluster("SETSLOT", slot, "IMPORTING", ids[0])
            await master.cluster("SETSLOT", slot, "MIGRATING", ids[1])
            await master.cluster("SETSLOT", slot, "NODE", ids[1])
            heard = [at_master.read_reply(), at_master.read_reply()]
            await other.cluster("SETSLOT", slot, "NODE", ids[1])
            heard.append(at_replica.read_reply())
            # Claimed: the master, too, has it from the new owner.
            slot = key_slot(b"y")
            await other.cluster("SETSLOT", slot, "IMPORTING", ids[0])
            await other.cluster("SETSLOT", slot, "NODE", ids[1])
            heard += [at_master.read_reply(), at_replica.read_reply()]
            # Without a subscription a client may say anything again; with one it is served as before.
            heard += [at_replica.ask("ECHO", "free"), at_master.ask("ECHO", "subscribed")]
            master.ask("SPUBLISH", "z", "message")
            heard.append(at_master.read_reply())
            await master.cluster("DELSLOTS", key_slot(b"z"))
            heard.append(at_master.read_reply())
            heard.append(at_master.ask("SSUBSCRIBE", "w"))
            await master.cluster("FLUSHSLOTS")
            heard.append(at_master.read_reply())
            at_other = listeners.at(other, "{x}1")
            await other.cluster("RESET")
            heard.append(at_other.read_reply())
            return heard


async def master_is_replaced(folder: Path, base: int, program: tuple[str, ...], proto: str) -> list[bytes]:
    async with three(folder, base, program, replicas=2) as (master, sibling, successor):
        with Listeners(proto) as listeners:
            at_master, at_sibling = listeners.at(master, "a", "b", "c"), listeners.at(sibling, "b")
            at_successor = listeners.at(successor, "b")
            await successor.cluster("FAILOVER", "TAKEOVER")
            heard = [at_master.read_reply() for _ in range(3)]
            heard.append(at_sibling.read_reply())
            # Here nothing has moved.
            successor.ask("SPUBLISH", "b", "message")
            heard.append(at_successor.read_reply())
            return heard


@needs_redis
@pytest.mark.parametrize("proto", ["2", "3"])
@pytest.mark.parametrize("story", [slots_leave, master_is_replaced])
async def test_listeners_hear_that_they_are_unsubscribed(tmp_path: Path, story: Story, proto: str) -> None:
    base = free_base()
    real = await story(tmp_path, base, REDIS, proto)
    ours = await story(tmp_path, base + 3, OURS, proto)
    assert ours == real
