"""Sentinels, ours and a real one, that speak TLS to masters, replicas and each other, and agree on a failover."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from lab.authority import Certificates
from tests.interop.real_nodes import needs_redis
from tests.ports import free_base
from tests.sentinel.running import NAME, OURS, REAL
from tests.waiting import wait_for

pytestmark = needs_redis


class Started:
    """Processes on ports with TLS alone."""

    def __init__(self, folder: Path, certs: Certificates) -> None:
        self._folder = folder
        self._certs = certs
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._clients: dict[int, redis.Redis] = {}

    def start(self, program: tuple[str, ...], port: int, *lines: str) -> redis.Redis:
        home = self._folder / str(port)
        home.mkdir()
        usual = ["port 0", f"tls-port {port}", "bind 127.0.0.1", "tls-replication yes", *self._certs.directives()]
        (home / "conf").write_text("\n".join([*lines, *usual]) + "\n")
        with (home / "log").open("wb") as log:
            self._processes[port] = subprocess.Popen([*program, "conf"], cwd=home, stdout=log, stderr=log)
        certs = self._certs
        client = self._clients[port] = redis.Redis(
            port=port,
            ssl=True,
            ssl_ca_certs=certs.ca_cert,
            ssl_certfile=certs.cert,
            ssl_keyfile=certs.key,
            decode_responses=True,
            protocol=2,
        )
        wait_for(lambda: self._answers(client), what=f"PONG on {port}")
        return client

    def _answers(self, client: redis.Redis) -> bool:
        try:
            return bool(client.execute_command("PING"))
        except redis.ConnectionError:
            return False

    def kill(self, port: int) -> None:
        self._processes[port].kill()
        self._processes[port].wait()

    def close(self) -> None:
        for port, client in self._clients.items():
            client.close()
            self.kill(port)


@pytest.fixture
def started(tmp_path: Path, authority: Certificates) -> Iterator[Started]:
    processes = Started(tmp_path, authority)
    yield processes
    processes.close()


@pytest.mark.timeout(90)
def test_they_meet_and_fail_a_master_over(started: Started) -> None:
    base = free_base()
    started.start(("redis-server",), base, "save ''", "repl-diskless-sync-delay 0")
    replica = started.start(("redis-server",), base + 1, "save ''", f"replicaof 127.0.0.1 {base}")
    wait_for(lambda: replica.info("replication")["master_link_status"] == "up", what="the link")
    watch = (
        f"sentinel monitor {NAME} 127.0.0.1 {base} 2",
        f"sentinel down-after-milliseconds {NAME} 500",
        f"sentinel failover-timeout {NAME} 5000",
    )
    sentinels = [started.start(program, base + 100 + at, *watch) for at, program in enumerate((OURS, OURS, REAL))]

    def acquainted(sentinel: redis.Redis) -> bool:
        words = sentinel.execute_command("SENTINEL", "MASTER", NAME)
        seen = dict(zip(words[::2], words[1::2], strict=True)) if isinstance(words, list) else words
        return (seen["num-slaves"], seen["num-other-sentinels"]) == ("1", "2")

    for sentinel in sentinels:
        # A hello names the port that speaks TLS.
        wait_for(lambda sentinel=sentinel: acquainted(sentinel), what="acquaintance")
    started.kill(base)
    wait_for(lambda: replica.role()[0] == "master", what="the failover")
    for sentinel in sentinels:
        wait_for(
            lambda sentinel=sentinel: (
                sentinel.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)[1] == str(base + 1)
            ),
            timeout=20,
            what="the new master's address",
        )
