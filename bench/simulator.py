"""How fast the simulator is: ``python -m bench.simulator [NAME ...]``.

Virtual seconds for each second of CPU time, measured on the product's own code; events (packets, timers, turns) a
second; bytes of memory. How each figure is made is in `bench/README.md`. CPU time depends on what else the machine does
(caches, clocks): each figure is the best of several slices of one run, and a quiet machine gives the true ones.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from bench.raw_clients import RawClient
from sim.cluster import SimCluster
from sim.host import Host, Main
from sim.process import Process
from sim.shape import NODE_PORT, Shape
from sim.trial import Plan, run
from sim.world import World

_SLICES = 10
# Clients begin when the cluster has started.
_CLIENTS_AT_S = 2.0
_PORT = 7


@dataclass(frozen=True, slots=True)
class Figure:
    """One result."""

    name: str
    value: float
    unit: str
    # What it must reach on a quiet machine, if that is stated.
    floor: float | None = None
    remark: str = ""

    def __str__(self) -> str:
        floor = "" if self.floor is None else f"(at least {self.floor:,.0f})"
        return f"{self.name:<58} {self.value:>10,.1f} {self.unit:<24} {floor:<20} {self.remark}".rstrip()


# ---- the simulator by itself


def callbacks(seconds: float = 5.0) -> Figure:
    """Twenty clients that send a line to a server and wait for it to come back, over TCP, with the trace of packets."""

    class Echo(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.write = transport.write

        def data_received(self, data: bytes) -> None:
            self.write(data)

    async def serve(process: Process) -> int:
        await asyncio.get_running_loop().create_server(Echo, process.host.ip, _PORT)
        await asyncio.get_running_loop().create_future()
        return 0

    with World(1) as world:
        server = world.add_host("server")
        server.start("server", serve)

        async def ask(_: Process) -> int:
            loop = asyncio.get_running_loop()
            await asyncio.sleep(0.1)
            transport, _protocol = await loop.create_connection(Echo, server.ip, _PORT)
            transport.write(b"a line of text")
            await loop.create_future()
            return 0

        for number in range(20):
            world.add_host(f"client-{number}").start("client", ask)
        best = _best(world, seconds / _SLICES, lambda: world.loop.events)
    return Figure("events of an echo server and 20 clients", best, "events/CPU s", 50_000)


def datagrams(nodes: int = 100, seconds: float = 10.0) -> Figure:
    """Hosts that send ten small datagrams a second each, to others at random."""
    with World(1) as world:
        for number in range(nodes):
            world.add_host(f"host-{number}")
        for host in world.hosts.values():
            host.start("chat", _chat(world, host))
        best = _best(world, seconds / _SLICES, lambda: world.loop.now)
    return Figure(f"{nodes} hosts, 10 datagrams a second each", best, "virtual s/CPU s", 15)


def _chat(world: World, host: Host) -> Main:
    everybody = list(world.hosts.values())
    chance = world.stream(f"chat {host.name}")

    async def main(_: Process) -> int:
        loop = asyncio.get_running_loop()
        transport, _protocol = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=(host.ip, _PORT)
        )

        def say() -> None:
            loop.call_later(0.1, say)
            transport.sendto(b"nothing new", (everybody[chance.randrange(len(everybody))].ip, _PORT))

        say()
        await loop.create_future()
        return 0

    return main


# ---- the product in it


def idle(seconds: float = 30.0, sentinels: int = 3, down_after_ms: int = 500) -> Figure:
    """A cluster of six nodes without clients: heartbeats, and the sentinels' questions."""
    shape = Shape(sentinels=sentinels, failover="sentinel" if sentinels else "cluster", down_after_ms=down_after_ms)
    who = f"6 idle nodes, {sentinels} sentinels" if sentinels else "6 idle nodes"
    return _quiet(f"{who}, down after {down_after_ms / 1000:g} s", shape, seconds, 50)


