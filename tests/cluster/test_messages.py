"""The bus codec: what was written is read, whatever is read is either a message or the codec's own error."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cluster.codec import HEADER_BYTES, FrameReader, decode, encode, encoded_length
from cluster.endpoints import ClientNetwork
from cluster.fields import BrokenFrameError, BusProtocolError, MalformedMessageError
from cluster.messages import (
    BITMAP_BYTES,
    FLAG_NAMES,
    NO_SLOTS,
    Body,
    Extensions,
    Fail,
    FailoverAuthAck,
    FailoverAuthRequest,
    GossipEntry,
    Header,
    Heartbeat,
    ManualFailoverStart,
    Message,
    MessageFlag,
    MessageType,
    Module,
    NodeFlag,
    Publish,
    Unrecognized,
    Update,
)

A, B = "a" * 40, "b" * 40
HEADER = Header(
    sender=A,
    flags=NodeFlag.MYSELF | NodeFlag.MASTER,
    ip="10.0.0.1",
    port=7000,
    cport=17000,
    current_epoch=9,
    config_epoch=7,
    slots=b"\x06" + NO_SLOTS[1:],
    master=None,
    offset=123456789012,
    cluster_ok=True,
)

# ---- strategies

ids = st.text("0123456789abcdef", min_size=40, max_size=40)
ports = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFFFFFF)
u64 = st.integers(0, 0xFFFFFFFFFFFFFFFF)
epochs = st.integers(0, 0x7FFFFFFFFFFFFFFF)
ips = st.one_of(st.just(""), st.ip_addresses().map(str))
hosts = st.text("abcxyz019-.", min_size=1, max_size=255)
maybe_host = st.one_of(st.just(""), hosts)
node_flags = st.integers(0, 0x3FF).map(NodeFlag)
bitmaps = st.binary(min_size=BITMAP_BYTES, max_size=BITMAP_BYTES)
networks = st.builds(
    ClientNetwork,
    st.ip_addresses().map(ipaddress.ip_network),
    st.sampled_from(["localhost", "n-1", "10.1.2.3"]),
    ports.filter(bool),
)
gossip = st.builds(GossipEntry, ids, ips, ports, ports, node_flags, u32, u32, ports)
extensions = st.builds(
    Extensions,
    maybe_host,
    maybe_host,
    ips,
    ips,
    st.lists(st.tuples(ids, u64), max_size=3).map(tuple),
    st.one_of(st.none(), ids),
    st.lists(networks, max_size=3).map(tuple),
)
bodies = st.one_of(
    st.builds(
        Heartbeat,
        st.sampled_from([MessageType.PING, MessageType.PONG, MessageType.MEET]),
        st.lists(gossip, max_size=4).map(tuple),
        extensions,
    ),
    st.builds(Fail, ids),
    st.builds(Publish, st.binary(max_size=40), st.binary(max_size=40), st.booleans()),
    st.just(FailoverAuthRequest()),
    st.just(FailoverAuthAck()),
    st.builds(Update, ids, epochs, bitmaps),
    st.just(ManualFailoverStart()),
    st.builds(Module, st.binary(min_size=8, max_size=8), st.integers(0, 255), st.binary(max_size=40)),
)
headers = st.builds(
    Header,
    ids,
    node_flags,
    ips,
    ports,
    ports,
    epochs,
    epochs,
    bitmaps,
    st.one_of(st.none(), ids),
    u64,
    st.booleans(),
    # EXT_DATA follows from the body; here it is always announced, so that messages compare equal.
    st.integers(0, 3).map(lambda bits: MessageFlag(bits | MessageFlag.EXT_DATA)),
    ports,
).filter(lambda header: header.master != header.sender)


@given(headers, bodies)
@settings(max_examples=150, deadline=None)
def test_what_is_written_is_read(header: Header, body: Body) -> None:
    message = Message(header, body)
    assert decode(encode(message)) == message


@given(st.binary(max_size=64), st.integers(0, 4400), st.integers(0, 4400), bodies)
@settings(max_examples=300, deadline=None)
@example(b"\xff" * 64, 2214, 0, Heartbeat(MessageType.PING))
def test_garbage_raises_nothing_but_the_codecs_own_error(noise: bytes, at: int, cut: int, body: Body) -> None:
    """A real message, overwritten somewhere and cut somewhere, with its length made to fit again or not."""
    data = bytearray(encode(Message(HEADER, body)))
    data[at : at + len(noise)] = noise[: max(0, len(data) - at)]
    if cut:
        del data[cut:]
    for fitted in (bytes(data), _fit(data)):
        try:
            message = decode(fitted)
        except BusProtocolError:
            continue
        assert isinstance(message.body, Unrecognized) or decode(encode(message)) == message


def _fit(data: bytearray) -> bytes:
    data[0:8] = b"RCmb" + struct.pack(">I", len(data))
    return bytes(data)


@pytest.mark.parametrize("size", [1, 7, 1000, 100_000])
def test_a_stream_is_cut_into_messages_however_it_arrives(size: int) -> None:
    messages = [
        Message(HEADER, Heartbeat(MessageType.PING, (GossipEntry(B, "10.0.0.2", 1, 2, NodeFlag.MASTER, 3, 4),))),
        Message(HEADER, Publish(b"channel", b"payload" * 1000)),
        Message(HEADER, FailoverAuthAck()),
    ]
    stream = b"".join(map(encode, messages))
    reader = FrameReader()
    frames: list[bytes] = []
    for at in range(0, len(stream), size):
        frames += reader.feed(stream[at : at + size])
    assert [decode(frame) for frame in frames] == messages


@pytest.mark.parametrize(
    "start",
    [
        b"GET / HTTP/1.1\r\n",
        b"RCmb" + struct.pack(">I", HEADER_BYTES - 1),
        b"RCmb" + struct.pack(">I", 0xFFFFFFFF),
        # 16 MB are possible for a PUBLISH, and for nothing else.
        b"RCmb" + struct.pack(">IHHH", 16 << 20, 1, 7000, MessageType.PING),
        b"RCmb" + struct.pack(">IHHH", 16 << 20, 1, 7000, 4711),
    ],
)
def test_a_stream_that_cannot_go_on_is_given_up_at_its_first_bytes(start: bytes) -> None:
    with pytest.raises(BrokenFrameError):
        FrameReader().feed(start)


def test_a_large_publish_is_no_broken_frame() -> None:
    assert FrameReader().feed(b"RCmb" + struct.pack(">IHHH", 16 << 20, 1, 7000, MessageType.PUBLISH)) == []


@pytest.mark.parametrize(
    ("at", "replacement"),
    [
        pytest.param(8, b"\0\2", id="another protocol version"),
        pytest.param(14, b"\0\2", id="more gossip than there is"),
        pytest.param(16, b"\xff" * 8, id="an epoch that none can follow"),
        pytest.param(24, b"\x80", id="an epoch of slots that none can follow"),
        pytest.param(40, b"A" * 40, id="a sender that is no id"),
        pytest.param(2128, b"x" * 40, id="a master that is no id"),
        pytest.param(2128, b"a" * 40, id="a replica of itself"),
        pytest.param(2168, b"1.2.3.4\n5", id="an address that would break a line of nodes.conf"),
        pytest.param(2168, b"1.2.3.4,host", id="an address that would be read as two"),
        pytest.param(2256, b"\xff", id="gossip about something that is no id"),
    ],
)
def test_a_message_that_makes_no_sense_is_ignored_and_the_stream_goes_on(at: int, replacement: bytes) -> None:
    good = encode(Message(HEADER, Heartbeat(MessageType.PING, (GossipEntry(B, "", 1, 2, NodeFlag.MASTER, 3, 4),))))
    bad = bytearray(good)
    bad[at : at + len(replacement)] = replacement
    frames = FrameReader().feed(bytes(bad) + good)
    assert len(frames) == 2
    with pytest.raises(MalformedMessageError):
        decode(frames[0])
    decode(frames[1])


@pytest.mark.parametrize(
    "extension",
    [
        pytest.param(struct.pack(">IHH", 9, 0, 0) + bytes(8), id="length not divisible by 8"),
        pytest.param(struct.pack(">IHH", 0, 0, 0) + bytes(8), id="shorter than its head"),
        pytest.param(struct.pack(">IHH", 32, 0, 0) + bytes(8), id="runs past the message"),
        pytest.param(struct.pack(">IHH", 8, 0, 0) + bytes(8), id="bytes behind the last one"),
        pytest.param(struct.pack(">IHH", 16, 0, 0) + b"host\nname"[:8], id="a host name with a line break"),
        pytest.param(struct.pack(">IHH", 16, 3, 0) + bytes(8), id="a shard id of 8 bytes"),
        pytest.param(struct.pack(">IHH", 16, 0x534C, 0) + b"1.2.3.4\0", id="half a client network"),
    ],
)
def test_broken_extensions_spoil_the_message(extension: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        decode(with_extensions(extension, 1))


def test_an_unknown_extension_is_skipped() -> None:
    unknown = struct.pack(">IHH", 16, 999, 0) + b"whatever"
    hostname = struct.pack(">IHH", 16, 0, 0) + b"node-1\0\0"
    body = decode(with_extensions(unknown + hostname, 2)).body
    assert body == Heartbeat(MessageType.PING, (), Extensions(hostname="node-1"))


@given(bodies)
@settings(max_examples=100, deadline=None)
def test_lengths_are_known_without_encoding(body: Body) -> None:
    message = Message(HEADER, body)
    assert encoded_length(message) == len(encode(message))


def with_extensions(data: bytes, count: int) -> bytes:
    frame = bytearray(encode(Message(HEADER, Heartbeat(MessageType.PING))) + data)
    frame[2214:2216] = struct.pack(">H", count)
    frame[2253] = MessageFlag.EXT_DATA
    return _fit(frame)


def test_a_message_of_a_later_type_is_recognized_as_unknown() -> None:
    frame = bytearray(encode(Message(HEADER, FailoverAuthAck())))
    frame[12:14] = struct.pack(">H", 11)
    message = decode(bytes(frame))
    assert message.body == Unrecognized(11)
    assert message.kind is None


def test_layout() -> None:
    """The offsets of the fact sheet, for the fields that are easily swapped."""
    header = Header(A, NodeFlag(0x211), "1.2.3.4", 0x1111, 0x2222, 3, 4, NO_SLOTS, B, 5, False, MessageFlag(7), 0x3333)
    frame = encode(Message(header, Fail(B)))
    assert len(frame) == 2296
    assert frame[:4] == b"RCmb"
    assert struct.unpack_from(">IHHHH", frame, 4) == (2296, 1, 0x1111, 3, 0)
    assert struct.unpack_from(">QQQ", frame, 16) == (3, 4, 5)
    assert frame[40:80] == A.encode()
    assert frame[2128:2168] == B.encode()
    assert frame[2168:2176] == b"1.2.3.4\0"
    assert struct.unpack_from(">HHH", frame, 2246) == (0x3333, 0x2222, 0x211)
    assert frame[2252:2256] == b"\1\7\0\0"
    assert frame[2256:] == B.encode()


def test_every_kind_has_a_name_for_cluster_info() -> None:
    assert [kind.counter_name for kind in MessageType] == [
        *("ping", "pong", "meet", "fail", "publish", "auth-req", "auth-ack", "update", "mfstart", "module"),
        "publishshard",
    ]


def test_flags_are_printed_in_redis_order() -> None:
    assert list(FLAG_NAMES.values()) == [
        *("myself", "master", "slave", "fail?", "fail", "handshake", "noaddr", "nofailover")
    ]
