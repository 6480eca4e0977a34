"""Tasks: no silent death, and an orderly end."""

from __future__ import annotations

import asyncio

from runtime.tasks import Tasks


async def test_a_death_is_told() -> None:
    deaths: list[tuple[str, BaseException]] = []
    tasks = Tasks(lambda name, failure: deaths.append((name, failure)))

    async def fail() -> None:
        raise ValueError("broken")

    async def succeed() -> None:
        pass

    await asyncio.wait([tasks.start("bad", fail()), tasks.start("good", succeed())])
    await asyncio.sleep(0)
    assert [(name, str(failure)) for name, failure in deaths] == [("bad", "broken")]


async def test_all_are_cancelled_in_order_of_birth_and_waited_for() -> None:
    ended: list[str] = []
    deaths: list[str] = []
    tasks = Tasks(lambda name, _: deaths.append(name))

    async def wait(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(name)

    for name in ("one", "two", "three"):
        tasks.start(name, wait(name))
    await asyncio.sleep(0)
    await tasks.cancel_all()
    assert ended == ["one", "two", "three"]
    assert deaths == []
