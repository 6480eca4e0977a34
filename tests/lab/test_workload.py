"""The workload on a real redis-server: what it asks for, what it records, and that it tells refused from unknown."""

from __future__ import annotations

import asyncio
import io

import pytest

from cluster.slots import key_slot
from lab.check.linearizable import Verdict, check
from lab.check.lost_writes import find
from lab.clients import ProxiedClient, Refused, Unanswered, failure_of_reply
from lab.history import History, Outcome, Recorder, read
from lab.workload import Plan, Workload, tags
from tests.real_redis import RealRedis

PLAN = Plan(seed=3, rate=500, registers=1, counters=1, sets=1, elements=3)
GROUPS = {"low": tags(0, 8191, 2), "high": tags(8192, 16383, 2)}


async def work(redis: RealRedis, seconds: float, plan: Plan = PLAN, clients: int = 3) -> History:
    """Let clients work for a while and read everything."""
    file = io.StringIO()
    recorder = Recorder(file, asyncio.get_running_loop().time)
    workload = Workload(plan, GROUPS, recorder)
    # One Redis looks like a proxy to a client.
    people = [ProxiedClient(redis.address) for _ in range(clients)]
    stop = asyncio.Event()
    running = asyncio.get_running_loop().create_task(workload.run(people, stop))
    await asyncio.sleep(seconds)
    stop.set()
    await running
    await workload.read_everything(people, patience_s=0.1)
    for client in people:
        await client.close()
    return read(io.StringIO(file.getvalue()))


async def test_all_kinds_of_objects_are_used_and_judged(real_redis: RealRedis) -> None:
    history = await work(real_redis, 0.5)
    reports = check(history)
    assert {report.model for report in reports} == {"register", "counter", "set"}
    assert {report.verdict for report in reports} == {Verdict.LINEARIZABLE}
    assert {operation.group for operation in history.operations} == set(GROUPS)
    # Every key has its final read, and values are written once.
    assert find(history).unjudged == 0
    written = [one.argument for one in history.operations if one.function == "write"]
    assert len(written) == len(set(map(str, written)))


async def test_the_same_seed_asks_for_the_same(real_redis: RealRedis) -> None:
    def asked(history: History) -> list[tuple[object, ...]]:
        mine = [one for one in history.operations if one.process == 0]
        return [(one.function, one.key, one.argument) for one in mine[:20]]

    first = asked(await work(real_redis, 0.4))
    assert len(first) == 20
    assert asked(await work(real_redis, 0.4)) == first
    assert asked(await work(real_redis, 0.4, Plan(seed=4, rate=500, sets=1))) != first


async def test_a_silent_server_leaves_unknown_and_a_dead_one_failed_operations(real_redis: RealRedis) -> None:
    client = ProxiedClient(real_redis.address, timeout_ms=100)
    assert await client.execute(b"SET", b"k", b"v") == b"OK"
    await client.execute(b"CLIENT", b"PAUSE", b"1000")
    with pytest.raises(Unanswered):
        await client.execute(b"SET", b"k", b"w")
    real_redis.kill()
    with pytest.raises(Refused):
        await client.execute(b"SET", b"k", b"x")
    history = await work(real_redis, 0.1)
    assert {operation.outcome for operation in history.operations} == {Outcome.FAIL}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("CLUSTERDOWN The cluster is down", Refused),
        ("READONLY You can't write against a read only replica.", Refused),
        ("UNKNOWN 127.0.0.1:7000: connection reset: the command may or may not have been executed", Unanswered),
    ],
)
def test_error_replies(text: str, kind: type[Exception]) -> None:
    assert type(failure_of_reply(text)) is kind


def test_tags_belong_to_their_slots() -> None:
    found = tags(100, 200, 3)
    assert len(set(found)) == 3
    assert all(100 <= key_slot(f"{tag}:x".encode()) <= 200 for tag in found)
