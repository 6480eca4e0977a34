"""How long others wait while somebody does something large, beside redis-server: ``python -m bench.pauses [NAME ...]``.

Each case prepares a fresh server; then another client sends PING after PING (`bench.memory`) while the work is done.
The table has the longest of these waits, and how long the work took, in milliseconds. On a machine that does other
things, too, a wait is the scheduler's as often as the server's.
"""

from __future__ import annotations

import argparse
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator

from bench.commands import interpreter
from bench.memory import load, waits_during
from bench.servers import MeasuredServer, redis_server, shardlab_server
from wire.encoder import encode_command

_TIMEOUT_S = 300.0
_TOGETHER = 100


class _Client:
    """One connection that counts the lines of what it is answered."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), _TIMEOUT_S)

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def lines(self, count: int) -> bytes:
        """The next so many lines, or more if they come together."""
        found = bytearray()
        while found.count(b"\r\n") < count:
            found += self._socket.recv(1 << 20)
        return bytes(found)

    def ask(self, *words: bytes) -> bytes:
        """A command that is answered in one line."""
        self.send(encode_command(list(words)))
        return self.lines(1)

    def at_once(self, commands: list[bytes]) -> None:
        """Many encoded commands, answered in a line each, without a look at the replies before all are sent."""
        sender = threading.Thread(target=self.send, args=(b"".join(commands),))
        sender.start()
        left = len(commands)
        while left > 0:
            left -= self._socket.recv(1 << 20).count(b"\r\n")
        sender.join()


_Work = Callable[[_Client], object]
# What a case does with a fresh server of so many keys or elements; returns what others have to wait for.
_Case = Callable[[MeasuredServer, int], _Work]


def _fields(count: int) -> Iterator[list[bytes]]:
    for start in range(0, count, _TOGETHER):
        words = [b"field:%d" % number for number in range(start, start + _TOGETHER)]
        yield [b"HSET", b"hash", *(word for field in words for word in (field, b"value"))]


def _unlink(server: MeasuredServer, count: int) -> _Work:
    load(server.port, _fields(count))
    return lambda client: client.ask(b"UNLINK", b"hash")


def _expire(server: MeasuredServer, count: int) -> _Work:
    server.call("DEBUG", "SET-ACTIVE-EXPIRE", "0")
    load(server.port, ([b"SET", b"key:%d" % number, b"value", b"PX", b"1"] for number in range(count)))
    server.call("DEBUG", "SET-ACTIVE-EXPIRE", "1")

    def wait(client: _Client) -> None:
        while client.ask(b"DBSIZE") != b":0\r\n":
            time.sleep(0.1)

    return wait


def _random_key(server: MeasuredServer, count: int) -> _Work:
    server.call("DEBUG", "SET-ACTIVE-EXPIRE", "0")
    load(server.port, ([b"SET", b"key:%d" % number, b"value", b"PX", b"1"] for number in range(count)))
    return lambda client: client.ask(b"RANDOMKEY")


def _scan_a_slot(server: MeasuredServer, count: int) -> _Work:
    load(server.port, ([b"SET", b"{tag}%d" % number, b"value"] for number in range(count)))

    def scan(client: _Client) -> None:
        cursor = b"0"
        for _ in range(200):
            client.send(encode_command([b"SCAN", cursor, b"COUNT", b"100"]))
            reply = client.lines(4)
            cursor = reply.split(b"\r\n", 3)[2]
            names = int(reply.split(b"\r\n", 4)[3][1:])
            if reply.count(b"\r\n") < 4 + 2 * names:
                client.lines(4 + 2 * names - reply.count(b"\r\n"))

    return scan


def _tracking(server: MeasuredServer, count: int) -> _Work:
    server.call("CONFIG", "SET", "tracking-table-max-keys", "0")
    reader = _Client(server.port)
    reader.ask(b"CLIENT", b"TRACKING", b"ON")
    for start in range(0, count, _TOGETHER):
        reader.send(encode_command([b"MGET", *(b"key:%d" % number for number in range(start, start + _TOGETHER))]))
        reader.lines(1 + _TOGETHER)
    # The reader stays.
    return lambda client: (client.ask(b"CONFIG", b"SET", b"tracking-table-max-keys", b"10"), reader)


def _patterns(server: MeasuredServer, count: int) -> _Work:
    listener = _Client(server.port)
    for number in range(count // 100):
        listener.ask(b"PSUBSCRIBE", b"room:%d:[a-z]*" % number)

    def publish(client: _Client) -> _Client:
        for _ in range(10):
            client.ask(b"PUBLISH", b"room", b"message")
        return listener

    return publish


def _pipeline(server: MeasuredServer, count: int) -> _Work:  # noqa: ARG001 - nothing to prepare
    commands = [encode_command([b"HSET", b"key:%d" % number, b"field", b"value"]) for number in range(count // 10)]
    return lambda client: client.at_once(commands)


def _bits(server: MeasuredServer, count: int) -> _Work:
    server.call("SETBIT", "bits", str(800 * count), "1")
    return lambda client: client.ask(b"BITPOS", b"bits", b"0")


_CASES: dict[str, tuple[str, _Case]] = {
    "unlink": ("UNLINK of a hash", _unlink),
    "expire": ("keys that expire at once", _expire),
    "randomkey": ("RANDOMKEY, all expired", _random_key),
    "scan": ("200 steps of SCAN, all keys in one slot", _scan_a_slot),
    "tracking": ("tracking-table-max-keys, lowered", _tracking),
    "patterns": ("10 PUBLISH, a hundredth as many patterns", _patterns),
    "pipeline": ("a tenth as many HSETs in one go", _pipeline),
    "bits": ("BITPOS of 0 in 100 bytes for each", _bits),
}


def measure(case: _Case, start: Callable[..., MeasuredServer], count: int) -> tuple[float, float]:
    """(longest wait of others, time of the work), in milliseconds."""
    server = start("--enable-debug-command", "yes")
    try:
        work = case(server, count)
        client = _Client(server.port)
        took_ms = 0.0

        def timed() -> None:
            nonlocal took_ms
            started = time.perf_counter()
            work(client)
            took_ms = (time.perf_counter() - started) * 1000

        longest_ms, _ = waits_during(server, timed)
        return longest_ms, took_ms
    finally:
        server.stop()


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.pauses", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(_CASES)}; all of them without any")
    parser.add_argument("--count", type=int, default=300_000, help="keys, fields or elements")
    options = parser.parse_args(argv)
    print(f"{interpreter()}; {options.count:,}; longest wait / work, ms")
    print("case".ljust(44) + "ours".rjust(20) + "redis-server".rjust(20))
    for name in options.names or _CASES:
        title, case = _CASES[name]
        cells = []
        for start in (shardlab_server, redis_server):
            longest_ms, took_ms = measure(case, start, options.count)
            cells.append(f"{longest_ms:.1f} / {took_ms:.1f}".rjust(20))
        print(title.ljust(44) + "".join(cells), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
