"""What clients are told: by their network, by preference, and never an address they cannot dial."""

from __future__ import annotations

import pytest

from cluster.endpoints import ClientNetwork, Endpoint, EndpointError, PreferredEndpoint, endpoint
from cluster.membership import NodeEntry

IP, HOSTNAME, UNKNOWN = PreferredEndpoint.IP, PreferredEndpoint.HOSTNAME, PreferredEndpoint.UNKNOWN


def node(*networks: tuple[str, str, str], hostname: str = "node-3") -> NodeEntry:
    entry = NodeEntry("a" * 40, "172.28.0.13", 6379, 16379)
    entry.hostname = hostname
    entry.client_networks = tuple(ClientNetwork.of(*network) for network in networks)
    return entry


@pytest.mark.parametrize(
    ("hostname", "preferred", "host"),
    [
        ("node-3", IP, "172.28.0.13"),
        ("node-3", HOSTNAME, "node-3"),
        ("", HOSTNAME, "?"),
        ("node-3", UNKNOWN, ""),
    ],
)
def test_without_rules_the_preference_decides(hostname: str, preferred: PreferredEndpoint, host: str) -> None:
    assert endpoint(node(hostname=hostname), "1.2.3.4", preferred) == Endpoint(host, 6379, by_network=False)


@pytest.mark.parametrize(
    ("client", "host", "port"),
    [
        # In a compose network, a connection through a published port comes from the gateway.
        pytest.param("172.28.0.1", "localhost", 7003, id="the host, through the gateway"),
        pytest.param("192.168.1.77", "localhost", 7003, id="another machine, through the published port"),
        pytest.param("172.28.0.20", "node-3", 6379, id="a neighbour in the network"),
        pytest.param("::ffff:172.28.0.20", "node-3", 6379, id="a neighbour, on a dual-stack socket"),
        pytest.param("2001:db8::1", "172.28.0.13", 6379, id="no rule for IPv6"),
        pytest.param("", "172.28.0.13", 6379, id="a client without an address"),
        pytest.param("/tmp/redis.sock", "172.28.0.13", 6379, id="a client without an IP"),
    ],
)
def test_the_longest_prefix_decides(client: str, host: str, port: int) -> None:
    in_compose = node(
        ("0.0.0.0/0", "localhost", "7003"), ("172.28.0.0/16", "node-3", "6379"), ("172.28.0.1/32", "localhost", "7003")
    )
    told = endpoint(in_compose, client, IP)
    assert (told.host, told.port) == (host, port)
    assert told.by_network == (host != "172.28.0.13")


@pytest.mark.parametrize(
    ("network", "host", "port"),
    [
        ("nonsense", "localhost", "7000"),
        ("10.0.0.0/33", "localhost", "7000"),
        ("10.0.0.0/8", "", "7000"),
        ("10.0.0.0/8", "two words", "7000"),
        ("10.0.0.0/8", "a,b", "7000"),
        ("10.0.0.0/8", "localhost", "0"),
        ("10.0.0.0/8", "localhost", "65536"),
        ("10.0.0.0/8", "localhost", "x"),
    ],
)
def test_what_cannot_be_announced_is_refused(network: str, host: str, port: str) -> None:
    with pytest.raises(EndpointError):
        ClientNetwork.of(network, host, port)


@pytest.mark.parametrize("text", ["10.0.0.0/8@localhost:7000", "::/0@::1:7000", "1.2.3.4/32@n-1.example:1"])
def test_text_form(text: str) -> None:
    assert str(ClientNetwork.parse(text)) == text
