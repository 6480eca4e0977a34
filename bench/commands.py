"""What commands cost beside redis-server: ``python -m bench.commands``.

Both servers run at once, in cluster mode, own every slot, feed a replica (which is not measured) and know users (the
default one is checked); they take turns, in reversed order every other round. Each cell is the median over the rounds
of (our CPU time per request / redis-server's), and in brackets the median of ours in microseconds. 1.0 is redis; lower
is better. The tests are redis-benchmark's own, and XADD, over 100,000 random keys or members; keys of one MSET share a
hash tag. With ``--standalone`` both serve alone, without cluster and replica.
"""

from __future__ import annotations

import argparse
import platform
import signal
import statistics
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager

from bench.servers import MeasuredServer, redis_server, shard, shardlab_server

# In redis-benchmark's order: what reads or pops comes behind what has put something there. It calls its pop from sorted
# sets ``zpopmin``, and fills the list of its LRANGE tests by itself.
DEFAULT_TESTS = (
    "ping_mbulk,set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,zadd,zpopmin,"
    "lrange_100,lrange_300,lrange_500,lrange_600,mset,xadd"
)
# Tests that redis-benchmark does not know, or not within one slot.
_OWN_TESTS = {
    "mset": ["MSET", *["key:{mset}:__rand_int__", "xxx"] * 10],
    "xadd": ["XADD", "mystream", "*", "myfield", "xxx"],
}
# Requests of these are so much dearer that there are as many times fewer of them.
_DEARER = {"mset": 5, "lrange_100": 5, "lrange_300": 15, "lrange_500": 25, "lrange_600": 25}
# With no more values than this a median of pairs says nothing.
_ROUNDS_MIN = 3
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


@contextmanager
def both(*, standalone: bool) -> Iterator[tuple[MeasuredServer, MeasuredServer]]:
    """Ours and theirs, running. Ended from outside, the program ends like Ctrl-C: the servers are stopped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(1))
    ours, theirs, servers = _start(standalone=standalone)
    try:
        yield ours, theirs
    finally:
        for server in servers:
            server.stop()


def _start(*, standalone: bool) -> tuple[MeasuredServer, MeasuredServer, list[MeasuredServer]]:
    """Ours, theirs, and all that must be stopped in the end."""
    if standalone:
        ours = shardlab_server()
        try:
            theirs = redis_server()
        except BaseException:
            ours.stop()
            raise
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
    """Which Python, and how it was built: profile-guided optimisation is worth a tenth and more."""
    # Builds differ in which of these they record; Debian's, which has both, records neither.
    names = ("CONFIG_ARGS", "PY_CFLAGS_NODIST", "PY_LDFLAGS_NODIST")
    flags = " ".join(str(sysconfig.get_config_var(name) or "") for name in names)
    profiled = "--enable-optimizations" in flags or "-fprofile-use" in flags
    linked = "--with-lto" in flags or "-flto" in flags
    recorded = [name for name, there in (("profile-guided", profiled), ("link-time", linked)) if there]
    return (
        f"{platform.python_implementation()} {platform.python_version()} (from {sys.base_prefix}), "
        f"{' and '.join(recorded) or 'no'} optimisation on record"
    )


def measure(ours: MeasuredServer, theirs: MeasuredServer, name: str, depth: int, options: argparse.Namespace) -> str:
    """One cell."""
    test = _OWN_TESTS.get(name, ["-t", name])
    requests = max(options.requests // (3 if depth == 1 else 1) // _DEARER.get(name, 1), depth * options.clients)
    ratios, own = [], []
    for turn in range(options.rounds):
        order = (ours, theirs) if turn % 2 == 0 else (theirs, ours)
        cost = {server.name: cost_us(server, test, depth, requests, options.clients) for server in order}
        ratios.append(cost["shardlab"] / cost["redis"])
        own.append(cost["shardlab"])
    return f"{statistics.median(ratios):.2f} ({statistics.median(own):.1f} us)"


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.commands", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--standalone", action="store_true", help="without cluster mode and replica")
    parser.add_argument("--tests", default=DEFAULT_TESTS, help="separated by commas (default: all of them)")
    parser.add_argument("--pipelines", default="1,16,64", help="pipeline depths, separated by commas")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--requests", type=int, default=50_000, help="of each run; a third of it at depth 1, fewer where one is dear"
    )
    parser.add_argument("--clients", type=int, default=50)
    options = parser.parse_args(argv)
    if options.rounds < _ROUNDS_MIN:
        parser.error(f"--rounds: {_ROUNDS_MIN} or more")
    depths = [int(depth) for depth in options.pipelines.split(",")]
    with both(standalone=options.standalone) as (ours, theirs):
        print(f"{interpreter()}; {options.clients} clients, {options.rounds} rounds", end="")
        print(", alone" if options.standalone else ", cluster mode with a replica", end="")
        print("; CPU per request / redis-server's (ours in microseconds)")
        print("test".ljust(11) + "".join(f"P{depth}".rjust(18) for depth in depths))
        for name in options.tests.split(","):
            print(name.ljust(11), end="", flush=True)
            for depth in depths:
                print(measure(ours, theirs, name, depth, options).rjust(18), end="", flush=True)
            print(flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
