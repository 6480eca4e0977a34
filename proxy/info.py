"""INFO of the proxy: itself, its clients, and what it knows of the cluster."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.errands import Errands
from proxy.lanes import Lanes
from proxy.session import ProxySession
from proxy.topology import Topology
from runtime import Runtime
from wire.clients import Clients
from wire.front import REDIS_VERSION

_ALL = (b"all", b"default", b"everything")


@dataclass(slots=True)
class Info:
    """Gathers the sections."""

    runtime: Runtime
    port: int
    started_ms: int
    clients: Clients[ProxySession]
    topology: Topology
    errands: Errands
    lanes: Lanes
    # Set by the proxy once its service exists; commands taken so far.
    processed: int = 0

    def text(self, wanted: list[bytes]) -> bytes:
        """The sections named in `wanted`, all of them when none is."""
        names = [name.lower() for name in wanted]
        sections: dict[bytes, dict[str, object]] = {
            b"server": self._server(),
            b"clients": {"connected_clients": len(self.clients), "maxclients": self.clients.max},
            b"stats": {
                "total_connections_received": self.clients.total,
                "total_commands_processed": self.processed,
                "rejected_connections": self.clients.rejected,
            },
            b"replication": {"role": "master", "connected_slaves": 0},
            b"cluster": {"cluster_enabled": 0},
            b"proxy": self._proxy(),
        }
        everything = not names or any(name in _ALL for name in names)
        lines = []
        for name, fields in sections.items():
            if everything or name in names:
                lines += ["# " + name.decode().capitalize(), *[f"{key}:{value}" for key, value in fields.items()], ""]
        return "\r\n".join(lines).encode()

    def _server(self) -> dict[str, object]:
        uptime_s = (self.runtime.clock.wall_ms() - self.started_ms) // 1000
        return {
            "redis_version": REDIS_VERSION,
            "redis_mode": "standalone",
            "process_id": self.runtime.pid,
            "tcp_port": self.port,
            "uptime_in_seconds": uptime_s,
            "uptime_in_days": uptime_s // 86400,
        }

    def _proxy(self) -> dict[str, object]:
        slot_map = self.topology.slot_map
        masters = {f"proxy_master{number}": address for number, address in enumerate(slot_map.masters())}
        return {
            "proxy_slots_served": slot_map.served,
            "proxy_known_nodes": len(slot_map.nodes()),
            **masters,
            "proxy_upstream_connections": self.lanes.links_up(),
            "proxy_slot_map_readings": self.topology.readings,
            "proxy_requests_held": self.errands.held_total,
            "proxy_requests_retried": self.errands.retried,
            "proxy_last_error": self.topology.last_error,
        }
