"""What the files in `dumps` hold, and how they were made: each by the server that its name says, from these commands.

    python -m tests.node.persistence.old_servers redis-server redis-5.0.6.rdb

writes one with the server given. That server is not needed to test with the file.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from random import Random

from tests.node.raw_client import RawClient, Words
from tests.ports import free_base
from tests.waiting import wait_for

DUMPS = Path(__file__).parent / "dumps"
# Nothing expires while anybody tests.
LATER_MS = 4_102_444_800_000
# Around every limit of the forms of a number, in ziplists, listpacks, intsets and strings.
NUMBERS = [
    sign * edge + step
    for edge in (0, 12, 127, 4096, 32768, 1 << 23, 1 << 31)
    for sign in (1, -1)
    for step in (-1, 0, 1)
]
LARGE = [-(1 << 63), (1 << 63) - 1]
TEXTS = ["", "a", "x" * 62, "x" * 63, "x" * 64, "x" * 253, "x" * 254, "x" * 255, "007", "-0", "1.5", "9" * 20]
SCORES = ["-inf", "inf", "0", "1", "-17", "1.5", "-0.1", "3.0000000000000004", "1e300", "5e-324", "12345678901234567"]


def _numbers() -> list[str]:
    return list(map(str, [*dict.fromkeys(NUMBERS), *LARGE]))


def data(version: tuple[int, ...]) -> list[Words]:
    """The commands by which a server of this version came by its data; ours and newer ones take all of them."""
    numbers = _numbers()
    chance = Random(7)
    commands: list[Words] = [("SET", f"string:{index}", text) for index, text in enumerate([*TEXTS, *numbers])]
    commands += [
        ("SET", "12345", "a key that is a number"),
        ("SET", "compressed", "how many " * 300),
        ("SET", "random", chance.randbytes(300)),
        ("SET", "volatile", "1"),
        ("PEXPIREAT", "volatile", str(LATER_MS)),
        ("RPUSH", "list:numbers", *numbers),
        ("RPUSH", "list:texts", *TEXTS),
        ("RPUSH", "list:long", *(f"element {number}" for number in range(600))),
        ("RPUSH", "list:large", "y" * 9000, "small", chance.randbytes(90)),
        ("SADD", "set:16", "1", "-2", "300"),
        ("SADD", "set:32", "1", "-70000"),
        ("SADD", "set:64", *numbers),
        ("SADD", "set:texts", *TEXTS),
        ("SADD", "set:long", *map(str, range(600))),
        ("HMSET", "hash:small", *(part for text in [*TEXTS[:4], *numbers] for part in (f"f{text}", text))),
        ("HMSET", "hash:number", *(part for number in numbers for part in (number, "v"))),
        ("HMSET", "hash:wide", "field", "z" * 100, "g", "1"),
        ("HMSET", "hash:long", *(part for number in range(600) for part in (f"field {number}", str(number)))),
        ("PEXPIREAT", "hash:long", str(LATER_MS + 1)),
        ("ZADD", "zset:small", *(part for index, score in enumerate(SCORES) for part in (score, f"member {index}"))),
        ("ZADD", "zset:numbers", *(part for number in numbers for part in (number, number))),
        ("ZADD", "zset:wide", "1.5", "m" * 100, "2", "n"),
        (
            *("ZADD", "zset:long"),
            *(part for number in range(200) for part in (SCORES[number % len(SCORES)], f"member {number}")),
        ),
        ("SETBIT", "bits", "700", "1"),
        ("PFADD", "hll", *numbers),
        ("SELECT", "9"),
        ("SET", "far", "away"),
    ]
    if version >= (5,):
        commands += _streams()
    if version >= (7, 2):
        # Before that only integers were kept in a form of their own.
        commands += [("SADD", "set:small", "a", "1", "b"), ("FUNCTION", "LOAD", _LIBRARY)]
    if version >= (7, 4):
        commands += _fields_that_expire()
    return [*commands, ("SELECT", "0")]


_LIBRARY = "#!lua name=lib\nredis.register_function('one', function() return 1 end)"


def _streams() -> list[Words]:
    commands: list[Words] = [("SELECT", "0")]
    for number in range(1, 251):
        fields = ["f", str(number)] if number % 10 else ["f", "text", "other", f"{number}.0"]
        commands.append(("XADD", "stream", f"{1_600_000_000_000 + number // 3}-{number}", *fields))
    commands += [
        ("XDEL", "stream", "1600000000001-5", "1600000000003-10"),
        ("XGROUP", "CREATE", "stream", "group", "0"),
        ("XGROUP", "CREATE", "stream", "at the end", "$"),
        ("XREADGROUP", "GROUP", "group", "alice", "COUNT", "5", "STREAMS", "stream", ">"),
        ("XREADGROUP", "GROUP", "group", "bob", "COUNT", "2", "STREAMS", "stream", ">"),
        ("XACK", "stream", "group", "1600000000000-1"),
        ("XADD", "stream:small", "1-1", "f", "v"),
        ("XADD", "stream:empty", "5-5", "f", "v"),
        ("XDEL", "stream:empty", "5-5"),
    ]
    return commands


def _fields_that_expire() -> list[Words]:
    later = [LATER_MS, LATER_MS + 10, LATER_MS - 5]
    commands: list[Words] = []
    for key, size in (("hash:expiring", 5), ("hash:expiring:long", 600)):
        commands.append(("HSET", key, *(part for number in range(size) for part in (f"f{number}", "v"))))
        commands += [
            ("HPEXPIREAT", key, str(moment), "FIELDS", "1", f"f{number}") for number, moment in enumerate(later)
        ]
    return commands


def version_of(dump: Path) -> tuple[int, ...]:
    """The version of the server that wrote a file in `dumps`."""
    return tuple(map(int, dump.stem.partition("-")[2].split(".")))


def write(server: str, dump: Path) -> None:
    """Have `server` write what `dump`, by its name, is to hold."""
    version = version_of(dump)
    port = free_base()
    with tempfile.TemporaryDirectory() as folder:
        # Of 5.0 on the file says how long a key was idle, and of 6.0 on, let it say how often it was used.
        policy = "allkeys-lru" if (5,) <= version < (6,) else "allkeys-lfu" if version == (6, 2, 14) else "noeviction"
        options = ["--port", str(port), "--dir", folder, "--save", "", "--maxmemory-policy", policy]
        process = subprocess.Popen([server, *options], stdout=subprocess.DEVNULL)
        try:
            wait_for(lambda: _answers(port), what="the old server")
            client = RawClient(port)
            for words in data(version):
                reply = client.ask(*words)
                assert not reply.startswith(b"-"), (words[:3], reply)
            assert client.ask("SAVE") == b"+OK\r\n"
            client.close()
            dump.write_bytes((Path(folder) / "dump.rdb").read_bytes())
        finally:
            process.kill()
            process.wait()


def _answers(port: int) -> bool:
    try:
        RawClient(port).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    write(sys.argv[1], DUMPS / sys.argv[2])
