"""Which replica may be promoted, and which one is best."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from sentinel.address import Address
from sentinel.events import Half
from sentinel.instances import Master, Replica, Role
from sentinel.knowledge import Knowledge
from sentinel.periods import Periods
from sentinel.safeguards import SentinelSafeguards
from sentinel.selection import best_replica
from sentinel.step import Step
from tests.sentinel.world import NAME, memory

NOW = 1_000_000


@dataclass
class Case:
    """Replicas at ports 2, 3 … by what differs from a healthy one; and the port of the best."""

    why: str
    replicas: list[dict[str, Any]]
    best: int | None
    master: dict[str, Any] = field(default_factory=lambda: {"sdown_at": NOW - 200})
    # Whether this sentinel has seen the master alive.
    seen: bool = True


CASES = [
    Case("all alike: the smallest run id", [{"run_id": "B" * 40}, {"run_id": "a" * 40}], 3),
    Case("a missing run id comes last", [{"run_id": ""}, {"run_id": "f" * 40}], 3),
    Case("more data", [{"offset": 10}, {"offset": 11}], 3),
    Case("priority before data", [{"offset": 99, "priority": 100}, {"offset": 1, "priority": 10}], 3),
    Case("priority 0 is never promoted", [{"priority": 0}], None),
    Case("down", [{"sdown_at": NOW - 1}], None),
    Case("disconnected", [{"up": False}], None),
    Case("silent for more than five seconds", [{"alive_at": NOW - 5_001}], None),
    Case("silent for five seconds", [{"alive_at": NOW - 5_000}], 2),
    Case("INFO older than five seconds, master down", [{"info_at": NOW - 5_001}], None),
    Case("INFO older than five seconds, master alive", [{"info_at": NOW - 5_001}], 2, master={}),
    Case("INFO older than thirty seconds", [{"info_at": NOW - 30_001}], None, master={}),
    Case("no INFO", [{"info_at": None}], None),
    Case("cut off too long before the master went down", [{"link_down_ms": 5_201}], None),
    Case("cut off just not too long", [{"link_down_ms": 5_200}], 2),
    Case("cut off, master not seen alive: nobody knows when it went", [{"link_down_ms": 60_000}], 2, seen=False),
    Case("cut off for longer, master not seen alive", [{"link_down_ms": 60_001}], None, seen=False),
    # Seed 6 of `shardlab sim run`: a master cut off for eight seconds lost all it had to a replica just started.
    Case("restarted, and out of reach of its master since", [{"link_down_ms": -1_000, "run_id": "2" * 40}], None),
    Case(
        "the same, master down for long",
        [{"link_down_ms": -1_000, "run_id": "2" * 40}],
        2,
        {"sdown_at": NOW - 10_000},
    ),
    Case(
        "the same, master back with less",
        [{"link_down_ms": -1_000, "run_id": "2" * 40}],
        2,
        {"sdown_at": NOW - 200, "lost_data": True},
    ),
    # Seed 457 of `shardlab sim run --replicas 2`: the sentinel had been restarted just before it.
    Case("the same, of a sentinel that never saw it in sync", [{"link_down_ms": -1_000, "synced_run_id": ""}], None),
    # Seed 30274 of `shardlab sim run --masters 2`: it had lost what it was sent since it was last asked.
    Case(
        "the same, with more data than it was seen to have",
        [{"link_down_ms": -1_000, "run_id": "2" * 40, "offset": 1_000_000}],
        None,
    ),
    Case("told to follow another master, and not restarted", [{"link_down_ms": -1_000}], 2),
    Case("plain: calls itself master, is eligible as in Redis", [{"role": Role.MASTER}], 2),
    Case("plain: follows somebody else, is eligible as in Redis", [{"master_port": 9, "listed": False}], 2),
    Case("cluster: has left for another shard", [{"cluster": True, "master_port": 9, "listed": False}], None),
    Case("cluster: the master names it", [{"cluster": True, "master_host": "node-1", "listed": True}], 2),
    Case("cluster: it names the master", [{"cluster": True, "listed": False}], 2),
    Case("cluster: was reset", [{"cluster": True, "role": Role.MASTER}], None),
]


def situation(case: Case) -> tuple[Step, Master]:
    knowledge = Knowledge(memory(91), 91, None, NOW - 60_000)
    master = knowledge.masters[NAME]
    for name, value in case.master.items():
        setattr(master, name, value)
    if case.seen:
        master.link.ponged(NOW - 50_000, alive=True)
    for port, unusual in enumerate(case.replicas, 2):
        replica = knowledge.add_replica(master, Address.of("127.0.0.1", port), NOW - 60_000)
        replica.link.connected(Half.COMMAND, NOW - 50_000)
        replica.link.ponged(unusual.pop("alive_at", NOW - 100), alive=True)
        if not unusual.pop("up", True):
            replica.link.disconnected(Half.COMMAND)
        _dress(replica, **unusual)
    return Step(NOW, knowledge, Periods(), Random(1)), master


def _dress(replica: Replica, **unusual: Any) -> None:
    usual = {"run_id": "c" * 40, "info_at": NOW - 100, "master_host": "127.0.0.1", "master_port": 1, "offset": 5}
    usual["synced_run_id"] = usual["run_id"]
    for name, value in {**usual, **unusual}.items():
        assert hasattr(replica, name), name
        setattr(replica, name, value)


def test_without_the_rule_the_worst_replica() -> None:
    step, master = situation(Case("", [{"offset": 11}, {"offset": 10}], None))
    step.guards = SentinelSafeguards(most_data_first=False)
    best = best_replica(step, master)
    assert best is not None
    assert best.address.port == 3


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.why)
def test_the_best_replica(case: Case) -> None:
    step, master = situation(case)
    best = best_replica(step, master)
    assert (best.address.port if best is not None else None) == case.best
