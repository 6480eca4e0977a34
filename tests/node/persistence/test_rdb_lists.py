"""Lists in every form that RDB files have had: what we read is what a real server reads."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.persistence import listpack
from node.persistence.crc64 import crc64
from node.persistence.rdb_encoding import Cursor, encode_length, encode_string
from node.persistence.rdb_list import encode_quicklist
from node.persistence.rdb_types import decoder_of
from node.persistence.rdb_writer import VERSION
from node.structures.lists import Quicklist
from tests.node.conftest import Pair
from tests.node.differential import budget
from tests.node.persistence.old_containers import ziplist

ITEMS = [b"", b"a", b"17", b"-1", b"01", b"9223372036854775807", b"x" * 70, b"y" * 5000, b"\0\r\n"]


def _text(data: bytes) -> bytes:
    return encode_string(data, compress=True)


def _bodies() -> dict[str, bytes]:
    """Type byte and body of the items in each form."""
    chance = Random(5)
    count = encode_length(len(ITEMS))
    return {
        "one by one": b"\x01" + count + b"".join(map(_text, ITEMS)),
        "ziplist": b"\x0a" + _text(ziplist(ITEMS, chance)),
        "ziplists": b"\x0e\x02" + _text(ziplist(ITEMS[:4], chance)) + _text(ziplist(ITEMS[4:], chance)),
        "listpacks": b"\x12\x02\x02" + _text(listpack.encode(ITEMS[:4])) + b"\x02" + _text(listpack.encode(ITEMS[4:])),
        # Not the empty one: a real server takes no plain node without content.
        "plain": b"\x12" + encode_length(len(ITEMS) - 1) + b"".join(b"\x01" + _text(item) for item in ITEMS[1:]),
    }


@pytest.mark.parametrize("form", list(_bodies()))
def test_each_form_is_read_as_a_real_server_reads_it(form: str, pair: Pair) -> None:
    body = _bodies()[form] + VERSION.to_bytes(2, "little")
    payload = body + crc64(body).to_bytes(8, "little")
    ours, theirs = pair.connect()
    for client in (ours, theirs):
        assert client.ask("RESTORE", "list", "0", payload) == b"+OK\r\n"
    assert ours.ask("LRANGE", "list", "0", "-1") == theirs.ask("LRANGE", "list", "0", "-1")


@pytest.mark.parametrize("body", [b"\x01\x00", b"\x12\x00", b"\x12\x01\x03\x01a", b"\x12\x01\x02\x01a"])
def test_what_is_no_list_is_refused(body: bytes, pair: Pair) -> None:
    body += VERSION.to_bytes(2, "little")
    ours, theirs = pair.connect()
    words = ("RESTORE", "list", "0", body + crc64(body).to_bytes(8, "little"))
    assert ours.ask(*words) == theirs.ask(*words) == b"-ERR Bad data format\r\n"


@given(st.lists(st.one_of(st.integers(0, 3000), st.sampled_from([8176, 8177, 8178, 9000])), min_size=1, max_size=40))
@budget(60)
def test_nodes_are_those_of_a_real_server(pair: Pair, sizes: list[int]) -> None:
    ours, theirs = pair.connect()
    items = [b"x" * size if size % 3 else b"%d" % (size * 70_000) for size in sizes]
    dumps = []
    for client in (ours, theirs):
        client.ask("CONFIG", "SET", "rdbcompression", "no")
        client.ask("DEL", "list")
        client.ask("RPUSH", "list", *items)
        dumps.append(client.ask("DUMP", "list"))
        client.ask("CONFIG", "SET", "rdbcompression", "yes")
    assert dumps[0] == dumps[1]
    pair.disconnect()


@pytest.mark.parametrize("count", [1, 1000, 3000])
def test_what_we_write_we_read(count: int) -> None:
    items = [(b"%d" % number) * (number % 40 + 1) for number in range(count)] + [b"large" * 3000]
    body = encode_quicklist(Quicklist(list(items)), compress=True)
    read = decoder_of(18, 0)(Cursor(body))
    assert isinstance(read, Quicklist)
    assert list(read) == items
