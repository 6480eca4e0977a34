"""Bus messages as bytes: Redis' binary format, big-endian, without padding.

Owns the layout, and every check that can be made on one message alone. There are two ways for a peer to be wrong, as in
Redis: a `BrokenFrameError` (no signature, absurd length) leaves no way to find the next message, so the link is closed;
a `MalformedMessageError` can be skipped, and the link stays.

A stream is cut into messages by `FrameReader`; a datagram holds exactly one message. Extensions of heartbeats are in
`extensions`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache

from cluster.extensions import decode_extensions, encode_extensions
from cluster.fields import BrokenFrameError, MalformedMessageError, exactly, host, node_id
from cluster.messages import (
    BITMAP_BYTES,
    ID_LENGTH,
    Body,
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

_SIGNATURE = b"RCmb"
_VERSION = 1
_PREFIX = struct.Struct(">4sI")
# sig totlen ver port type count
_HEAD_FIELDS = "4sIHHHH"
# currentEpoch configEpoch offset | sender myslots slaveof myip | extensions reserved pport cport flags state mflags
_PORTRAIT_FIELDS = "QQQ40s2048s40s46sH30xHHHBB2x"
_HEAD = struct.Struct(">" + _HEAD_FIELDS)
_PORTRAIT = struct.Struct(">" + _PORTRAIT_FIELDS)
HEADER_BYTES = _HEAD.size + _PORTRAIT.size
# The sender's id, behind the head and three numbers.
_SENDER = slice(_HEAD.size + 3 * 8, _HEAD.size + 3 * 8 + ID_LENGTH)
_TYPE = struct.Struct(">H")
_TYPE_AT = 12
# The bytes of a message after which its length can be judged: up to and including the type.
_JUDGED_BYTES = _TYPE_AT + _TYPE.size
# id ping_sent pong_received ip port cport flags pport reserved
_GOSSIP = struct.Struct(">40sII46sHHHH2x")
_UPDATE = struct.Struct(f">Q40s{BITMAP_BYTES}s")
_LENGTHS = struct.Struct(">II")
_MODULE = struct.Struct(">8sIB")

# Gossip about all the 1,000 nodes that a cluster may have (cluster specification, "Main properties") takes a small
# part of this; only what clients or modules say can be longer.
_PLAIN_BYTES_MAX = 8 * 1024 * 1024
# A channel and a payload of `proto-max-bulk-len` (512 MB) each is the most a client can publish.
_PUBLISH_BYTES_MAX = HEADER_BYTES + _LENGTHS.size + 2 * 512 * 1024 * 1024
_HEARTBEATS = {kind.value: kind for kind in (MessageType.PING, MessageType.PONG, MessageType.MEET)}
# An epoch is counted up by whoever knows it, in the 64 bits that it has here: none is taken over that leaves no room.
_EPOCH_END = 1 << 63
_CARRIES_PAYLOAD = frozenset({MessageType.PUBLISH, MessageType.PUBLISHSHARD, MessageType.MODULE})

_NO_MASTER = bytes(ID_LENGTH)
_EXT_DATA = MessageFlag.EXT_DATA.value
# An enumeration looks a number up in Python code; every heartbeat has one of each of these.
_node_flags = lru_cache(1024)(NodeFlag)
_message_flags = lru_cache(256)(MessageFlag)


# Entries of gossip that are known as they come: several for each of a thousand nodes. A large cluster says the same of
# a node a thousand times before it says something new.
_GOSSIP_REMEMBERED = 4096
# Headers, which have two kilobytes each.
_PORTRAITS_REMEMBERED = 1024
# And how many entries a heartbeat has.
_COUNTS_REMEMBERED = 64


class FrameReader:
    """Cuts the bytes of one link into whole messages, holding at most one unfinished message."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        # Bytes received and not yet part of a whole message.
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The messages completed by `data`, in order; raises BrokenFrameError, after which the reader is done for.

        Messages in front of a broken one in the same chunk are lost with it, as their link is.
        """
        buffer = self._buffer
        if not buffer and len(data) >= _PREFIX.size and _frame_length(data, 0) == len(data):
            # Nearly always: one message at a time.
            return [data]
        buffer += data
        frames: list[bytes] = []
        start = 0
        while len(buffer) - start >= _PREFIX.size:
            length = _frame_length(buffer, start)
            if len(buffer) - start < length:
                break
            frames.append(bytes(buffer[start : start + length]))
            start += length
        if start:
            del buffer[:start]
        return frames


def _frame_length(buffer: bytes | bytearray, start: int) -> int:
    """The length of the message that begins at `start`, which has at least 8 bytes there."""
    signature, length = _PREFIX.unpack_from(buffer, start)
    if signature != _SIGNATURE:
        raise BrokenFrameError("bad signature")
    if length < HEADER_BYTES or length > _PUBLISH_BYTES_MAX:
        raise BrokenFrameError(f"bad message length {length}")
    if length > _PLAIN_BYTES_MAX and len(buffer) - start >= _JUDGED_BYTES:
        (number,) = _TYPE.unpack_from(buffer, start + _TYPE_AT)
        if number not in _CARRIES_PAYLOAD:
            raise BrokenFrameError(f"bad length {length} for a message of type {number}")
    return int(length)


# ---- encoding


def encode(message: Message) -> bytes:
    """The bytes of `message`."""
    header, body = message.header, message.body
    count = extensions = 0
    mflags = int(header.mflags)
    match body:
        case Heartbeat():
            number = int(body.kind)
            count = len(body.gossip)
            extension_list = encode_extensions(body.extensions)
            extensions = len(extension_list)
            if extensions:
                mflags |= _EXT_DATA
            entries = [entry.encoded or _encode_gossip(entry) for entry in body.gossip]
            tail = b"".join([*entries, *extension_list])
        case Fail():
            number, tail = MessageType.FAIL, body.node.encode("ascii")
        case Publish():
            number = MessageType.PUBLISHSHARD if body.sharded else MessageType.PUBLISH
            tail = _LENGTHS.pack(len(body.channel), len(body.payload)) + body.channel + body.payload
        case FailoverAuthRequest():
            number, tail = MessageType.FAILOVER_AUTH_REQUEST, b""
        case FailoverAuthAck():
            number, tail = MessageType.FAILOVER_AUTH_ACK, b""
        case Update():
            number, tail = MessageType.UPDATE, _UPDATE.pack(body.config_epoch, body.node.encode("ascii"), body.slots)
        case ManualFailoverStart():
            number, tail = MessageType.MFSTART, b""
        case Module():
            number = MessageType.MODULE
            tail = _MODULE.pack(body.module_id, len(body.payload), body.subtype) + body.payload
        case Unrecognized():
            raise ValueError(f"a message of unknown type {body.number} is only ever received")
    return b"".join(
        (
            _HEAD.pack(_SIGNATURE, HEADER_BYTES + len(tail), _VERSION, header.port, number, count),
            _encode_portrait(header, extensions, mflags),
            tail,
        )
    )


# A node that has nothing new says the same of itself in each heartbeat.
@lru_cache(_PORTRAITS_REMEMBERED)
def _encode_portrait(header: Header, extensions: int, mflags: int) -> bytes:
    """The header without what is in front of the others."""
    return _PORTRAIT.pack(
        header.current_epoch,
        header.config_epoch,
        header.offset,
        header.sender.encode("ascii"),
        header.slots,
        _NO_MASTER if header.master is None else header.master.encode("ascii"),
        header.ip.encode("ascii"),
        extensions,
        header.pport,
        header.cport,
        header.flags,
        0 if header.cluster_ok else 1,
        mflags,
    )


def encoded_length(message: Message) -> int:
    """How many bytes `encode` would make of the message."""
    match message.body:
        case Heartbeat(gossip=gossip, extensions=extensions):
            carried = sum(map(len, encode_extensions(extensions)))
            return HEADER_BYTES + _GOSSIP.size * len(gossip) + carried
        case Fail():
            return HEADER_BYTES + ID_LENGTH
        case Update():
            return HEADER_BYTES + _UPDATE.size
        case Publish(channel=channel, payload=payload):
            return HEADER_BYTES + _LENGTHS.size + len(channel) + len(payload)
        case Module(payload=payload):
            return HEADER_BYTES + _MODULE.size + len(payload)
        case _:
            return HEADER_BYTES


def _encode_gossip(entry: GossipEntry) -> bytes:
    entry.encoded = encoded = _GOSSIP.pack(
        entry.node.encode("ascii"),
        entry.ping_sent,
        entry.pong_received,
        entry.ip.encode("ascii"),
        entry.port,
        entry.cport,
        entry.flags,
        entry.pport,
    )
    return encoded


# ---- decoding


def decode(frame: bytes) -> Message:
    """The message in `frame`, which is one whole message; raises BusProtocolError, and nothing else."""
    if len(frame) < HEADER_BYTES:
        raise BrokenFrameError(f"a message of {len(frame)} bytes")
    signature, length, version, port, number, count = _HEAD.unpack_from(frame)
    if signature != _SIGNATURE or length != len(frame):
        raise BrokenFrameError("bad signature or length")
    if version != _VERSION:
        raise MalformedMessageError(f"protocol version {version}")
    header, extensions = _decode_portrait(port, frame)
    kind = _HEARTBEATS.get(number)
    if kind is not None:
        carried = extensions if int(header.mflags) & _EXT_DATA else 0
        return Message(header, _decode_heartbeat(kind, frame, count, carried))
    decoder = _BODIES.get(number)
    return Message(header, Unrecognized(number) if decoder is None else decoder(frame))


class _Portrait:
    """The newest portrait of a sender: its bytes, the port in front of them, and what they say."""

    __slots__ = ("extensions", "header", "port", "raw")

    header: Header
    extensions: int

    def __init__(self) -> None:
        # None yet.
        self.port = -1
        self.raw = b""


@lru_cache(_PORTRAITS_REMEMBERED)
def _newest(_sender: bytes) -> _Portrait:
    return _Portrait()


def _decode_portrait(port: int, frame: bytes) -> tuple[Header, int]:
    """The header, of whose fields one is in front of the others, and how many extensions the message has.

    A node that has nothing new says the same of itself in each heartbeat, and two kilobytes are sooner compared than
    hashed.
    """
    newest = _newest(frame[_SENDER])
    if newest.port == port and frame.startswith(newest.raw, _HEAD.size):
        return newest.header, newest.extensions
    raw = frame[_HEAD.size : HEADER_BYTES]
    (
        current_epoch,
        config_epoch,
        offset,
        sender,
        slots,
        master,
        ip,
        extensions,
        pport,
        cport,
        flags,
        state,
        mflags,
    ) = _PORTRAIT.unpack(raw)
    if master == sender:
        raise MalformedMessageError("a replica of itself")
    header = Header(
        sender=node_id(sender),
        flags=_node_flags(flags),
        ip=host(ip),
        port=port,
        cport=cport,
        current_epoch=_checked_epoch(current_epoch),
        config_epoch=_checked_epoch(config_epoch),
        slots=slots,
        master=None if master == _NO_MASTER else node_id(master),
        offset=offset,
        cluster_ok=state == 0,
        mflags=_message_flags(mflags),
        pport=pport,
    )
    newest.port, newest.raw, newest.header, newest.extensions = port, raw, header, extensions
    return header, extensions


def _checked_epoch(epoch: int) -> int:
    if epoch >= _EPOCH_END:
        raise MalformedMessageError(f"epoch {epoch}")
    return epoch


def _decode_heartbeat(kind: MessageType, frame: bytes, count: int, extensions: int) -> Heartbeat:
    gossip_end = HEADER_BYTES + _GOSSIP.size * count
    if gossip_end > len(frame):
        raise MalformedMessageError(f"{count} gossip entries in {len(frame)} bytes")
    gossip = tuple(map(_decode_gossip, _sections(count).unpack_from(frame, HEADER_BYTES)))
    return Heartbeat(kind, gossip, decode_extensions(frame, gossip_end, extensions))


@lru_cache(_COUNTS_REMEMBERED)
def _sections(count: int) -> struct.Struct:
    """So many entries of gossip, each as the bytes it has: taken apart in one call, and not in one for each."""
    return struct.Struct(f"{_GOSSIP.size}s" * count)


@lru_cache(_GOSSIP_REMEMBERED)
def _decode_gossip(raw: bytes) -> GossipEntry:
    node, ping_sent, pong_received, ip, port, cport, flags, pport = _GOSSIP.unpack(raw)
    return GossipEntry(node_id(node), host(ip), port, cport, flags, ping_sent, pong_received, pport, raw)


def _decode_fail(frame: bytes) -> Fail:
    return Fail(node_id(frame[HEADER_BYTES:]))


def _decode_publish(frame: bytes, *, sharded: bool) -> Publish:
    if len(frame) < HEADER_BYTES + _LENGTHS.size:
        raise MalformedMessageError("PUBLISH without its lengths")
    channel_length, payload_length = _LENGTHS.unpack_from(frame, HEADER_BYTES)
    start = HEADER_BYTES + _LENGTHS.size
    if start + channel_length + payload_length != len(frame):
        raise MalformedMessageError(f"PUBLISH of {channel_length} and {payload_length} bytes in {len(frame)}")
    middle = start + channel_length
    return Publish(frame[start:middle], frame[middle:], sharded)


def _decode_update(frame: bytes) -> Update:
    config_epoch, node, slots = exactly(_UPDATE, frame[HEADER_BYTES:])
    return Update(node_id(node), _checked_epoch(config_epoch), slots)


def _decode_module(frame: bytes) -> Module:
    start = HEADER_BYTES + _MODULE.size
    if len(frame) < start:
        raise MalformedMessageError("MODULE without its length")
    module_id, length, subtype = _MODULE.unpack_from(frame, HEADER_BYTES)
    if start + length != len(frame):
        raise MalformedMessageError(f"MODULE of {length} bytes in {len(frame)}")
    return Module(module_id, subtype, frame[start:])


def _bare(body: Body) -> Callable[[bytes], Body]:
    """The decoder of a type that is all header."""

    def check(frame: bytes) -> Body:
        if len(frame) != HEADER_BYTES:
            raise MalformedMessageError(f"{len(frame) - HEADER_BYTES} bytes too many")
        return body

    return check


_BODIES: dict[int, Callable[[bytes], Body]] = {
    MessageType.FAIL: _decode_fail,
    MessageType.PUBLISH: lambda frame: _decode_publish(frame, sharded=False),
    MessageType.FAILOVER_AUTH_REQUEST: _bare(FailoverAuthRequest()),
    MessageType.FAILOVER_AUTH_ACK: _bare(FailoverAuthAck()),
    MessageType.UPDATE: _decode_update,
    MessageType.MFSTART: _bare(ManualFailoverStart()),
    MessageType.MODULE: _decode_module,
    MessageType.PUBLISHSHARD: lambda frame: _decode_publish(frame, sharded=True),
}
