"""CLUSTER for onlookers: what the cluster looks like from here. Nothing in this file changes anything.

Every address in a reply is the one under which this client reaches the node (`cluster.endpoints`).
"""

from __future__ import annotations

from itertools import islice
from typing import Any

from cluster.endpoints import PreferredEndpoint
from cluster.membership import NodeEntry
from cluster.messages import MessageType
from cluster.nodes_conf import node_address, node_line
from cluster.slots import SLOTS, key_slot, ranges
from node.call import Call
from node.clustering import Clustering
from node.commands.cluster_help import in_cluster
from wire.arguments import parse_integer
from wire.command import ADMIN, LOADING, STALE, command
from wire.errors import Error, until_nul
from wire.reply import Reply, Verbatim


def _node(cluster: Clustering, word: bytes) -> NodeEntry:
    node = cluster.state.nodes.get(word.decode("utf-8", "replace"))
    if node is None:
        raise Error(b"ERR Unknown node %b" % until_nul(word))
    return node


def _offset(cluster: Clustering, node: NodeEntry) -> int:
    """The node's replication offset: ours as it is, another's as it last announced it."""
    return cluster.replication_offset() if node.myself else node.offset


@command(
    "CLUSTER|INFO",
    arity=2,
    flags=STALE,
    group="cluster",
    since="3.0.0",
    complexity="O(1)",
    summary="Provides info about Redis Cluster node state",
    tips=("nondeterministic_output",),
)
def info(call: Call) -> Reply:
    cluster = in_cluster(call)
    state = cluster.state
    assigned = suspected = failed = 0
    for node in state.nodes.values():
        count = node.slots.bit_count()
        assigned += count
        suspected += count if node.pfail else 0
        failed += count if node.fail else 0
    lines = [
        f"cluster_state:{'ok' if state.ok else 'fail'}",
        f"cluster_slots_assigned:{assigned}",
        f"cluster_slots_ok:{assigned - suspected - failed}",
        f"cluster_slots_pfail:{suspected}",
        f"cluster_slots_fail:{failed}",
        f"cluster_known_nodes:{len(state.nodes)}",
        f"cluster_size:{state.size()}",
        f"cluster_current_epoch:{state.current_epoch}",
        f"cluster_my_epoch:{state.myself.claim.config_epoch}",
    ]
    for way, counts in (("sent", cluster.bus.sent), ("received", cluster.bus.received)):
        lines += [
            f"cluster_stats_messages_{kind.counter_name}_{way}:{counts[kind]}" for kind in MessageType if counts[kind]
        ]
        lines.append(f"cluster_stats_messages_{way}:{counts.total()}")
    lines.append(f"total_cluster_links_buffer_limit_exceeded:{cluster.bus.limit_exceeded}")
    return Verbatim("".join(f"{line}\r\n" for line in lines).encode())


@command(
    "CLUSTER|NODES",
    arity=2,
    flags=STALE,
    group="cluster",
    since="3.0.0",
    complexity="O(N) where N is the total number of Cluster nodes",
    summary="Get Cluster config for the node",
    tips=("nondeterministic_output",),
)
def nodes(call: Call) -> Reply:
    cluster = in_cluster(call)
    return Verbatim("".join(f"{_line(call, cluster, node)}\n" for node in cluster.state.nodes.values()).encode())


def _line(call: Call, cluster: Clustering, node: NodeEntry) -> str:
    told = cluster.told(node, call.session)
    if told.by_network:
        # What the node calls itself means nothing where this client is.
        return node_line(cluster.state, node, f"{told.host}:{told.port}@{node.cport}")
    return node_line(cluster.state, node, node_address(node, told.port))


@command(
    "CLUSTER|REPLICAS",
    arity=3,
    flags=ADMIN | STALE,
    group="cluster",
    since="5.0.0",
    complexity="O(1)",
    summary="List replica nodes of the specified master node",
    syntax="node-id",
    tips=("nondeterministic_output",),
)
def replicas(call: Call) -> Reply:
    return _replicas(call)


def _replicas(call: Call) -> Reply:
    cluster = in_cluster(call)
    node = _node(cluster, call.argv[2])
    if node.is_replica:
        raise Error(b"ERR The specified node is not a master")
    return [_line(call, cluster, replica).encode() for replica in node.replicas]


