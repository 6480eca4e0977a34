"""The lab in real containers, once for all tests of this folder but one, beside whatever else the engine runs."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container
from docker.models.networks import Network
from redis import Redis
from redis.cluster import RedisCluster

from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
# A project, a network and ports of the tests' own, so that they never meet a lab that somebody is using.
PROJECT = "shardlab-test"
NETWORK = "10.77.8"
PREFIX = "17"
FIRST_PORT = 17000
PROXY_PORT = 17200
NODES = [f"node-{number}" for number in range(6)]
SENTINELS = [f"sentinel-{number}" for number in range(3)]
EVERYTHING = [*NODES, *SENTINELS, "proxy"]


class ContainerLab:
    """The containers by the names of their seats."""

    def __init__(
        self, project: str = PROJECT, network: str = NETWORK, prefix: str = PREFIX, tls: Path | None = None
    ) -> None:
        """With `tls`, a folder for its certificates, the lab speaks TLS."""
        self.engine = docker.from_env()
        self._compose = compose_command()
        self._project = project
        self._label = f"com.docker.compose.project={project}"
        self._network = network
        self._prefix = prefix
        self._tls = tls
        if tls is not None:
            self._compose += ["-f", "compose/docker-compose.yml", "-f", "compose/tls.yml"]

    def compose(self, *words: str) -> None:
        done = self._run(*words)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}"

    def down(self) -> None:
        """Remove every container and volume, and the network where the engine is able to.

        Engines before 28.1 count a network's endpoints beside the endpoints, and lose count now and then when ten
        containers start or stop at once (github.com/moby/moby/issues/43286). Such a network is empty and cannot be
        removed until the engine restarts; the next `up` uses it as it is.
        """
        done = self._run("down", "--volumes", "--timeout", "1")
        if done.returncode == 0:
            return
        said = f"down: {done.stdout}{done.stderr}"
        assert "has active endpoints" in done.stderr, said
        own = {"label": self._label}
        assert not self.engine.containers.list(all=True, filters=own), said
        for network in self.engine.networks.list(filters=own, greedy=True):
            assert not network.attrs["Containers"], said
        # docker-compose 1.29 removes networks before volumes, and stopped there.
        for volume in self.engine.volumes.list(filters=own):
            volume.remove()

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {
            "COMPOSE_PROJECT_NAME": self._project,
            "SHARDLAB_NETWORK": self._network,
            "SHARDLAB_PORT_PREFIX": self._prefix,
            "SHARDLAB_TLS_FOLDER": str(self._tls or ""),
            # So long that a busy machine with twenty containers does not look like a dead process.
            "SHARDLAB_DOWN_AFTER_MS": "2000",
            # The steps of a build reach the package index the way this machine does.
            "SHARDLAB_BUILD_NETWORK": os.environ.get("SHARDLAB_BUILD_NETWORK", "host"),
        }
        return subprocess.run(
            [*self._compose, *words],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def container(self, seat: str) -> Container:
        labels = [self._label, f"com.docker.compose.service={seat}"]
        (found,) = self.engine.containers.list(all=True, filters={"label": labels})
        return found

    def health(self, seat: str) -> str:
        container = self.container(seat)
        if container.status != "running":
            return str(container.status)
        return str(container.attrs["State"].get("Health", {}).get("Status", "no health check"))

    def wait_healthy(self, *seats: str, timeout: float = 120.0) -> None:
        def all_healthy() -> bool:
            return all(self.health(seat) == "healthy" for seat in seats)

        try:
            wait_for(all_healthy, timeout=timeout, what=f"health of {', '.join(seats)}")
        except AssertionError as error:
            raise AssertionError("\n".join([str(error), *map(self._complaint, seats)])) from None

    def _complaint(self, seat: str) -> str:
        """What the last health check of `seat` said."""
        checks = self.container(seat).attrs["State"].get("Health", {}).get("Log") or [{}]
        return f"{seat}: {self.health(seat)} {checks[-1].get('Output', '').strip()}"

    @property
    def network(self) -> Network:
        return self.engine.networks.get(f"{self._project}_lab")

    def address(self, seat: str) -> str:
        """The container's fixed address inside the network."""
        return f"{self._network}.{10 + NODES.index(seat)}"

    def client(self) -> RedisCluster:
        """A cluster client on the host, which knows one published port and is told the others."""
        return RedisCluster(host="localhost", port=FIRST_PORT + 1, socket_timeout=2.0)

    def node(self, seat: str) -> Redis:
        return Redis(host="localhost", port=FIRST_PORT + NODES.index(seat), socket_timeout=2.0, decode_responses=True)

    def is_master(self, seat: str) -> bool:
        return self.node(seat).info("replication")["role"] == "master"

    def replica_of(self, seat: str) -> str:
        """The seat that replicates `seat`."""
        (replica,) = [value for name, value in self.node(seat).info("replication").items() if name.startswith("slave0")]
        return NODES[int(str(replica["ip"]).rpartition(".")[2]) - 10]

    def run_inside(self, seat: str, code: str) -> str:
        """What a Python program prints that runs inside the network, in the container of `seat`."""
        done = self.container(seat).exec_run(["python", "-c", code])
        assert done.exit_code == 0, done.output.decode()
        return str(done.output.decode())


def compose_command() -> list[str]:
    """The plugin of docker, or the program of its own that it was before."""
    plugin = ["docker", "compose"]
    has_plugin = subprocess.run([*plugin, "version"], capture_output=True, check=False).returncode == 0
    return plugin if has_plugin else ["docker-compose"]


@contextmanager
def running(lab: ContainerLab) -> Iterator[ContainerLab]:
    """The lab, up and healthy, from empty volumes."""
    if shutil.which("docker") is None:
        pytest.fail("the docker command is missing")
    lab.down()
    lab.compose("build", "node-0")
    try:
        lab.compose("up", "--detach")
        lab.wait_healthy(*EVERYTHING)
        yield lab
    finally:
        lab.down()
        lab.engine.close()


@pytest.fixture(scope="package")
def containers() -> Iterator[ContainerLab]:
    """The lab, for as long as the tests of this folder run. They leave it with every container running and every
    link restored."""
    with running(ContainerLab()) as lab:
        yield lab


@pytest.fixture
def whole(containers: ContainerLab) -> ContainerLab:
    """The lab with all of it healthy, whatever the test before did."""
    containers.wait_healthy(*EVERYTHING)
    return containers
