"""What a simulated cluster looks like before anything runs, and the files that its programs start from.

As in a lab, the programs start as if they had met before: every node knows all nodes and slots, every sentinel all
replicas and sentinels. Each seat is a host of its own, so that it can lose its power and be cut off by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Literal

from cluster.membership import ClusterState, NodeEntry
from cluster.messages import BUS_PORT_OFFSET
from cluster.nodes_conf import render
from cluster.slots import SLOTS, from_ranges
from sentinel.config import sentinel_lines
from sentinel.config_file import join_words
from sentinel.settings import KnownReplica, KnownSentinel, MasterMemory, MasterOptions, Memory

NODE_PORT = 6379
SENTINEL_PORT = 26379
PROXY_PORT = 7200
# Where everything lies on a host.
FOLDER = "/data"
NODE_CONF = f"{FOLDER}/redis.conf"
SENTINEL_CONF = f"{FOLDER}/sentinel.conf"
_HEX = "0123456789abcdef"


@dataclass(frozen=True, slots=True)
class Shape:
    """How many of what, and who replaces a dead master."""

    masters: int = 3
    # Replicas of each master.
    replicas: int = 1
    sentinels: int = 3
    proxy: bool = False
    failover: Literal["sentinel", "cluster"] = "sentinel"
    # Silence after which a process is held for dead by whoever replaces it.
    down_after_ms: int = 500
    # More directives for every node's redis.conf.
    directives: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.failover == "cluster" and self.sentinels:
            raise ValueError(
                "sentinels and replicas must not both replace a master: with cluster failover, no sentinels"
            )

    @property
    def nodes(self) -> int:
        return self.masters * (1 + self.replicas)

    @property
    def node_timeout_ms(self) -> int:
        """When the sentinels replace masters, the nodes' own verdict must come later (`lab.configs` has the same
        rule)."""
        return self.down_after_ms if self.failover == "cluster" else max(5000, 4 * self.down_after_ms)

    @property
    def logs(self) -> bool:
        """Writes are in a log on disk before they are acknowledged, and not only in the snapshots."""
        return "appendonly yes" in self.directives and "appendfsync always" in self.directives

    def node_names(self) -> list[str]:
        """Masters first, then the replicas in the order of their masters."""
        return [f"node-{number}" for number in range(self.nodes)]

    def sentinel_names(self) -> list[str]:
        return [f"sentinel-{number}" for number in range(self.sentinels)]

    def shard_of(self, name: str) -> int | None:
        """The number of the shard that a node belongs to; None for any other seat."""
        kind, _, number = name.partition("-")
        return (int(number) - self.masters) % self.masters if kind == "node" else None

    def shards(self) -> dict[str, list[str]]:
        """Every node with all nodes of its shard, itself too."""
        names = self.node_names()
        return {name: [other for other in names if self.shard_of(other) == self.shard_of(name)] for name in names}

    def group_of(self, slot: int) -> str:
        """The name of the shard that a slot begins in."""
        return f"shard-{next(n for n in range(self.masters) if slot < SLOTS * (n + 1) // self.masters)}"

    def master_of(self, number: int) -> int | None:
        """Which master node `number` begins as a replica of; None for a master."""
        return None if number < self.masters else (number - self.masters) % self.masters


def draw_shape(seed: int, failover: Literal["sentinel", "cluster"] | None) -> Shape:
    """A shape for a seed, of one of the two kinds if told which."""
    chance = Random(f"{seed} shape")
    drawn: Literal["sentinel", "cluster"] = chance.choice(("sentinel", "cluster"))
    masters, replicas = chance.choice((1, 2, 3, 3)), chance.choice((1, 1, 2))
    down_after_ms = chance.choice((300, 500, 500, 1000))
    if (failover or drawn) == "cluster":
        # Fewer than three masters cannot agree on the death of one.
        return Shape(3, replicas, 0, failover="cluster", down_after_ms=down_after_ms)
    return Shape(masters, replicas, 3, down_after_ms=down_after_ms)


def node_conf(shape: Shape, ip: str) -> bytes:
    lines = [
        f"port {NODE_PORT}",
        f"bind {ip}",
        "protected-mode no",
        "cluster-enabled yes",
        "cluster-config-file nodes.conf",
        f"cluster-node-timeout {shape.node_timeout_ms}",
        f"cluster-replica-no-failover {'yes' if shape.failover == 'sentinel' else 'no'}",
        "cluster-require-full-coverage no",
        "cluster-allow-replica-migration no",
        "repl-diskless-sync-delay 0",
        "repl-backlog-size 1mb",
        *shape.directives,
    ]
    return ("\n".join(lines) + "\n").encode()


def nodes_confs(shape: Shape, ips: list[str], chance: Random) -> list[bytes]:
    """One nodes.conf for every node, by number."""
    ids = [_hex_id(chance) for _ in ips]
    files = []
    for mine in range(len(ips)):
        entries = [
            NodeEntry(node_id, ip, NODE_PORT, NODE_PORT + BUS_PORT_OFFSET) for node_id, ip in zip(ids, ips, strict=True)
        ]
        for number, entry in enumerate(entries):
            entry.is_master = shape.master_of(number) is None
            # Every master begins with an epoch of its own.
            entry.config_epoch = number + 1 if entry.is_master else 0
        state = ClusterState(entries[mine])
        for entry in entries:
            if entry is not entries[mine]:
                state.add(entry)
        for number, entry in enumerate(entries):
            master = shape.master_of(number)
            if master is None:
                first, last = SLOTS * number // shape.masters, SLOTS * (number + 1) // shape.masters - 1
                state.assign(from_ranges([(first, last)]), entry)
            else:
                state.become_replica(entry, entries[master])
        state.current_epoch = shape.masters
        files.append(render(state))
    return files


def sentinel_confs(shape: Shape, nodes: list[str], sentinels: list[str], chance: Random) -> list[bytes]:
    """One sentinel.conf for every sentinel, by number."""
    ids = [_hex_id(chance) for _ in sentinels]
    options = MasterOptions(
        quorum=shape.sentinels // 2 + 1,
        down_after_ms=shape.down_after_ms,
        failover_timeout_ms=max(5000, 4 * shape.down_after_ms),
    )
    files = []
    for mine, ip in enumerate(sentinels):
        others = tuple(
            KnownSentinel(host=other, port=SENTINEL_PORT, run_id=ids[number])
            for number, other in enumerate(sentinels)
            if number != mine
        )
        masters = tuple(
            MasterMemory(
                name=f"shard-{master}",
                host=nodes[master],
                port=NODE_PORT,
                options=options,
                replicas=tuple(
                    KnownReplica(host=node, port=NODE_PORT)
                    for number, node in enumerate(nodes)
                    if shape.master_of(number) == master
                ),
                sentinels=others,
            )
            for master in range(shape.masters)
        )
        lines = sentinel_lines(Memory(my_id=ids[mine], masters=masters))
        text = [f"port {SENTINEL_PORT}", f"bind {ip}", "protected-mode no"]
        text += [join_words(words) for words in lines]
        files.append(("\n".join(text) + "\n").encode())
    return files


def _hex_id(chance: Random) -> str:
    """An id as Redis makes them."""
    return "".join(chance.choice(_HEX) for _ in range(40))
