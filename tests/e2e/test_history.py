"""Real clients of several kinds, a master killed under them, and the judgement of their history."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from lab import actions
from lab.ask import ask
from lab.check.linearizable import Verdict
from lab.check.verdict import Judgement, Limits, judge
from lab.clients import Client, ProxiedClient, RedisPyClient, SmartClient
from lab.history import Kind, Outcome, Recorder, read
from lab.topology import Role
from lab.workload import Plan, Workload, tags, watch_masters
from runtime.runtime import system_runtime
from tests.e2e.cluster import DOWN_AFTER_MS, Cluster
from tests.lab.running import taken_down
from tests.waiting import wait_until

# Before and after the fault; with the failover between them.
_WORK_S = 2.0
_RECOVERY_MAX_S = 3.0
# For how long, before it dies, the master has no replica to send its writes to.
_CUT_OFF_S = 0.12


async def test_a_killed_master_loses_no_more_than_replication_explains(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    options = ("--down-after-milliseconds", str(DOWN_AFTER_MS))
    with taken_down(Cluster(tmp_path / "lab", *options)) as lab:
        await asyncio.to_thread(lab.up_detached)
        await _work_and_kill(lab, tmp_path / "history.jsonl")
        lab.ok("down")

    with (tmp_path / "history.jsonl").open() as lines:
        history = read(lines)
    limits = Limits(recovery_max_s=_RECOVERY_MAX_S)
    judgement = judge(history, limits)
    checked = lab.run_check(tmp_path / "history.jsonl", "--recovery", str(_RECOVERY_MAX_S))
    print(checked.stdout)  # noqa: T201 - pytest shows it with a failure
    assert judgement.good, judgement.failures
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout.endswith("\nGOOD\n")
    # Enough happened to be judged, and the fault was felt: by that shard and by no other.
    assert judgement.faults == judgement.failovers == 1
    assert judgement.operations[Outcome.OK] > 500
    assert judgement.operations[Outcome.OK] < sum(judgement.operations.values())
    hit, *spared = judgement.service
    assert hit.recoveries[0].window is not None
    assert max(service.longest_s for service in spared) < hit.longest_s
    record_property("recovery_s", hit.recoveries[0].time_s)
    record_property("lost", len(judgement.lost.losses))
    _check_the_checkers(judgement)


def _check_the_checkers(judgement: Judgement) -> None:
    """Every kind of object was used, something was lost, and that is what the keys went back by."""
    assert {key.model for key in judgement.keys} == {"register", "counter"}
    assert judgement.lost.losses
    # Answers that were under way when the master died still came in.
    ages = [age for loss in judgement.lost.losses if (age := loss.before_fault_s) is not None]
    assert -0.1 < min(ages) <= max(ages) < _CUT_OFF_S + 0.1
    lost = {loss.operation.key for loss in judgement.lost.losses}
    gone_back = {key.key for key in judgement.keys if key.verdict is Verdict.EXPLAINED}
    assert lost <= gone_back


async def _work_and_kill(lab: Cluster, file: Path) -> None:
    loop = asyncio.get_running_loop()
    nodes = {entry.name: entry.address for entry in lab.lab.nodes()}
    ranges = {"shard-0": (0, 5460), "shard-1": (5461, 10922), "shard-2": (10923, 16383)}
    addresses = list(nodes.values())
    proxy = next(entry.address for entry in lab.lab.processes if entry.role is Role.PROXY)
    clients: list[Client] = [SmartClient(addresses, system_runtime()) for _ in range(4)]
    clients += [ProxiedClient(proxy), ProxiedClient(proxy), RedisPyClient(addresses), RedisPyClient(addresses)]
    stop = asyncio.Event()
    with file.open("w", encoding="utf-8") as lines:
        recorder = Recorder(lines, loop.time, seed=1)
        workload = Workload(
            Plan(seed=1), {name: tags(first, last, 20) for name, (first, last) in ranges.items()}, recorder
        )
        work = [
            loop.create_task(workload.run(clients, stop)),
            loop.create_task(
                watch_masters(nodes, {name: first for name, (first, _) in ranges.items()}, recorder, stop)
            ),
        ]
        # A workload's length is a time: there is nothing else to wait for.
        await asyncio.sleep(_WORK_S)
        victim, heir = "node-0", "node-3"
        await _cut_off(lab, heir, nodes[victim])
        recorder.moment(Kind.FAULT, "kill", victim, ["shard-0"])
        actions.kill(lab.folder, victim)
        actions.resume(lab.folder, heir)
        await wait_until(lambda: _replaced(lab, heir), what=f"{heir} in the place of {victim}")
        await asyncio.sleep(_WORK_S)
        stop.set()
        await asyncio.gather(*work)
        await workload.read_everything(clients)
        for client in clients:
            await client.close()


async def _cut_off(lab: Cluster, replica: str, master: tuple[str, int]) -> None:
    """Let the replica miss what the clients are told from now on. What a master has handed to the kernel reaches its
    replica even if the master dies at once: without this there would be nothing to lose. A replica that is frozen
    cannot connect again when its link breaks."""
    actions.pause(lab.folder, replica)
    (killed,) = await ask(master, "CLIENT KILL TYPE replica")
    assert killed == 1
    await asyncio.sleep(_CUT_OFF_S)


async def _replaced(lab: Cluster, heir: str) -> bool:
    return await asyncio.to_thread(lab.master_of, 0) == heir
