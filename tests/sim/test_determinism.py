"""One seed, one run: to the byte, in other processes, with other hash seeds and another heap."""

from __future__ import annotations

import asyncio

import pytest

from sim.trace import first_difference
from sim.trial import Plan, run
from sim.world import World
from tests.sim.digests import digests, scramble
from tests.sim.worlds import forgiving, run_for, start

# More seeds by hand: `python -m tests.sim.digests`.
_SEEDS = range(1, 4)


# Five processes that compute for some seconds each, beside whatever else the machine does.
@pytest.mark.timeout(240)
def test_a_seed_gives_one_trace_in_five_processes() -> None:
    found = digests(_SEEDS, processes=5)
    assert len(found) == 5
    assert len(found[0]) == len(_SEEDS)
    assert all(other == found[0] for other in found)


def test_a_seed_gives_one_trace_the_third_time_in_one_process() -> None:
    plan = Plan(1, duration_s=3.0, clients=1)
    first, _, third = (run(plan, keep_trace=number != 1) for number in range(3))
    assert first_difference(first.text, third.text) == []
    assert first.digest == third.digest


def chat(world: World) -> str:
    """A little small talk between three hosts, over both kinds of socket; the digest of it."""

    class Ear(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
            world.trace.tell("ear", f"{address[0]} {data.decode()}")

    async def talk() -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(Ear, local_addr=("0.0.0.0", 7))
        for number in range(5):
            await asyncio.sleep(1.0)
            for host in world.hosts.values():
                transport.sendto(b"%d" % number, (host.ip, 7))

    for name in ("a", "b", "c"):
        start(world.add_host(name), talk)
    run_for(world, 10.0)
    return world.trace.digest()


def small_talk(seed: int, cpu_cost_s: tuple[float, float] = (5e-6, 1e-4)) -> str:
    with forgiving(seed, cpu_cost_s=cpu_cost_s) as world:
        return chat(world)


def test_a_hundred_seeds_give_a_hundred_traces() -> None:
    assert len({small_talk(seed) for seed in range(100)}) == 100


def test_without_the_cpu_model_a_seed_gives_one_trace_as_well() -> None:
    heap = scramble()
    free = {small_talk(1, (0.0, 0.0)) for _ in range(3)}
    del heap
    assert len(free) == 1
    # It is part of what the seed decides.
    assert small_talk(1) not in free


@pytest.mark.parametrize(("other", "found"), [(["a\n", "b\n", "c\n"], []), (["a\n", "x\n"], ["< b\n", "> x\n"])])
def test_the_first_difference_is_named(other: list[str], found: list[str]) -> None:
    assert first_difference(["a\n", "b\n", "c\n"], other)[-2:] == found


def test_a_trace_that_ends_early_differs() -> None:
    assert first_difference(["a\n"], ["a\n", "b\n"])[-2:] == ["< (the end)\n", "> b\n"]
