"""What people call nodes (`cluster-announce-human-nodename` of Redis 7.2): for the lines of the log."""

from __future__ import annotations

import struct

import pytest

from cluster.codec import decode
from cluster.events import AddSlots, Meet, Reconfigured
from cluster.messages import Heartbeat
from cluster.settings import ClusterSettings
from tests.cluster.mesh import Mesh, Peer
from tests.cluster.test_messages import with_extensions


def three(*, datagrams: bool) -> tuple[Mesh, list[Peer]]:
    mesh = Mesh(datagrams=datagrams)
    peers = [mesh.add(name, nodename=f"the-{name}") for name in ("a", "b", "c")]
    for at, peer in enumerate(peers):
        peer.order(AddSlots((at,)))
        peer.order(Meet(peers[0].ip, 7000))
    mesh.until(lambda: all(peer.knows(other) for peer in peers for other in peers))
    mesh.run(3000)
    return mesh, peers


@pytest.mark.parametrize("datagrams", [True, False])
def test_the_log_says_who_is_who(datagrams: bool) -> None:
    mesh, (a, b, c) = three(datagrams=datagrams)
    mesh.kill(a)
    said = f"Node {c.node_id} (the-c) reported node {a.node_id} (the-a) as not reachable."
    mesh.until(lambda: b.logged(said))
    # What is broadcast does not take a name away.
    assert b.entry(c).called == f"{c.node_id} (the-c)"


def test_a_name_can_be_changed_and_taken_back() -> None:
    mesh, (a, b, _) = three(datagrams=True)
    for name, called in (("another", f"{a.node_id} (another)"), ("", a.node_id)):
        a.settings = ClusterSettings(7000, 17000, announce_ip=a.ip, nodename=name)
        a.take(Reconfigured(a.settings))
        assert a.me.called == called
        mesh.until(lambda called=called: b.entry(a).called == called)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        pytest.param(b"rack 7/a", "rack 7/a", id="whatever a real node may be called"),
        pytest.param(b"a\nFake", "a?Fake", id="a line break"),
        pytest.param("é".encode(), "??", id="other letters"),
        pytest.param(b"x" * 300, "x" * 255, id="too long"),
    ],
)
def test_no_name_spoils_the_message_or_the_log(data: bytes, name: str) -> None:
    padded = data + bytes(8 - len(data) % 8)
    body = decode(with_extensions(struct.pack(">IHH", 8 + len(padded), 1, 0) + padded, 1)).body
    assert isinstance(body, Heartbeat)
    assert body.extensions.nodename == name


def test_pings_come_as_often_as_asked_for() -> None:
    """`cluster-ping-interval` of 7.2, by which its own tests have news spread at once."""
    mesh = Mesh(datagrams=False)
    a, b = (mesh.add(name, node_timeout_ms=15000, ping_interval_ms=100) for name in ("a", "b"))
    a.order(Meet(b.ip, 7000))
    mesh.until(lambda: a.knows(b) and b.knows(a))
    mesh.run(1000)
    answered_at = a.entry(b).pong_received_at
    assert answered_at is not None
    mesh.run(1000)
    assert a.entry(b).pong_received_at >= mesh.now - 300
    seen = set()
    for _ in range(100):
        mesh.run(20)
        seen.add(a.entry(b).pong_received_at)
    # One of a hundred milliseconds, and the tick that notices.
    assert 8 <= len(seen) <= 21
