"""What an operator can choose about replication; fields are named after their directives, with Redis' defaults.

The object is shared and changed in place by CONFIG SET; whoever uses a field reads it when it is needed.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class OutputLimit:
    """One class of `client-output-buffer-limit`; 0 means no limit."""

    hard_bytes: int
    soft_bytes: int
    soft_seconds: int


@dataclass(slots=True)
class ReplicationOptions:
    """Directives of replication."""

    # Our address for INFO and sentinels, where it is not the one we listen on ("" and 0: no).
    replica_announce_ip: str = ""
    replica_announce_port: int = 0
    replica_announced: bool = True
    replica_priority: int = 100
    replica_read_only: bool = True
    replica_serve_stale_data: bool = True
    # How we introduce ourselves to a master that wants a password.
    masteruser: str = ""
    masterauth: str = ""
    repl_diskless_sync: bool = True
    repl_diskless_sync_delay: int = 5
    repl_diskless_sync_max_replicas: int = 0
    repl_ping_replica_period: int = 10
    repl_timeout: int = 60
    repl_backlog_size: int = 1024 * 1024
    repl_backlog_ttl: int = 3600
    min_replicas_to_write: int = 0
    min_replicas_max_lag: int = 10
    # `client-output-buffer-limit replica`.
    output_limit: OutputLimit = None  # type: ignore[assignment]
