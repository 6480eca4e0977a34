"""How long it takes until a replica of a master with a million keys is in sync, ours beside redis-server in one run.

    python -m bench.full_sync [--keys 1000000] [--value-size 32] [--runs 3]

Both engines take both seats, so that one sees which end is slow. The copy is streamed (`repl-diskless-sync`), without
the delay in which others could join. Wall time depends on what else the machine does; the CPU times of the master, of
its child that writes the copy, and of the replica do not.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.servers import MeasuredServer, redis_server, shardlab_server

_TIMEOUT_S = 600.0
_OPTIONS = ("--repl-diskless-sync-delay", "0", "--enable-debug-command", "yes", "--repl-timeout", "600")
_ENGINES: dict[str, Callable[..., MeasuredServer]] = {"redis": redis_server, "shardlab": shardlab_server}


@dataclass(frozen=True, slots=True)
class Sync:
    """One replica's coming into sync."""

    wall_s: float
    master_s: float
    child_s: float
    replica_s: float

    @property
    def cpu_s(self) -> float:
        return self.master_s + self.child_s + self.replica_s


def measure(master: MeasuredServer, start_replica: Callable[..., MeasuredServer], keys: int) -> Sync:
    """Attach a new replica to a master with so many keys."""
    replica = start_replica(*_OPTIONS, timeout_s=_TIMEOUT_S)
    try:
        before = master.cpu_s(), master.children_cpu_s(), replica.cpu_s()
        began = time.monotonic()
        replica.call("REPLICAOF", "127.0.0.1", str(master.port))
        replica.wait(lambda: "master_link_status:up" in replica.call("INFO", "replication"), _TIMEOUT_S, "get in sync")
        wall_s = time.monotonic() - began
        assert replica.call("DBSIZE") == str(keys), replica.call("DBSIZE")
        # The child is counted once its master has noticed its end.
        master.wait(lambda: master.children_cpu_s() > before[1], 10.0, "see its child end")
        return Sync(
            wall_s, master.cpu_s() - before[0], master.children_cpu_s() - before[1], replica.cpu_s() - before[2]
        )
    finally:
        replica.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description="Full synchronization of a replica, beside redis-server.")
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--value-size", type=int, default=32)
    parser.add_argument("--runs", type=int, default=3, help="of each pair, taking turns; the best is shown")
    options = parser.parse_args()
    masters: dict[str, MeasuredServer] = {}
    best: dict[tuple[str, str], Sync] = {}
    try:
        for name, start in _ENGINES.items():
            masters[name] = start(*_OPTIONS, timeout_s=_TIMEOUT_S)
            masters[name].call("DEBUG", "POPULATE", str(options.keys), "key", str(options.value_size))
        for _ in range(options.runs):
            for name, master in masters.items():
                for other, start in _ENGINES.items():
                    seen = measure(master, start, options.keys)
                    if (name, other) not in best or seen.cpu_s < best[name, other].cpu_s:
                        best[name, other] = seen
    finally:
        for master in masters.values():
            master.stop()
    print(
        f"{options.keys} keys of {options.value_size} bytes; seconds, the run with the least CPU time of {options.runs}"
    )
    print(f"{'master':10}{'replica':10}{'wall':>8}{'master':>9}{'child':>8}{'replica':>9}{'CPU':>8}")
    for (name, other), sync in best.items():
        print(
            f"{name:10}{other:10}{sync.wall_s:8.2f}{sync.master_s:9.2f}{sync.child_s:8.2f}{sync.replica_s:9.2f}"
            f"{sync.cpu_s:8.2f}"
        )
    ratio = best["shardlab", "shardlab"].wall_s / best["redis", "redis"].wall_s
    print(f"ours takes {ratio:.1f} times as long as redis-server's")


if __name__ == "__main__":
    main()
