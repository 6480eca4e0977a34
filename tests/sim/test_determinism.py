"""One seed, one run: to the byte, in other processes, with other hash seeds and another heap."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sim.shape import Shape
from sim.trace import first_difference
from sim.trial import Plan, run

ROOT = Path(__file__).parent.parent.parent
# CI asks for more (the fifty); each takes about a second, twice.
SEEDS = int(os.environ.get("SHARDLAB_DETERMINISM_SEEDS", "4"))
_PLANS = [
    Plan(
        seed,
        Shape(sentinels=0, failover="cluster") if seed % 2 else Shape(),
        duration_s=8.0,
        clients=2,
    )
    for seed in range(SEEDS)
]
# What runs in the other processes: objects of mixed sizes first, a random part of them freed, so that whatever is
# ordered by address comes in another order than here.
_PROGRAM = """
import random
from tests.sim.test_determinism import digests
heap = [bytearray(random.SystemRandom().randrange(4000)) for _ in range(40_000)]
random.SystemRandom().shuffle(heap)
del heap[::2]
print("\\n".join(digests()))
"""


def digests() -> list[str]:
    return [run(plan).digest for plan in _PLANS]


def test_a_seed_gives_one_trace_in_every_process() -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _PROGRAM],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for hash_seed in ("1", "4242")
    ]
    outputs = [process.communicate()[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert len(outputs[0]) == SEEDS
    assert outputs[0] == outputs[1]
    # Other seeds are other runs.
    assert len(set(outputs[0])) == SEEDS


def test_a_seed_gives_one_trace_again_and_again_in_one_process() -> None:
    plan = Plan(1, duration_s=3.0, clients=1)
    first, second = run(plan, keep_trace=True), run(plan, keep_trace=True)
    assert first_difference(first.text, second.text) == []
    assert first.digest == second.digest


@pytest.mark.parametrize(("other", "found"), [(["a\n", "b\n", "c\n"], []), (["a\n", "x\n"], ["< b\n", "> x\n"])])
def test_the_first_difference_is_named(other: list[str], found: list[str]) -> None:
    assert first_difference(["a\n", "b\n", "c\n"], other)[-2:] == found


def test_a_trace_that_ends_early_differs() -> None:
    assert first_difference(["a\n"], ["a\n", "b\n"])[-2:] == ["< (the end)\n", "> b\n"]