@command(
    "CLUSTER|SLAVES",
    arity=3,
    flags=ADMIN | STALE,
    group="cluster",
    since="3.0.0",
    complexity="O(1)",
    summary="List replica nodes of the specified master node",
    syntax="node-id",
    tips=("nondeterministic_output",),
    deprecated=("5.0.0", "`CLUSTER REPLICAS`"),
)
def slaves(call: Call) -> Reply:
    return _replicas(call)


@command(
    "CLUSTER|SLOTS",
    arity=2,
    flags=LOADING | STALE,
    group="cluster",
    since="3.0.0",
    complexity="O(N) where N is the total number of Cluster nodes",
    summary="Get array of Cluster slot to node mappings",
    tips=("nondeterministic_output",),
    deprecated=("7.0.0", "`CLUSTER SHARDS`"),
    history=(("4.0.0", "Added node IDs."), ("7.0.0", "Added additional networking metadata field.")),
)
def slots(call: Call) -> Reply:
    cluster = in_cluster(call)
    found: list[tuple[int, list[Any]]] = []
    for node in cluster.state.nodes.values():
        if not node.slots:
            continue
        nodes = [_slots_entry(call, cluster, node)]
        # A replica that has not said how far it has come has nothing to read yet. All nodes list them in the same
        # order, as in Valkey: who compares their replies sees whether they agree.
        nodes += [
            _slots_entry(call, cluster, replica)
            for replica in sorted(node.replicas, key=_id)
            if not replica.fail and _offset(cluster, replica)
        ]
        found += [(first, [first, last, *nodes]) for first, last in ranges(node.slots)]
    return [entry for _, entry in sorted(found, key=_first_slot)]


def _id(node: NodeEntry) -> str:
    return node.id


def _first_slot(found: tuple[int, list[Any]]) -> int:
    return found[0]


def _slots_entry(call: Call, cluster: Clustering, node: NodeEntry) -> list[Any]:
    told = cluster.told(node, call.session)
    preferred = PreferredEndpoint(call.node.settings.cluster_preferred_endpoint_type)
    more: dict[bytes, bytes] = {}
    if not told.by_network:
        if preferred is not PreferredEndpoint.IP:
            more[b"ip"] = node.ip.encode()
        if preferred is not PreferredEndpoint.HOSTNAME and node.hostname:
            more[b"hostname"] = node.hostname.encode()
    # Where clients are to stay with the host that they use, there is none.
    unknown = preferred is PreferredEndpoint.UNKNOWN and not told.by_network
    return [None if unknown else told.host.encode(), told.port, node.id.encode(), more]


@command(
    "CLUSTER|SHARDS",
    arity=2,
    flags=LOADING | STALE,
    group="cluster",
    since="7.0.0",
    complexity="O(N) where N is the total number of cluster nodes",
    summary="Get array of cluster slots to node mappings",
    tips=("nondeterministic_output",),
)
def shards(call: Call) -> Reply:
    cluster = in_cluster(call)
    found: dict[str, list[NodeEntry]] = {}
    for node in cluster.state.nodes.values():
        if not node.handshake:
            found.setdefault(node.shard, []).append(node)
    replies = []
    for members in found.values():
        # A master that has been replaced and is not back yet is still of its shard (Redis 7.2).
        members.sort(key=_owner_first)
        slots = 0
        for member in members:
            slots |= member.slots
        replies.append(
            {
                b"slots": [slot for both in ranges(slots) for slot in both],
                b"nodes": [_shards_entry(call, cluster, member) for member in members],
            }
        )
    return replies


def _owner_first(member: NodeEntry) -> tuple[bool, bool]:
    return (not member.slots, member.is_replica)


