"""DUMP and RESTORE: payloads go both ways between our node and a real server, and the same ones are refused."""

from __future__ import annotations

import random

import pytest

from tests.node.conftest import Pair
from tests.node.raw_client import RawClient

VALUES = [
    b"",
    b"0",
    b"-1",
    b"127",
    b"-32769",
    b"2147483648",
    b"01",
    b"text",
    bytes(range(256)),
    b"x" * 20_000,
    b"ab\r\n" * 300,
    random.Random(3).randbytes(5000),
]


def _dump(client: RawClient, name: str) -> bytes:
    header, _, rest = client.ask("DUMP", name).partition(b"\r\n")
    assert header.startswith(b"$")
    return rest[:-2]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: f"{len(value)} bytes {value[:6]!r}")
def test_payloads_go_both_ways(value: bytes, pair: Pair) -> None:
    ours, theirs = pair.connect()
    for source, target in ((ours, theirs), (theirs, ours)):
        source.ask("SET", "source", value)
        target.ask("DEL", "target")
        assert target.ask("RESTORE", "target", "0", _dump(source, "source")) == b"+OK\r\n"
        assert target.ask("GET", "target") == source.ask("GET", "source")
    if len(value) <= 20:
        # Short ones have one form only. Longer ones may be compressed, and not every compressor finds the same.
        assert _dump(ours, "source") == _dump(theirs, "source")


def test_a_value_changed_in_place(pair: Pair) -> None:
    ours, theirs = pair.connect()
    for client in (ours, theirs):
        client.ask("SET", "k", "ab")
        client.ask("APPEND", "k", "c")
    assert _dump(ours, "k") == _dump(theirs, "k")


def test_damaged_payloads_can_be_let_through(pair: Pair) -> None:
    """DEBUG SET-SKIP-CHECKSUM-VALIDATION: what is no value is refused all the same."""
    sound = b"\x00\x01v\x0a\x00" + bytes(8)
    empty_node = b"\x12\x01\x01\x00\x0a\x00" + bytes(8)
    newer = b"\x00\x01v\xff\x00" + bytes(8)
    for client in pair.connect():
        wrong = b"-ERR DUMP payload version or checksum are wrong\r\n"
        assert client.ask("RESTORE", "k", "0", sound) == wrong
        assert client.ask("DEBUG", "SET-SKIP-CHECKSUM-VALIDATION", "1") == b"+OK\r\n"
        assert client.ask("RESTORE", "k", "0", sound) == b"+OK\r\n"
        assert client.ask("GET", "k") == b"$1\r\nv\r\n"
        assert client.ask("RESTORE", "l", "0", empty_node) == b"-ERR Bad data format\r\n"
        assert client.ask("RESTORE", "l", "0", sound[:1] + sound[3:]).startswith(b"-ERR ")
        assert client.ask("RESTORE", "n", "0", newer) == wrong
        assert client.ask("DEBUG", "SET-SKIP-CHECKSUM-VALIDATION", "0") == b"+OK\r\n"
        assert client.ask("RESTORE", "m", "0", sound) == wrong


def test_refusals_and_options(pair: Pair) -> None:
    both = pair.connect()
    payload = b"\x00\x03abc\x0a\x00"
    both[1].ask("SET", "k", "abc")
    good = _dump(both[1], "k")
    list_payload = b"\x01\x01\x01a" + good[-10:-8]
    steps = [
        ("DUMP", "missing"),
        ("RESTORE", "k", "0", good),
        ("RESTORE", "k", "0", "short"),
        ("RESTORE", "n", "0", "short"),
        ("RESTORE", "n", "0", payload + b"\x00" * 8),
        ("RESTORE", "n", "0", good[:-1] + bytes((good[-1] ^ 1,))),
        ("RESTORE", "n", "0", list_payload + b"\x00" * 8),
        ("RESTORE", "n", "x", good),
        ("RESTORE", "n", "-1", good),
        ("RESTORE", "n", "0", good, "BOGUS"),
        ("RESTORE", "n", "0", good, "FREQ"),
        ("RESTORE", "n", "0", good, "FREQ", "256"),
        ("RESTORE", "n", "0", good, "FREQ", "x"),
        ("RESTORE", "n", "0", good, "IDLETIME", "-1"),
        ("RESTORE", "n", "0", good, "IDLETIME", "1", "FREQ", "1"),
        ("RESTORE", "n", "0", good, "IDLETIME", "1", "IDLETIME", "2"),
        ("EXISTS", "n"),
        ("RESTORE", "k", "99999999999999", good, "REPLACE", "ABSTTL"),
        ("PEXPIRETIME", "k"),
        ("RESTORE", "k", "1", good, "ABSTTL"),
        ("RESTORE", "k", "1", good, "ABSTTL", "REPLACE"),
        ("EXISTS", "k"),
        ("RESTORE", "k", "1", good, "ABSTTL"),
        ("RESTORE", "k", "100000", good),
        ("TTL", "k"),
        ("RESTORE-ASKING", "k", "0", good, "REPLACE"),
        ("TTL", "k"),
    ]
    for client in both:
        client.ask("SET", "k", "abc")
    for step in steps:
        ours, theirs = (client.ask(*step) for client in both)
        assert (step, ours) == (step, theirs)
