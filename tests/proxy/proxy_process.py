"""`shardlab proxy` as a process."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from types import TracebackType
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.waiting import wait_for

_START = "import sys; from proxy.main import main; sys.exit(main(sys.argv[1:]))"


class ProxyProcess:
    """Starts a proxy, says when it is ready, and keeps its log."""

    def __init__(self, port: int, arguments: list[str]) -> None:
        self.port = port
        self._command = [sys.executable, "-c", _START, "--port", str(port), "--bind", "127.0.0.1", *arguments]
        self.process: subprocess.Popen[str] | None = None
        self.log: list[str] = []
        self._reader: threading.Thread | None = None

    def __enter__(self) -> ProxyProcess:
        self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        wait_for(lambda: any("Ready to accept connections" in line for line in self.log), what="a ready proxy")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self.process is not None
        assert self._reader is not None
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(10)
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()
        assert status == 0, "".join(self.log)
        assert not any("Traceback" in line or "died" in line for line in self.log), "".join(self.log)

    def client(self, protocol: int = 2, **options: Any) -> redis.Redis:
        """A client that knows nothing of clusters."""
        # Without retries: a test wants to see what happens the first time.
        return redis.Redis(port=self.port, protocol=protocol, socket_timeout=30, retry=Retry(NoBackoff(), 0), **options)

    def _read(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.log.append(line)
