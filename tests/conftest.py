"""What every room's tests may lean on: a real redis-server, and the rule for tests that need a container engine."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from lab.authority import Certificates, certificates
from tests.ports import free_base
from tests.real_redis import RealRedis

# How long an example takes says more about the machine than about the code; each test has a time limit of its own.
settings.register_profile("shardlab", deadline=None)
settings.load_profile("shardlab")

# CI must not pass because the thing to compare with, or to run in, was missing.
IN_CI = os.environ.get("CI") == "true"


@pytest.fixture
def start_redis(tmp_path: Path) -> Iterator[Callable[..., RealRedis]]:
    """Start a real redis-server with these options on a free port; it ends with the test."""
    if shutil.which("redis-server") is None:
        message = "redis-server is not installed (Debian: apt-get install redis-server)"
        pytest.fail(message) if IN_CI else pytest.skip(message)
    started: list[RealRedis] = []

    def start(*options: str) -> RealRedis:
        server = RealRedis(free_base(), tmp_path / f"redis-{len(started)}", options)
        started.append(server)
        server.wait_ready()
        return server

    yield start
    for server in started:
        server.kill()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A certificate for this machine, and who has signed it."""
    if shutil.which("openssl") is None:
        message = "openssl is not installed (Debian: apt-get install openssl)"
        pytest.fail(message) if IN_CI else pytest.skip(message)
    return certificates(tmp_path_factory.mktemp("authority"), ["127.0.0.1"])


@pytest.fixture
def real_redis(start_redis: Callable[..., RealRedis]) -> RealRedis:
    """One real redis-server with its defaults."""
    return start_redis()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked `docker` are skipped where no engine answers; in CI they run and fail."""
    docker_tests = [item for item in items if item.get_closest_marker("docker")]
    if docker_tests and not IN_CI and not _engine_answers():
        for item in docker_tests:
            item.add_marker(pytest.mark.skip(reason="no Docker engine answers (DOCKER_HOST)"))


def _engine_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    try:
        return subprocess.run(["docker", "info"], capture_output=True, timeout=10, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False
