"""What the append-only file costs beside redis-server: ``python -m bench.append_only``.

SET with 50 clients under each `appendfsync`, and without a log. Both servers run at once, on the same disk, and take
turns, in reversed order every other round. Each cell is the median over the rounds of (our throughput /
redis-server's), and of (our CPU time per request / redis-server's). Under `always` the disk decides: a sync serves all
clients of a turn, so a slower server syncs less often for as many writes.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

from bench.servers import MeasuredServer, redis_server, shardlab_server

POLICIES = ("none", "no", "everysec", "always")
_PIPELINES = (1, 16)
_RUN_TIMEOUT_S = 300


def run(server: MeasuredServer, pipeline: int, requests: int, clients: int) -> tuple[float, float]:
    """Requests a second, and CPU time per request in microseconds, of one redis-benchmark run."""
    command = [
        *("redis-benchmark", "-p", str(server.port), "-n", str(requests), "-P", str(pipeline)),
        *("-c", str(clients), "-r", "100000", "-q", "-t", "set"),
    ]
    cpu_before, before = server.cpu_s(), time.monotonic()
    subprocess.run(command, check=True, capture_output=True, timeout=_RUN_TIMEOUT_S)
    return requests / (time.monotonic() - before), (server.cpu_s() - cpu_before) / requests * 1e6


def compare(policy: str, pipelines: Sequence[int], rounds: int, requests: int, clients: int) -> list[str]:
    """A cell for each pipeline depth."""
    options = () if policy == "none" else ("--appendonly", "yes", "--appendfsync", policy)
    ours = shardlab_server(*options)
    try:
        theirs = redis_server(*options)
    except BaseException:
        ours.stop()
        raise
    cells = []
    try:
        for pipeline in pipelines:
            speed, cost = [], []
            for turn in range(rounds):
                order = (ours, theirs) if turn % 2 == 0 else (theirs, ours)
                told = {server.name: run(server, pipeline, requests * min(pipeline, 4), clients) for server in order}
                speed.append(told["shardlab"][0] / told["redis"][0])
                cost.append(told["shardlab"][1] / told["redis"][1])
            cells.append(f"{statistics.median(speed):.2f} / {statistics.median(cost):.2f}")
    finally:
        ours.stop()
        theirs.stop()
    return cells


def table(policies: Sequence[str], rounds: int, requests: int, clients: int) -> None:
    """Compare and print."""
    print(f"SET, {clients} clients, {rounds} rounds; throughput / CPU per request, redis-server is 1.0")
    print("appendfsync".ljust(14) + "".join(f"P{pipeline}".rjust(16) for pipeline in _PIPELINES))
    for policy in policies:
        cells = compare(policy, _PIPELINES, rounds, requests, clients)
        print(policy.ljust(14) + "".join(cell.rjust(16) for cell in cells), flush=True)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.append_only", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=20_000, help="of each run at depth 1; more behind a pipeline")
    parser.add_argument("--clients", type=int, default=50)
    options = parser.parse_args(argv)
    table(POLICIES, options.rounds, options.requests, options.clients)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
