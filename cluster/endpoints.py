"""What a client is told: the host and port under which it reaches a node.

Owns the choice, for one client and one node, between the node's IP, its announced host name
(`cluster-preferred-endpoint-type`) and what the node wants clients of a certain network to be told
(`cluster-announce-client-network`). It does not know how MOVED or CLUSTER SLOTS are spelled, and
nodes never use it among themselves: they keep to the bus's addresses.

The idea: only a node's own configuration knows under which published port the outside reaches it.
So each node lists its own addresses by network of the client,

    cluster-announce-client-network 0.0.0.0/0     localhost 7003
    cluster-announce-client-network 172.28.0.0/16 node-3    6379

tells the list to the others in its heartbeats, and whoever answers a client looks the client's
source address up in the list of the node it speaks of. The longest prefix wins, as in routing; no match falls
back to Redis' own rules.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Protocol

# A list of this length covers every network a node is in; the bound keeps one heartbeat small.
CLIENT_NETWORKS_MAX = 16
HOST_LENGTH_MAX = 255
# Safe in a line of nodes.conf and in CLUSTER NODES: no space, comma, quote, '@' or '='. IPv6 needs the colon.
_HOST = re.compile(r"[0-9A-Za-z._:%-]{1,255}\Z")

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class PreferredEndpoint(Enum):
    """`cluster-preferred-endpoint-type`."""

    IP = "ip"
    HOSTNAME = "hostname"
    UNKNOWN = "unknown-endpoint"


class EndpointError(ValueError):
    """A network, host or port that cannot be announced; the text is for the person who configured it."""


@dataclass(frozen=True, slots=True)
class ClientNetwork:
    """Clients whose source address lies in `network` reach the node at `host`:`port`."""

    network: IPNetwork
    host: str
    port: int

    @classmethod
    def of(cls, network: str, host: str, port: str) -> ClientNetwork:
        """From the three arguments of the directive; raises EndpointError."""
        try:
            net = ipaddress.ip_network(network, strict=False)
        except ValueError:
            raise EndpointError(f"'{network}' is not a network in CIDR notation") from None
        if not is_host(host):
            raise EndpointError(f"'{host}' is not a host name or address")
        if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise EndpointError(f"'{port}' is not a port")
        return cls(net, host, int(port))

    @classmethod
    def parse(cls, text: str) -> ClientNetwork:
        """From `str()` of another one, as it stands in heartbeats and nodes.conf; raises EndpointError."""
        return _parse(text)

    def __str__(self) -> str:
        return f"{self.network}@{self.host}:{self.port}"


@lru_cache(maxsize=256)
def _parse(text: str) -> ClientNetwork:
    # Remembered, because every heartbeat of every peer brings the same few texts again.
    network, _, address = text.partition("@")
    host, _, port = address.rpartition(":")
    return ClientNetwork.of(network, host, port)


def is_host(text: str) -> bool:
    """Whether `text` can stand as a host in nodes.conf and on the wire (IP literal or host name)."""
    return _HOST.match(text) is not None


class Announced(Protocol):
    """What this file reads of a node."""

    @property
    def ip(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def pport(self) -> int: ...
    @property
    def hostname(self) -> str: ...
    @property
    def client_networks(self) -> tuple[ClientNetwork, ...]: ...


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What one client is told of one node."""

    host: str
    port: int
    # Whether a rule for the client's network chose it; then it also stands where Redis shows the IP.
    by_network: bool


def endpoint(node: Announced, client_ip: str, preferred: PreferredEndpoint, *, plain: bool = False) -> Endpoint:
    """Where the client at `client_ip` ("" when unknown) reaches `node`; `plain` is one that speaks no TLS while the
    nodes do. As in Redis, the host is "?" where a host name is preferred and none announced, and empty where clients
    are to stay with the one that they use (`unknown-endpoint`).
    """
    rule = _rule(node.client_networks, client_ip)
    if rule is not None:
        return Endpoint(rule.host, rule.port, by_network=True)
    host = node.ip
    if preferred is PreferredEndpoint.HOSTNAME:
        host = node.hostname or "?"
    elif preferred is PreferredEndpoint.UNKNOWN:
        host = ""
    return Endpoint(host, node.pport if plain and node.pport else node.port, by_network=False)


def _rule(networks: tuple[ClientNetwork, ...], client_ip: str) -> ClientNetwork | None:
    """The rule with the longest prefix that holds the client; the first of equals."""
    if not networks or not client_ip:
        return None
    address = _address(client_ip)
    if address is None:
        return None
    best: ClientNetwork | None = None
    for rule in networks:
        if address in rule.network and (best is None or rule.network.prefixlen > best.network.prefixlen):
            best = rule
    return best


@lru_cache(maxsize=1024)
def _address(client_ip: str) -> IPAddress | None:
    """The client's address; one that a dual-stack socket shows as IPv4-in-IPv6 counts as IPv4."""
    try:
        address = ipaddress.ip_address(client_ip)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
