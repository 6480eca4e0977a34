"""Nodes in cluster mode as processes, real ones and ours, started by one command line."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import hiredis
import pytest
import redis.asyncio

from tests.conftest import IN_CI
from tests.node.raw_client import RawClient
from tests.waiting import wait_until

needs_redis = pytest.mark.skipif(
    shutil.which("redis-server") is None and not IN_CI,
    reason="redis-server is not installed (Debian: apt-get install redis-server)",
)

REDIS = ("redis-server",)
OURS = (sys.executable, "-m", "lab", "server")


class RealNode:
    """One process: redis-server, unless another program is named."""

    def __init__(
        self, folder: Path, port: int, *options: str, conf: str | None = None, program: tuple[str, ...] = REDIS
    ) -> None:
        self.port = port
        self.folder = folder / str(port)
        self.folder.mkdir(parents=True, exist_ok=True)
        if conf is not None:
            (self.folder / "nodes.conf").write_text(conf)
        self._program = program
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._raw: RawClient | None = None
        self.client = redis.asyncio.Redis(port=port, decode_responses=True, protocol=2)
        # Replies as they come: INFO and CLUSTER NODES are compared as text.
        self.client.response_callbacks.clear()

    def start(self) -> None:
        command = [*self._program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        command += ["--cluster-enabled", "yes", "--save", "", "--logfile", "redis.log", *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def wait_end(self) -> int:
        """The exit status of a process that is to end by itself."""
        assert self._process is not None
        return self._process.wait(10)

    def pause(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    async def stop(self) -> None:
        if self._raw is not None:
            self._raw.close()
        await self.client.aclose()
        self.kill()

    async def ready(self) -> None:
        async def answers() -> bool:
            with contextlib.suppress(redis.exceptions.ConnectionError):
                return bool(await self.client.ping())
            return False

        await wait_until(answers)

    def ask(self, *words: str) -> Any:
        """The reply to one command, on a connection kept for such questions; error replies with their code."""
        if self._raw is None:
            self._raw = RawClient(self.port)
        decoder = hiredis.Reader(encoding="utf-8")
        decoder.feed(self._raw.ask(*words))
        return decoder.gets()

    async def cluster(self, *words: str | int) -> Any:
        """The reply to a CLUSTER command."""
        return await self.client.execute_command("CLUSTER", *words)

    async def replication(self) -> dict[str, str]:
        """INFO replication."""
        text = await self.client.execute_command("INFO", "replication")
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


@contextlib.asynccontextmanager
async def running(*nodes: RealNode) -> AsyncIterator[None]:
    """Start the nodes, wait until they answer, and stop them at the end."""
    try:
        for node in nodes:
            node.start()
        for node in nodes:
            await node.ready()
        yield
    finally:
        for node in nodes:
            await node.stop()
