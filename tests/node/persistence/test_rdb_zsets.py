"""Sorted sets in every form that RDB files have had: what we read is what a real server reads."""

from __future__ import annotations

from math import inf
from random import Random

import pytest

from node.persistence import listpack
from node.persistence.aof.rewrite_commands import REWRITERS
from node.persistence.crc64 import crc64
from node.persistence.rdb_encoding import Cursor, encode_length, encode_score, encode_string
from node.persistence.rdb_types import ENCODERS, decoder_of
from node.persistence.rdb_writer import VERSION
from node.structures.sortedsets import SortedSet
from tests.node.conftest import Pair
from tests.node.persistence.old_containers import ziplist
from tests.node.raw_client import bulk_strings
from wire.encoder import format_double

PAIRS = [(b"m", -inf), (b"", -1.5), (b"17", 0.0), (b"01", 0.1), (b"a", 3.0), (b"\0\r\n", 1e17), (b"x" * 64, inf)]


def _text_score(score: float) -> bytes:
    text = format_double(score)
    return {b"inf": b"\xfe", b"-inf": b"\xff"}.get(text, bytes((len(text),)) + text)


def _bodies() -> dict[str, bytes]:
    """Type byte and body of the pairs in each form."""
    count = encode_length(len(PAIRS))
    items = [part for member, score in PAIRS for part in (member, format_double(score))]
    texts = {member: encode_string(member, compress=True) for member, _ in PAIRS}
    return {
        "scores as text": b"\x03" + count + b"".join(texts[member] + _text_score(score) for member, score in PAIRS),
        "binary scores": b"\x05" + count + b"".join(texts[member] + encode_score(score) for member, score in PAIRS),
        "ziplist": b"\x0c" + encode_string(ziplist(items, Random(5)), compress=True),
        "listpack": b"\x11" + encode_string(listpack.encode(items), compress=True),
    }


def _payload(body: bytes) -> bytes:
    body += VERSION.to_bytes(2, "little")
    return body + crc64(body).to_bytes(8, "little")


@pytest.mark.parametrize("form", list(_bodies()))
def test_each_form_is_read_as_a_real_server_reads_it(form: str, pair: Pair) -> None:
    ours, theirs = pair.connect()
    for client in (ours, theirs):
        assert client.ask("RESTORE", "zset", "0", _payload(_bodies()[form])) == b"+OK\r\n"
    for line in ("ZRANGE zset 0 -1 WITHSCORES", "OBJECT ENCODING zset"):
        assert ours.ask(*line.split()) == theirs.ask(*line.split())


@pytest.mark.parametrize(
    "body",
    [
        b"\x03\x00",
        b"\x05\x00",
        b"\x05\x01\x01a" + b"\0" * 6 + b"\xf8\x7f",
        b"\x11" + encode_string(listpack.encode([]), compress=False),
        b"\x11" + encode_string(listpack.encode([b"a", 1, b"b"]), compress=False),
        b"\x0c" + encode_string(ziplist([b"a", b"1", b"b"], Random(5)), compress=False),
    ],
)
def test_what_is_no_sorted_set_is_refused(body: bytes, pair: Pair) -> None:
    ours, theirs = pair.connect()
    # Otherwise a real server believes the pairs to be whole.
    assert theirs.ask("CONFIG", "SET", "sanitize-dump-payload", "yes") == b"+OK\r\n"
    words = ("RESTORE", "zset", "0", _payload(body))
    assert ours.ask(*words) == theirs.ask(*words) == b"-ERR Bad data format\r\n"
    assert theirs.ask("CONFIG", "SET", "sanitize-dump-payload", "no") == b"+OK\r\n"


@pytest.mark.parametrize("count", [1, 128, 129, 5000])
def test_what_we_write_we_read(count: int) -> None:
    chance = Random(count)
    zset = SortedSet({b"%d" % number: chance.choice([1.0, 2.5, chance.random()]) for number in range(count)})
    zset.compact = count <= 128
    kind, body = ENCODERS[SortedSet](zset, True)
    read = decoder_of(kind, 0)(Cursor(body))
    assert isinstance(read, SortedSet)
    assert dict(read.scores.items()) == dict(zset.scores.items())
    assert read.encoding == zset.encoding
    read._check()


def test_as_commands_it_is_the_same_to_a_real_server(pair: Pair) -> None:
    """What an append-only file without preamble has."""
    zset = SortedSet(dict(PAIRS) | {b"%d" % number: number / 7 for number in range(200)})
    _, theirs = pair.connect()
    for argv in REWRITERS[SortedSet](b"zset", zset):
        assert theirs.ask(*argv).startswith(b":")
    listed = bulk_strings(theirs.ask("ZRANGE", "zset", "0", "-1", "WITHSCORES"))
    assert listed == [part for member, score in zset.pairs(0, len(zset)) for part in (member, format_double(score))]
