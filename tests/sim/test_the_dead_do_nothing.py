"""Nothing that Python runs when things go (`finally`, `__aexit__`, `__del__`, generators) is heard of a dead process.

A program prepares last words in every way that there is, and dies. Its twin does the same and has nothing to say.
Nobody outside can tell the two apart: not while the remains are held, not when they are freed, not when the collector
runs in the middle of other processes' lives. For contrast, the same cleanup of a process that ends in order is heard.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from sim.disk import SimDisk
from sim.host import Host
from sim.process import PROCESS, Process
from sim.tcp import Address
from sim.transport import SimTransport
from sim.world import World
from tests.sim.worlds import forgiving, run_for

Say = Callable[[], None]
PORT = 7


class Ear(asyncio.Protocol, asyncio.DatagramProtocol):
    """Writes down whatever reaches it, by stream or datagram, and is silent."""

    def __init__(self, heard: list[object]) -> None:
        self._heard = heard

    def connection_made(self, _: asyncio.BaseTransport) -> None:
        self._heard.append("connected")

    def data_received(self, data: bytes) -> None:
        self._heard.append(data)

    def datagram_received(self, data: bytes, _: Any) -> None:
        self._heard.append(data)

    def eof_received(self) -> bool:
        self._heard.append("end of stream")
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._heard.append(error)


class Farewell:
    """Something with a finalizer, alone or in a cycle with itself."""

    def __init__(self, say: Say, *, cycle: bool = False) -> None:
        self._say = say
        self._me = self if cycle else None

    def __del__(self) -> None:
        self._say()


class Dying(asyncio.Protocol):
    """A protocol with a finalizer, which nobody but its transport refers to."""

    def __init__(self, say: Say) -> None:
        self._farewell = Farewell(say)


def in_finally(say: Say) -> Awaitable[None]:
    async def wait() -> None:
        try:
            await asyncio.sleep(1e9)
        finally:
            say()

    return wait()


def in_async_with(say: Say) -> Awaitable[None]:
    async def wait() -> None:
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(say)
            await asyncio.sleep(1e9)

    return wait()


def in_a_generator(say: Say) -> Awaitable[None]:
    def numbers() -> Iterator[int]:
        try:
            yield 1
        finally:
            say()

    async def wait() -> None:
        for _ in numbers():
            await asyncio.sleep(1e9)

    return wait()


def in_an_asynchronous_generator(say: Say) -> Awaitable[None]:
    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            say()
            await asyncio.sleep(0)
            say()

    async def wait() -> None:
        async for _ in numbers():
            await asyncio.sleep(1e9)

    return wait()


def in_the_finalizer_of_a_local(say: Say) -> Awaitable[None]:
    async def wait() -> None:
        farewell = Farewell(say)
        await asyncio.sleep(1e9)
        del farewell

    return wait()


def in_a_cycle(say: Say) -> Awaitable[None]:
    async def wait() -> None:
        farewell = Farewell(say, cycle=True)
        await asyncio.sleep(1e9)
        del farewell

    return wait()


def in_the_finalizer_of_a_timer(say: Say) -> Awaitable[None]:
    async def wait() -> None:
        asyncio.get_running_loop().call_later(2.5, id, Farewell(say))
        await asyncio.sleep(1e9)

    return wait()


def in_the_finalizer_of_a_protocol(say: Say) -> Awaitable[None]:
    async def wait() -> None:
        process = PROCESS.get()
        assert process is not None
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: Dying(say), _peer(process), PORT)
        await asyncio.sleep(1e9)

    return wait()


def in_a_weak_finalizer(say: Say) -> Awaitable[None]:
    async def wait() -> None:
        farewell = Farewell(lambda: None)
        weakref.finalize(farewell, say)
        await asyncio.sleep(1e9)

    return wait()


def in_a_callback_of_a_task(say: Say) -> Awaitable[None]:
    async def wait() -> None:
        task = asyncio.get_running_loop().create_task(asyncio.sleep(1e9))
        task.add_done_callback(lambda _: say())
        await asyncio.sleep(1e9)

    return wait()


WAYS = [
    in_finally,
    in_async_with,
    in_a_generator,
    in_an_asynchronous_generator,
    in_the_finalizer_of_a_local,
    in_a_cycle,
    in_the_finalizer_of_a_timer,
    in_the_finalizer_of_a_protocol,
    in_a_weak_finalizer,
    in_a_callback_of_a_task,
]


# The task is never cancelled, and asyncio closes a generator by a task, which a dead process does not start.
NEVER_RUN = [in_a_callback_of_a_task, in_an_asynchronous_generator]


@dataclass
class Seen:
    """What a run looks like from outside, and whether the last words were said at all."""

    heard: list[object]
    files: dict[str, bytes]
    digest: str
    said: int = 0


def _peer(process: Process) -> str:
    return process.host.ip.rpartition(".")[0] + ".2"


def run(way: Callable[[Say], Awaitable[None]], how: str, *, silent: bool) -> Seen:
    """Live a second, die, be freed at 2 s, be collected at 3 s, and see what there is to see at 5 s."""
    seen = Seen([], {}, "")
    with forgiving() as world:
        host, peer = world.add_host("dying"), world.add_host("peer")
        _listen(peer, seen.heard)

        async def main(process: Process) -> int:
            await asyncio.sleep(0.1)
            outside = await _Outside.open(world, process, (_peer(process), PORT))

            def say() -> None:
                # Counted only while others live on: what the end of the world frees is not of interest.
                seen.said += world.loop.now < 5.0
                if not silent:
                    outside.reach()

            waiting = asyncio.ensure_future(way(say))
            await asyncio.sleep(0.9 if how == "end" else 1e9)
            waiting.cancel()
            await asyncio.sleep(0.1)
            return 0

        process = host.start("dying", main)
        if how == "kill":
            world.loop.at(1.0, process.end, None)
        elif how == "power cut":
            world.loop.at(1.0, host.cut_power)
        world.loop.at(2.0, world.loop.dissolve_dead)
        world.loop.at(3.0, world.collect)
        del process
        run_for(world, 5.0)
        seen.files = {name: bytes(inode.data) for name, inode in host.disk.folder("/").names.items()}
        seen.digest = world.trace.digest()
        # Whoever the last words were attributed to was not struck by them.
        assert not world.failures
    return seen


def _listen(peer: Host, heard: list[object]) -> None:
    async def main(_: Process) -> int:
        loop = asyncio.get_running_loop()
        await loop.create_server(lambda: Ear(heard), peer.ip, PORT)
        await loop.create_datagram_endpoint(lambda: Ear(heard), (peer.ip, PORT))
        await asyncio.sleep(1e9)
        return 0

    peer.start("peer", main)


class _Outside:
    """A process' connections and files, and an attempt to use all of them in every way."""

    def __init__(
        self, disk: SimDisk, to: Address, streams: list[SimTransport], datagrams: asyncio.DatagramTransport
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._disk = disk
        self._to = to
        self._streams = streams
        self._datagrams = datagrams
        self._file = disk.create("open")
        disk.create("old").close()
        disk.sync_dir_now()

    @classmethod
    async def open(cls, world: World, process: Process, to: Address) -> _Outside:
        loop = asyncio.get_running_loop()
        streams = [(await loop.create_connection(asyncio.Protocol, *to))[0] for _ in range(4)]
        datagrams, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=to)
        return cls(SimDisk(world.loop, process, "/"), to, streams, datagrams)  # type: ignore[arg-type]

    def reach(self) -> None:
        loop = self._loop
        for act in (
            lambda: self._streams[0].write(b"last words"),
            self._streams[1].close,
            self._streams[2].abort,
            self._streams[3].write_eof,
            lambda: self._datagrams.sendto(b"last words"),
            lambda: self._file.write(b"last words"),
            lambda: self._file.truncate(0),
            self._file.sync_now,
            lambda: self._disk.rename("old", "new"),
            lambda: self._disk.unlink("open"),
            lambda: self._disk.create("another"),
            lambda: self._disk.replace("another", b"last words"),
            self._disk.sync_dir_now,
            lambda: loop.call_soon(self._streams[0].write, b"later"),
            lambda: loop.call_later(0.1, self._streams[0].write, b"later"),
            lambda: loop.create_task(self._dial()),
            lambda: loop.run_in_executor(None, self._disk.create, "by a thread"),
        ):
            with contextlib.suppress(BaseException):
                act()

    async def _dial(self) -> None:
        transport, _ = await self._loop.create_connection(asyncio.Protocol, *self._to)
        transport.write(b"last words")


@pytest.mark.parametrize("how", ["kill", "power cut"])
@pytest.mark.parametrize("way", WAYS)
def test_last_words_are_not_heard(way: Callable[[Say], Awaitable[None]], how: str) -> None:
    loud, silent = run(way, how, silent=False), run(way, how, silent=True)
    assert loud == silent
    assert not {"later", b"last words"} & {word for word in loud.heard if isinstance(word, bytes | str)}
    # Most do run, so there was something to keep from being heard.
    assert loud.said > 0 or way in NEVER_RUN


@pytest.mark.parametrize("way", [in_finally, in_async_with, in_an_asynchronous_generator])
def test_those_of_a_process_that_ends_in_order_are(way: Callable[[Say], Awaitable[None]]) -> None:
    seen = run(way, "end", silent=False)
    assert b"last words" in seen.heard
    assert seen.files["another"] == b"last words"
