"""Small worlds for tests: programs as plain coroutines on hosts of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from sim.host import Host
from sim.process import Process
from sim.world import World


def forgiving(seed: int = 1, **options: Any) -> World:
    """A world in which programs may end as they like."""
    world = World(seed, **options)
    world.may_exit = lambda _: True
    return world


def start(host: Host, main: Callable[[], Coroutine[Any, Any, object]]) -> Process:
    """Run a coroutine function as the only program of a host."""

    async def program(_: Process) -> int:
        await main()
        return 0

    return host.start(host.name, program)


def run_until(world: World, condition: Callable[[], bool], timeout_s: float = 60.0) -> float:
    """Run the world until something holds; returns how long that took, in its own time."""

    async def main() -> float:
        return await world.until(condition, timeout_s, "the test's condition", every_s=0.001)

    return world.run(main())


def run_for(world: World, seconds: float) -> None:
    """Run the world for a while of its own time."""
    world.run(asyncio.sleep(seconds))
