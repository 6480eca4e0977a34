"""What an operator can choose about replication; fields are named after their directives.

A protocol, as `node.persistence.settings` has it: CONFIG SET changes the fields in place.
"""

from __future__ import annotations

from typing import Protocol

from node.persistence.settings import SnapshotSettings


class ReplicationSettings(SnapshotSettings, Protocol):
    """Directives of replication."""

    port: int
    # Whether masters are spoken to with TLS, and where we listen to who speaks it (0: nowhere).
    tls_replication: bool
    tls_port: int
    tcp_keepalive: int
    # Our address for masters and sentinels, where it is not the one we listen on ("" and 0: it is).
    replica_announce_ip: str
    replica_announce_port: int
    replica_announced: bool
    replica_priority: int
    replica_read_only: bool
    replica_serve_stale_data: bool
    # How we introduce ourselves to a master that wants a password.
    masteruser: str
    masterauth: str
    # A copy that was saved for replicas is not kept where nothing else is saved.
    rdb_del_sync_files: bool
    appendonly: bool
    repl_diskless_load: str
    repl_diskless_sync: bool
    repl_diskless_sync_delay: int
    repl_diskless_sync_max_replicas: int
    repl_ping_replica_period: int
    cluster_enabled: bool
    repl_timeout: int
    repl_disable_tcp_nodelay: bool
    repl_backlog_size: int
    repl_backlog_ttl: int
    min_replicas_to_write: int
    min_replicas_max_lag: int
