"""Whole labs, one for each engine, shared by the tests of a module."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.e2e.cluster import DOWN_AFTER_MS, Cluster
from tests.lab.running import taken_down

ENGINES = {
    # Our nodes, failed over by our sentinels: what `shardlab up` starts.
    "shardlab": (),
    # Our nodes, whose replicas are elected by the masters.
    "votes": ("--failover", "cluster"),
    # Real redis-server nodes under our sentinels and behind our proxy.
    "redis": ("--engine", "redis"),
}


@pytest.fixture(scope="module", params=list(ENGINES))
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A ready lab; a test that breaks it mends it."""
    if shutil.which("redis-cli") is None or (request.param == "redis" and shutil.which("redis-server") is None):
        pytest.skip("redis-server or redis-cli is not installed")
    options = [*ENGINES[request.param], "--down-after-milliseconds", str(DOWN_AFTER_MS)]
    with taken_down(Cluster(tmp_path_factory.mktemp(request.param), *options)) as lab:
        lab.up_detached()
        yield lab
        lab.ok("down")
