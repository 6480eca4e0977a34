"""Whole runs, with all kinds of faults, in several processes: ``python -m tests.sim.digests --seeds 0..99``.

Each process has a random hash seed, and a heap in which everything lies somewhere else, so that whatever is ordered by
hash or by address comes in another order. Their digests must be equal, and different seeds must give different ones. CI
does this with a few seeds (`test_determinism`).
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from sim.faults import Kind
from sim.shape import Shape
from sim.trial import Plan, run

ROOT = Path(__file__).parent.parent.parent


def plan_of(seed: int) -> Plan:
    """A short run; both ways to fail over take turns."""
    shape = Shape(sentinels=0, failover="cluster") if seed % 2 else Shape(masters=2)
    return Plan(seed, shape, duration_s=6.0, clients=2)


def scramble() -> list[bytearray]:
    """Objects of mixed sizes, of which a random part is freed; to be held for as long as it shall matter."""
    real = random.SystemRandom()
    heap = [bytearray(real.randrange(4000)) for _ in range(40_000)]
    real.shuffle(heap)
    del heap[::2]
    return heap


def digests(seeds: Iterable[int], processes: int) -> list[list[str]]:
    """The digests of these seeds, by process; two processes at a time. Raises CalledProcessError."""
    command = [sys.executable, "-m", "tests.sim.digests", "--print", *map(str, seeds)]
    found = []
    for first in range(0, processes, 2):
        started = [
            subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, "PYTHONHASHSEED": str(random.SystemRandom().randrange(2**32))},
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(min(2, processes - first))
        ]
        for process in started:
            output = process.communicate()[0]
            if process.returncode:
                raise subprocess.CalledProcessError(process.returncode, command, output)
            found.append(output.split())
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim.digests", description=__doc__)
    parser.add_argument("--seeds", default="0..99", metavar="A..B")
    parser.add_argument("--processes", type=int, default=5)
    parser.add_argument("--print", type=int, nargs="+", metavar="N", help="only the digests of these seeds")
    options = parser.parse_args()
    struck: Counter[Kind] = Counter()
    if options.print:
        heap = scramble()
        for seed in options.print:
            verdict = run(plan_of(seed))
            struck += verdict.struck
            sys.stdout.write(f"{verdict.digest}\n")
        del heap
        sys.stderr.write(", ".join(f"{struck[kind]} {kind}" for kind in Kind) + "\n")
        return 0
    first, _, last = options.seeds.partition("..")
    found = digests(range(int(first), int(last) + 1), options.processes)
    different = sum(len(set(of_one_seed)) > 1 for of_one_seed in zip(*found, strict=True))
    traces = len(set(found[0]))
    sys.stdout.write(f"{len(found[0])} seeds in {len(found)} processes: {traces} traces, {different} that differ\n")
    return 1 if different or len(set(found[0])) < len(found[0]) else 0


if __name__ == "__main__":
    sys.exit(main())
