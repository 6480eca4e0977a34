"""What keeping data costs beside redis-server: ``python -m bench.persistence``.

Three things, both servers in the same run:

- SET with 50 clients under `appendfsync everysec` and `always` (`bench.append_only`, which has all policies);
- a snapshot of a million of something (keys with short strings; elements of small hashes, lists, sorted sets and sets;
  entries of a stream; keys with a line of text, which is what LZF is for): CPU time of SAVE, CPU time until a server
  that starts from the file answers, less that of a start without one, and the size of the file;
- SET with 50 clients while one BGSAVE after the other runs over a million keys: the 99th percentile and the throughput,
  beside the same without BGSAVE.

Each figure is a ratio to redis-server's; in brackets ours. CPU times are the best of the rounds: whatever else runs on
the machine makes them longer. Percentiles need a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import append_only
from bench.commands import interpreter
from bench.memory import load, strings
from bench.servers import MeasuredServer, redis_server, shardlab_server

Start = Callable[..., MeasuredServer]
# As many elements has a small collection.
_SMALL = 8
# With a million keys to load, on a machine that has other things to do, too.
_START_TIMEOUT_S = 600.0
_RUN_TIMEOUT_S = 600.0


def texts(count: int) -> Iterator[list[bytes]]:
    for number in range(count):
        words = b"user %d was seen at /articles/%d by host-%d" % (number, number % 977, number % 31)
        yield [b"SET", b"key:%09d" % number, words + b", user agent: Mozilla/5.0 (X11; Linux x86_64), status 200"]


def hashes(count: int) -> Iterator[list[bytes]]:
    for number in range(count // _SMALL):
        pairs = (part for at in range(_SMALL) for part in (b"field%d" % at, b"value%d" % (number + at)))
        yield [b"HSET", b"key:%09d" % number, *pairs]


def lists(count: int) -> Iterator[list[bytes]]:
    for number in range(count // _SMALL):
        yield [b"RPUSH", b"key:%09d" % number, *(b"item%d" % (number + at) for at in range(_SMALL))]


def zsets(count: int) -> Iterator[list[bytes]]:
    for number in range(count // _SMALL):
        pairs = (part for at in range(_SMALL) for part in (b"%d" % (number + at), b"member%d" % at))
        yield [b"ZADD", b"key:%09d" % number, *pairs]


def sets(count: int) -> Iterator[list[bytes]]:
    for number in range(count // _SMALL):
        yield [b"SADD", b"key:%09d" % number, *(b"member%d" % (number + at) for at in range(_SMALL))]


def stream(count: int) -> Iterator[list[bytes]]:
    for number in range(count):
        yield [b"XADD", b"stream", b"%d-1" % (1_700_000_000_000 + 3 * number), b"field", b"value%d" % number]


DATA: dict[str, Callable[[int], Iterator[list[bytes]]]] = {
    "strings": strings,
    "texts": texts,
    "hashes": hashes,
    "lists": lists,
    "sorted sets": zsets,
    "sets": sets,
    "stream": stream,
}


@dataclass(frozen=True)
class Snapshot:
    """What one of them cost: CPU seconds, and bytes."""

    save_s: float
    load_s: float
    size: int


def snapshot(start: Start, data: Iterator[list[bytes]], rounds: int) -> Snapshot:
    with tempfile.TemporaryDirectory(prefix="bench-snapshot-") as folder:
        where = ("--dir", folder)
        server = start(*where, timeout_s=_START_TIMEOUT_S)
        try:
            empty_s = server.cpu_s()
            load(server.port, data)
            saves = []
            for _ in range(rounds):
                before = server.cpu_s()
                if server.call("SAVE") != "OK":
                    raise RuntimeError(f"{server.name} cannot save: {server.log.read_text()}")
                saves.append(server.cpu_s() - before)
        finally:
            server.stop()
        loads = []
        for _ in range(rounds):
            server = start(*where, timeout_s=_START_TIMEOUT_S)
            loads.append(server.cpu_s() - empty_s)
            server.stop()
        return Snapshot(min(saves), min(loads), (Path(folder) / "dump.rdb").stat().st_size)


def compare_snapshots(names: list[str], count: int, rounds: int) -> None:
    print(f"\nA snapshot of {count:,}; CPU time and bytes, redis-server is 1.0, ours in brackets")
    print("".join(title.rjust(18) for title in ("", "SAVE", "load", "size")))
    for name in names:
        ours = snapshot(shardlab_server, DATA[name](count), rounds)
        theirs = snapshot(redis_server, DATA[name](count), rounds)
        cells = [
            f"{ours.save_s / theirs.save_s:.1f} ({ours.save_s:.2f} s)",
            f"{ours.load_s / theirs.load_s:.1f} ({ours.load_s:.2f} s)",
            f"{ours.size / theirs.size:.2f} ({ours.size / 1e6:.1f} MB)",
        ]
        print(name.rjust(18) + "".join(cell.rjust(18) for cell in cells), flush=True)


def run_set(server: MeasuredServer, requests: int, clients: int) -> tuple[float, float]:
    """Requests a second, and the 99th percentile of their latency in milliseconds."""
    command = ["redis-benchmark", "-p", str(server.port), "-n", str(requests), "-c", str(clients), "-r", "1000000"]
    done = subprocess.run(
        [*command, "-t", "set", "--csv"], check=True, capture_output=True, text=True, timeout=_RUN_TIMEOUT_S
    )
    row = next(row for row in csv.DictReader(done.stdout.splitlines()) if row["test"] == "SET")
    return float(row["rps"]), float(row["p99_latency_ms"])


class Saver(threading.Thread):
    """Starts one BGSAVE after the other until told to stop."""

    def __init__(self, server: MeasuredServer) -> None:
        super().__init__()
        self._server = server
        self._stop_now = threading.Event()
        self.saves = 0

    def run(self) -> None:
        while not self._stop_now.wait(0.05):
            if self._idle():
                self._server.call("BGSAVE")
                self.saves += 1

    def stop(self) -> int:
        """How many it has started; returns when the last one has ended."""
        self._stop_now.set()
        self.join()
        self._server.wait(self._idle, _RUN_TIMEOUT_S, "save")
        return self.saves

    def _idle(self) -> bool:
        return "rdb_bgsave_in_progress:0" in self._server.call("INFO", "persistence")


def compare_bgsave(keys: int, requests: int, clients: int, rounds: int) -> None:
    print(f"\nSET, {clients} clients, {keys:,} keys, while BGSAVE runs: ratios to the same without BGSAVE")
    print("".join(title.rjust(26) for title in ("", "p99", "throughput")))
    for start in (shardlab_server, redis_server):
        server = start(timeout_s=_START_TIMEOUT_S)
        try:
            load(server.port, strings(keys))
            quiet, busy = [], []
            saves = 0
            for _ in range(rounds):
                quiet.append(run_set(server, requests, clients))
                saver = Saver(server)
                saver.start()
                busy.append(run_set(server, requests, clients))
                saves += saver.stop()
            speeds, p99s = zip(*quiet, strict=True)
            busy_speeds, busy_p99s = zip(*busy, strict=True)
            p99, busy_p99 = statistics.median(p99s), statistics.median(busy_p99s)
            speed, busy_speed = statistics.median(speeds), statistics.median(busy_speeds)
            cells = [
                f"{busy_p99 / p99:.1f} ({p99:.2f} -> {busy_p99:.2f} ms)",
                f"{busy_speed / speed:.2f} ({saves} saves)",
            ]
            print(server.name.rjust(26) + "".join(cell.rjust(26) for cell in cells), flush=True)
        finally:
            server.stop()


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.persistence", description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000, help="keys, elements or entries in a snapshot")
    parser.add_argument("--data", nargs="*", choices=list(DATA), default=list(DATA))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=20_000, help="of each run of SET")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--only", choices=("log", "snapshot", "bgsave"), help="one of the three")
    options = parser.parse_args(argv)
    print(interpreter())
    if options.only in (None, "log"):
        append_only.table(("everysec", "always"), options.rounds, options.requests, options.clients)
    if options.only in (None, "snapshot"):
        compare_snapshots(options.data, options.count, options.rounds)
    if options.only in (None, "bgsave"):
        compare_bgsave(options.count, 5 * options.requests, options.clients, options.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
