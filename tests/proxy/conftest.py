"""One cluster for all tests of this folder, and a proxy process in front of it.

The nodes are redis-server's; ``SHARDLAB_TEST_ENGINE=shardlab`` takes ours, which have the same command line.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.ports import free_base
from tests.proxy.proxy_process import ProxyProcess
from tests.proxy.real_cluster import RealCluster, real_cluster

# Beyond the six nodes of a port base, where a lab has its proxy.
PROXY_OFFSET = 200


@pytest.fixture(scope="session")
def running_cluster() -> Iterator[RealCluster]:
    ours = os.environ.get("SHARDLAB_TEST_ENGINE") == "shardlab"
    with real_cluster(free_base(), [sys.executable, "-m", "lab", "server"] if ours else ["redis-server"]) as cluster:
        yield cluster


@pytest.fixture
def cluster(running_cluster: RealCluster) -> RealCluster:
    """The cluster, empty. A test that breaks it heals it."""
    running_cluster.flush()
    return running_cluster


@pytest.fixture(scope="session")
def proxy_process(running_cluster: RealCluster) -> Iterator[ProxyProcess]:
    # Requests are held until an election that nobody won has been tried again, which takes six seconds more.
    options = ["--nodes", running_cluster.seeds, "--hold-timeout-ms", "20000"]
    with ProxyProcess(running_cluster.port + PROXY_OFFSET, options) as proxy:
        yield proxy


@pytest.fixture
def proxy(cluster: RealCluster, proxy_process: ProxyProcess) -> ProxyProcess:  # noqa: ARG001 - emptied first
    """A proxy in front of the empty cluster."""
    assert proxy_process.process is not None
    assert proxy_process.process.poll() is None, "the proxy has died"
    return proxy_process


@pytest.fixture(autouse=True, scope="session")
def _needs_redis() -> None:
    if subprocess.run(["redis-server", "--version"], capture_output=True, check=False).returncode:
        pytest.fail("these tests need redis-server, redis-cli and redis-benchmark (apt-get install redis)")