def _shards_entry(call: Call, cluster: Clustering, node: NodeEntry) -> dict[bytes, Any]:
    told = cluster.told(node, call.session)
    offset = _offset(cluster, node)
    entry: dict[bytes, Any] = {b"id": node.id.encode()}
    if call.node.settings.tls_cluster and not told.by_network:
        # Both ports, whichever kind the client came by.
        if node.pport:
            entry[b"port"] = node.pport
        entry[b"tls-port"] = node.port
    else:
        entry[b"port"] = told.port
    entry[b"ip"] = (told.host if told.by_network else node.ip).encode()
    entry[b"endpoint"] = told.host.encode()
    if node.hostname and not told.by_network:
        entry[b"hostname"] = node.hostname.encode()
    entry[b"role"] = b"replica" if node.is_replica else b"master"
    entry[b"replication-offset"] = offset
    if node.fail:
        entry[b"health"] = b"fail"
    else:
        entry[b"health"] = b"loading" if node.is_replica and not offset else b"online"
    return entry


@command(
    "CLUSTER|LINKS",
    arity=2,
    flags=STALE,
    group="cluster",
    since="7.0.0",
    complexity="O(N) where N is the total number of Cluster nodes",
    summary="Returns a list of all TCP links to and from peer nodes in cluster",
    tips=("nondeterministic_output",),
)
def links(call: Call) -> Reply:
    return [
        {
            b"direction": b"from" if link.inbound else b"to",
            b"node": link.node_id.encode(),
            b"create-time": link.created_at_ms,
            b"events": b"rw" if link.unsent_bytes else b"r",
            b"send-buffer-allocated": link.unsent_bytes,
            b"send-buffer-used": link.unsent_bytes,
        }
        for link in in_cluster(call).bus.links()
    ]


@command(
    "CLUSTER|MYID",
    arity=2,
    flags=STALE,
    group="cluster",
    since="3.0.0",
    complexity="O(1)",
    summary="Return the node id",
)
def myid(call: Call) -> Reply:
    return in_cluster(call).state.myself.id.encode()


@command(
    "CLUSTER|MYSHARDID",
    arity=2,
    flags=STALE,
    group="cluster",
    since="7.2.0",
    complexity="O(1)",
    summary="Returns the shard ID of a node.",
    tips=("nondeterministic_output",),
)
def myshardid(call: Call) -> Reply:
    return in_cluster(call).state.myself.shard.encode()


@command(
    "CLUSTER|COUNT-FAILURE-REPORTS",
    arity=3,
    flags=ADMIN | STALE,
    group="cluster",
    since="3.0.0",
    complexity="O(N) where N is the number of failure reports",
    summary="Return the number of failure reports active for a given node",
    syntax="node-id",
    tips=("nondeterministic_output",),
)
def count_failure_reports(call: Call) -> Reply:
    cluster = in_cluster(call)
    return cluster.machine.failure_reports(_node(cluster, call.argv[2]).id)


@command(
    "CLUSTER|KEYSLOT",
    arity=3,
    flags=STALE,
    group="cluster",
    since="3.0.0",
    complexity="O(N) where N is the number of bytes in the key",
    summary="Returns the hash slot of the specified key",
    syntax="key:string",
)
def keyslot(call: Call) -> Reply:
    in_cluster(call)
    return key_slot(call.argv[2])


@command(
    "CLUSTER|COUNTKEYSINSLOT",
    arity=3,
    flags=STALE,
    group="cluster",
    since="3.0.0",
    complexity="O(1)",
    summary="Return the number of local keys in the specified hash slot",
    syntax="slot",
)
def countkeysinslot(call: Call) -> Reply:
    cluster = in_cluster(call)
    slot = parse_integer(call.argv[2])
    if not 0 <= slot < SLOTS:
        raise Error(b"ERR Invalid slot")
    return cluster.keys_in_slot(slot)


@command(
    "CLUSTER|GETKEYSINSLOT",
    arity=4,
    flags=STALE,
    group="cluster",
    since="3.0.0",
    complexity="O(log(N)) where N is the number of requested keys",
    summary="Return local key names in the specified hash slot",
    syntax="slot count",
    tips=("nondeterministic_output",),
)
def getkeysinslot(call: Call) -> Reply:
    in_cluster(call)
    slot, count = parse_integer(call.argv[2]), parse_integer(call.argv[3])
    if not 0 <= slot < SLOTS or count < 0:
        raise Error(b"ERR Invalid slot or number of keys")
    return list(islice(call.keyspace.database(0).keys_in_slot(slot), count))
