"""What commands cost beside redis-server: ``python -m bench.commands [--cluster]``.

Both servers run at once and take turns, in reversed order every other round; each cell is the median over the
rounds of (our CPU time per request / redis-server's). 1.0 is redis; lower is better. With ``--cluster`` both are in
cluster mode, own every slot and feed a replica (which is not measured); keys of one MSET then share a hash tag.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import sys
import sysconfig

from bench.servers import MeasuredServer, redis_server, shard, shardlab_server

DEFAULT_TESTS = "set,get,incr,mset"
# As redis-benchmark has it, but within one slot.
_TAGGED_MSET = ["MSET", *["key:{mset}:__rand_int__", "xxx"] * 10]
_RUN_TIMEOUT_S = 300


def cost_us(server: MeasuredServer, test: list[str], pipeline: int, requests: int, clients: int) -> float:
    """CPU time per request, in microseconds, that `server` spends on one redis-benchmark run."""
    command = [
        *("redis-benchmark", "-p", str(server.port), "-n", str(requests), "-P", str(pipeline)),
        *("-c", str(clients), "-r", "100000", "-q", *test),
    ]
    before = server.cpu_s()
    subprocess.run(command, check=True, capture_output=True, timeout=_RUN_TIMEOUT_S)
    return (server.cpu_s() - before) / requests * 1e6


def start(*, cluster: bool) -> tuple[MeasuredServer, MeasuredServer, list[MeasuredServer]]:
    """Ours, theirs, and all that must be stopped in the end."""
    if not cluster:
        ours, theirs = shardlab_server(), redis_server()
        return ours, theirs, [ours, theirs]
    ours, our_replica = shard(shardlab_server)
    try:
        theirs, their_replica = shard(redis_server)
    except BaseException:
        ours.stop()
        our_replica.stop()
        raise
    return ours, theirs, [ours, our_replica, theirs, their_replica]


def interpreter() -> str:
    """Which Python, and whether it was built with profile-guided optimisation, which is worth a tenth and more."""
    optimised = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
    return f"Python {platform.python_version()} ({'' if optimised else 'not '}built with --enable-optimizations)"


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.commands", description=__doc__)
    parser.add_argument("--cluster", action="store_true", help="in cluster mode, with a replica")
    parser.add_argument("--tests", default=DEFAULT_TESTS, help="redis-benchmark tests, separated by commas")
    parser.add_argument("--pipelines", default="1,16,64", help="pipeline depths, separated by commas")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--requests", type=int, default=100_000, help="of each run; a third of it at depth 1, a tenth for mset"
    )
    parser.add_argument("--clients", type=int, default=50)
    options = parser.parse_args(argv)
    depths = [int(depth) for depth in options.pipelines.split(",")]
    ours, theirs, servers = start(cluster=options.cluster)
    try:
        print(f"{interpreter()}, {options.clients} clients, {options.rounds} rounds", end="")
        print(", cluster mode with a replica" if options.cluster else "", end="")
        print("; CPU per request / redis-server's (ours in microseconds)")
        print("test".ljust(8) + "".join(f"P{depth}".rjust(16) for depth in depths))
        for name in options.tests.split(","):
            test = _TAGGED_MSET if options.cluster and name == "mset" else ["-t", name]
            cells = []
            for depth in depths:
                # What costs more to run is run less often.
                requests = max(options.requests // (3 if depth == 1 else 1) // (10 if name == "mset" else 1), 1)
                ratios, own = [], []
                for turn in range(options.rounds):
                    order = (ours, theirs) if turn % 2 == 0 else (theirs, ours)
                    cost = {server.name: cost_us(server, test, depth, requests, options.clients) for server in order}
                    ratios.append(cost["shardlab"] / cost["redis"])
                    own.append(cost["shardlab"])
                cells.append(f"{statistics.median(ratios):.2f} ({statistics.median(own):.1f} us)")
            print(name.ljust(8) + "".join(cell.rjust(16) for cell in cells), flush=True)
    finally:
        for server in servers:
            server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
