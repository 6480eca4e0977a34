"""Streams keep their promise under everything at once: the same bytes in the same order, or an error; never less, never
more, and nobody writes faster than the other side reads."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from sim.direction import RECEIVE_BUFFER
from sim.fabric import Weather
from sim.process import Process
from sim.tcp import SEND_BUFFER
from sim.world import World
from tests.sim.test_tcp import PORT, add_cut, echo, kernel_memory, serve
from tests.sim.worlds import forgiving, run_for, run_until, start


def trouble(world: World, chance: Random, processes: list[Process]) -> None:
    """Ten seconds of loss, cuts and pauses."""
    names = [process.host.name for process in processes]
    for number in range(8):
        at = chance.uniform(0.0, 10.0)
        until = at + chance.choice((0.05, 0.5, 2.0)) * chance.random()
        link = world.fabric.link(*chance.sample(names, 2))
        match chance.randrange(3):
            case 0:
                loss = Weather(delay_s=0.02 * chance.random(), loss=0.4 * chance.random(), reordering=0.5)
                world.loop.at(at, link.worsen, number, loss)
                world.loop.at(until, link.clear_up, number)
            case 1:
                world.loop.at(at, add_cut, link, 1)
                world.loop.at(until, add_cut, link, -1)
            case _:
                victim = processes[chance.randrange(2)]
                world.loop.at(at, victim.pause)
                world.loop.at(until, victim.resume)


@pytest.mark.parametrize("seed", range(25))
def test_both_directions_carry_the_same_bytes_in_order(seed: int) -> None:
    """A client writes for ten seconds, half-closes, and reads what is sent back until it ends."""
    chance = Random(seed)
    pieces = [chance.randbytes(chance.choice((1, 100, 5_000, 70_000))) for _ in range(60)]
    received = bytearray()
    with forgiving(seed) as world:
        server, client = world.add_host("server"), world.add_host("client")

        async def main() -> None:
            await asyncio.sleep(0.01)
            reader, writer = await asyncio.open_connection(server.ip, PORT)

            async def write() -> None:
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(10.0 / len(pieces))
                writer.write_eof()

            writing = asyncio.ensure_future(write())
            while data := await reader.read(1 << 16):
                received.extend(data)
            await writing
            writer.close()

        processes = [serve(server, echo), start(client, main)]
        run_for(world, 0.1)
        trouble(world, chance, processes)
        run_until(world, lambda: not processes[1].alive, 120.0)
        run_for(world, 120.0)
        assert kernel_memory(world) == 0
    assert bytes(received) == b"".join(pieces)


def test_a_broken_connection_has_delivered_a_beginning() -> None:
    """Whatever ends it, what was read is the first part of what was written."""
    outcomes: dict[str, int] = {}
    sent = bytes(n * 7 % 251 for n in range(400_000))
    for seed in range(12):
        received = bytearray()
        ends: list[str] = []
        with forgiving(seed) as world:
            server, client = world.add_host("server"), world.add_host("client")

            async def collect(
                reader: asyncio.StreamReader,
                writer: asyncio.StreamWriter,
                received: bytearray = received,
                ends: list[str] = ends,
            ) -> None:
                try:
                    while data := await reader.read(1 << 16):
                        received.extend(data)
                    ends.append("end")
                except OSError as error:
                    ends.append(type(error).__name__)
                writer.close()

            async def main(ip: str = server.ip) -> None:
                await asyncio.sleep(0.01)
                _, writer = await asyncio.open_connection(ip, PORT)
                for at in range(0, len(sent), 4000):
                    writer.write(sent[at : at + 4000])
                    await asyncio.sleep(0.001)
                await asyncio.sleep(1e9)

            serve(server, collect)
            process = start(client, main)
            run_for(world, 0.02 + 0.003 * seed)
            if seed % 2:
                process.end(None)
            else:
                for end in list(client.ends):
                    end.peer.fail(104)
                    end.fail(104)
            run_for(world, 5.0)
        assert 0 < len(received) < len(sent)
        assert sent.startswith(bytes(received))
        outcomes[ends[0]] = outcomes.get(ends[0], 0) + 1
    # A kill with nothing unread is the end of the stream.
    assert outcomes == {"end": 6, "ConnectionResetError": 6}


class Writer(asyncio.Protocol):
    """Writes whenever it may, and notes when it may not."""

    def __init__(self, total: int) -> None:
        self.left = total
        self.calls: list[str] = []
        self._may_write = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._write()

    def _write(self) -> None:
        while self._may_write and self.left:
            size = min(self.left, 10_000)
            self.left -= size
            self.transport.write(bytes(size))
        if not self.left:
            self.transport.write_eof()

    def pause_writing(self) -> None:
        self._may_write = False
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self._may_write = True
        self.calls.append("resume")
        self._write()


@pytest.mark.parametrize("how", ["stops reading", "is paused", "is cut off", "cannot acknowledge"])
def test_a_writer_is_held_by_a_reader_that(how: str) -> None:
    total = 3_000_000
    counted: list[int] = []

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if how == "stops reading":
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            await asyncio.sleep(5.0)
            writer.transport.resume_reading()  # type: ignore[attr-defined]
        counted.append(len(await reader.read()))
        writer.close()

    with forgiving() as world:
        server, client = world.add_host("server"), world.add_host("client")
        reading = serve(server, count)
        run_for(world, 0.1)
        protocol = Writer(total)

        async def main() -> None:
            await asyncio.get_running_loop().create_connection(lambda: protocol, server.ip, PORT)
            await asyncio.sleep(1e9)

        start(client, main)
        ways = ("server", "client") if how == "cannot acknowledge" else ("client", "server")
        link = world.fabric.link(*ways)
        if how == "is paused":
            reading.pause()
            world.loop.at(5.0, reading.resume)
        elif how != "stops reading":
            world.loop.at(0.1016, add_cut, link, 1)
            world.loop.at(5.0, add_cut, link, -1)
        run_for(world, 3.0)
        assert protocol.calls[-1] == "pause"
        written = total - protocol.left
        run_for(world, 1.0)
        assert written == total - protocol.left
        # The kernels' buffers and asyncio's, with one write more than that; before the cut some was read, too.
        assert written <= SEND_BUFFER + RECEIVE_BUFFER + 64 * 1024 + 10_000 or link.cuts
        assert not counted
        run_until(world, lambda: bool(counted), 60.0)
        assert protocol.calls.count("pause") == protocol.calls.count("resume")
    assert counted == [total]


def test_a_stream_half_closed_behind_a_cut_is_answered_when_it_is_mended() -> None:
    answers: list[tuple[bytes, float]] = []

    async def answer_at_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read())[::-1])
        writer.close()

    with forgiving() as world:
        server, client = world.add_host("server"), world.add_host("client")
        serve(server, answer_at_the_end)

        async def main() -> None:
            await asyncio.sleep(0.01)
            reader, writer = await asyncio.open_connection(server.ip, PORT)
            await asyncio.sleep(0.1)
            began = world.loop.now
            link = world.fabric.link("client", "server")
            link.cuts += 1
            writer.write(b"abc")
            writer.write_eof()
            world.loop.at(began + 1.0, add_cut, link, -1)
            answers.append((await reader.read(), world.loop.now - began))
            writer.close()

        process = start(client, main)
        run_until(world, lambda: not process.alive)
        run_for(world, 1.0)
        assert kernel_memory(world) == 0
    assert answers == [(b"cba", pytest.approx(1.6, abs=0.05))]


@pytest.mark.parametrize("bandwidth", [100_000, 1_000_000])
def test_a_slow_link_carries_so_many_bytes_a_second(bandwidth: int) -> None:
    took: list[float] = []

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1 << 16):
            pass
        took.append(world.loop.now)
        writer.close()

    with forgiving() as world:
        server, client = world.add_host("server"), world.add_host("client")
        serve(server, count)
        world.fabric.link("client", "server").worsen(1, Weather(delay_s=0.1, bandwidth=bandwidth))

        async def main() -> None:
            await asyncio.sleep(0.01)
            _, writer = await asyncio.open_connection(server.ip, PORT)
            took.append(-world.loop.now)
            for _ in range(100):
                writer.write(bytes(10_000))
                await writer.drain()
            writer.close()
            await writer.wait_closed()

        start(client, main)
        run_until(world, lambda: len(took) == 2)
    assert sum(took) == pytest.approx(1_000_000 / bandwidth + 0.1, abs=0.02)
