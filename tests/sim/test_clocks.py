"""A wrong clock changes the readings and timers of its host, and nothing else; a pause makes timers late, and no clock.

One program looks at everything that shows time or takes it, on a host that is struck and on one that is not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from sim.disk import SimDisk
from sim.host import Host
from sim.process import Process
from sim.world import World
from tests.sim.worlds import forgiving, run_for

Strike = Callable[[World, Host, Process], None]


@dataclass
class Seen:
    """What ten seconds of the world look like from one host."""

    # By how much each clock went on.
    wall_s: float = 0.0
    monotonic_s: float = 0.0
    perf_s: float = 0.0
    # By how much the wall clock is wrong at the beginning.
    wrong_s: float = 0.0
    # When, in the world's time, timers that were set at 0 for 5 s had their turn.
    fired_at_s: dict[str, float] = field(default_factory=dict)
    # How long, in the world's time, what no clock measures took.
    took_s: dict[str, float] = field(default_factory=dict)


def look(strike: Strike, *, offset_s: float = 0.0) -> tuple[Seen, Seen]:
    """What is seen on the host that is struck, and on another one."""
    # Turns take no time, and each has a server of its own: the two do not see each other's draws.
    with forgiving(cpu_cost_s=(0.0, 0.0)) as world:
        _listen(world.add_host("server of struck"))
        _listen(world.add_host("server of other"))
        struck, other = world.add_host("struck"), world.add_host("other")
        struck.clock.wall_offset_us = round(offset_s * 1e6)
        run_for(world, 1.0)
        (process, one), (_, two) = _observe(world, struck), _observe(world, other)
        strike(world, struck, process)
        run_for(world, 20.0)
    return one, two


def _listen(host: Host) -> None:
    async def main(_: Process) -> int:
        async with await asyncio.start_server(lambda _, writer: writer.close(), host.ip, 7):
            await asyncio.sleep(1e9)
        return 0

    host.start("server", main)


def _observe(world: World, host: Host) -> tuple[Process, Seen]:
    seen = Seen()
    began = world.loop.now
    server = world.hosts[f"server of {host.name}"]

    async def main(process: Process) -> int:
        loop = asyncio.get_running_loop()
        clock = world.runtime(process).clock

        def note(what: str) -> None:
            seen.fired_at_s[what] = world.loop.now - began

        async def sleep() -> None:
            await asyncio.sleep(5.0)
            note("sleep")

        async def time_out() -> None:
            try:
                async with asyncio.timeout(5.0):
                    await asyncio.sleep(1e9)
            except TimeoutError:
                note("timeout")

        def read() -> tuple[float, float, float]:
            return clock.wall_us() / 1e6, loop.time(), clock.perf_ns() / 1e9

        loop.call_later(5.0, note, "call_later")
        loop.call_at(loop.time() + 5.0, note, "call_at")
        tasks = [asyncio.ensure_future(sleep()), asyncio.ensure_future(time_out())]
        before = read()
        seen.wrong_s = before[0] - (1_767_225_600 + world.loop.now)

        def look_again() -> None:
            differences = [after - earlier for after, earlier in zip(read(), before, strict=True)]
            seen.wall_s, seen.monotonic_s, seen.perf_s = differences

        # As if somebody outside asked the host for the time, whether or not the process runs.
        world.loop.at(began + 10.0, process.free, look_again)
        await asyncio.gather(*tasks)
        disk = SimDisk(world.loop, process, "/")
        file = disk.create("a")
        for what, work in (
            ("sync", file.sync),
            ("sync of the folder", disk.sync_dir),
            ("job", lambda: loop.run_in_executor(None, int)),
            ("name", lambda: loop.getaddrinfo(server.name, 7)),
            ("connection", lambda: loop.create_connection(asyncio.Protocol, server.ip, 7)),
        ):
            at = world.loop.now
            await work()  # type: ignore[operator]
            seen.took_s[what] = world.loop.now - at
        return 0

    return host.start("observer", main), seen


def leave_alone(_: World, __: Host, ___: Process) -> None:
    pass


def drift(rate: float, at_s: float = 0.0) -> Strike:
    return lambda world, host, _: world.loop.at(world.loop.now + at_s, host.drift, rate)


def step(seconds: float, at_s: float) -> Strike:
    def jump(host: Host) -> None:
        host.clock.wall_offset_us += round(seconds * 1e6)

    return lambda world, host, _: world.loop.at(world.loop.now + at_s, jump, host)


def pause(world: World, _: Host, process: Process) -> None:
    world.loop.at(world.loop.now + 2.0, process.pause)
    world.loop.at(world.loop.now + 8.0, process.resume)


@dataclass(frozen=True)
class Row:
    """What a clock's fault must do, in seconds; what is not named stays as it is."""

    name: str
    strike: Strike
    offset_s: float = 0.0
    wall_s: float = 10.0
    # The monotonic clock, by both its names.
    monotonic_s: float = 10.0
    fired_at_s: float = 5.0


ROWS = [
    Row("nothing", leave_alone),
    Row("drift, fast", drift(1.25), wall_s=12.5, monotonic_s=12.5, fired_at_s=4.0),
    Row("drift, slow", drift(0.8), wall_s=8.0, monotonic_s=8.0, fired_at_s=6.25),
    Row("drift, from half way on", drift(2.0, 2.5), wall_s=17.5, monotonic_s=17.5, fired_at_s=3.75),
    Row("offset", leave_alone, offset_s=-60.0),
    Row("step forward", step(3600.0, 2.0), wall_s=3610.0),
    Row("step back", step(-3600.0, 2.0), wall_s=-3590.0),
    Row("pause", pause, fired_at_s=8.0),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_each_acts_on_what_it_should_and_on_nothing_else(row: Row) -> None:
    usual, _ = look(leave_alone)
    struck, other = look(row.strike, offset_s=row.offset_s)
    assert struck.wrong_s == pytest.approx(row.offset_s, abs=1e-3)
    assert struck.wall_s == pytest.approx(row.wall_s, abs=1e-3)
    assert struck.monotonic_s == pytest.approx(row.monotonic_s, abs=1e-3)
    assert struck.perf_s == pytest.approx(row.monotonic_s, abs=1e-3)
    assert list(struck.fired_at_s) == ["call_later", "call_at", "sleep", "timeout"]
    assert [*struck.fired_at_s.values()] == pytest.approx([row.fired_at_s] * 4, abs=1e-3)
    # The platter, the wires and other threads know nothing of the host's clocks.
    assert struck.took_s == pytest.approx(usual.took_s, abs=1e-9)
    # Nor does anybody else.
    assert other.fired_at_s.keys() == struck.fired_at_s.keys()
    assert [*other.fired_at_s.values()] == pytest.approx([5.0] * 4, abs=1e-3)
    assert (other.wall_s, other.monotonic_s, other.perf_s) == pytest.approx((10.0, 10.0, 10.0), abs=1e-3)


def test_a_sync_goes_on_while_the_process_is_paused_and_is_durable() -> None:
    with forgiving() as world:
        host = world.add_host("a")

        async def main(process: Process) -> int:
            disk = SimDisk(world.loop, process, "/")
            file = disk.create("a")
            file.write(b"kept")
            await asyncio.gather(file.sync(), disk.sync_dir())
            return 0

        process = host.start("a", main)
        world.loop.at(50e-6, process.pause)
        run_for(world, 1.0)
        assert process.alive
        host.cut_power()
        assert host.disk.content("/a") == b"kept"
