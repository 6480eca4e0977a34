"""The bus over real sockets: joining, heartbeats by datagram, death and return, what is on disk before it is said."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from pathlib import Path

import pytest

from cluster.bus import BusPortError
from cluster.codec import HEADER_BYTES
from cluster.conf_file import NodesConfFile
from cluster.events import AddSlots, Failover, FailoverMode, Meet, Refused, Replicate, SetConfigEpoch
from cluster.messages import MessageType
from cluster.nodes_conf import parse
from tests.cluster.bus_node import NODE_TIMEOUT_MS, BusNode, running, until
from tests.ports import free_base


async def join(*nodes: BusNode) -> None:
    """Make the nodes one cluster."""
    first = nodes[0]
    for node in nodes[1:]:
        node.order(Meet("127.0.0.1", first.port))
    await until(lambda: all(node.knows(*(other for other in nodes if other is not node)) for node in nodes))


def three(tmp_path: Path, *, datagrams: tuple[bool, bool, bool] = (True, True, True)) -> list[BusNode]:
    base = free_base()
    return [BusNode(tmp_path / str(at), base + at, datagrams=by_udp) for at, by_udp in enumerate(datagrams)]


def share_slots(*nodes: BusNode) -> None:
    step = 16384 // len(nodes)
    for at, node in enumerate(nodes):
        # As redis-cli does it: masters that begin with one epoch only sort themselves out later.
        node.order(SetConfigEpoch(at + 1))
        last = 16384 if at == len(nodes) - 1 else (at + 1) * step
        node.order(AddSlots(tuple(range(at * step, last))))


async def test_nodes_meet_and_serve(tmp_path: Path) -> None:
    nodes = three(tmp_path)
    async with running(*nodes):
        share_slots(*nodes)
        await join(*nodes)
        await until(lambda: all(node.machine.state.ok for node in nodes))
        for node in nodes:
            dialled = [link.node_id for link in node.bus.links() if not link.inbound]
            assert sorted(dialled) == sorted(other.id for other in nodes if other is not node)
        # Everybody's claims have arrived, and are remembered.
        await until(lambda: all(node.machine.state.size() == 3 for node in nodes))
        stored = parse((tmp_path / "0" / "nodes.conf").read_bytes(), 0)
        assert set(stored.nodes) == {node.id for node in nodes}


async def test_heartbeats_go_by_datagram_only_between_nodes_that_both_can(tmp_path: Path) -> None:
    a, b, plain = nodes = three(tmp_path, datagrams=(True, True, False))
    async with running(*nodes):
        await join(*nodes)

        def alive() -> bool:
            return all(other.pong_received_at is not None for node in nodes for other in node.machine.state.others())

        await until(alive)
        await until(lambda: a.bus.datagrams.received > 3 and b.bus.datagrams.received > 3)
        assert plain.bus.datagrams.received == 0


async def test_a_silent_node_is_suspected_agreed_on_and_forgiven(tmp_path: Path) -> None:
    a, b, c = nodes = three(tmp_path)
    async with running(*nodes):
        share_slots(*nodes)
        await join(*nodes)
        await until(lambda: all(node.machine.state.ok for node in nodes))
        folder, identity = tmp_path / "2", c.id
        await c.stop()
        await until(lambda: a.machine.state.nodes[identity].fail and b.machine.state.nodes[identity].fail)
        assert not a.machine.state.ok
        back = BusNode(folder, c.port)
        assert back.id == identity
        async with running(back):
            await until(lambda: not a.machine.state.nodes[identity].fail and a.machine.state.ok)


async def test_a_replica_takes_over_when_it_is_told_to(tmp_path: Path) -> None:
    master, replica, other = nodes = three(tmp_path)
    async with running(*nodes):
        share_slots(master, other)
        await join(*nodes)
        replica.order(Replicate(master.id))
        # It may see in the same step that all is well now.
        assert f"follow 127.0.0.1:{master.port}" in replica.asked[-2:]
        await until(lambda: len(master.machine.state.myself.replicas) == 1 and other.machine.state.size() == 2)
        assert replica.order(Failover(FailoverMode.TAKEOVER)) == "OK"
        assert "promote" in replica.asked
        await until(lambda: master.asked[-1] == f"follow 127.0.0.1:{replica.port}")
        await until(lambda: other.machine.state.nodes[replica.id].slots.bit_count() == 8192)


async def test_what_one_node_publishes_is_delivered_by_the_others(tmp_path: Path) -> None:
    a, b, c = nodes = three(tmp_path)
    async with running(*nodes):
        await join(*nodes)
        a.bus.publish(b"news", b"hello" * 100_000, sharded=False)
        await until(lambda: b.published and c.published)
        assert b.published == c.published == [(b"news", b"hello" * 100_000, False)]
        assert (
            a.bus.sent[MessageType.PUBLISH] == b.bus.received[MessageType.PUBLISH] + c.bus.received[MessageType.PUBLISH]
        )


async def test_messages_of_a_kind_can_be_dropped(tmp_path: Path) -> None:
    """DEBUG DROP-CLUSTER-PACKET-FILTER."""
    a, b, c = nodes = three(tmp_path)
    async with running(*nodes):
        await join(*nodes)
        b.bus.dropped = MessageType.PUBLISH
        a.bus.publish(b"news", b"1", sharded=False)
        await until(lambda: c.published and b.bus.received[MessageType.PUBLISH])
        assert not b.published
        b.bus.dropped = None
        a.bus.publish(b"news", b"2", sharded=False)
        await until(lambda: b.published == [(b"news", b"2", False)])
        # Datagrams, too: nobody is answered any more.
        b.bus.dropped = MessageType.PING
        asked, answered = b.bus.received[MessageType.PING], b.bus.sent[MessageType.PONG]
        await until(lambda: b.bus.received[MessageType.PING] > asked + 3)
        assert b.bus.sent[MessageType.PONG] == answered


@pytest.mark.parametrize(("to", "from_"), [(True, False), (False, True), (True, True)])
async def test_links_that_are_broken_on_purpose_are_made_anew(tmp_path: Path, to: bool, from_: bool) -> None:
    """DEBUG CLUSTERLINK KILL."""
    a, b, _ = nodes = three(tmp_path)
    async with running(*nodes):
        await join(*nodes)
        peer = a.machine.state.nodes[b.id]
        await until(lambda: peer.inbound_link)
        before = peer.link, peer.inbound_link
        a.bus.break_links(b.id, to=to, from_=from_)
        assert (peer.link is None, peer.inbound_link is None) == (to, from_)
        await until(lambda: a.knows(b) and peer.inbound_link)
        assert (peer.link != before[0], peer.inbound_link != before[1]) == (to, from_)


async def test_a_refused_order_says_why_and_changes_nothing(tmp_path: Path) -> None:
    node = BusNode(tmp_path / "0", free_base())
    async with running(node):
        node.order(AddSlots((1,)))
        before = (tmp_path / "0" / "nodes.conf").read_bytes()
        with pytest.raises(Refused, match="Slot 1 is already busy"):
            node.order(AddSlots((2, 1)))
        assert (tmp_path / "0" / "nodes.conf").read_bytes() == before
        assert node.machine.state.owner[2] is None


async def test_strangers_cannot_harm_the_bus(tmp_path: Path) -> None:
    a, b = nodes = three(tmp_path)[:2]
    async with running(*nodes):
        await join(*nodes)
        # No messages: the link is closed at once.
        reader, writer = await asyncio.open_connection("127.0.0.1", a.port + 10000)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await reader.read() == b""
        writer.close()
        # A message longer than any: as soon as its type is known.
        reader, writer = await asyncio.open_connection("127.0.0.1", a.port + 10000)
        writer.write(b"RCmb\x40\x00\x00\x00\x00\x01\x1b\x58\x00\x00")
        assert await reader.read() == b""
        writer.close()
        # A link that says nothing, and datagrams of every kind.
        _, silent = await asyncio.open_connection("127.0.0.1", a.port + 10000)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for size in (0, 1, 8, HEADER_BYTES, 9000):
                stranger.sendto(os.urandom(size), ("127.0.0.1", a.port + 10000))
        seen = a.bus.datagrams.received
        await until(lambda: a.bus.datagrams.received > seen)
        assert a.knows(b)
        assert set(a.machine.state.nodes) == {a.id, b.id}
        silent.close()


async def test_a_flood_of_datagrams_leaves_time_for_everything_else(tmp_path: Path) -> None:
    a, b = nodes = three(tmp_path)[:2]
    async with running(*nodes):
        await join(*nodes)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.setblocking(False)
            loop = asyncio.get_running_loop()
            end = loop.time() + 2 * NODE_TIMEOUT_MS / 1000
            # For two node timeouts, and on a slow machine until the flood was one.
            while loop.time() < end or a.bus.datagrams.garbled <= 1000:
                for _ in range(50):
                    stranger.sendto(b"x" * HEADER_BYTES, ("127.0.0.1", a.port + 10000))
                await asyncio.sleep(0)
        assert a.bus.datagrams.garbled > 1000
        assert not any(node.pfail or node.fail for node in a.machine.state.others())
        assert not any(node.pfail or node.fail for node in b.machine.state.others())


async def test_a_peer_that_does_not_read_costs_no_more_than_the_limit(tmp_path: Path) -> None:
    a, b = nodes = three(tmp_path)[:2]
    async with running(*nodes):
        await join(*nodes)
        for link in b.bus._links.values():
            assert link._transport is not None
            link._transport.pause_reading()
        # More than the kernel takes: what is left waits here.
        for _ in range(32):
            a.bus.publish(b"news", b"x" * (1 << 20), sharded=False)
        [to_b] = [link for link in a.bus.links() if not link.inbound]
        assert to_b.unsent_bytes > 1 << 20
        # Heartbeats do not pass there: the full link is no sign of death.
        assert not b.machine.state.nodes[a.id].pfail

        a.bus.sendbuf_limit = 1 << 20
        a.bus.publish(b"news", b"x", sharded=False)
        await until(lambda: a.bus.limit_exceeded == 1)
        # It is dialled again.
        await until(lambda: a.knows(b) and not a.bus.links()[0].unsent_bytes)


async def test_what_is_published_in_a_turn_leaves_in_one_piece_and_in_order(tmp_path: Path) -> None:
    a, b = nodes = three(tmp_path)[:2]
    async with running(*nodes):
        await join(*nodes)
        a.bus.publish(b"news", b"1" * 10_000, sharded=False)
        a.bus.publish(b"news", b"2" * 10_000, sharded=True)
        assert a.bus.unsent_bytes > 10_000
        # Not in front of what was said before.
        a.order(AddSlots((1,)))
        a.bus.publish(b"news", b"3", sharded=False)
        [to_b] = [link for link in a.bus.links() if not link.inbound]
        assert to_b.unsent_bytes == a.bus.unsent_bytes
        await until(lambda: len(b.published) == 2)
        assert b.published == [(b"news", b"1" * 10_000, False), (b"news", b"3", False)]
        assert not a.bus.unsent_bytes

        # A link that ends takes with it what waits for it.
        a.bus.publish(b"news", b"4", sharded=False)
        a.bus.break_links(b.id, to=True, from_=False)
        await until(lambda: a.knows(b))
        a.bus.publish(b"news", b"5", sharded=False)
        await until(lambda: len(b.published) == 3)
        assert b.published[-1] == (b"news", b"5", False)


async def test_a_vote_that_cannot_be_saved_is_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a, _ = nodes = three(tmp_path)[:2]
    async with running(*nodes):
        await join(*nodes)

        def full(*_: object, **__: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        sent = a.bus.sent.total()
        monkeypatch.setattr(NodesConfFile, "save", full)
        a.order(AddSlots((1,)))
        assert a.asked[-1] == "cannot save: No space left on device"
        assert a.bus.sent.total() == sent


async def test_a_taken_port_is_named(tmp_path: Path) -> None:
    port = free_base()
    one, two = BusNode(tmp_path / "0", port), BusNode(tmp_path / "1", port)
    async with running(one):
        with pytest.raises(BusPortError, match=rf"Failed listening on port {port + 10000} \(cluster\), aborting\."):
            await two.start()
        await two.stop()
        assert f"127.0.0.1:{port + 10000}: bind: Address already in use" in "".join(two.log_lines)
