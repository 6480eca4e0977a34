"""What operations cost as collections grow, beside redis-server: ``python -m bench.sizes [FAMILY ...]``.

For each family a key is filled with 10, 1,000, 100,000 and 1,000,000 elements on both servers; then each operation
runs on it in pipelines, the servers taking turns. A cell has our CPU time per operation in microseconds and, in
brackets, the median over the rounds of its ratio to redis-server's. What is O(1) or O(log n) must not grow along a line
more than memory that is farther away explains; what depends on the number of elements asked for, asks for equally many.

A family is an entry of `FAMILIES`: how to fill, and operations by name, each a function of a generator of chance and
the size that gives the commands of one operation. An operation leaves the key as large as it was.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import sys
from collections.abc import Callable, Iterator
from math import pi
from random import Random
from typing import NamedTuple

import hiredis

from bench.commands import interpreter
from bench.servers import MeasuredServer, redis_server, shardlab_server

SIZES = (10, 1_000, 100_000, 1_000_000)
_PIPELINE = 16
# A round ends when it has done as many operations as asked for, or has cost so much, on one server.
_ROUND_S = 0.25
# Elements put in by one command.
_FILL_STEP = 500
_SOCKET_TIMEOUT_S = 60.0

Words = list[str]
Operation = Callable[[Random, int], list[Words]]


class Family(NamedTuple):
    """What is measured of one type."""

    # Words of the command that puts in elements, and those of the element with this number.
    fill: Words
    element: Callable[[int, int], Words]
    operations: dict[str, Operation]
    # One command puts in one element only.
    apart: bool = False


def _member(chance: Random, size: int) -> str:
    return f"member:{chance.randrange(size):07d}"


def _score(chance: Random, size: int) -> str:
    return f"{chance.random() * size:.3f}"


def _window(chance: Random, size: int, width: int = 10) -> tuple[int, int]:
    """`width` neighbouring ranks, anywhere."""
    start = chance.randrange(max(size - width, 1))
    return start, start + width - 1


def _ranks(verb: str, width: int, *options: str) -> Operation:
    def operation(chance: Random, size: int) -> list[Words]:
        start, stop = _window(chance, size, width)
        return [[verb, "key", str(start), str(stop), *options]]

    return operation


def _by_score(verb: str, *options: str) -> Operation:
    def operation(chance: Random, size: int) -> list[Words]:
        start, stop = _window(chance, size)
        return [[verb, "key", str(start), str(stop), *options]]

    return operation


def _of_member(verb: str) -> Operation:
    return lambda chance, size: [[verb, "key", _member(chance, size)]]


def _taken_and_put_back(verb: str, put: Callable[[Random, int, str], Words]) -> Operation:
    """Take out one element by name, and put it in again."""

    def operation(chance: Random, size: int) -> list[Words]:
        member = _member(chance, size)
        return [[verb, "key", member], put(chance, size, member)]

    return operation


def _step(verb: str) -> Operation:
    """One step of a walk, from anywhere: cursors of either server are numbers, and any number is one."""
    return lambda chance, size: [[verb, "key", str(chance.randrange(1 << 32))]]


_SORTED_SET: dict[str, Operation] = {
    "ZADD, another score": lambda chance, size: [["ZADD", "key", _score(chance, size), _member(chance, size)]],
    "ZINCRBY": lambda chance, size: [["ZINCRBY", "key", "1", _member(chance, size)]],
    "ZSCORE": _of_member("ZSCORE"),
    "ZRANK": _of_member("ZRANK"),
    "ZREM, ZADD": _taken_and_put_back(
        "ZREM", lambda chance, size, member: ["ZADD", "key", _score(chance, size), member]
    ),
    "ZPOPMIN, ZADD": lambda chance, size: [
        ["ZPOPMIN", "key"],
        ["ZADD", "key", _score(chance, size), f"new:{chance.randrange(10**9)}"],
    ],
    "ZPOPMAX, ZADD": lambda chance, size: [
        ["ZPOPMAX", "key"],
        ["ZADD", "key", _score(chance, size), f"new:{chance.randrange(10**9)}"],
    ],
    "ZRANGE of 10": _ranks("ZRANGE", 10),
    "ZRANGE of 100": _ranks("ZRANGE", 100),
    "ZRANGE of 10, WITHSCORES": _ranks("ZRANGE", 10, "WITHSCORES"),
    "ZREVRANGE of 10": _ranks("ZREVRANGE", 10),
    "ZRANGEBYSCORE of 10": _by_score("ZRANGEBYSCORE", "LIMIT", "0", "10"),
    "ZCOUNT": lambda chance, size: [["ZCOUNT", "key", *sorted((_score(chance, size), _score(chance, size)))]],
    "ZADD, ZREVRANK": lambda chance, size: [
        ["ZADD", "key", _score(chance, size), _member(chance, size)],
        ["ZREVRANK", "key", _member(chance, size)],
    ],
    "ZRANDMEMBER": lambda chance, size: [["ZRANDMEMBER", "key"]],
    "ZSCAN, a step": _step("ZSCAN"),
    "ZCARD": lambda chance, size: [["ZCARD", "key"]],
}

_LIST: dict[str, Operation] = {
    "LPUSH, RPOP": lambda chance, size: [["LPUSH", "key", _member(chance, size)], ["RPOP", "key"]],
    "RPUSH, LPOP": lambda chance, size: [["RPUSH", "key", _member(chance, size)], ["LPOP", "key"]],
    "LMOVE to its other end": lambda chance, size: [["LMOVE", "key", "key", "LEFT", "RIGHT"]],
    "LINDEX": lambda chance, size: [["LINDEX", "key", str(chance.randrange(size))]],
    "LSET": lambda chance, size: [["LSET", "key", str(chance.randrange(size)), _member(chance, size)]],
    "LRANGE of 10": _ranks("LRANGE", 10),
    "LRANGE of 100": _ranks("LRANGE", 100),
    "LLEN": lambda chance, size: [["LLEN", "key"]],
}

_HASH: dict[str, Operation] = {
    "HSET, another value": lambda chance, size: [["HSET", "key", _member(chance, size), _score(chance, size)]],
    "HGET": _of_member("HGET"),
    "HINCRBY": lambda chance, size: [["HINCRBY", "key", f"counter:{chance.randrange(10)}", "1"]],
    "HDEL, HSET": _taken_and_put_back("HDEL", lambda chance, size, member: ["HSET", "key", member, "value"]),
    "HRANDFIELD": lambda chance, size: [["HRANDFIELD", "key"]],
    "HSCAN": lambda chance, size: [["HSCAN", "key", str(chance.getrandbits(32))]],
    "HSCAN, a step": _step("HSCAN"),
    "HLEN": lambda chance, size: [["HLEN", "key"]],
}

_SET: dict[str, Operation] = {
    "SADD, there already": _of_member("SADD"),
    "SISMEMBER": _of_member("SISMEMBER"),
    "SREM, SADD": _taken_and_put_back("SREM", lambda chance, size, member: ["SADD", "key", member]),
    "SPOP, SADD": lambda chance, size: [["SPOP", "key"], ["SADD", "key", f"new:{chance.randrange(10**9)}"]],
    "SRANDMEMBER": lambda chance, size: [["SRANDMEMBER", "key"]],
    "SRANDMEMBER of 10": lambda chance, size: [["SRANDMEMBER", "key", "10"]],
    "SSCAN": lambda chance, size: [["SSCAN", "key", str(chance.getrandbits(32))]],
    "SSCAN, a step": _step("SSCAN"),
    "SCARD": lambda chance, size: [["SCARD", "key"]],
}

# Places are spread over a square of ten degrees at the equator, which has about so many square kilometres.
_DEGREES = 10
_SQUARE_KM = 1_236_000


def _place(number: int, _: int) -> Words:
    """A member at a position of its own: multiples of these two fractions cover a square evenly."""
    longitude, latitude = number * 0.7548776662 % 1 * _DEGREES, number * 0.5698402910 % 1 * _DEGREES
    return [f"{longitude:.6f}", f"{latitude:.6f}", f"member:{number:07d}"]


def _search_for_ten(*options: str) -> Operation:
    """A circle in which about ten of the places are."""

    def operation(chance: Random, size: int) -> list[Words]:
        radius_km = (10 / size * _SQUARE_KM / pi) ** 0.5
        middle = ["FROMLONLAT", *(f"{chance.random() * _DEGREES:.6f}" for _ in range(2))]
        return [["GEOSEARCH", "key", *middle, "BYRADIUS", f"{radius_km:.3f}", "km", *options]]

    return operation


_GEO: dict[str, Operation] = {
    "GEOADD, another place": lambda chance, size: [["GEOADD", "key", *_place(chance.randrange(size), size)]],
    "GEOPOS": _of_member("GEOPOS"),
    "GEODIST": lambda chance, size: [["GEODIST", "key", _member(chance, size), _member(chance, size)]],
    "GEOSEARCH of about 10": _search_for_ten(),
    "GEOSEARCH, nearest": _search_for_ten("ASC", "COUNT", "1", "WITHDIST"),
}


def _entries(verb: str, width: int) -> Operation:
    """`width` neighbouring entries, anywhere."""

    def operation(chance: Random, size: int) -> list[Words]:
        start, stop = _window(chance, size, width)
        bounds = (str(start + 1), str(stop + 1))
        return [[verb, "key", *(bounds if verb == "XRANGE" else bounds[::-1])]]

    return operation


_STREAM: dict[str, Operation] = {
    "XRANGE of 10": _entries("XRANGE", 10),
    "XRANGE of 100": _entries("XRANGE", 100),
    "XREVRANGE of 10": _entries("XREVRANGE", 10),
    "XREAD of 10": lambda chance, size: [["XREAD", "COUNT", "10", "STREAMS", "key", str(chance.randrange(size))]],
    "XLEN": lambda chance, size: [["XLEN", "key"]],
    # From here on the oldest entries go, which the operations above find by their ids.
    "XADD, XDEL": lambda chance, size: [
        ["XADD", "key", "*", "field", "value"],
        ["XDEL", "key", f"{chance.randrange(size) + 1}-1"],
    ],
    "XADD, MAXLEN =": lambda chance, size: [["XADD", "key", "MAXLEN", str(size), "*", "field", "value"]],
    "XADD, MAXLEN ~": lambda chance, size: [["XADD", "key", "MAXLEN", "~", str(size), "*", "field", "value"]],
}

FAMILIES = {
    "zset": Family(["ZADD", "key"], lambda number, size: [str(number % size), f"member:{number:07d}"], _SORTED_SET),
    "geo": Family(["GEOADD", "key"], _place, _GEO),
    "list": Family(["RPUSH", "key"], lambda number, _: [f"member:{number:07d}"], _LIST),
    "set": Family(["SADD", "key"], lambda number, _: [f"member:{number:07d}"], _SET),
    "stream": Family(
        ["XADD", "key"], lambda number, _: [f"{number + 1}-1", "field", f"value:{number:07d}"], _STREAM, apart=True
    ),
    "hash": Family(["HSET", "key"], lambda number, _: [f"member:{number:07d}", f"value:{number}"], _HASH),
}


class _Client:
    """A connection that sends pipelines and reads as many replies; an error among them is a failure."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_SOCKET_TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = hiredis.Reader()

    def run(self, commands: list[Words]) -> None:
        self._socket.sendall(b"".join(map(_encoded, commands)))
        waiting = len(commands)
        while waiting:
            reply = self._reader.gets()
            if isinstance(reply, hiredis.HiredisError):
                raise RuntimeError(str(reply))
            if reply is False:
                self._reader.feed(self._socket.recv(1 << 16))
            else:
                waiting -= 1

    def close(self) -> None:
        self._socket.close()


