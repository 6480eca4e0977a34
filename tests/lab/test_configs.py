"""The files that a lab starts from are Redis' own: real redis-server and redis-sentinel start from them too."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import configs
from lab.ask import NoAnswerError, ask, info_fields, pairs
from lab.topology import Role, Topology, seats
from tests.ports import free_base
from tests.waiting import wait_until

needs_redis = pytest.mark.skipif(shutil.which("redis-sentinel") is None, reason="redis-sentinel is not installed")


@contextmanager
def real_processes(topology: Topology, folder: Path) -> Iterator[None]:
    """Every node and sentinel of the topology, as Redis' own programs."""
    started = []
    for seat in seats(topology):
        if seat.role is not Role.PROXY:
            program = ["redis-server", "redis.conf"] if seat.role is Role.NODE else ["redis-sentinel", "sentinel.conf"]
            started.append(
                subprocess.Popen(program, cwd=folder / seat.name, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            )
    try:
        yield
    finally:
        for process in started:
            process.kill()
        for process in started:
            process.wait()


@needs_redis
async def test_redis_and_its_sentinels_start_from_them(tmp_path: Path) -> None:
    topology = Topology(port_base=free_base(), down_after_ms=5000)
    places = {seat.name: seat for seat in seats(topology)}
    configs.write(topology, tmp_path)

    async def cluster_is_whole() -> bool:
        for node in range(6):
            (text,) = await ask((topology.host, topology.port_base + node), "CLUSTER INFO")
            state = info_fields(text)
            if state["cluster_state"] != "ok" or state["cluster_slots_ok"] != "16384":
                return False
        return True

    async def sentinels_are_acquainted() -> bool:
        for sentinel in range(3):
            (masters,) = await ask((topology.host, places[f"sentinel-{sentinel}"].port), "SENTINEL MASTERS")
            seen = [(m["num-slaves"], m["num-other-sentinels"], m["flags"]) for m in map(pairs, masters)]
            if seen != [("1", "2", "master")] * 3:
                return False
        return True

    async def both() -> bool:
        try:
            return await cluster_is_whole() and await sentinels_are_acquainted()
        except NoAnswerError:
            return False

    with real_processes(topology, tmp_path):
        await wait_until(both, what="a cluster and sentinels that know each other")
        check = await asyncio.to_thread(
            subprocess.run,
            ["redis-cli", "--cluster", "check", f"127.0.0.1:{topology.port_base}"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert "All 16384 slots covered" in check.stdout, check.stdout


def test_ids_are_of_redis_form_and_the_same_in_all_files(tmp_path: Path) -> None:
    topology = Topology()
    configs.write(topology, tmp_path)
    tables = [(tmp_path / f"node-{n}" / "nodes.conf").read_text().splitlines() for n in range(6)]
    ids = [[line.split()[0] for line in table if not line.startswith("vars")] for table in tables]
    assert len(set(ids[0])) == 6
    assert all(len(node_id) == 40 and set(node_id) <= set("0123456789abcdef") for node_id in ids[0])
    assert all(other == ids[0] for other in ids)
    # Each file says "myself" of its own node and of no other.
    assert [[("myself" in line) for line in table].index(True) for table in tables] == list(range(6))
    assert all(sum("myself" in line for line in table) == 1 for table in tables)


def test_two_labs_do_not_share_ids(tmp_path: Path) -> None:
    for name in ("one", "two"):
        configs.write(Topology(), tmp_path / name)
    one, two = ((tmp_path / name / "node-0" / "nodes.conf").read_text().split()[0] for name in ("one", "two"))
    assert one != two


@pytest.mark.parametrize(("failover", "sentinels", "no_failover"), [("sentinel", 3, "yes"), ("cluster", 0, "no")])
def test_only_one_side_fails_over(tmp_path: Path, failover: str, sentinels: int, no_failover: str) -> None:
    configs.write(Topology.model_validate({"failover": failover, "sentinels": sentinels}), tmp_path)
    lines = (tmp_path / "node-0" / "redis.conf").read_text().splitlines()
    assert f"cluster-replica-no-failover {no_failover}" in lines
    assert (tmp_path / "sentinel-0").exists() == (failover == "sentinel")


def test_more_directives_come_last(tmp_path: Path) -> None:
    # Redis takes the last of two lines about one thing.
    topology = Topology(directives=("min-replicas-to-write 1", "repl-backlog-size 1mb"))
    configs.write(topology, tmp_path)
    lines = (tmp_path / "node-5" / "redis.conf").read_text().splitlines()
    assert lines[-2:] == ["min-replicas-to-write 1", "repl-backlog-size 1mb"]
