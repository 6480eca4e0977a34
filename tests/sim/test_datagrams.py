"""Datagrams, as the cluster bus uses them: through `asyncio-dgram`."""

from __future__ import annotations

import asyncio

import asyncio_dgram
import pytest

from sim.fabric import Weather
from tests.sim.worlds import forgiving, run_for, run_until, start


def deliver(weather: Weather, *, cut: bool = False, paused_until_s: float = 0.0, count: int = 1000) -> list[bytes]:
    """What of `count` numbered datagrams arrives, in the order of arrival."""
    arrived: list[bytes] = []
    with forgiving() as world:
        sender, receiver = world.add_host("sender"), world.add_host("receiver")
        link = world.fabric.link("sender", "receiver")
        link.worsen(1, weather)
        link.cuts += cut

        async def receive() -> None:
            stream = await asyncio_dgram.bind((receiver.ip, 9))
            while True:
                data, address = await stream.recv()
                assert address == (sender.ip, 10)
                arrived.append(data)

        async def send() -> None:
            stream = await asyncio_dgram.bind((sender.ip, 10))
            await asyncio.sleep(0.1)
            for number in range(count):
                await stream.send(b"%04d" % number, (receiver.ip, 9))
                await asyncio.sleep(0.0001)

        process = start(receiver, receive)
        sending = start(sender, send)
        if paused_until_s:
            world.loop.at(0.05, process.pause)
            world.loop.at(paused_until_s, process.resume)
        run_until(world, lambda: not sending.alive)
        run_for(world, 5.0)
    return arrived


def test_all_arrive_on_a_good_link() -> None:
    assert len(deliver(Weather())) == 1000


def test_some_are_lost() -> None:
    assert len(deliver(Weather(loss=0.3))) == pytest.approx(700, abs=60)


def test_some_come_twice() -> None:
    arrived = deliver(Weather(duplication=0.3))
    assert len(set(arrived)) == 1000
    assert len(arrived) == pytest.approx(1300, abs=60)


def test_order_is_not_kept() -> None:
    arrived = deliver(Weather(reordering=0.5))
    assert sorted(arrived) != arrived
    assert len(arrived) == 1000


def test_a_cut_loses_all() -> None:
    assert deliver(Weather(), cut=True) == []


def test_a_paused_receiver_loses_what_does_not_fit_its_buffer() -> None:
    arrived = deliver(Weather(), paused_until_s=2.0)
    # 208 KiB, of which each datagram takes its own size and the kernel's bookkeeping.
    assert len(arrived) == 212_992 // (512 + 4)
    assert arrived[0] == b"0000"


def test_only_a_connected_socket_hears_that_nobody_listens() -> None:
    heard: list[str] = []
    with forgiving() as world:
        sender, receiver = world.add_host("sender"), world.add_host("receiver")

        async def connected() -> None:
            stream = await asyncio_dgram.connect((receiver.ip, 9))
            await stream.send(b"x")
            await asyncio.sleep(0.1)
            try:
                await stream.send(b"y")
            except ConnectionRefusedError:
                heard.append("connected")
            unconnected = await asyncio_dgram.bind((sender.ip, 10))
            for _ in range(2):
                await unconnected.send(b"x", (receiver.ip, 9))
                await asyncio.sleep(0.1)

        process = start(sender, connected)
        run_until(world, lambda: not process.alive)
    assert heard == ["connected"]
