from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from lab import ports
from lab.topology import Role, Seat
from tests.ports import free_base


@pytest.fixture
def node() -> Seat:
    base = free_base()
    return Seat(name="node-0", role=Role.NODE, host="127.0.0.1", port=base, bus_port=base + 10_000)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as sock:
        # As servers do it: an earlier test's connections on this port may be in TIME_WAIT.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        yield sock


def test_free_ports_are_free(node: Seat) -> None:
    assert ports.taken([node]) == []
    # And asking has not taken them.
    assert ports.taken([node]) == []


def test_a_listener_on_the_port(node: Seat, listener: socket.socket) -> None:
    listener.bind(("127.0.0.1", node.port))
    listener.listen()
    assert ports.taken([node]) == [f"port {node.port} of node-0 is already in use"]


def test_a_listener_on_all_addresses(node: Seat, listener: socket.socket) -> None:
    listener.bind(("0.0.0.0", node.port))
    listener.listen()
    assert ports.taken([node]) == [f"port {node.port} of node-0 is already in use"]


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_the_bus_port_by_tcp_or_udp(node: Seat, kind: socket.SocketKind) -> None:
    assert node.bus_port is not None
    with socket.socket(socket.AF_INET, kind) as sock:
        if kind is socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", node.bus_port))
        if kind is socket.SOCK_STREAM:
            sock.listen()
        assert ports.taken([node]) == [f"bus port {node.bus_port} of node-0 is already in use"]


def test_connections_in_time_wait_are_no_obstacle(node: Seat, listener: socket.socket) -> None:
    listener.bind(("127.0.0.1", node.port))
    listener.listen()
    with socket.create_connection(("127.0.0.1", node.port)):
        server_side, _ = listener.accept()
        # The side that closes first is the one that waits.
        server_side.close()
    listener.close()
    assert ports.taken([node]) == []


def test_an_address_of_another_machine(node: Seat) -> None:
    elsewhere = node.model_copy(update={"host": "192.0.2.1"})
    (reason,) = ports.taken([elsewhere])[:1]
    assert reason == f"port {node.port} of node-0 on 192.0.2.1: Cannot assign requested address"
