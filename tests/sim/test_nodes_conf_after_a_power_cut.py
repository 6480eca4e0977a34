"""nodes.conf after kills and power cuts: after a cut no older than what was settled, after a kill the latest."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from cluster.conf_file import NodesConfFile
from sim.disk import SimDisk
from sim.process import Process
from sim.world import World
from tests.sim.worlds import forgiving, run_for

LIVES = 60


def contents(number: int) -> bytes:
    """Of a length like a real one's, and with its number in every line."""
    return b"\n".join([*(b"%040d" % number for _ in range(40)), b"vars currentEpoch %d lastVoteEpoch 0\n" % number])


class Saver:
    """A process that saves numbers, each greater than the one before."""

    def __init__(self, world: World, chance: Random) -> None:
        self.world = world
        self.chance = chance
        self.saved = 0
        # What a power cut must leave.
        self.settled = 0
        # What a start must find at least, and at most.
        self.bounds = (0, 0)
        # How often a start found saves that had not been settled, and went on from them, or did not.
        self.continued = 0
        self.passed_over = 0

    async def live(self, process: Process) -> int:
        disk = SimDisk(self.world.loop, process, "/")
        before = disk.read("nodes.conf") if disk.exists("nodes.conf") else b""
        waiting = disk.exists("nodes.conf.waiting")
        file = NodesConfFile(disk, "nodes.conf")
        if found := file.open():
            self.continued += found != before
            self.passed_over += waiting and found == before
            self.saved = int(found.split(maxsplit=1)[0])
            assert found == contents(self.saved)
            assert self.bounds[0] <= self.saved <= self.bounds[1]
        else:
            file.save(contents(0), fsync=True)
        while True:
            await asyncio.sleep(0.001)
            fsync = self.chance.random() < 0.1
            file.save(contents(self.saved + 1), fsync=fsync)
            self.saved += 1
            if self.chance.random() < 0.1:
                file.settle()
            if file.settled:
                self.settled = self.saved


@pytest.mark.parametrize("seed", range(3))
def test_what_a_start_finds(seed: int) -> None:
    with forgiving(seed) as world:
        chance = Random(seed)
        saver = Saver(world, chance)
        host = world.add_host("a")
        for _ in range(LIVES):
            process = host.start("node", saver.live)
            run_for(world, chance.uniform(0.002, 0.03))
            if chance.random() < 0.7:
                host.cut_power()
                saver.bounds = (saver.settled, saver.saved)
                run_for(world, 0.1)
                host.boot()
            else:
                process.end(None)
                saver.bounds = (saver.saved, saver.saved)
        assert not world.failures
        assert saver.continued
        assert saver.passed_over
