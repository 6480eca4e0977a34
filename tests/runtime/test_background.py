"""Work in a forked child: its result, its output, its end."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable

import pytest

from runtime.background import BackgroundError, BackgroundKilledError, ForkBackground


async def test_the_child_sees_what_was_and_the_parent_goes_on() -> None:
    data = ["before"]
    received: list[bytes] = []

    def work(write: Callable[[bytes], None]) -> None:
        time.sleep(0.05)  # the parent changes its copy meanwhile; this is another process's time
        write(data[0].encode())

    job = ForkBackground().start_streaming(work, received.append)
    data[0] = "after"
    await job.wait()
    assert b"".join(received) == b"before"


async def test_numbers_are_shared() -> None:
    background = ForkBackground()
    numbers = background.shared_numbers(2)

    def work() -> None:
        numbers[1] = 2**64 - 1

    await background.start(work).wait()
    assert list(numbers) == [0, 2**64 - 1]


async def test_much_output_arrives_whole_and_in_order() -> None:
    received: list[bytes] = []

    def work(write: Callable[[bytes], None]) -> None:
        for index in range(200):
            write(b"%06d" % index * 10_000)

    job = ForkBackground().start_streaming(work, received.append)
    await job.wait()
    assert b"".join(received) == b"".join(b"%06d" % index * 10_000 for index in range(200))


async def test_a_conversation() -> None:
    received: list[bytes] = []

    def work(read: Callable[[], bytes], write: Callable[[bytes], None]) -> None:
        while data := read():
            write(data.upper())
        write(b"the end")

    answered = asyncio.Event()

    def receive(data: bytes) -> None:
        received.append(data)
        answered.set()

    job = ForkBackground().start_conversation(work, receive)
    job.send(b"hello")
    await answered.wait()
    job.hang_up()
    await job.wait()
    assert received == [b"HELLO", b"the end"]
    # Whatever has its descriptor now is left alone.
    ours, theirs = socket.socketpair()
    with ours, theirs:
        job.send(b"more")
        job.hang_up()
        ours.setblocking(False)
        theirs.setblocking(False)
        for end in (ours, theirs):
            with pytest.raises(BlockingIOError):
                end.recv(1)


async def test_a_child_that_does_not_listen_ends() -> None:
    job = ForkBackground().start_conversation(lambda read, write: time.sleep(60), lambda data: None)
    for _ in range(100):
        job.send(b"x" * 100_000)
    with pytest.raises(BackgroundKilledError):
        await job.wait()


async def test_a_paused_job_waits_and_goes_on() -> None:
    received: list[bytes] = []
    job = ForkBackground().start_streaming(lambda write: write(b"x" * 1_000_000), received.append)
    job.pause()
    done = asyncio.ensure_future(job.wait())
    for _ in range(5):
        await asyncio.sleep(0)
    assert received == []
    assert not done.done()
    job.resume()
    await done
    assert len(b"".join(received)) == 1_000_000


async def test_failure_is_reported(capfd: pytest.CaptureFixture[str]) -> None:
    def fails() -> None:
        raise ValueError("no")

    with pytest.raises(BackgroundError, match="status 1"):
        await ForkBackground().start(fails).wait()
    assert "ValueError: no" in capfd.readouterr().err


async def test_work_that_has_said_why_it_failed_leaves_no_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    def fails() -> None:
        raise BackgroundError

    with pytest.raises(BackgroundError):
        await ForkBackground().start(fails).wait()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("paused", [False, True])
async def test_a_killed_job_ends_even_if_its_output_is_not_taken(paused: bool) -> None:
    def endless(write: Callable[[bytes], None]) -> None:
        while True:
            write(b"x" * 65536)

    job = ForkBackground().start_streaming(endless, lambda data: None)
    if paused:
        job.pause()
    job.kill()
    with pytest.raises(BackgroundKilledError):
        await job.wait()


async def test_the_child_holds_none_of_the_parents_sockets() -> None:
    """Otherwise the port of a killed server stays taken for as long as its child saves."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    fd = listening.fileno()
    received: list[bytes] = []

    def work(write: Callable[[bytes], None]) -> None:
        write(b"closed" if not os.path.exists(f"/proc/self/fd/{fd}") else b"open")

    job = ForkBackground().start_streaming(work, received.append)
    await job.wait()
    assert received == [b"closed"]
    listening.close()
