"""Real redis-servers and sentinels as processes: a master, its replicas, and who watches them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import redis

from tests.ports import free_base
from tests.waiting import wait_for

NAME = "mym"
# Where the votes are split, or the heir has not answered yet, the next attempt comes after twice this: on a busy
# machine that happens, and tests wait for it.
FAILOVER_TIMEOUT_MS = 3000
OURS = (sys.executable, "-m", "lab", "sentinel")
REAL = ("redis-sentinel",)


class Process:
    """One process with a folder, and a client to talk to it."""

    def __init__(self, port: int, folder: Path, command: list[str], password: str | None = None) -> None:
        self.port = port
        self.folder = folder
        self.command = command
        self.client = redis.Redis(port=port, decode_responses=True, socket_timeout=5, protocol=2, password=password)
        self.start()

    def start(self) -> None:
        with (self.folder / "out.log").open("ab") as output:
            self._process = subprocess.Popen(self.command, cwd=self.folder, stdout=output, stderr=subprocess.STDOUT)

    @property
    def log(self) -> str:
        return (self.folder / "out.log").read_text(errors="replace")

    def answers(self) -> bool:
        assert self.alive, self.log
        try:
            return bool(self.client.execute_command("PING"))
        except redis.ConnectionError:
            return False

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.wait()

    def terminate(self) -> int:
        """SIGTERM; the exit status."""
        self._process.terminate()
        return self._process.wait(timeout=10)

    def close(self) -> None:
        self.client.close()
        if self.alive:
            self.kill()


class Deployment:
    """A master at `ports[0]`, replicas behind it, sentinels; ends with the test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._base = free_base()
        self.redises: list[Process] = []
        self.sentinels: list[Process] = []

    def redis(self, *options: str, password: str | None = None) -> Process:
        port = self._base + len(self.redises)
        home = self._folder / f"redis-{port}"
        home.mkdir()
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", *options]
        self.redises.append(Process(port, home, [*command, "--repl-diskless-sync-delay", "0"], password))
        wait_for(self.redises[-1].answers, what="redis-server's PONG")
        return self.redises[-1]

    def shard(self, replicas: int) -> None:
        """A plain master with replicas, in sync."""
        master = self.redis()
        for _ in range(replicas):
            self.redis("--replicaof", "127.0.0.1", str(master.port))
        wait_for(lambda: master.client.info("replication")["connected_slaves"] == replicas, what="replicas in sync")

    def cluster_shard(self, replicas: int) -> None:
        """One shard of a real cluster that owns all slots; failing over is left to the sentinels."""
        options = ("--cluster-enabled", "yes", "--cluster-replica-no-failover", "yes", "--cluster-node-timeout", "2000")
        master = self.redis(*options)
        master.client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
        my_id = master.client.execute_command("CLUSTER MYID")
        for _ in range(replicas):
            replica = self.redis(*options)
            replica.client.execute_command("CLUSTER MEET", "127.0.0.1", master.port)
            wait_for(lambda r=replica: _replicate(r, my_id), what="a node that knows its master")
        for each in self.redises:
            wait_for(lambda e=each: cluster_ok(e), what="cluster_state:ok")
        wait_for(lambda: master.client.info("replication")["connected_slaves"] == replicas, what="replicas in sync")

    def sentinel(
        self, program: tuple[str, ...] = OURS, *, quorum: int = 2, more: str = "", password: str | None = None
    ) -> Process:
        port = self._base + 100 + len(self.sentinels)
        home = self._folder / f"sentinel-{port}"
        home.mkdir()
        (home / "sentinel.conf").write_text(
            f"port {port}\nbind 127.0.0.1\nprotected-mode no\n"
            f"sentinel monitor {NAME} 127.0.0.1 {self.redises[0].port} {quorum}\n"
            f"sentinel down-after-milliseconds {NAME} 500\n"
            f"sentinel failover-timeout {NAME} {FAILOVER_TIMEOUT_MS}\n{more}"
        )
        self.sentinels.append(Process(port, home, [*program, "sentinel.conf"], password))
        return self.sentinels[-1]

    def wait_acquainted(self, replicas: int) -> None:
        """Every sentinel answers, knows the other ones and reaches all replicas."""
        for sentinel in self.sentinels:
            wait_for(sentinel.answers, what="a sentinel's PONG")
        for sentinel in self.sentinels:
            wait_for(lambda s=sentinel: self._acquainted(s, replicas), what="sentinels that know each other")

    def _acquainted(self, sentinel: Process, replicas: int) -> bool:
        others = rows(sentinel, "SENTINELS")
        known = rows(sentinel, "REPLICAS")
        return (
            [row["flags"] for row in others] == ["sentinel"] * (len(self.sentinels) - 1)
            and [row["flags"] for row in known] == ["slave"] * replicas
            and all(row["master-link-status"] == "ok" for row in known)
        )

    def wait_switched(self, away_from: Process) -> int:
        """All living sentinels agree on another master than this one; returns its port."""

        def agreed() -> int:
            ports = sorted({master_port(each) for each in self.sentinels if each.alive})
            return ports[0] if len(ports) == 1 and ports != [away_from.port] else 0

        return wait_for(agreed, what="one new master")

    def close(self) -> None:
        for process in (*self.sentinels, *self.redises):
            process.close()


def _replicate(replica: Process, my_id: str) -> bool:
    try:
        return bool(replica.client.execute_command("CLUSTER REPLICATE", my_id))
    except redis.ResponseError:
        return False


def cluster_ok(node: Process) -> bool:
    info = node.client.execute_command("CLUSTER INFO")
    text = info if isinstance(info, str) else "\n".join(f"{name}:{value}" for name, value in info.items())
    return "cluster_state:ok" in text


def rows(sentinel: Process, what: str) -> list[dict[str, str]]:
    reply = sentinel.client.connection_pool.get_connection()
    try:
        reply.send_command("SENTINEL", what, NAME)
        answer = reply.read_response()
    finally:
        sentinel.client.connection_pool.release(reply)
    return [dict(zip(row[::2], row[1::2], strict=True)) for row in answer]


def master_port(sentinel: Process) -> int:
    host, port = sentinel.client.execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", NAME)
    assert host == "127.0.0.1"
    return int(port)
