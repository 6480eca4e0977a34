"""`shardlab up --tls`: no port of the lab speaks anything else, and a master's death is survived as without it."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import pytest
import redis
from redis.cluster import ClusterNode, RedisCluster

from lab.authority import Certificates
from tests.e2e.cluster import DOWN_AFTER_MS, Cluster
from tests.lab.running import taken_down
from tests.waiting import wait_for


@pytest.mark.timeout(120)
@pytest.mark.parametrize("engine", ["shardlab", "redis"])
def test_a_lab_with_tls(tmp_path: Path, engine: str) -> None:
    if shutil.which("openssl") is None or (engine == "redis" and shutil.which("redis-server") is None):
        pytest.skip("openssl or redis-server is not installed")
    options = ("--engine", engine, "--down-after-milliseconds", str(DOWN_AFTER_MS))
    with taken_down(Cluster(tmp_path / "lab", *options)) as lab:
        said = lab.up_detached("--tls")
        assert "redis-cli --tls --cacert " in said
        certs = Certificates(lab.folder / "tls")
        tls = {"ssl": True, "ssl_ca_certs": certs.ca_cert, "ssl_certfile": certs.cert, "ssl_keyfile": certs.key}
        for entry in lab.lab.processes:
            assert not _answers_without_tls(entry.port)
        cluster = RedisCluster(startup_nodes=[ClusterNode("127.0.0.1", lab.base)], **tls)
        proxy = redis.Redis(port=lab.proxy_port, **tls)
        for number in range(100):
            assert cluster.set(f"key:{number}", number)
        assert [proxy.get(f"key:{number}") for number in range(100)] == [b"%d" % number for number in range(100)]
        victim = lab.master_of(0)
        lab.ok("kill", victim)
        wait_for(lambda: lab.master_of(0) != victim, what="another master")

        def written() -> bool:
            try:
                return bool(proxy.set("{b}:after", "1"))
            except redis.RedisError:
                return False

        wait_for(written, what="a write behind the proxy")
        lab.ok("restart", victim)
        lab.wait_ready()
        proxy.close()
        cluster.close()
        lab.ok("down")


def _answers_without_tls(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(b"PING\r\n")
        try:
            return client.recv(100).startswith((b"+", b"-"))
        except ConnectionResetError:
            return False
