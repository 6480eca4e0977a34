"""INFO replication, field by field in Redis' order, and ROLE."""

from __future__ import annotations

import asyncio

from node.replication.peer import PeerState
from node.replication.replication import Replication
from node.replication.settings import ReplicationSettings
from node.replication.upstream import LinkState
from wire.reply import Reply

Fields = list[tuple[str, object]]


def info(replication: Replication, settings: ReplicationSettings) -> Fields:
    """The section's fields."""
    fields: Fields = [("role", "slave" if replication.is_replica else "master")]
    if replication.is_replica:
        fields += _of_replica(replication, settings)
    fields += _of_peers(replication, settings)
    history = replication.history
    backlog = replication.replicas.feed.backlog
    replication.replicas.feed.flush()
    fields += [
        ("master_failover_state", replication.failover.state.value),
        ("master_replid", history.replid.decode()),
        ("master_replid2", history.replid2.decode()),
        ("master_repl_offset", history.offset),
        ("second_repl_offset", history.second_offset),
        ("repl_backlog_active", int(backlog is not None)),
        ("repl_backlog_size", settings.repl_backlog_size),
        ("repl_backlog_first_byte_offset", backlog.first_byte if backlog is not None else 0),
        ("repl_backlog_histlen", backlog.histlen if backlog is not None else 0),
    ]
    return fields


def role(replication: Replication) -> Reply:
    """ROLE's answer."""
    if replication.is_replica:
        upstream = replication.upstream
        assert upstream.master is not None
        host, port = upstream.master
        offset = replication.offset if replication.link_up else -1
        return [b"slave", host.encode(), port, upstream.state.value.encode(), offset]
    online = [
        [peer.address.encode(), b"%d" % peer.port, b"%d" % peer.ack_offset]
        for peer in replication.replicas.peers.values()
        if peer.state is PeerState.ONLINE
    ]
    return [b"master", replication.offset, online]


def _of_replica(replication: Replication, settings: ReplicationSettings) -> Fields:
    upstream = replication.upstream
    assert upstream.master is not None
    host, port = upstream.master
    now = asyncio.get_running_loop().time()
    heard_at = upstream.last_io_at if replication.link_up else None
    syncing = upstream.state is LinkState.SYNC
    fields: Fields = [
        ("master_host", host),
        ("master_port", port),
        ("master_link_status", "up" if replication.link_up else "down"),
        ("master_last_io_seconds_ago", -1 if heard_at is None else int(now - heard_at)),
        ("master_sync_in_progress", int(syncing)),
        # Without data there is no offset, which Redis shows so; sentinels choose by it.
        ("slave_read_repl_offset", 1 if upstream.has_no_data else upstream.read_offset),
        ("slave_repl_offset", 1 if upstream.has_no_data else replication.offset),
    ]
    if syncing and upstream.link is not None:
        transfer = upstream.link.transfer
        total = transfer.total if transfer is not None else 0
        received = transfer.received if transfer is not None else 0
        fields += [
            ("master_sync_total_bytes", total),
            ("master_sync_read_bytes", received),
            ("master_sync_left_bytes", total - received),
            ("master_sync_perc", f"{100 * received / total if total > 0 else 0:.2f}"),
            ("master_sync_last_io_seconds_ago", int(now - upstream.link.last_io_at)),
        ]
    if not replication.link_up:
        down_since = upstream.down_since
        fields.append(("master_link_down_since_seconds", -1 if down_since is None else int(now - down_since)))
    fields += [
        ("slave_priority", settings.replica_priority),
        ("slave_read_only", int(settings.replica_read_only)),
        ("replica_announced", int(settings.replica_announced)),
    ]
    return fields


def _of_peers(replication: Replication, settings: ReplicationSettings) -> Fields:
    replicas = replication.replicas
    now = asyncio.get_running_loop().time()
    fields: Fields = [("connected_slaves", len(replicas.peers))]
    if settings.min_replicas_to_write and settings.min_replicas_max_lag:
        fields.append(("min_slaves_good_slaves", replicas.good_replicas))
    for index, peer in enumerate(replicas.peers.values()):
        lag_s = int(now - peer.ack_at) if peer.state is PeerState.ONLINE else 0
        text = f"ip={peer.address},port={peer.port},state={peer.state.value},offset={peer.ack_offset},lag={lag_s}"
        fields.append((f"slave{index}", text))
    return fields
