"""The settings that steer cluster rules, under their redis.conf names with ``cluster-`` taken off."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.endpoints import ClientNetwork


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """Defaults are Redis 7.0's. Frozen: CONFIG SET makes a new one and sends it as `Reconfigured`."""

    # What this node tells others to reach it by: `announce-port` or else `port` (with
    # `tls-cluster` the same of TLS), `announce-bus-port` or else
    # `cluster-port` or else port + 10000.
    port: int
    bus_port: int
    # The plaintext port of a node whose `port` speaks TLS (`tls-cluster`); 0: there is none.
    pport: int = 0
    # Replicas follow their masters there, because replication speaks no TLS.
    follow_pport: bool = False
    # `announce-ip`; empty: found out from the sockets other nodes reach us by.
    announce_ip: str = ""
    # `announce-hostname`; empty: none.
    hostname: str = ""
    # `announce-human-nodename`, for the logs of all; empty: none.
    nodename: str = ""
    # Ours, `announce-client-network`: what clients of certain networks are told to reach us by.
    client_networks: tuple[ClientNetwork, ...] = ()
    node_timeout_ms: int = 15000
    # `ping-interval` (7.2, for tests): a node that has been silent for so long is pinged. 0: half a node timeout.
    ping_interval_ms: int = 0
    # Times the node timeout (plus a ping period): how stale a replica's data may be for it to stand. 0: any.
    replica_validity_factor: int = 10
    # Replicas a master keeps when one of them moves to an orphaned master.
    migration_barrier: int = 1
    allow_replica_migration: bool = True
    require_full_coverage: bool = True
    # Never stand for election on our own (an operator's or a sentinel's CLUSTER FAILOVER still works).
    replica_no_failover: bool = False
    # `repl-ping-replica-period`, here because data age is judged against it.
    repl_ping_period_ms: int = 10000
    # Announce, and use with peers that announce it, heartbeats as datagrams.
    datagram_heartbeats: bool = True

    @property
    def ping_after_ms(self) -> float:
        return self.ping_interval_ms or self.node_timeout_ms / 2