def _encoded(words: Words) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word.encode()) for word in words)


def fill(client: _Client, family: Family, size: int) -> None:
    """Make ``key`` anew with `size` elements."""
    client.run([["DEL", "key"]])
    for start in range(0, size, _FILL_STEP):
        numbers = range(start, min(start + _FILL_STEP, size))
        elements = [family.element(number, size) for number in numbers]
        commands = elements if family.apart else [[word for element in elements for word in element]]
        client.run([family.fill + command for command in commands])


def cost_us(server: MeasuredServer, client: _Client, operation: Operation, size: int, count: int) -> float:
    """CPU time that `server` spends on one operation; at most about `count` are tried."""
    chance = Random(size)
    before = server.cpu_s()
    done = 0
    while done < count:
        client.run([words for _ in range(_PIPELINE) for words in operation(chance, size)])
        done += _PIPELINE
        if server.cpu_s() - before > _ROUND_S:
            break
    return (server.cpu_s() - before) / done * 1e6


def rows(
    servers: tuple[MeasuredServer, MeasuredServer], family: Family, sizes: list[int], rounds: int, count: int
) -> Iterator[tuple[str, list[str]]]:
    """Each operation with its cells."""
    clients = {server.name: _Client(server.port) for server in servers}
    cells: dict[str, list[str]] = {name: [] for name in family.operations}
    for size in sizes:
        for server in servers:
            fill(clients[server.name], family, size)
        for name, operation in family.operations.items():
            ratios, own = [], []
            for turn in range(rounds):
                order = servers if turn % 2 == 0 else servers[::-1]
                cost = {each.name: cost_us(each, clients[each.name], operation, size, count) for each in order}
                ratios.append(cost["shardlab"] / cost["redis"])
                own.append(cost["shardlab"])
            cells[name].append(f"{statistics.median(own):.1f} ({statistics.median(ratios):.1f})")
    for client in clients.values():
        client.close()
    yield from cells.items()


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.sizes", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("families", nargs="*", metavar="FAMILY", help=f"of {', '.join(FAMILIES)}; all by default")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="numbers of elements, separated by commas")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--operations", type=int, default=4096, help="of each round, unless they are slow")
    options = parser.parse_args(argv)
    names = options.families or list(FAMILIES)
    unknown = [name for name in names if name not in FAMILIES]
    if unknown:
        parser.error(f"no such family: {', '.join(unknown)}")
    sizes = [int(size) for size in options.sizes.split(",")]
    ours, theirs = shardlab_server(), redis_server()
    try:
        print(f"{interpreter()}, pipelines of {_PIPELINE}; CPU per operation in microseconds (/ redis-server's)")
        for name in names:
            print(name.ljust(28) + "".join(f"{size:,}".rjust(16) for size in sizes))
            for operation, cells in rows((ours, theirs), FAMILIES[name], sizes, options.rounds, options.operations):
                print(operation.ljust(28) + "".join(cell.rjust(16) for cell in cells), flush=True)
    finally:
        ours.stop()
        theirs.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
