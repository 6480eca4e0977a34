"""One `shardlab server` as a process of its own, for tests of how it starts, what it logs and how it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.node.raw_client import RawClient
from tests.waiting import wait_for

ROOT = Path(__file__).parent.parent.parent


class OwnServer:
    """A process and what it printed."""

    def __init__(self, port: int, folder: Path, *options: str, stdin: bytes = b"") -> None:
        self.port = port
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.output = folder / "output"
        command = [sys.executable, "-m", "lab", "server", *options]
        with self.output.open("wb") as output:
            # In the folder of its data, like a service; the package is found by way of the path.
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._clients: list[RawClient] = []
        assert self.process.stdin is not None
        self.process.stdin.write(stdin)
        self.process.stdin.close()

    @property
    def log(self) -> str:
        return self.output.read_text()

    def wait_ready(self) -> OwnServer:
        """Return when clients are served."""

        def ready() -> bool:
            assert self.process.poll() is None, self.log
            return "Ready to accept connections" in self.log

        wait_for(ready, what=f"the server on port {self.port}")
        return self

    def client(self) -> RawClient:
        """A new one, closed with the server."""
        self._clients.append(RawClient(self.port))
        return self._clients[-1]

    def wait_end(self) -> int:
        """The exit status."""
        return self.process.wait(10)

    def kill(self) -> None:
        for client in self._clients:
            client.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
