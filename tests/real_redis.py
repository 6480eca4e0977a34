"""A real redis-server of this machine, for tests that compare with it or talk to it."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from typing import Any

from lab.ask import NoAnswerError, ask
from tests.waiting import wait_for


class RealRedis:
    """One running redis-server, on loopback, saving nothing."""

    def __init__(self, port: int, folder: Path, options: tuple[str, ...]) -> None:
        self.port = port
        self.folder = folder
        folder.mkdir()
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", *options]
        self.log = folder / "redis.log"
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    def ask(self, *commands: str) -> list[Any]:
        """The replies to commands, words split at blanks, over a connection of their own."""
        return asyncio.run(ask(self.address, *commands, timeout=5.0))

    def wait_ready(self) -> None:
        def answers() -> bool:
            assert self._process.poll() is None, self.log.read_text()
            try:
                return self.ask("PING") == ["PONG"]
            except NoAnswerError:
                return False

        wait_for(answers, what="redis-server's PONG")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
