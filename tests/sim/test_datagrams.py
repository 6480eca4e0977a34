"""Datagrams, as the cluster bus uses them: through `asyncio-dgram`."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from functools import partial

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
    assert len(arrived) == ROOM_FOR[4]
    assert arrived[0] == b"0000"


# How many unread datagrams of a size there is room for.
ROOM_FOR = {0: 256, 4: 256, 100: 256, 193: 256, 300: 166, 500: 166, 900: 92, 1500: 92, 2500: 48, 8000: 12, 60_000: 3}


@pytest.mark.parametrize("size", ROOM_FOR)
def test_the_receive_buffer_is_as_small_as_on_linux(size: int) -> None:
    with forgiving() as world:
        receiver = world.add_host("receiver")

        async def receive() -> None:
            stream = await asyncio_dgram.bind((receiver.ip, 9))
            await asyncio.sleep(1e9)
            stream.close()

        process = start(receiver, receive)
        run_for(world, 0.1)
        process.pause()
        opened = receiver.datagram_socket((receiver.ip, 9))
        assert opened is not None
        for _ in range(300):
            opened.received(bytes(size), (receiver.ip, 10))
        assert len(opened._input) == ROOM_FOR[size]


@pytest.mark.parametrize("size", ROOM_FOR)
def test_linux_has_as_much_room(size: int) -> None:
    """How Linux counts differs a little from one release to the next; that the number is of this order does not."""
    with socket.socket(type=socket.SOCK_DGRAM) as receiver, socket.socket(type=socket.SOCK_DGRAM) as sender:
        receiver.setblocking(False)
        receiver.bind(("127.0.0.1", 0))
        buffer = receiver.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        for _ in range(1000):
            sender.sendto(bytes(size), receiver.getsockname())
        arrived = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                receiver.recv(65_536)
                arrived += 1
    assert arrived * 212_992 / buffer == pytest.approx(ROOM_FOR[size], rel=0.5, abs=1)


async def who_hears_that_nobody_listens(own_ip: str, to: tuple[str, int]) -> list[str]:
    heard: list[str] = []
    connected = await asyncio_dgram.connect(to)
    unconnected = await asyncio_dgram.bind((own_ip, 0))
    for name, send in (("connected", connected.send), ("unconnected", partial(unconnected.send, addr=to))):
        try:
            for _ in range(2):
                await send(b"x")
                await asyncio.sleep(0.1)
        except ConnectionRefusedError:
            heard.append(name)
    connected.close()
    unconnected.close()
    return heard


def test_only_a_connected_socket_hears_that_nobody_listens() -> None:
    heard: list[str] = []
    with forgiving() as world:
        sender, receiver = world.add_host("sender"), world.add_host("receiver")

        async def main() -> None:
            heard.extend(await who_hears_that_nobody_listens(sender.ip, (receiver.ip, 9)))

        process = start(sender, main)
        run_until(world, lambda: not process.alive)
    assert heard == ["connected"]


def test_on_linux_too() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as held:
        held.bind(("127.0.0.1", 0))
        nobody = held.getsockname()
    assert asyncio.run(who_hears_that_nobody_listens("127.0.0.1", nobody)) == ["connected"]
