"""A real redis-server takes a node's seat in a lab of ours: same files, same bus, same replication, same sentinels."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.cluster import Cluster
from tests.lab.running import taken_down


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
def test_a_replica_and_then_a_master(tmp_path: Path) -> None:
    with taken_down(Cluster(tmp_path / "lab")) as lab:
        lab.up_detached()
        entry = lab.lab.find("node-3")
        lab.ok("kill", "node-3")
        with (tmp_path / "real.log").open("wb") as log:
            real = subprocess.Popen(["redis-server", "redis.conf"], cwd=entry.folder, stdout=log, stderr=log)
        try:
            client = lab.client(timeout=1.0)
            lab.wait_write(client, "{b}:shared")
            lab.wait_in_sync("node-0", entry.port)
            assert lab.redis_cli("-c", "GET", "{b}:shared", port=entry.port) == "{b}:shared"
            # Our sentinels promote it over a master of ours.
            lab.ok("kill", "node-0")
            lab.wait_write(client, "{b}:taken-over")
            assert lab.redis_cli("GET", "{b}:taken-over", port=entry.port) == "{b}:taken-over"
            client.close()
        finally:
            real.kill()
            real.wait()
        lab.ok("down")
