"""Servers to measure side by side, and the reading of what they cost.

CPU time is the figure to steer by: throughput of one run can swing several-fold on a shared machine, while the
CPU time a server spends per request stays within about a tenth.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_START_TIMEOUT_S = 10.0


class MeasuredServer:
    """A server process that answers on a loopback port."""

    def __init__(self, name: str, command: list[str], port: int) -> None:
        self.name = name
        self.port = port
        self._folder = tempfile.TemporaryDirectory(prefix=f"bench-{name}-")
        self.log = Path(self._folder.name) / "log"
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(
                command, cwd=self._folder.name, stdout=output, stderr=subprocess.STDOUT, env=os.environ
            )
        self._wait_ready()

    def cpu_s(self) -> float:
        """Seconds of CPU time, user and system, that the process has spent so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND

    def resident_bytes(self) -> int:
        """Resident memory now."""
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("the kernel tells no resident size")

    def call(self, *words: str) -> bytes:
        """One command, as a user would send it; returns the first line of the reply."""
        with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
            connection.sendall((" ".join(words) + "\r\n").encode())
            return connection.makefile("rb").readline().rstrip()

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            try:
                if self.call("PING") == b"+PONG":
                    return
            except OSError:
                pass
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} did not start: {self.log.read_text()}")
            time.sleep(0.02)


def free_port() -> int:
    """A loopback port that nobody uses, with its bus port (+10000) in range."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port < 55000:
            return port


def shardlab_server(*options: str) -> MeasuredServer:
    """One of our nodes, saving nothing."""
    port = free_port()
    command = [sys.executable, "-m", "lab", "server", "--port", str(port), "--save", "", *options]
    return MeasuredServer("shardlab", command, port)


def redis_server(*options: str) -> MeasuredServer:
    """The real one, saving nothing."""
    port = free_port()
    return MeasuredServer("redis", ["redis-server", "--port", str(port), "--save", "", *options], port)
