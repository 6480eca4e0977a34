"""A cluster of real redis-server processes, to hold the proxy and the client against."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from cluster.slots import key_slot
from tests.waiting import wait_for

MASTERS = 3
REPLICAS = 3
# Quick enough for tests, slow enough for a busy machine.
NODE_TIMEOUT_MS = 1500


class RealNode:
    """One process that takes redis-server's command line, in cluster mode."""

    def __init__(self, port: int, folder: Path, engine: list[str]) -> None:
        self.port = port
        self.folder = folder
        self._engine = engine
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        arguments = {
            "port": self.port,
            "dir": self.folder,
            "bind": "127.0.0.1",
            "cluster-enabled": "yes",
            "cluster-node-timeout": NODE_TIMEOUT_MS,
            "cluster-replica-validity-factor": 0,
            "save": "",
            "appendonly": "no",
            "logfile": "redis.log",
            "enable-debug-command": "yes",
            "repl-diskless-sync-delay": 0,
            "repl-ping-replica-period": 1,
        }
        words = [word for name, value in arguments.items() for word in (f"--{name}", str(value))]
        process = self.process = subprocess.Popen([*self._engine, *words])
        wait_for(lambda: self.answers() or process.poll() is not None, what=f"an answer on port {self.port}")
        assert process.poll() is None, (self.folder / "redis.log").read_text()

    def answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.BusyLoadingError:
            return False
        except redis.ConnectionError:
            return False

    def client(self, password: str | None = None) -> redis.Redis:
        return redis.Redis(port=self.port, socket_timeout=5, password=password)

    def role(self) -> str:
        with self.client() as client:
            return str(client.info("replication")["role"])

    def kill(self) -> None:
        """SIGKILL, as a crash."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None

    def pause(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)


class RealCluster:
    """Three masters, three replicas."""

    def __init__(self, port: int, folder: Path, engine: list[str]) -> None:
        self.port = port
        self.nodes = [RealNode(port + i, folder / str(port + i), engine) for i in range(MASTERS + REPLICAS)]

    def start(self) -> None:
        for node in self.nodes:
            node.start()
        addresses = [f"127.0.0.1:{node.port}" for node in self.nodes]
        create = ["redis-cli", "--cluster", "create", *addresses, "--cluster-replicas", "1", "--cluster-yes"]
        subprocess.run(create, check=True, stdout=subprocess.DEVNULL)
        self.wait_healthy()

    def stop(self) -> None:
        for node in self.nodes:
            if node.process is not None:
                node.resume()
                node.kill()

    def heal(self) -> None:
        """Start what was killed, wake what was paused, and wait until all is well."""
        for node in self.nodes:
            if node.process is None:
                node.start()
            else:
                node.resume()
        self.wait_healthy()

    def wait_healthy(self) -> None:
        """Until every node sees every slot served, and every replica is in sync."""
        wait_for(self._healthy, what="a healthy cluster")

    def masters(self) -> list[RealNode]:
        return [node for node in self.nodes if node.process is not None and node.role() == "master"]

    def owner(self, key: str) -> RealNode:
        """The master of the key's slot."""
        with self.nodes_up()[0].client() as client:
            for first, last, primary, *_ in client.cluster("SLOTS"):
                if first <= key_slot(key.encode()) <= last:
                    return next(node for node in self.nodes if node.port == primary[1])
        raise AssertionError(f"nobody serves {key}")

    def nodes_up(self) -> list[RealNode]:
        return [node for node in self.nodes if node.process is not None]

    def needs(self, *commands: str) -> None:
        """Skip the test when the nodes do not have these commands (ours, not yet)."""
        with self.nodes_up()[0].client() as client:
            known = client.command()
        missing = [name for name in commands if name.lower() not in known]
        if missing:
            pytest.skip(f"the nodes have no {', '.join(missing)}")

    def flush(self) -> None:
        for node in self.masters():
            with node.client() as client:
                client.flushall()

    @property
    def seeds(self) -> str:
        return ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def _healthy(self) -> bool:
        replicas = 0
        for node in self.nodes:
            try:
                with node.client() as client:
                    if client.cluster("INFO")["cluster_state"] != "ok":
                        return False
                    seen = client.cluster("NODES").values()
                    if len(seen) != len(self.nodes) or any("fail" in other["flags"] for other in seen):
                        return False
                    about = client.info("replication")
                    replicas += about["role"] == "slave" and about["master_link_status"] == "up"
            except redis.RedisError:
                return False
        return replicas == REPLICAS


@contextmanager
def real_cluster(port: int, engine: list[str]) -> Iterator[RealCluster]:
    """A running cluster on `port` and the five ports behind it; `engine` is the command that starts a node."""
    folder = Path(tempfile.mkdtemp(prefix="real-cluster-"))
    cluster = RealCluster(port, folder, engine)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
