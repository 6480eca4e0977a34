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
from collections.abc import Callable
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_START_TIMEOUT_S = 10.0
# A replica is attached only when the nodes of its cluster know each other, and its copy has come.
_REPLICA_TIMEOUT_S = 60.0
# Bus ports are 10,000 above, and must stay below those that the kernel gives to outgoing connections.
_LAST_PORT = 22000
_SHARD_OPTIONS = ("--cluster-enabled", "yes", "--repl-diskless-sync-delay", "0")


class MeasuredServer:
    """A server process that answers on a loopback port."""

    def __init__(self, name: str, command: list[str], port: int, timeout_s: float) -> None:
        self.name = name
        self.port = port
        self._folder = tempfile.TemporaryDirectory(prefix=f"bench-{name}-")
        self.log = Path(self._folder.name) / "log"
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(
                command, cwd=self._folder.name, stdout=output, stderr=subprocess.STDOUT, env=os.environ
            )
        try:
            self.wait(lambda: self.call("PING") == "PONG", timeout_s, "start")
        except BaseException:
            self.stop()
            raise

    def cpu_s(self) -> float:
        """Seconds of CPU time, user and system, that all threads of the process have spent so far."""
        process = Path(f"/proc/{self._process.pid}")
        try:
            spent = [(task / "schedstat").read_text().split()[0] for task in (process / "task").iterdir()]
        except FileNotFoundError:
            # A kernel that counts ticks only: a hundredth of a second.
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND
        return sum(map(int, spent)) / 1e9

    def children_cpu_s(self) -> float:
        """Seconds of CPU time of child processes that have ended, to a hundredth."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[13]) + int(fields[14])) / _TICKS_PER_SECOND

    def resident_bytes(self) -> int:
        """Resident memory now."""
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("the kernel tells no resident size")

    def call(self, *words: str) -> str:
        """One command, as a user would send it; returns redis-cli's rendering of the reply, errors included."""
        command = ["redis-cli", "-p", str(self.port), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout.strip() or done.stderr.strip()

    def wait(self, condition: Callable[[], bool], timeout_s: float, what: str) -> None:
        """Wait until `condition` holds; raises RuntimeError when it does not within `timeout_s`, or the server dies."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} did not {what}: {self.log.read_text()}")
            time.sleep(0.05)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()


def free_port() -> int:
    """A loopback port that nobody uses, and whose bus port nobody uses either."""
    for port in range(9100, _LAST_PORT):
        try:
            for number in (port, port + 10000):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", number))
        except OSError:
            continue
        return port
    raise RuntimeError("no port is free")


def shardlab_server(*options: str, timeout_s: float = _START_TIMEOUT_S) -> MeasuredServer:
    """One of our nodes, saving nothing by itself."""
    port = free_port()
    command = [sys.executable, "-m", "lab", "server", "--port", str(port), "--save", "", *options]
    return MeasuredServer("shardlab", command, port, timeout_s)


def redis_server(*options: str, timeout_s: float = _START_TIMEOUT_S) -> MeasuredServer:
    """The real one, saving nothing by itself."""
    port = free_port()
    command = ["redis-server", "--port", str(port), "--save", "", *options]
    return MeasuredServer("redis", command, port, timeout_s)


def shard(start: Callable[..., MeasuredServer]) -> tuple[MeasuredServer, MeasuredServer]:
    """A master in cluster mode that owns every slot, with its replica, which has its copy and follows the stream."""
    servers: list[MeasuredServer] = []
    try:
        master = start(*_SHARD_OPTIONS)
        servers.append(master)
        replica = start(*_SHARD_OPTIONS)
        servers.append(replica)
        master.call("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        replica.call("CLUSTER", "MEET", "127.0.0.1", str(master.port))
        identity = master.call("CLUSTER", "MYID")
        replica.wait(lambda: replica.call("CLUSTER", "REPLICATE", identity) == "OK", _REPLICA_TIMEOUT_S, "join")
        master.wait(lambda: "state=online" in master.call("INFO", "replication"), _REPLICA_TIMEOUT_S, "get its replica")
        master.wait(lambda: "cluster_state:ok" in master.call("CLUSTER", "INFO"), _REPLICA_TIMEOUT_S, "serve")
    except BaseException:
        for server in servers:
            server.stop()
        raise
    return master, replica
