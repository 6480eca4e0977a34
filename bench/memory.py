"""What keys take, and whether loading and freeing them stalls the server: ``python -m bench.memory``.

Both servers in turn. First a million small strings: resident memory for each, beside redis-server's. Then two million
keys of all sorts (half strings, the others hashes, sets and lists of four elements), loaded by one client in pipelines
of a hundred, while another client sends PING after PING: the longest time it waited, and the 99.9th percentile. Then
FLUSHALL, with the same PINGs. On a machine that does other things, too, a wait is the scheduler's as often as the
server's: redis-server's own figures in the same run say how much.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

from bench.commands import interpreter
from bench.servers import MeasuredServer, redis_server, shardlab_server
from wire.encoder import encode_command

_PIPELINE = 100
_MEMBERS = 4
_TIMEOUT_S = 60.0


def strings(count: int) -> Iterator[list[bytes]]:
    for number in range(count):
        yield [b"SET", b"key:%09d" % number, b"value:%014d" % number]


def mixed(count: int) -> Iterator[list[bytes]]:
    for number in range(count):
        key = b"key:%09d" % number
        kind = number % 6
        if kind < 3:
            yield [b"SET", key, b"value:%014d" % number]
        elif kind == 3:
            yield [b"HSET", key, *(b"%s%d" % (b"field" if at % 2 == 0 else b"value", at) for at in range(2 * _MEMBERS))]
        else:
            yield [b"SADD" if kind == 4 else b"RPUSH", key, *(b"member:%d" % at for at in range(_MEMBERS))]


def load(port: int, commands: Iterator[list[bytes]]) -> None:
    """Send all commands in pipelines; every reply is one line."""
    with socket.create_connection(("127.0.0.1", port), _TIMEOUT_S) as connection:
        while True:
            batch = [encode_command(argv) for _, argv in zip(range(_PIPELINE), commands, strict=False)]
            if not batch:
                return
            connection.sendall(b"".join(batch))
            lines = 0
            while lines < len(batch):
                lines += connection.recv(1 << 16).count(b"\r\n")


class Pinger:
    """Asks again and again, and remembers how long each answer took."""

    def __init__(self, port: int) -> None:
        self._connection = socket.create_connection(("127.0.0.1", port), _TIMEOUT_S)
        self._stopped = threading.Event()
        self.waits_ms: list[float] = []
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def _ask(self) -> None:
        while not self._stopped.is_set():
            started = time.perf_counter()
            self._connection.sendall(b"PING\r\n")
            self._connection.recv(64)
            self.waits_ms.append((time.perf_counter() - started) * 1000)
            time.sleep(0.001)

    def stop(self) -> tuple[float, float]:
        """(longest, 99.9th percentile), in milliseconds."""
        self._stopped.set()
        self._thread.join()
        self._connection.close()
        waits = sorted(self.waits_ms)
        return waits[-1], waits[int(len(waits) * 0.999)]


def waits_during(server: MeasuredServer, work: Callable[[], object]) -> tuple[float, float]:
    pinger = Pinger(server.port)
    try:
        work()
        # What is freed in slices is not done with the reply.
        server.wait(lambda: "lazyfree_pending_objects:0" in server.call("INFO", "memory"), _TIMEOUT_S, "free memory")
    finally:
        found = pinger.stop()
    return found


def bytes_per_key(start: Callable[[], MeasuredServer], count: int) -> float:
    server = start()
    try:
        before = server.resident_bytes()
        load(server.port, strings(count))
        return (server.resident_bytes() - before) / count
    finally:
        server.stop()


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__)
    parser.add_argument("--strings", type=int, default=1_000_000, help="keys of which the memory is measured")
    parser.add_argument("--keys", type=int, default=2_000_000, help="keys that are loaded while others wait")
    parser.add_argument("--load", type=int, metavar="PORT", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.load is not None:
        load(options.load, mixed(options.keys))
        return 0
    print(interpreter())
    starts: list[Callable[[], MeasuredServer]] = [shardlab_server, redis_server]
    ours, theirs = (bytes_per_key(start, options.strings) for start in starts)
    print(
        f"resident bytes a key, {options.strings:,} strings: {ours:.0f}, redis-server {theirs:.0f}: {ours / theirs:.2f}"
    )
    for start in starts:
        server = start()
        try:
            # In a process of its own, so that it and the clock of the other do not wait for each other.
            loader = [sys.executable, "-m", "bench.memory", "--load", str(server.port), "--keys", str(options.keys)]
            longest, most = waits_during(server, lambda loader=loader: subprocess.run(loader, check=True))  # type: ignore[misc]
            print(f"{server.name}: loading {options.keys:,} keys, longest wait {longest:.1f} ms, 99.9 % {most:.1f} ms")
            longest, most = waits_during(server, lambda server=server: server.call("FLUSHALL"))  # type: ignore[misc]
            print(f"{server.name}: FLUSHALL, longest wait {longest:.1f} ms, 99.9 % {most:.1f} ms")
        finally:
            server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
