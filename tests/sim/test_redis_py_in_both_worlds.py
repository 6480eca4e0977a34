"""One script with redis-py's clients is green on simulated nodes and on real processes: see `redis_py_script`."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest
from redis._parsers import _AsyncHiredisParser, _AsyncRESP2Parser, _AsyncRESP3Parser
from redis.asyncio.connection import AbstractConnection, DefaultParser

from lab.actions import restart
from sim.cluster import Seat, SimCluster
from sim.process import Process
from sim.shape import NODE_PORT, SENTINEL_PORT, Shape
from sim.world import World
from tests.e2e.cluster import Cluster
from tests.lab.running import taken_down
from tests.sim.redis_py_script import Address, Script
from tests.sim.test_cluster import run_until_well
from tests.sim.worlds import run_until
from tests.waiting import wait_until


@pytest.fixture(params=["hiredis", "pure Python"])
def _parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What every connection of redis-py parses replies with: hiredis where it is installed, unless told otherwise."""
    assert DefaultParser is _AsyncHiredisParser
    if request.param == "pure Python":
        set_parser = AbstractConnection.set_parser

        def set_slow_parser(connection: AbstractConnection, _: type) -> None:
            set_parser(connection, _AsyncRESP3Parser if connection.protocol == 3 else _AsyncRESP2Parser)

        monkeypatch.setattr(AbstractConnection, "set_parser", set_slow_parser)


class Simulated:
    """A stage in a world."""

    def __init__(self, world: World, cluster: SimCluster) -> None:
        self._world = world
        self._seats: dict[Address, Seat] = {}
        for name in cluster.shape.node_names():
            self._seats[cluster.seats[name].host.ip, NODE_PORT] = cluster.seats[name]
        self.nodes = list(self._seats)
        self.sentinels = [(cluster.seats[name].host.ip, SENTINEL_PORT) for name in cluster.shape.sentinel_names()]
        self.shard = "shard-0"

    async def kill(self, node: Address) -> None:
        process = self._seats[node].process
        assert process is not None
        process.end(None)

    async def restart(self, node: Address) -> None:
        # By the run itself: a process must not be born inside of another one.
        self._world.loop.at(self._world.loop.now, self._seats[node].start)
        await asyncio.sleep(0.01)


class Real:
    """A stage of processes on this machine."""

    def __init__(self, lab: Cluster) -> None:
        self._lab = lab
        self.nodes = [(entry.host, entry.port) for entry in lab.lab.nodes()]
        self.sentinels = [(entry.host, entry.port) for entry in lab.lab.processes if "sentinel" in entry.name]
        self.shard = next(
            words.split()[2]
            for words in (lab.folder / "sentinel-1" / "sentinel.conf").read_text().splitlines()
            if words.startswith("sentinel monitor")
        )

    def _name(self, node: Address) -> str:
        return next(entry.name for entry in self._lab.lab.nodes() if entry.port == node[1])

    async def kill(self, node: Address) -> None:
        os.kill(self._lab.lab.find(self._name(node)).pid, signal.SIGKILL)
        # A process with threads may look dead for a moment before the kernel has closed its sockets.
        await wait_until(lambda: _refuses(node), what=f"the end of {node}")

    async def restart(self, node: Address) -> None:
        await asyncio.to_thread(restart, self._lab.folder, self._name(node), timeout=20.0)


async def _refuses(node: Address) -> bool:
    try:
        _, writer = await asyncio.open_connection(*node)
    except ConnectionRefusedError:
        return True
    except ConnectionError:
        return False
    writer.close()
    return False


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    options = ("--down-after-milliseconds", "500", "--no-proxy")
    with taken_down(Cluster(tmp_path_factory.mktemp("lab"), *options)) as cluster:
        cluster.up_detached()
        yield cluster


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.usefixtures("_parser")
def test_simulated(protocol: int) -> None:
    with World(f"redis-py {protocol}") as world:
        cluster = SimCluster(world, Shape())
        cluster.start()
        run_until_well(world, cluster)
        stage = Simulated(world, cluster)

        async def main(_: Process) -> int:
            await Script(stage, protocol).run()
            return 0

        world.may_exit = lambda process: process.status in (None, 0)
        client = world.add_host("client").start("client", main)
        run_until(world, lambda: not client.alive, 120.0)
        assert client.status == 0


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.usefixtures("_parser")
def test_real(lab: Cluster, protocol: int) -> None:
    asyncio.run(Script(Real(lab), protocol).run())
