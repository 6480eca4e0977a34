"""The simulated network speaks no TLS, and whoever is told to speak it says so and ends."""

from __future__ import annotations

import asyncio
import ssl

import pytest

from sim.errors import EscapeError
from sim.programs import node_program, proxy_program, sentinel_program
from tests.sim.worlds import forgiving, run_until, start

NO_TLS = "The simulated network speaks no TLS."
FILES = "tls-cert-file a\ntls-key-file b\ntls-ca-cert-file c\n"
PROGRAMS = {
    "node": lambda world: node_program(world, "/data/conf", lambda _: None),
    "sentinel": lambda world: sentinel_program(world, "/data/conf", lambda _: None),
    "proxy": lambda world: proxy_program(world, ["--nodes", "10.0.0.9:7000", "--tls-cluster", "yes"]),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_that_is_to_speak_it(name: str) -> None:
    said: list[str] = []
    with forgiving() as world:
        host = world.add_host("server")
        host.disk.make_folder("/data")
        host.disk.put("/data/conf", f"tls-port 7001\n{FILES}".encode())
        world.trace.listen(lambda _at, _who, what: said.append(what))
        process = host.start(name, PROGRAMS[name](world))
        run_until(world, lambda: not process.alive)
        assert process.status == 1
    assert any(NO_TLS in what for what in said)


def test_a_connection() -> None:
    with forgiving() as world:
        caught: list[Exception] = []

        async def connect() -> None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            try:
                await asyncio.get_running_loop().create_connection(asyncio.Protocol, "10.0.0.9", 1, ssl=context)
            except EscapeError as error:
                caught.append(error)

        process = start(world.add_host("a"), connect)
        run_until(world, lambda: not process.alive)
        assert "ssl=" in str(caught[0])
        assert "is not simulated" in str(caught[0])
