"""Damaged values of every type: refused, or taken by a real server too; no other exception, and memory is bounded."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.persistence import listpack
from node.persistence.crc64 import crc64
from node.persistence.payload import deserialized, sealed, serialized
from node.persistence.rdb_encoding import encode_string
from node.persistence.rdb_errors import RdbError
from node.persistence.rdb_reader import RdbReader
from node.structures.limits import DEFAULT_LIMITS
from tests.node.conftest import Pair
from tests.node.differential import budget
from tests.node.own_server import OwnServer
from tests.node.persistence.test_rdb_files import Told
from tests.node.raw_client import parse_reply
from wire.errors import Error

_FOOTER = 10
# A damaged value may be larger than its payload, by what LZF and the smallest entries of a listpack allow.
_EXPANSION_MAX = 2000
_OVERHEAD = 100_000


@pytest.fixture(scope="module")
def payloads(servers: Pair) -> Iterator[list[bytes]]:
    """A value of every type and encoding as a real server dumps it, without the footer."""
    _, client = servers.connect()
    fields = [word for number in range(9) for word in (f"f{number}", f"v{number}")]
    scores = [word for number in range(9) for word in (str(number * 1.5), f"m{number}")]
    client.ask("FLUSHALL")
    client.ask("SET", "string", "hello world" * 10)
    client.ask("SET", "number", "123456")
    client.ask("RPUSH", "list", "a", *map(str, range(20)), "x" * 300)
    client.ask("HSET", "packed hash", *fields)
    client.ask("HSET", "hash", *fields, "long", "x" * 100)
    client.ask("SADD", "integers", *map(str, range(-5, 30, 7)))
    client.ask("SADD", "set", *"abcdefg")
    client.ask("ZADD", "packed zset", *scores)
    client.ask("ZADD", "zset", *scores, "1", "x" * 100)
    for number in range(12):
        client.ask("XADD", "stream", f"{number + 1}-{number}", "f", "v" * number, *(["g", "w"] if number % 3 else []))
    client.ask("XDEL", "stream", "3-2")
    client.ask("XGROUP", "CREATE", "stream", "group", "0")
    client.ask("XREADGROUP", "GROUP", "group", "consumer", "COUNT", "5", "STREAMS", "stream", ">")
    names = parse_reply(client.ask("KEYS", "*"))
    dumped = [parse_reply(client.ask("DUMP", name))[:-_FOOTER] for name in sorted(names)]
    client.ask("CONFIG", "SET", "sanitize-dump-payload", "yes")
    servers.disconnect()
    yield dumped
    _, client = servers.connect()
    client.ask("CONFIG", "SET", "sanitize-dump-payload", "no")
    servers.disconnect()


def damaged(payload: bytes, chance: Random) -> bytes:
    data = bytearray(payload)
    for _ in range(chance.choice([1, 1, 2, 3])):
        place = chance.randrange(len(data))
        way = chance.randrange(4)
        if way == 0:
            data[place] = chance.randrange(256)
        elif way == 1 and len(data) > 1:
            del data[place]
        elif way == 2:
            data.insert(place, chance.randrange(256))
        else:
            data[place] = (data[place] + chance.choice([-1, 1])) % 256
    return bytes(data)


@given(number=st.integers(0, 99), chance=st.randoms(use_true_random=False))
@budget(500)
def test_what_we_take_a_real_server_takes(pair: Pair, payloads: list[bytes], number: int, chance: Random) -> None:
    """It takes more: it also reads on into the footer, and leaves bytes behind the value alone."""
    body = damaged(payloads[number % len(payloads)], chance) + b"\x0a\x00"
    payload = body + crc64(body).to_bytes(8, "little")
    try:
        value = deserialized(payload, DEFAULT_LIMITS, lambda line: line)
    except Error:
        return
    _, theirs = pair.connect()
    assert theirs.ask("RESTORE", "k", "0", payload, "REPLACE") == b"+OK\r\n"
    again = serialized(value, compress=False)
    assert theirs.ask("RESTORE", "again", "0", again, "REPLACE") == b"+OK\r\n"
    pair.disconnect()


@given(number=st.integers(0, 99), chance=st.randoms(use_true_random=False))
@budget(300)
def test_a_damaged_file_is_refused_and_nothing_else(payloads: list[bytes], number: int, chance: Random) -> None:
    """Whatever is in it, it takes no more memory than a file of its size can hold."""
    payload = payloads[number % len(payloads)]
    records = payload[:1] + b"\x01k" + payload[1:]
    data = b"REDIS0011" + damaged(records, chance) + b"\xff" + bytes(8)
    tracemalloc.start()
    try:
        RdbReader(data, Told()).read_all()
    except RdbError:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < len(data) * _EXPANSION_MAX + _OVERHEAD


def test_the_log_says_what_is_wrong_with_a_payload(start_server: Callable[..., OwnServer]) -> None:
    """In Redis' words, for those who ask for details."""
    server = start_server("--loglevel", "verbose").wait_ready()
    client = server.client()
    for body, reason in (
        (b"\x10\x05abcde", "Listpack integrity check failed."),
        (b"\x09\x05abcde", "Zipmap integrity check failed."),
        (b"\x02\x02\x01a\x01a", "Duplicate set members detected"),
    ):
        sealed = body + b"\x0a\x00"
        sealed += crc64(sealed).to_bytes(8, "little")
        assert client.ask("RESTORE", "k", "0", sealed) == b"-ERR Bad data format\r\n"
        assert f"-> {reason}\n" in server.log


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        # The time of a field: the earliest one and what is added to it, or in a listpack.
        (24, b"\xff" * 7 + b"\x7f" + b"\x01\x02\x01f\x01v"),
        (24, bytes(8) + b"\x01\x81\x7f" + b"\xff" * 7 + b"\x01f\x01v"),
        (24, b"\xff" * 8 + b"\x01\x01\x01f\x01v"),
        (25, bytes(8) + encode_string(listpack.encode([b"f", b"v", b"-1"]), compress=False)),
        (25, bytes(8) + encode_string(listpack.encode([b"f", b"v", b"9223372036854775807"]), compress=False)),
        # How many entries a stream ever had, and how often one was delivered.
        (19, bytes(8) + b"\x81" + b"\xff" * 8 + b"\x00"),
        (19, bytes(9) + b"\1\1g\0\0\0\1" + bytes(24) + b"\x81" + b"\xff" * 8 + b"\1\1c" + bytes(8) + b"\1" + bytes(16)),
    ],
)
def test_what_could_not_be_saved_again_is_refused(kind: int, body: bytes) -> None:
    """It ended the server when a snapshot was to be written, or when the number next went up."""
    with pytest.raises(Error, match="Bad data format"):
        deserialized(sealed(bytes((kind,)) + body), DEFAULT_LIMITS, lambda line: line)
