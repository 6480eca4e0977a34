"""What a node says of itself once its ports are open: `always-show-logo`."""

from __future__ import annotations

from node.settings import NodeSettings
from wire.front import REDIS_VERSION, SHARDLAB_VERSION

_LOGO = """\

    /\\/\\/\\/\\      Shardlab {ours}, Redis {version} (00000000/0) 64 bit
    \\/\\/\\/\\/
    /\\/\\/\\/\\      Running in {mode} mode
    \\/\\/\\/\\/      Port: {port}
    /\\/\\/\\/\\      PID: {pid}

"""


def logo(settings: NodeSettings, pid: int) -> str:
    """The lines, with what tools look for in a real server's."""
    mode = "cluster" if settings.cluster_enabled else "standalone"
    port = settings.port or settings.tls_port
    return _LOGO.format(ours=SHARDLAB_VERSION, version=REDIS_VERSION, mode=mode, port=port, pid=pid)
