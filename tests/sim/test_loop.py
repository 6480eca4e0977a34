"""Virtual time: in order, without waiting, and nothing real within reach."""

from __future__ import annotations

import asyncio
import time

import pytest

from sim.errors import DeadlockError, EscapeError, LivelockError, UnexpectedExitError
from sim.world import World
from tests.sim.worlds import forgiving, run_for, run_until, start


def test_an_hour_takes_no_time() -> None:
    with World(1) as world:
        began = time.monotonic()
        run_for(world, 3600.0)
        assert world.loop.now == 3600.0
        assert time.monotonic() - began < 5.0


def test_timers_fire_in_order_of_time_then_of_setting() -> None:
    seen: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for name, when in (("b", 0.2), ("a", 0.1), ("c", 0.2), ("d", 0.2)):
            loop.call_later(when, seen.append, name)
        loop.call_later(0.15, seen.append, "never").cancel()
        await asyncio.sleep(0.3)

    with World(1) as world:
        world.run(main())
    assert seen == ["a", "b", "c", "d"]


def test_many_cancelled_timers_are_forgotten() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(5000):
            loop.call_later(1000.0, print).cancel()

    with World(1) as world:
        world.run(main())
        assert len(world.loop._heap) < 2500


def test_nothing_left_to_happen_is_reported_with_who_waits() -> None:
    with forgiving() as world:
        host = world.add_host("waiter")

        async def wait_for_ever() -> None:
            await asyncio.get_running_loop().create_future()

        start(host, wait_for_ever)
        with pytest.raises(DeadlockError, match=r"process waiter .*main of waiter at .*test_loop\.py"):
            run_until_never(world)


def test_a_deadlock_names_the_tasks_of_every_host() -> None:
    async def wait() -> None:
        task = asyncio.create_task(asyncio.Event().wait(), name="inner")
        await task

    with forgiving() as world:
        processes = [start(world.add_host(name), wait) for name in ("a", "b")]
        dead = start(world.add_host("c"), wait)
        world.loop.at(0.5, dead.end, None)
        with pytest.raises(DeadlockError) as caught:
            run_until_never(world)
    lines = str(caught.value).splitlines()
    for process in processes:
        assert [line.split(" at ")[0] for line in lines if str(process) in line] == [
            f"  {process}: main of {process.name}",
            f"  {process}: inner",
        ]
    # The dead wait for nothing.
    assert str(dead) not in str(caught.value)


def run_until_never(world: World) -> None:
    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    world.run(main())


def test_time_that_stands_still_is_reported() -> None:
    async def spin() -> None:
        while True:  # noqa: ASYNC110 - spinning is the point
            await asyncio.sleep(0)

    with World(1) as world, pytest.raises(LivelockError, match="Time stands still"):
        world.run(spin())


def test_a_process_that_spins_is_reported_by_name() -> None:
    """Without a CPU model its turns take no time; with one, time goes on and whoever waits for it times out."""

    async def spin() -> None:
        while True:  # noqa: ASYNC110 - spinning is the point
            await asyncio.sleep(0)

    with World(1, cpu_cost_s=(0.0, 0.0)) as world:
        start(world.add_host("spinner"), spin)
        with pytest.raises(LivelockError, match=r"process spinner .*main of spinner"):
            run_for(world, 1.0)
    with World(1) as world:
        start(world.add_host("spinner"), spin)
        run_for(world, 0.1)


def test_an_unexpected_exit_names_what_the_process_left() -> None:
    async def leave() -> None:
        task = asyncio.create_task(asyncio.sleep(1000), name="the work")
        await asyncio.sleep(0.1)
        assert not task.done()

    with World(1) as world:
        process = start(world.add_host("a"), leave)
        with pytest.raises(UnexpectedExitError, match=r"(?s)a ended with status 0\n  it left the work at .*tasks\.py"):
            run_until(world, lambda: not process.alive)


def test_a_process_that_fails_fails_the_run() -> None:
    async def fail() -> None:
        await asyncio.sleep(0.1)
        raise ValueError("on purpose")

    with World(1) as world:
        process = start(world.add_host("a"), fail)
        with pytest.raises(UnexpectedExitError, match="on purpose"):
            run_until(world, lambda: not process.alive)


def test_system_exit_ends_one_process() -> None:
    async def leave() -> None:
        raise SystemExit(3)

    async def stay() -> None:
        await asyncio.sleep(1000)

    with forgiving() as world:
        leaver, stayer = start(world.add_host("a"), leave), start(world.add_host("b"), stay)
        run_for(world, 1.0)
        assert (leaver.alive, leaver.status) == (False, 3)
        assert stayer.alive


@pytest.mark.parametrize("name", ["add_reader", "sock_connect", "subprocess_exec", "create_unix_server"])
def test_what_would_leave_the_simulation_is_refused_by_name(name: str) -> None:
    with World(1) as world, pytest.raises(EscapeError, match=name):
        getattr(world.loop, name)(0)


def test_jobs_for_threads_run_inline_and_take_time() -> None:
    results: list[tuple[int, bool]] = []

    async def ask() -> None:
        loop = asyncio.get_running_loop()
        before = loop.time()
        results.append((await loop.run_in_executor(None, sum, [1, 2, 3]), loop.time() > before))

    with forgiving() as world:
        process = start(world.add_host("a"), ask)
        run_until(world, lambda: not process.alive)
    assert results == [(6, True)]


def test_sets_of_tasks_have_one_order() -> None:
    def order() -> list[str]:
        async def main() -> list[str]:
            tasks = {asyncio.create_task(asyncio.sleep(1), name=f"t{n}") for n in range(50)}
            names = [task.get_name() for task in tasks]
            await asyncio.wait(tasks)
            return names

        with World(1) as world:
            return world.run(main())

    scrambled = [bytearray(n % 700) for n in range(20_000)]
    first = order()
    del scrambled[::3]
    assert order() == first
