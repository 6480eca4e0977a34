"""Streams in every form that RDB files have had, and as commands: both servers make the same of them."""

from __future__ import annotations

import re
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.persistence import listpack
from node.persistence.aof.rewrite_commands import REWRITERS
from node.persistence.crc64 import crc64
from node.persistence.rdb_encoding import I64, Cursor, encode_length, encode_string
from node.persistence.rdb_types import ENCODERS, decoder_of
from node.persistence.rdb_writer import VERSION
from node.structures.consumer_groups import Consumer, Group
from node.structures.stream_ids import format_id, make_id, raw_id
from node.structures.streams import Stream
from tests.node.conftest import Pair
from tests.node.differential import budget
from tests.node.raw_client import RawClient, parse_reply

# In the past, so that a server's clock does not correct it.
_DELIVERED_MS = 1_600_000_000_000


def made(entries: int, seed: int = 7) -> Stream:
    """A stream with gaps, differing fields, nodes of several entries and groups with something pending."""
    chance = Random(seed)
    stream = Stream()
    entry_id = make_id(5, 5)
    for number in range(entries):
        entry_id = make_id((entry_id >> 64) + chance.choice([0, 0, 1, 1 << 40]), (entry_id & 0xFFFF) + 1)
        fields = [b"f", b"g"][: chance.choice([1, 1, 2])]
        items = [part for field in fields for part in (field, chance.choice([b"", b"v", b"%d" % number, b"x" * 70]))]
        stream.append(entry_id, items, sum(map(len, items)), 4096, 10)
    ids = list(stream.ids(0, entry_id))
    for entry_id in ids[1::5]:
        stream.delete(entry_id)
        stream.max_deleted_id = entry_id
    stream.find_first()
    for name, read in ((b"g", len(ids) // 2), (b"a group", -1)):
        group = stream.groups[name] = Group(ids[len(ids) // 2] if ids else 0, read)
        consumers = [Consumer(each, _DELIVERED_MS) for each in (b"bob", b"alice", b"idle")]
        group.consumers = {consumer.name: consumer for consumer in consumers}
        for entry_id in ids[: len(ids) // 2]:
            group.deliver(entry_id, chance.choice(consumers[:2]), _DELIVERED_MS, chance.randrange(1, 4))
    return stream


def _payload(kind: int, body: bytes) -> bytes:
    body = bytes((kind,)) + body + VERSION.to_bytes(2, "little")
    return body + crc64(body).to_bytes(8, "little")


def _seen(client: RawClient, name: str = "s") -> list[bytes]:
    """All that a server tells of a stream, without its own times."""
    full = client.ask("XINFO", "STREAM", name, "FULL", "COUNT", "0")
    return [re.sub(rb"seen-time\r\n:\d+", b"", full), client.ask("XINFO", "GROUPS", name)]


@pytest.mark.parametrize("entries", [0, 1, 9, 500])
def test_what_we_write_both_read(entries: int, pair: Pair) -> None:
    stream = made(entries)
    stream._check()
    kind, body = ENCODERS[Stream](stream, True)
    read = decoder_of(kind, 0)(Cursor(body))
    assert isinstance(read, Stream)
    read._check()
    assert ENCODERS[Stream](read, True) == (kind, body)
    ours, theirs = pair.connect()
    assert theirs.ask("CONFIG", "SET", "sanitize-dump-payload", "yes") == b"+OK\r\n"
    for client in (ours, theirs):
        assert client.ask("RESTORE", "s", "0", _payload(kind, body)) == b"+OK\r\n"
    assert theirs.ask("CONFIG", "SET", "sanitize-dump-payload", "no") == b"+OK\r\n"
    assert _seen(ours) == _seen(theirs)
    assert ours.ask("DEBUG", "DIGEST") == theirs.ask("DEBUG", "DIGEST")
    # What is there is read, and not what was deleted from a node that a real server keeps whole.
    expected = _seen(theirs)
    dump = theirs.ask("DUMP", "s").partition(b"\r\n")[2][:-2]
    assert ours.ask("RESTORE", "s", "0", dump, "REPLACE") == b"+OK\r\n"
    assert _seen(ours) == expected


def test_deleted_entries_keep_their_place_in_a_nodes_listpack(pair: Pair) -> None:
    ours, theirs = pair.connect()
    for number in range(1, 8):
        theirs.ask("XADD", "s", f"{number}-{9 - number}", "f", str(number))
    theirs.ask("XADD", "s", "9-9", "g", "x", "f", "y")
    theirs.ask("XDEL", "s", "1-8", "3-6", "9-9")
    dump = theirs.ask("DUMP", "s").partition(b"\r\n")[2][:-2]
    assert ours.ask("RESTORE", "s", "0", dump) == b"+OK\r\n"
    assert _seen(ours) == _seen(theirs)


# Values that make a node look like one of another shape, if line ends are all one looks at.
_VALUE = st.sampled_from(
    ["", "v", "17", "-5000", "x" * 70, "\r\n", "v\r\n$1\r\nf\r\n$1\r\nv", "*2\r\n$3\r\n1-1", "y" * 5000]
)
_STEP = st.one_of(
    st.tuples(
        st.just("XADD"), st.integers(0, 3), st.lists(st.tuples(st.sampled_from("fg"), _VALUE), min_size=1, max_size=3)
    ),
    st.tuples(st.just("XDEL"), st.integers(0, 40)),
    st.tuples(st.just("XTRIM"), st.sampled_from(["=", "~"]), st.integers(0, 30)),
)


@given(st.lists(_STEP, max_size=60), st.integers(0, 60), st.integers(1, 12))
@budget(80)
def test_both_write_the_same_bytes_and_go_on_alike_from_them(
    pair: Pair, steps: list[tuple[Any, ...]], restart: int, entries_max: int
) -> None:
    """What was deleted included: it decides where the next node begins, and so what ``XTRIM ~`` removes."""
    ours, theirs = pair.connect()
    for client in (ours, theirs):
        client.ask("FLUSHALL")
        client.ask("CONFIG", "SET", "rdbcompression", "no")
        client.ask("CONFIG", "SET", "stream-node-max-entries", str(entries_max))
    ids: list[str] = []
    time_ms = 1000
    for at, (name, *arguments) in enumerate(steps):
        if name == "XADD":
            time_ms += arguments[0]
            ids.append(f"{time_ms}-{len(ids) + 1}")
            words = ["XADD", "s", ids[-1], *(part for pair_ in arguments[1] for part in pair_)]
        elif name == "XDEL":
            words = ["XDEL", "s", ids[arguments[0] % len(ids)] if ids else "1-1"]
        else:
            words = ["XTRIM", "s", "MAXLEN", arguments[0], str(arguments[1])]
        assert ours.ask(*words) == theirs.ask(*words), words
        dumps = [parse_reply(client.ask("DUMP", "s")) for client in (ours, theirs)]
        assert dumps[0] == dumps[1]
        if at == restart and dumps[0] is not None:
            for client in (ours, theirs):
                assert client.ask("RESTORE", "s", "0", dumps[0], "REPLACE") == b"+OK\r\n"
    for client in (ours, theirs):
        client.ask("CONFIG", "SET", "rdbcompression", "yes")
    pair.disconnect()


@pytest.mark.parametrize("kind", [15, 21])
def test_older_and_newer_forms(kind: int, pair: Pair) -> None:
    """One node (1-1 f v; 1-2 deleted; 5-0 g w h x), one group, in which one entry is pending."""
    node = listpack.encode([2, 1, 1, b"f", 0, 2, 0, 0, b"v", 4, 3, 0, 1, b"v2", 4, 0, 4, -1, 2, *b"g w h x".split(), 8])
    entries = encode_length(1) + b"\x10" + raw_id(make_id(1, 1)) + encode_string(node, compress=False)
    numbers = [2, 5, 0] if kind == 15 else [2, 5, 0, 1, 1, 1, 2, 3]
    group = [b"\x01g", encode_length(1), encode_length(1)]
    group += [] if kind == 15 else [encode_length(1)]
    group += [b"\x01", raw_id(make_id(1, 1)), I64.pack(_DELIVERED_MS), b"\x03", b"\x01", b"\x05alice"]
    group += [I64.pack(_DELIVERED_MS)] * (1 if kind == 15 else 2)
    group += [b"\x01", raw_id(make_id(1, 1))]
    body = entries + b"".join(map(encode_length, numbers)) + b"\x01" + b"".join(group)
    stream = decoder_of(kind, 0)(Cursor(body))
    assert isinstance(stream, Stream)
    stream._check()
    ours, theirs = pair.connect()
    assert ours.ask("RESTORE", "s", "0", _payload(kind, body)) == b"+OK\r\n"
    # A real server 7.0 does not know 21: it gets what we write.
    theirs.ask("RESTORE", "s", "0", _payload(kind, body) if kind == 15 else _payload(*ENCODERS[Stream](stream, False)))
    assert _seen(ours) == _seen(theirs)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x01\x02xx",
        b"\x01\x10" + b"\0" * 16 + encode_string(listpack.encode([]), compress=False),
        b"\x01\x10" + b"\0" * 16 + encode_string(listpack.encode([1, 0, 1, b"f", 0]), compress=False),
        b"\x01\x10" + b"\0" * 16 + encode_string(listpack.encode([1, 0, 1, b"f", 0, 2, 0, 1]), compress=False),
        # A group in which something is pending that no consumer has, and the other way round.
        b"\0" * 9 + b"\x01\x01g\0\0\0" + b"\x01" + b"\0" * 24 + b"\x01\0",
        b"\0" * 9 + b"\x01\x01g\0\0\0" + b"\0\x01\x01c" + b"\0" * 8 + b"\x01" + b"\0" * 16,
    ],
)
def test_what_is_no_stream_is_refused(body: bytes, pair: Pair) -> None:
    ours, theirs = pair.connect()
    assert theirs.ask("CONFIG", "SET", "sanitize-dump-payload", "yes") == b"+OK\r\n"
    words = ("RESTORE", "s", "0", _payload(19, body))
    assert ours.ask(*words) == theirs.ask(*words) == b"-ERR Bad data format\r\n"
    assert theirs.ask("CONFIG", "SET", "sanitize-dump-payload", "no") == b"+OK\r\n"


@pytest.mark.parametrize("entries", [0, 9])
def test_as_commands_it_is_the_same_to_both(entries: int, pair: Pair) -> None:
    """What an append-only file without preamble has."""
    stream = made(entries)
    ours, theirs = pair.connect()
    for client in (ours, theirs):
        for argv in REWRITERS[Stream](b"s", stream):
            assert not client.ask(*argv).startswith(b"-"), argv
    assert _seen(ours) == _seen(theirs)
    assert b"$%d\r\n%b\r\n" % (len(format_id(stream.last_id)), format_id(stream.last_id)) in _seen(ours)[0]
