"""Connections under everything that can befall them, as the processes at both ends see it."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable

import pytest

from sim.fabric import Weather
from sim.host import Host
from sim.process import Process
from sim.world import World
from tests.sim.worlds import forgiving, run_for, run_until, start

PORT = 7000
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def serve(host: Host, handler: Handler) -> Process:
    async def main() -> None:
        await asyncio.start_server(handler, host.ip, PORT)
        await asyncio.sleep(1e9)

    return start(host, main)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.close()
    except OSError:
        pass


def test_bytes_arrive_whole_and_in_order_whatever_happens_to_packets() -> None:
    received = bytearray()
    sent = bytes(n * 7 % 251 for n in range(300_000))

    with forgiving() as world:
        server, client = world.add_host("server"), world.add_host("client")
        process = serve(server, echo)

        async def main() -> None:
            await asyncio.sleep(0.01)
            reader, writer = await asyncio.open_connection(server.ip, PORT)

            async def write() -> None:
                for start_at in range(0, len(sent), 1000):
                    writer.write(sent[start_at : start_at + 1000])
                    await asyncio.sleep(0.01)
                writer.write_eof()

            writing = asyncio.create_task(write())
            while data := await reader.read(1 << 16):
                received.extend(data)
            await writing
            writer.close()

        client_process = start(client, main)
        there, back = world.fabric.link("client", "server"), world.fabric.link("server", "client")
        there.worsen(1, Weather(loss=0.2, duplication=0.2, reordering=0.5))
        for at, link, change in ((0.5, there, 1), (1.5, there, -1), (1.2, back, 1), (2.0, back, -1)):
            world.loop.at(at, add_cut, link, change)
        world.loop.at(2.2, process.pause)
        world.loop.at(2.9, process.resume)
        run_until(world, lambda: not client_process.alive, 120.0)
    assert bytes(received) == sent


def test_a_link_that_only_loses_packets_is_never_silent_for_long() -> None:
    waits: list[float] = []
    with forgiving() as world:
        server, client = world.add_host("server"), world.add_host("client")
        serve(server, echo)

        async def main() -> None:
            await asyncio.sleep(0.01)
            reader, writer = await asyncio.open_connection(server.ip, PORT)
            for _ in range(300):
                began = world.loop.now
                writer.write(b"x")
                await reader.readexactly(1)
                waits.append(world.loop.now - began)
            writer.close()

        process = start(client, main)
        world.fabric.link("client", "server").worsen(1, Weather(loss=0.7))
        run_until(world, lambda: not process.alive, 1200.0)
    assert 3.0 < max(waits) < 3.3


def add_cut(link, change: int) -> None:  # type: ignore[no-untyped-def]
    link.cuts += change


def test_nobody_listens_is_known_after_a_round_trip() -> None:
    assert outcome_of_connecting(lambda _: None) == (errno.ECONNREFUSED, pytest.approx(0.0006, abs=0.006))


def test_a_host_without_power_is_silent_until_the_kernel_gives_up() -> None:
    assert outcome_of_connecting(Host.cut_power) == (errno.ETIMEDOUT, pytest.approx(131.0, abs=0.1))


def test_a_paused_process_still_accepts() -> None:
    def pause(host: Host) -> None:
        next(iter(host.processes.values())).pause()

    assert outcome_of_connecting(pause, serving=True) == (0, pytest.approx(0.0006, abs=0.006))


def outcome_of_connecting(prepare: Callable[[Host], None], serving: bool = False) -> tuple[int, float]:
    """The errno and the time."""
    outcome: list[tuple[int, float]] = []
    with forgiving() as world:
        server, client = world.add_host("server"), world.add_host("client")
        if serving:
            serve(server, echo)
        run_for(world, 0.1)
        prepare(server)

        async def main() -> None:
            began = world.loop.now
            try:
                _, writer = await asyncio.open_connection(server.ip, PORT)
                writer.close()
                outcome.append((0, world.loop.now - began))
            except OSError as error:
                outcome.append((error.errno or 0, world.loop.now - began))

        start(client, main)
        run_for(world, 140.0)
    return outcome[0]


@pytest.mark.parametrize(
    ("unread", "expected"), [(False, b"eof"), (True, b"ConnectionResetError")], ids=["nothing unread", "input unread"]
)
def test_a_kill_is_the_end_of_the_stream_or_a_reset(unread: bool, expected: bytes) -> None:
    seen: list[bytes] = []

    async def stall(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(1e9)

    with forgiving() as world:
        server, client = world.add_host("server"), world.add_host("client")
        victim = serve(server, stall)

        async def main() -> None:
            await asyncio.sleep(0.01)
            reader, writer = await asyncio.open_connection(server.ip, PORT)
            seen.append(await reader.readexactly(5))
            if unread:
                writer.write(b"nobody reads this")
            try:
                seen.append(await reader.read(100) or b"eof")
            except ConnectionError as error:
                seen.append(type(error).__name__.encode())
            writer.close()

        process = start(client, main)
        world.loop.at(1.0, victim.end, None)
        run_until(world, lambda: not process.alive)
    assert seen == [b"hello", expected]


def test_a_power_cut_is_silence_and_after_the_boot_a_reset() -> None:
    seen: list[tuple[str, float]] = []

    with forgiving() as world:
        server, client = world.add_host("server"), world.add_host("client")
        serve(server, echo)

        async def main() -> None:
            await asyncio.sleep(0.01)
            reader, writer = await asyncio.open_connection(server.ip, PORT)
            await asyncio.sleep(1.0)
            writer.write(b"anybody?")
            try:
                await reader.read(100)
            except ConnectionResetError:
                seen.append(("reset", world.loop.now))
            writer.close()

        process = start(client, main)
        world.loop.at(0.5, server.cut_power)
        world.loop.at(3.0, server.boot)
        run_until(world, lambda: not process.alive)
    # Sent at 1.01, and again 0.2, 0.4, 0.8, 1.6 and 3.2 s later: the first that finds somebody comes after 3 s.
    assert seen == [("reset", pytest.approx(4.21, abs=0.02))]


def test_a_reader_that_does_not_read_stops_the_writer() -> None:
    taken: list[int] = []
    counted: list[int] = []

    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(10.0)
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        writer.write(b"%d" % len(await reader.read()))
        writer.close()

    with forgiving() as world:
        server, client = world.add_host("server"), world.add_host("client")
        serve(server, stall)

        async def main() -> None:
            await asyncio.sleep(0.01)
            reader, writer = await asyncio.open_connection(server.ip, PORT)
            for _ in range(200):
                writer.write(bytes(10_000))
                await writer.drain()
                taken.append(10_000)
            writer.write_eof()
            counted.append(int(await reader.read()))
            writer.close()

        process = start(client, main)
        run_for(world, 5.0)
        # Two kernel buffers and what asyncio lets pile up; not more.
        assert 400_000 < sum(taken) < 700_000
        run_until(world, lambda: not process.alive)
    assert counted == [2_000_000]


def test_half_closed_connections_still_carry_the_answer() -> None:
    answers: list[bytes] = []

    async def answer_at_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.read()
        writer.write(asked[::-1])
        writer.close()

    with forgiving() as world:
        server, client = world.add_host("server"), world.add_host("client")
        serve(server, answer_at_the_end)

        async def main() -> None:
            await asyncio.sleep(0.01)
            reader, writer = await asyncio.open_connection(server.ip, PORT)
            writer.write(b"abc")
            writer.write_eof()
            answers.append(await reader.read())
            writer.close()

        process = start(client, main)
        run_until(world, lambda: not process.alive)
    assert answers == [b"cba"]


def test_what_was_written_before_a_kill_is_delivered() -> None:
    received: list[bytes] = []

    async def collect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.read())
        writer.close()

    with forgiving() as world:
        server, client = world.add_host("server"), world.add_host("client")
        serve(server, collect)

        async def main() -> None:
            await asyncio.sleep(0.01)
            _, writer = await asyncio.open_connection(server.ip, PORT)
            world.fabric.link("client", "server").cuts += 1
            writer.write(b"x" * 1000)
            await asyncio.sleep(1e9)

        process = start(client, main)
        world.loop.at(1.0, process.end, None)
        world.loop.at(2.0, add_cut, world.fabric.link("client", "server"), -1)
        run_for(world, 20.0)
    assert received == [b"x" * 1000]


def test_connections_leave_nothing_behind() -> None:
    with forgiving() as world:
        server, client = world.add_host("server"), world.add_host("client")
        serve(server, echo)

        async def main() -> None:
            await asyncio.sleep(0.01)
            for _ in range(50):
                _, writer = await asyncio.open_connection(server.ip, PORT)
                writer.close()
                await writer.wait_closed()

        process = start(client, main)
        run_until(world, lambda: not process.alive)
        run_for(world, 1.0)
        assert kernel_memory(world) == 0


def kernel_memory(world: World) -> int:
    return sum(len(host.ends) for host in world.hosts.values())


def test_an_address_is_bound_once_and_must_be_ones_own() -> None:
    errors: list[int | None] = []

    with forgiving() as world:
        host, other = world.add_host("a"), world.add_host("b")

        async def main() -> None:
            await asyncio.start_server(echo, host.ip, PORT)
            for ip in (host.ip, "0.0.0.0", other.ip, "::1"):
                try:
                    await asyncio.start_server(echo, ip, PORT)
                except OSError as error:
                    errors.append(error.errno)

        process = start(host, main)
        run_until(world, lambda: not process.alive)
    assert errors == [errno.EADDRINUSE, errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EADDRNOTAVAIL]


def test_a_server_that_cannot_have_all_its_addresses_has_none() -> None:
    with forgiving() as world:
        host, other = world.add_host("a"), world.add_host("b")

        async def main() -> None:
            words = (
                rf"error while attempting to bind on address \('{other.ip}', 7000\): cannot assign requested address"
            )
            with pytest.raises(OSError, match=words):
                await asyncio.start_server(echo, [host.ip, other.ip], PORT)
            await asyncio.start_server(echo, host.ip, PORT)

        process = start(host, main)
        run_until(world, lambda: not process.alive)


def when_a_writer_hears(cut: str, *, released: bool) -> tuple[str, float]:
    """How a connection ends, and how long after the last write, when the way there or the way back is cut for good.
    With `released`, when the kernel forgets it although nobody holds it any more."""
    ended: list[tuple[str, float]] = []
    with forgiving() as world:
        server, client = world.add_host("server"), world.add_host("client")
        serve(server, echo)

        async def main() -> None:
            await asyncio.sleep(0.01)
            reader, writer = await asyncio.open_connection(server.ip, PORT)
            await asyncio.sleep(0.1)
            ways = {"there": ("client", "server"), "back": ("server", "client")}
            world.fabric.link(*ways[cut]).cuts += 1
            writer.write(b"anybody?")
            wrote_at = world.loop.now
            if released:
                writer.close()
                while client.ends:  # noqa: ASYNC110 - the kernel tells nobody
                    await asyncio.sleep(0.1)
                ended.append(("forgotten", world.loop.now - wrote_at))
                return
            try:
                await reader.read(100)
            except OSError as error:
                ended.append((errno.errorcode[error.errno or 0], world.loop.now - wrote_at))
            writer.close()

        start(client, main)
        run_for(world, 1000.0)
    return ended[0]


@pytest.mark.parametrize("cut", ["there", "back"])
def test_the_kernel_gives_up_after_a_quarter_of_an_hour(cut: str) -> None:
    assert when_a_writer_hears(cut, released=False) == ("ETIMEDOUT", pytest.approx(924.8, abs=0.1))


def test_it_gives_up_sooner_on_a_connection_that_nobody_holds() -> None:
    assert when_a_writer_hears("there", released=True) == ("forgotten", pytest.approx(102.5, abs=0.1))


def test_without_acknowledgements_a_sender_gets_no_further_than_its_first_window() -> None:
    """A one-way cut, against the stream's acknowledgements: bytes pass, but not many, until it is mended."""
    received = bytearray()
    at_the_mend: list[int] = []

    async def collect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            received.extend(data)
        writer.close()

    with forgiving() as world:
        server, client = world.add_host("server"), world.add_host("client")
        serve(server, collect)

        async def main() -> None:
            await asyncio.sleep(0.01)
            _, writer = await asyncio.open_connection(server.ip, PORT)
            await asyncio.sleep(0.1)
            world.fabric.link("server", "client").cuts += 1
            for number in range(40):
                writer.write(b"%03d " % number)
                await asyncio.sleep(0.01)
            await asyncio.sleep(2.0)
            at_the_mend.append(len(received))
            world.fabric.link("server", "client").cuts -= 1
            writer.close()

        process = start(client, main)
        run_until(world, lambda: not process.alive)
        # Its last packet is sent again at 0.2, 0.4, 0.8, 1.6 and 3.2 s, which is the first that is answered.
        mended_at = world.loop.now
        run_until(world, lambda: len(received) == 160)
        assert world.loop.now - mended_at == pytest.approx(3.2 - 2.4, abs=0.05)
    assert at_the_mend == [4 * 11]
    assert bytes(received) == b"".join(b"%03d " % number for number in range(40))


def test_who_has_read_the_end_hears_of_a_broken_pipe_when_writing() -> None:
    heard: list[str] = []

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    with forgiving() as world:
        server, client = world.add_host("server"), world.add_host("client")
        serve(server, hang_up)

        async def main() -> None:
            await asyncio.sleep(0.01)
            reader, writer = await asyncio.open_connection(server.ip, PORT)
            assert await reader.read() == b""
            writer.write(b"x")
            await asyncio.sleep(0.1)
            writer.write(b"y")
            try:
                await writer.wait_closed()
            except OSError as error:
                heard.append(type(error).__name__)

        process = start(client, main)
        run_until(world, lambda: not process.alive)
    assert heard == ["BrokenPipeError"]
