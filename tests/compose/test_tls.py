"""The lab in containers with TLS: nobody gets in without it, and a killed master costs what it costs without it."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.ask import NoAnswerError, ask, info_fields
from lab.authority import Certificates
from lab.check.verdict import Limits, judge
from lab.clients import Client, ProxiedClient, SmartClient
from lab.history import Kind, read
from lab.topology import Topology, slot_range
from lab.workload import Plan, Workload, tags
from runtime.runtime import system_runtime
from tests.compose.conftest import EVERYTHING, NODES, ContainerLab, running
from tests.counting import Counting
from tests.waiting import wait_until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(400)]

PREFIX = "27"
FIRST_PORT = 27000
PUBLISHED = [*range(27000, 27006), *range(27100, 27103), 27200]
# Operations before the fault, and after the failover.
ENOUGH = 300


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ContainerLab, Certificates]]:
    """The lab, and the certificates that its own tool has made for it."""
    folder = tmp_path_factory.mktemp("tls")
    with running(ContainerLab("shardlab-test-tls", "10.77.9", PREFIX, folder)) as lab:
        yield lab, Certificates(folder)


def redis_cli(certs: Certificates, *words: str) -> str:
    tls = ("--tls", "--cacert", certs.ca_cert, "--cert", certs.cert, "--key", certs.key)
    done = subprocess.run(["redis-cli", *tls, *words], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def test_no_port_speaks_anything_else(secure: tuple[ContainerLab, Certificates]) -> None:
    _, certs = secure
    for port in PUBLISHED:
        assert await ask(("localhost", port), "PING", timeout=5.0, tls=certs.context()) == ["PONG"]
        with pytest.raises(NoAnswerError):
            await ask(("localhost", port), "PING", timeout=0.5)
    await wait_until(lambda: _reaches_every_shard(certs), timeout=60.0, what="a proxy that reaches every shard")
    for number in range(20):
        assert redis_cli(certs, "-c", "-p", str(FIRST_PORT), "set", f"key:{number}", f"{number}") == "OK\n"
        assert redis_cli(certs, "-p", "27200", "get", f"key:{number}") == f"{number}\n"
    assert "[OK] All 16384 slots covered." in redis_cli(certs, "--cluster", "check", f"localhost:{FIRST_PORT}")


async def test_a_killed_master_loses_what_replication_explains(
    secure: tuple[ContainerLab, Certificates], tmp_path: Path
) -> None:
    lab, certs = secure
    tls = certs.context()
    topology = Topology()
    addresses = [("localhost", FIRST_PORT + number) for number in range(len(NODES))]
    clients: list[Client] = [SmartClient(addresses, system_runtime(), tls=tls) for _ in range(3)]
    clients.append(ProxiedClient(("localhost", 27200), tls=tls))
    groups = {f"shard-{n}": tags(*slot_range(topology, n), 4) for n in range(topology.masters)}
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    with (tmp_path / "history.jsonl").open("w", encoding="utf-8") as file:
        recorder = Counting(file, loop.time)
        workload = Workload(Plan(), groups, recorder)
        work = loop.create_task(workload.run(clients, stop))
        await recorder.wait_acknowledged(ENOUGH)
        # As in the nodes.conf that the containers start from.
        master, heir = "node-0", "node-3"
        recorder.moment(Kind.FAULT, "kill", master, ["shard-0"])
        await asyncio.to_thread(lab.container(master).kill)
        await wait_until(lambda: _role(heir, certs, "master"), what=f"{heir} in the place of {master}")
        recorder.moment(Kind.FAILOVER, heir, master, ["shard-0"])
        await recorder.wait_acknowledged(ENOUGH)
        await asyncio.to_thread(lab.container(master).start)
        await wait_until(lambda: _role(master, certs, "slave"), timeout=120.0, what=f"{master}'s return as a replica")
        stop.set()
        await work
        await workload.read_everything(clients)
        for client in clients:
            await client.close()
    with (tmp_path / "history.jsonl").open(encoding="utf-8") as lines:
        judgement = judge(read(lines), Limits())
    assert judgement.good, judgement.failures
    assert judgement.lost.judged > ENOUGH / 4
    assert judgement.service[0].recoveries[0].window is not None
    await asyncio.to_thread(lab.wait_healthy, *EVERYTHING)


async def _reaches_every_shard(certs: Certificates) -> bool:
    """The proxy's health check asks for one key only."""
    try:
        (found,) = await ask(("localhost", 27200), "EXISTS b key:2 foo", timeout=10.0, tls=certs.context())
    except NoAnswerError:
        return False
    return isinstance(found, int)


async def _role(seat: str, certs: Certificates, role: str) -> bool:
    try:
        (info,) = await ask(("localhost", FIRST_PORT + NODES.index(seat)), "INFO replication", tls=certs.context())
    except NoAnswerError:
        return False
    return isinstance(info, str) and info_fields(info)["role"] == role
