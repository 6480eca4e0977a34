"""What commands cost beside redis-server: ``python -m bench.commands``.

Both servers run at once and take turns, in reversed order every other round; each cell is the median over the
rounds of (our CPU time per request / redis-server's). 1.0 is redis; lower is better.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

from bench.servers import MeasuredServer, redis_server, shardlab_server

DEFAULT_TESTS = "set,get,incr,mset"


def cost_us(server: MeasuredServer, test: str, pipeline: int, requests: int, clients: int) -> float:
    """CPU time per request, in microseconds, that `server` spends on one redis-benchmark run."""
    before = server.cpu_s()
    subprocess.run(
        [
            *("redis-benchmark", "-p", str(server.port), "-t", test, "-n", str(requests)),
            *("-P", str(pipeline), "-c", str(clients), "-r", "100000", "-q"),
        ],
        check=True,
        capture_output=True,
    )
    return (server.cpu_s() - before) / requests * 1e6


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.commands", description=__doc__)
    parser.add_argument("--tests", default=DEFAULT_TESTS, help="redis-benchmark tests, separated by commas")
    parser.add_argument("--pipelines", default="1,16,64", help="pipeline depths, separated by commas")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=100_000, help="of each run at depth 16; fewer at depth 1")
    parser.add_argument("--clients", type=int, default=50)
    options = parser.parse_args(argv)
    ours, theirs = shardlab_server(), redis_server()
    depths = [int(depth) for depth in options.pipelines.split(",")]
    version = sys.version.split()[0]
    print(f"Python {version}, {options.clients} clients, {options.rounds} rounds; CPU per request / redis-server")
    print("test".ljust(8) + "".join(f"P{depth}".rjust(16) for depth in depths))
    try:
        for test in options.tests.split(","):
            cells = []
            for depth in depths:
                requests = options.requests if depth > 1 else max(options.requests // 3, 1)
                ratios, own = [], []
                for turn in range(options.rounds):
                    order = (ours, theirs) if turn % 2 == 0 else (theirs, ours)
                    cost = {server.name: cost_us(server, test, depth, requests, options.clients) for server in order}
                    ratios.append(cost["shardlab"] / cost["redis"])
                    own.append(cost["shardlab"])
                cells.append(f"{statistics.median(ratios):.2f} ({statistics.median(own):.1f} us)")
            print(test.ljust(8) + "".join(cell.rjust(16) for cell in cells), flush=True)
    finally:
        ours.stop()
        theirs.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
