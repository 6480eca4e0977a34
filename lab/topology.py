"""What a lab looks like before anything runs: how many of what, where, and who fails over whom.

A `Topology` is what the user asked for; `seats` turns it into the named places that processes take:
node-0 ... (masters first, then the replicas, in the order of their masters), sentinel-0 ..., proxy.
Names are of places, not of roles: after a failover node-3 is still node-3.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

SLOTS = 16384
# The cluster bus listens on a node's port plus this (cluster specification, "The cluster bus").
BUS_OFFSET = 10_000
# Where each kind of process starts, counted from the port base.
SENTINEL_OFFSET = 100
PROXY_OFFSET = 200


class Role(StrEnum):
    """What kind of process takes a seat."""

    NODE = "node"
    SENTINEL = "sentinel"
    PROXY = "proxy"


class Topology(BaseModel):
    """The size and manner of a lab, checked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    masters: int = Field(default=3, ge=1, le=100)
    # Replicas of each master.
    replicas: int = Field(default=1, ge=0, le=10)
    sentinels: int = Field(default=3, ge=0, le=99)
    proxy: bool = True
    # Who replaces a dead master: the sentinels, or the replicas by the masters' votes. Never both.
    failover: Literal["sentinel", "cluster"] = "sentinel"
    # Whose nodes: ours, or the redis-server installed here. Sentinels and proxy are ours in both.
    engine: Literal["shardlab", "redis"] = "shardlab"
    host: str = "127.0.0.1"
    # One process more than 55535 - 200 would push a bus port over 65535.
    port_base: int = Field(default=7000, ge=1024, le=55_000)
    # After this long without an answer a process is held for dead, by whoever fails it over.
    down_after_ms: int = Field(default=500, ge=50, le=600_000)
    # Every port speaks TLS, with certificates made for this lab, and so do the processes among themselves.
    tls: bool = False
    # More directives for every node's redis.conf.
    directives: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.nodes > SENTINEL_OFFSET:
            raise ValueError(f"{self.nodes} nodes are too many, a lab has room for {SENTINEL_OFFSET}")
        if self.failover == "cluster" and self.sentinels:
            raise ValueError(
                "sentinels and replicas must not both fail a master over: with cluster failover, sentinels is 0"
            )
        if self.failover == "cluster" and self.replicas and self.masters < 3:
            raise ValueError("with fewer than three masters no majority can elect a replica: use sentinel failover")
        if self.failover == "sentinel" and not self.sentinels:
            raise ValueError("sentinel failover needs at least one sentinel")
        return self

    @property
    def nodes(self) -> int:
        """Data nodes altogether."""
        return self.masters * (1 + self.replicas)

    @property
    def quorum(self) -> int:
        """Sentinels that must agree that a master is down: a majority."""
        return self.sentinels // 2 + 1


class Seat(BaseModel):
    """A named place for one process."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    role: Role
    host: str
    port: int
    # Where a node listens to the other nodes (TCP, and UDP for heartbeats); None for the rest.
    bus_port: int | None = None

    def endpoints(self) -> list[tuple[str, int]]:
        """Every port that the process will listen on."""
        ports = [("port", self.port)]
        if self.bus_port is not None:
            ports.append(("bus port", self.bus_port))
        return ports


def seats(topology: Topology) -> list[Seat]:
    """All places of the lab, in the order in which they are listed everywhere."""
    base, host = topology.port_base, topology.host
    places = [
        Seat(name=f"node-{n}", role=Role.NODE, host=host, port=base + n, bus_port=base + n + BUS_OFFSET)
        for n in range(topology.nodes)
    ]
    places += [
        Seat(name=f"sentinel-{n}", role=Role.SENTINEL, host=host, port=base + SENTINEL_OFFSET + n)
        for n in range(topology.sentinels)
    ]
    if topology.proxy:
        places.append(Seat(name="proxy", role=Role.PROXY, host=host, port=base + PROXY_OFFSET))
    return places


def slot_range(topology: Topology, master: int) -> tuple[int, int]:
    """The first and last slot that master number `master` starts with, as `redis-cli --cluster create` cuts."""
    per_master = SLOTS / topology.masters
    first = round(per_master * master)
    last = SLOTS - 1 if master == topology.masters - 1 else round(per_master * (master + 1)) - 1
    return first, last


def master_of(topology: Topology, node: int) -> int | None:
    """The number of the master that node number `node` starts as a replica of, or None for a master."""
    return None if node < topology.masters else (node - topology.masters) % topology.masters
