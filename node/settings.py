from dataclasses import dataclass, field


@dataclass
class NodeSettings:
    port: int = 6379
    bind: list[str] = field(default_factory=lambda: ["127.0.0.1"])
    maxclients: int = 10000
    databases: int = 16
    requirepass: str = ""
    tcp_keepalive: int = 300
    tcp_backlog: int = 511
    cluster_enabled: bool = False
