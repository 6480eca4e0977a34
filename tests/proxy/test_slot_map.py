"""The slot map and what errors say of it."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.redirections import Ask, Later, Moved, read_redirection
from proxy.slot_map import Address, SlotMap, SlotMapError, parse_address

ASKED = Address("10.0.0.9", 7009)


def node(host: bytes | None, port: int) -> list[Any]:
    return [host, port, b"id", []]


def test_cluster_slots_becomes_a_map() -> None:
    reply = [
        [0, 99, node(b"10.0.0.1", 7000), node(b"10.0.0.2", 7001)],
        [200, 16383, node(b"host", 7002)],
        [100, 150, node(b"10.0.0.1", 7000), node(b"10.0.0.2", 7001)],
    ]
    slot_map = SlotMap.from_cluster_slots(reply, ASKED)
    first, other = Address("10.0.0.1", 7000), Address("host", 7002)
    assert slot_map.owners[0] == slot_map.owners[150] == first
    assert slot_map.owners[151] is None
    assert slot_map.owners[16383] == other
    assert slot_map.served == 16384 - 49
    assert slot_map.masters() == {first: 0, other: 200}
    assert list(slot_map.ranges()) == [(0, 150, first), (200, 16383, other)]
    assert slot_map.nodes() == [first, other, Address("10.0.0.2", 7001)]
    slot_map.assign(0, other)
    assert slot_map.masters() == {other: 0, first: 1}
    assert slot_map != SlotMap.from_cluster_slots(reply, ASKED)


@pytest.mark.parametrize("host", [None, b"", b"?"])
def test_host_that_is_not_told_is_the_one_that_was_asked(host: bytes | None) -> None:
    assert SlotMap.from_cluster_slots([[0, 5, node(host, 1234)]], ASKED).owners[5] == Address("10.0.0.9", 1234)


@pytest.mark.parametrize(
    "reply",
    [
        None,
        b"text",
        [[0]],
        [[0, 5]],
        [[0, 16384, node(b"h", 1)]],
        [[5, 4, node(b"h", 1)]],
        [[-1, 4, node(b"h", 1)]],
        [[0, 5, node(b"h", 0)]],
        [[0, 5, node(b"\xff", 1)]],
        [[b"a", b"b", node(b"h", 1)]],
    ],
)
def test_reply_of_another_shape_is_refused(reply: Any) -> None:
    with pytest.raises(SlotMapError):
        SlotMap.from_cluster_slots(reply, ASKED)


@pytest.mark.parametrize(
    ("text", "address"),
    [("h:1", Address("h", 1)), ("::1:7000", Address("::1", 7000)), ("[::1]:7000", Address("::1", 7000))],
)
def test_addresses(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "h", "h:", ":1", "h:0", "h:65536", "h:x", "h:-1"])
def test_no_addresses(text: str) -> None:
    with pytest.raises(ValueError, match="is not host:port"):
        parse_address(text)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (b"MOVED 12182 127.0.0.1:7001", Moved(12182, Address("127.0.0.1", 7001))),
        (b"MOVED 0 ::1:7001", Moved(0, Address("::1", 7001))),
        (b"MOVED 0 node-1.example:7001", Moved(0, Address("node-1.example", 7001))),
        (b"MOVED 5 :7001", Moved(5, Address("10.0.0.9", 7001))),
        (b"MOVED 5 ?:7001", Moved(5, Address("10.0.0.9", 7001))),
        (b"ASK 16383 127.0.0.1:7001", Ask(16383, Address("127.0.0.1", 7001))),
        (b"TRYAGAIN Multiple keys request during rehashing of slot", None),
        (b"CLUSTERDOWN Hash slot not served", None),
        (b"LOADING Redis is loading the dataset in memory", None),
        (b"READONLY You can't write against a read only replica.", None),
        (b"UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)", None),
        # What cannot be understood is no reason to bother the client, nor to go anywhere.
        (b"MOVED", None),
        (b"MOVED 16384 127.0.0.1:1", None),
        (b"MOVED x 127.0.0.1:1", None),
    ],
)
def test_redirections(error: bytes, expected: Moved | Ask | None) -> None:
    assert read_redirection(error, ASKED) == (expected or Later(error))


@pytest.mark.parametrize(
    "error",
    [
        b"ERR no such key",
        b"WRONGTYPE Operation against a key holding the wrong kind of value",
        b"CROSSSLOT Keys in request don't hash to the same slot",
        b"UNBLOCKED client unblocked via CLIENT UNBLOCK",
        b"OOM command not allowed when used memory > 'maxmemory'.",
        b"MOVEDX 1 127.0.0.1:1",
    ],
)
def test_errors_for_the_client(error: bytes) -> None:
    assert read_redirection(error, ASKED) is None
