"""What `ps` shows for this process, and for its children: `proc-title-template`, filled in."""

from __future__ import annotations

from node.settings import NodeSettings
from node.title_template import expand
from runtime.process import Process

_TITLE = "shardlab server"


class ProcessTitle:
    """The title in force."""

    __slots__ = ("_config_file", "_process", "_settings")

    def __init__(self, settings: NodeSettings, process: Process, config_file: str) -> None:
        self._settings = settings
        self._process = process
        self._config_file = config_file

    def show(self, title: str = _TITLE) -> None:
        """Bring it up to date with the settings; a child is given a `title` of its own."""
        settings = self._settings
        if not settings.set_proc_title:
            return
        port = settings.port or settings.tls_port
        host = settings.bind[0] if settings.bind else "*"
        values = {
            "title": title,
            "listen-addr": f"{host}:{port}" if port else f"unixsocket:{settings.unixsocket}",
            "server-mode": "[cluster]" if settings.cluster_enabled else "",
            "port": str(settings.port),
            "tls-port": str(settings.tls_port),
            "unixsocket": settings.unixsocket,
            "config-file": self._config_file or "-",
        }
        self._process.set_title(expand(settings.proc_title_template, values))