def gossip(nodes: int = 100, timeout_s: float = 15.0) -> Figure:
    """A big cluster with Redis' node timeout of fifteen seconds.

    Most PINGs come in waves, one each half of the node timeout: a slice has one wave and the quiet time up to the next.
    """
    shape = Shape(masters=nodes // 2, sentinels=0, failover="cluster", down_after_ms=int(timeout_s * 1000))
    return _quiet(f"{nodes} idle nodes, node timeout {timeout_s:g} s", shape, 2 * timeout_s, 8, slices=4)


def _quiet(name: str, shape: Shape, seconds: float, floor: float, slices: int = _SLICES) -> Figure:
    with World(1) as world:
        _start(world, shape)
        best = _best(world, seconds / slices, lambda: world.loop.now, slices)
    return Figure(name, best, "virtual s/CPU s", floor)


def busy(seconds: float = 20.0, seeds: Sequence[int] = (1, 2, 3)) -> Figure:
    """Six nodes, three sentinels, ten raw clients with a hundred commands a second each, faults as the seed has them,
    and all invariants watched. The best of the seeds; starting and healing count."""
    best, remark = 0.0, ""
    for seed in seeds:
        clients: list[RawClient] = []

        def prepare(cluster: SimCluster, clients: list[RawClient] = clients) -> None:
            _load(cluster, clients)

        gc.collect()
        began = time.process_time()
        verdict = run(Plan(seed, duration_s=seconds, clients=0), prepare=prepare)
        speed = verdict.virtual_s / (time.process_time() - began)
        answered = sum(client.answered for client in clients) / (verdict.virtual_s - _CLIENTS_AT_S)
        if speed > best:
            best = speed
            remark = f"seed {seed}: {answered:.0f} answers a virtual second, {verdict.struck.total()} faults"
    return Figure("6 nodes, 3 sentinels, 10 clients x 100/s, faults", best, "virtual s/CPU s", 10, remark)


def _load(cluster: SimCluster, clients: list[RawClient]) -> None:
    world, nodes = cluster.world, [(seat.host.ip, NODE_PORT) for seat in cluster.seats.values()]
    nodes = nodes[: cluster.shape.nodes]
    for number in range(10):
        host = world.add_host(f"raw-{number}")
        client = RawClient(nodes, Random(number), per_second=100.0)
        clients.append(client)
        world.loop.at(_CLIENTS_AT_S, host.start, host.name, client.program())


def memory() -> Figure:
    """What a started cluster of six nodes and three sentinels takes."""
    tracemalloc.start()
    try:
        with World(1) as world:
            _start(world, Shape())
            gc.collect()
            taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    return Figure("memory of 6 nodes, 3 sentinels", taken / 2**20, "MB")


# ---- measuring


def _start(world: World, shape: Shape) -> None:
    cluster = SimCluster(world, shape)
    cluster.start()

    async def main() -> None:
        await world.until(lambda: not cluster.faults(), 60.0, "the cluster does not start", every_s=0.5)
        # Links that were dialled at the start are quiet now.
        await asyncio.sleep(1.0)

    world.run(main())


def _best(world: World, slice_s: float, read: Callable[[], float], slices: int = _SLICES) -> float:
    """How much faster than CPU time something grows, in the best of some slices of the run."""
    best = 0.0
    for _ in range(slices):
        before, began = read(), time.process_time()
        world.run(asyncio.sleep(slice_s))
        best = max(best, (read() - before) / (time.process_time() - began))
    return best


FIGURES: dict[str, Callable[[], Figure]] = {
    "callbacks": callbacks,
    "datagrams": datagrams,
    "nodes": lambda: idle(sentinels=0, down_after_ms=1_000),
    "idle": idle,
    "idle-redis": lambda: idle(down_after_ms=30_000),
    "busy": busy,
    "gossip": gossip,
    "memory": memory,
}


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.simulator", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(FIGURES)} (all)")
    options = parser.parse_args(argv)
    unknown = [name for name in options.names if name not in FIGURES]
    if unknown:
        parser.error(f"no such figure: {', '.join(unknown)}")
    for name in options.names or FIGURES:
        print(FIGURES[name](), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
