"""What a crash, a pause and a clock do to a process, as far as the process itself and its host can tell."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import AsyncIterator

from runtime import FileSystem
from sim.disk import SimFileSystem
from sim.host import Host
from sim.process import Process
from tests.sim.worlds import forgiving, run_for, run_until, start


def test_a_killed_process_runs_nothing_more() -> None:
    seen: list[str] = []

    async def main() -> None:
        try:
            asyncio.get_running_loop().call_later(2.0, seen.append, "timer")
            await asyncio.sleep(1000)
        finally:
            seen.append("finally")

    with forgiving() as world:
        process = start(world.add_host("a"), main)
        world.loop.at(1.0, process.end, None)
        run_for(world, 5.0)
        gc.collect()
        run_for(world, 5.0)
        assert seen == []
        assert process.status is None


def test_cleanup_of_the_dead_reaches_neither_network_nor_disk() -> None:
    reached: list[str] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            reached.append("generator")
            await asyncio.sleep(0)
            reached.append("generator went on")

    for how in ("kill", "power cut"):
        with forgiving() as world:
            host, other = world.add_host("a"), world.add_host("b")
            heard: list[bytes] = []
            listen(other, heard)

            async def main(host: Host = host, other: Host = other, world=world) -> None:  # type: ignore[no-untyped-def]
                _, writer = await asyncio.open_connection(other.ip, 7)
                disk = files_of(host, world).folder("/")
                disk.create("old")
                try:
                    async for _ in numbers():
                        await asyncio.sleep(1000)
                finally:
                    reached.append("finally")
                    writer.write(b"last words")
                    disk.rename("old", "new")
                    reached.append("renamed")

            start(host, main)
            world.loop.at(1.0, host.cut_power if how == "power cut" else kill(host))
            run_for(world, 2.0)
            assert reached == []
            # Freeing them runs what a language runs; the world does not notice.
            world.dissolve()
            gc.collect()
            run_for(world, 2.0)
            assert heard == []
            assert list(host.disk.folder("/").names) in (["old"], [])
            assert "renamed" not in reached
            assert "generator went on" not in reached
            reached.clear()


def kill(host: Host):  # type: ignore[no-untyped-def]
    def end() -> None:
        next(iter(host.processes.values())).end(None)

    return end


def files_of(host: Host, world) -> FileSystem:  # type: ignore[no-untyped-def]
    return SimFileSystem(world.loop, next(iter(host.processes.values())))


def listen(host: Host, heard: list[bytes]) -> Process:
    class Ear(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            heard.append(data)

    async def main() -> None:
        await asyncio.get_running_loop().create_server(Ear, host.ip, 7)
        await asyncio.sleep(1e9)

    return start(host, main)


def test_a_paused_process_finds_its_timers_late() -> None:
    beats: list[float] = []

    async def main() -> None:
        while True:
            await asyncio.sleep(1.0)
            beats.append(round(world.loop.now, 2))

    with forgiving() as world:
        process = start(world.add_host("a"), main)
        world.loop.at(2.5, process.pause)
        world.loop.at(2.6, process.pause)
        world.loop.at(6.0, process.resume)
        world.loop.at(7.3, process.resume)
        run_for(world, 9.0)
    assert beats == [1.0, 2.0, 7.3, 8.3]


def test_a_signal_finds_its_handler_or_ends_the_process() -> None:
    caught: list[str] = []

    async def careful() -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, caught.append, "SIGTERM")
        await asyncio.sleep(1000)

    async def careless() -> None:
        await asyncio.sleep(1000)

    with forgiving() as world:
        one, other = start(world.add_host("a"), careful), start(world.add_host("b"), careless)
        run_for(world, 0.1)
        one.signal(signal.SIGTERM)
        other.signal(signal.SIGTERM)
        run_for(world, 0.1)
        assert caught == ["SIGTERM"]
        assert (one.alive, other.alive, other.status) == (True, False, -signal.SIGTERM)


def test_drift_stretches_timers_and_a_jump_moves_only_the_wall() -> None:
    fired: list[float] = []

    async def main() -> None:
        for _ in range(3):
            await asyncio.sleep(10.0)
            fired.append(round(world.loop.now, 1))

    with forgiving() as world:
        host = world.add_host("a")
        clock = host.clock
        wall = clock.wall_us(0.0)
        start(host, main)
        world.loop.at(5.0, host.drift, 0.5)
        world.loop.at(20.0, host.drift, 2.0)
        run_for(world, 40.0)
        # 5 s at the usual rate, the next 5 take 10; then 2.5 s at half the rate, 7.5 s at twice the rate; then 5.
        assert fired == [15.0, 23.8, 28.8]
        before = clock.wall_us(world.loop.now)
        clock.wall_offset_us += 3_600_000_000
        assert clock.wall_us(world.loop.now) - before == 3_600_000_000
        assert clock.monotonic_s(world.loop.now) - clock.monotonic_s(0.0) != 0
        assert before - wall == 1_000_000 * (5.0 + 7.5 + 40.0)


def test_turns_take_time_and_input_collects_meanwhile() -> None:
    """The mean batch under load is above one; without the CPU model it would be one."""

    def mean_batch(cpu_cost_s: tuple[float, float]) -> float:
        heard: list[bytes] = []
        with forgiving(cpu_cost_s=cpu_cost_s) as world:
            server = world.add_host("server")
            listen(server, heard)

            async def main() -> None:
                await asyncio.sleep(0.01)
                _, writer = await asyncio.open_connection(server.ip, 7)
                for _ in range(50):
                    writer.write(b"x")
                    await asyncio.sleep(0.0005)
                writer.close()

            clients = [start(world.add_host(f"client-{n}"), main) for n in range(20)]
            run_until(world, lambda: not any(client.alive for client in clients))
            return world.hosts["server"].processes[101].turns / len(heard)

    busy, free = mean_batch((20e-6, 2e-3)), mean_batch((0.0, 0.0))
    assert busy < 0.5 < 0.9 < free
