"""How long clients wait for an answer, beside redis-server: ``python -m bench.latency``.

The servers are those of `bench.commands`; they take turns under redis-benchmark's SET and GET (50 clients, each of whom
waits for its reply), and last under commands that make a small collection each: that gives Python's garbage collector
something to look at. For each server the median over the rounds of the 50th, 99th and 99.9th percentile, in
milliseconds; and of ours, from its INFO, how often the collector ran meanwhile and what its longest run took since the
start. A wait is the scheduler's as often as the server's where the machine does other things, too.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

from bench.commands import both, interpreter
from bench.servers import MeasuredServer

_TESTS = {
    "set": ["-t", "set"],
    "get": ["-t", "get"],
    "small hashes": ["HSET", "hash:__rand_int__", "a", "1", "b", "2"],
    "small sorted sets": ["ZADD", "sorted:__rand_int__", "1", "a", "2", "b"],
}
_SHARES = (50.0, 99.0, 99.9)
_RUN_TIMEOUT_S = 300


def waits_ms(server: MeasuredServer, test: list[str], requests: int, clients: int) -> list[float]:
    """What the given shares of the requests of one run took at most."""
    command = [
        *("redis-benchmark", "-p", str(server.port), "-n", str(requests)),
        *("-c", str(clients), "-r", "1000000", *test),
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=_RUN_TIMEOUT_S)
    # Lines like "99.902% <= 0.527 milliseconds (cumulative count 99908)", the share ascending.
    text = done.stdout.partition("Latency by percentile distribution:")[2].partition("\n\n")[0]
    lines = [line.replace("%", "").split() for line in text.splitlines() if "<=" in line]
    rows = [(float(words[0]), float(words[2])) for words in lines]
    return [next(wait for share, wait in rows if share >= wanted) for wanted in _SHARES]


def collections(server: MeasuredServer) -> tuple[int, int, int]:
    """(how many, microseconds altogether, microseconds of the longest), since the start."""
    lines = [line.partition(":") for line in server.call("INFO", "server").splitlines()]
    fields = {name: value for name, _, value in lines}
    return int(fields["gc_collections"]), int(fields["gc_usec"]), int(fields["gc_longest_usec"])


def measure(ours: MeasuredServer, theirs: MeasuredServer, name: str, options: argparse.Namespace) -> str:
    """One line."""
    count, spent_us, _ = collections(ours)
    found: dict[str, list[list[float]]] = {ours.name: [], theirs.name: []}
    for turn in range(options.rounds):
        for server in (ours, theirs) if turn % 2 == 0 else (theirs, ours):
            found[server.name].append(waits_ms(server, _TESTS[name], options.requests, options.clients))
    cells = [
        " / ".join(f"{statistics.median(column):.2f}" for column in zip(*found[server.name], strict=True)).rjust(22)
        for server in (ours, theirs)
    ]
    after, spent_after_us, longest_us = collections(ours)
    collected = f"{after - count} runs, {(spent_after_us - spent_us) / 1000:.1f} ms, longest {longest_us / 1000:.2f} ms"
    return "".join(cells) + f"   {collected}"


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.latency", description=__doc__)
    parser.add_argument("--standalone", action="store_true", help="without cluster mode and replica")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=100_000, help="of each run")
    parser.add_argument("--clients", type=int, default=50)
    options = parser.parse_args(argv)
    with both(standalone=options.standalone) as (ours, theirs):
        print(f"{interpreter()}; {options.clients} clients; ms at 50 / 99 / 99.9 %")
        print("test".ljust(18) + "ours".rjust(22) + "redis-server".rjust(22) + "   our garbage collector")
        for name in _TESTS:
            print(name.ljust(18) + measure(ours, theirs, name, options), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
