"""The files a lab's processes start from.

Nodes and sentinels could start empty and be introduced to each other (CLUSTER MEET, ADDSLOTS, SENTINEL
discovery). That takes seconds of gossip, so they start as if they had met before: a nodes.conf with every
node's id, slots and master, and a sentinel.conf with every known replica and sentinel. Both are files that
redis-server and redis-sentinel write and read themselves.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from lab.authority import Certificates, certificates
from lab.engines import NODE_CONF, SENTINEL_CONF
from lab.topology import Role, Seat, Topology, master_of, seats, slot_range


def write(topology: Topology, folder: Path) -> None:
    """Make a folder for every process under `folder`, with what it needs to start for the first time."""
    places = seats(topology)
    # Ids as Redis makes them: 40 hexadecimal digits.
    ids = {place.name: secrets.token_hex(20) for place in places if place.role is not Role.PROXY}
    certs = certificates_of(topology, folder)
    for number, place in enumerate(places):
        home = folder / place.name
        home.mkdir(parents=True, exist_ok=True)
        if place.role is Role.NODE:
            (home / NODE_CONF).write_text(node_conf(topology, place, certs), encoding="utf-8")
            (home / "nodes.conf").write_text(nodes_conf(topology, places, ids, number), encoding="utf-8")
        elif place.role is Role.SENTINEL:
            (home / SENTINEL_CONF).write_text(sentinel_conf(topology, places, ids, place, certs), encoding="utf-8")


def certificates_of(topology: Topology, folder: Path) -> Certificates | None:
    """The certificates of the lab in `folder`, made if need be; None for one without TLS. Raises LabError."""
    return certificates(folder / "tls", [topology.host]) if topology.tls else None


def _ports(place: Seat, certs: Certificates | None) -> list[str]:
    """Where a process listens for clients: one port, with TLS or without it."""
    if certs is None:
        return [f"port {place.port}"]
    return ["port 0", f"tls-port {place.port}", "tls-replication yes", *certs.directives()]


def node_conf(topology: Topology, place: Seat, certs: Certificates | None = None) -> str:
    # When the sentinels fail masters over, the nodes' own verdict must come later, or a node that still sees its
    # master fail would take shards out of service (cluster_state:fail) that the sentinels have already healed.
    node_timeout_ms = (
        topology.down_after_ms if topology.failover == "cluster" else max(5000, 4 * topology.down_after_ms)
    )
    lines = [
        *_ports(place, certs),
        *(["tls-cluster yes"] if certs is not None else []),
        f"bind {place.host}",
        # Without it a password-less node on another address than loopback would turn its clients away.
        "protected-mode no",
        "cluster-enabled yes",
        "cluster-config-file nodes.conf",
        f"cluster-node-timeout {node_timeout_ms}",
        f"cluster-replica-no-failover {'yes' if topology.failover == 'sentinel' else 'no'}",
        # The death of one master is to be seen as the death of one master: the other shards go on.
        "cluster-require-full-coverage no",
        # A replica that moved to another shard by itself would make an experiment hard to read.
        "cluster-allow-replica-migration no",
        # The default of 5 s waits for more replicas to share one transfer; here it would only delay the first copy.
        "repl-diskless-sync-delay 0",
        # A replica that was away for the length of an experiment catches up without a full copy.
        "repl-backlog-size 16mb",
        *topology.directives,
    ]
    return "\n".join(lines) + "\n"


def nodes_conf(topology: Topology, places: list[Seat], ids: dict[str, str], mine: int) -> str:
    lines = []
    for number, place in enumerate(place for place in places if place.role is Role.NODE):
        master = master_of(topology, number)
        flags = "master" if master is None else "slave"
        # Every master starts with an epoch of its own, as redis-cli gives them, so that no two claims are equal.
        epoch = (number if master is None else master) + 1
        words = [
            ids[place.name],
            f"{place.host}:{place.port}@{place.bus_port}",
            f"myself,{flags}" if number == mine else flags,
            "-" if master is None else ids[places[master].name],
            "0",
            "0",
            str(epoch),
            "connected",
        ]
        if master is None:
            first, last = slot_range(topology, number)
            words.append(f"{first}-{last}")
        lines.append(" ".join(words))
    lines.append(f"vars currentEpoch {topology.masters} lastVoteEpoch 0")
    return "\n".join(lines) + "\n"


def sentinel_conf(
    topology: Topology, places: list[Seat], ids: dict[str, str], mine: Seat, certs: Certificates | None = None
) -> str:
    nodes = [place for place in places if place.role is Role.NODE]
    others = [place for place in places if place.role is Role.SENTINEL and place is not mine]
    lines = [
        *_ports(mine, certs),
        f"bind {mine.host}",
        "protected-mode no",
        "dir .",
        f"sentinel myid {ids[mine.name]}",
    ]
    for number, master in enumerate(nodes[: topology.masters]):
        shard = f"shard-{number}"
        lines += [
            f"sentinel monitor {shard} {master.host} {master.port} {topology.quorum}",
            f"sentinel down-after-milliseconds {shard} {topology.down_after_ms}",
            # Also half of the time until a failover that found no leader is tried again.
            f"sentinel failover-timeout {shard} {max(5000, 4 * topology.down_after_ms)}",
        ]
        lines += [
            f"sentinel known-replica {shard} {replica.host} {replica.port}"
            for at, replica in enumerate(nodes)
            if master_of(topology, at) == number
        ]
        lines += [f"sentinel known-sentinel {shard} {other.host} {other.port} {ids[other.name]}" for other in others]
    return "\n".join(lines) + "\n"
