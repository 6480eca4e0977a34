"""Each row of `linux_rows` holds in the simulator and among real processes: what a client sees, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.sim.linux_grounds import NetworkGround, RealGround, SimulatedGround, Wire, why_no_namespaces
from tests.sim.linux_rows import ROWS, Ground, Row
from tests.sim.worlds import forgiving, run_for, run_until, start

# What "at once" and "then" may be late by: by the simulator's latencies, and on a machine that has other things to do.
LATE_S = 0.1
LATE_HERE_S = 2.0


async def see(row: Row, ground: Ground) -> tuple[str, float]:
    """What the row's client sees, and how long after the strike."""
    loop = asyncio.get_running_loop()
    struck_at = 0.0

    def strike() -> None:
        nonlocal struck_at
        ground.strike(row.fault)
        struck_at = loop.time()
        if row.mended_after_s is not None:
            loop.call_later(row.mended_after_s, ground.mend)

    sees = await row.client(ground, strike)
    return sees, loop.time() - struck_at


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_simulated(row: Row) -> None:
    seen: list[tuple[str, float]] = []
    with forgiving() as world:
        ground = SimulatedGround(world, row)
        run_for(world, 0.1)

        async def main() -> None:
            seen.append(await see(row, ground))

        client = start(ground.client_host, main)
        run_until(world, lambda: not client.alive)
    ((sees, after_s),) = seen
    assert sees == row.sees
    assert row.after_s - 0.001 <= after_s <= row.after_s + LATE_S


@pytest.mark.parametrize("row", [row for row in ROWS if not row.of_the_network], ids=lambda row: row.name)
def test_on_loopback(row: Row) -> None:
    check_here(row, RealGround(row))


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    reason = why_no_namespaces()
    if reason:
        pytest.skip(reason)
    wire = Wire()
    wire.lay()
    yield wire
    wire.remove()


@pytest.mark.parametrize("row", [row for row in ROWS if row.of_the_network], ids=lambda row: row.name)
def test_between_namespaces(wire: Wire, row: Row) -> None:
    check_here(row, NetworkGround(wire, row))


def check_here(row: Row, ground: RealGround) -> None:
    try:
        sees, after_s = asyncio.run(see(row, ground))
    finally:
        ground.kill()
    assert sees == row.sees
    assert row.after_s - 0.05 <= after_s <= row.after_s + LATE_HERE_S
