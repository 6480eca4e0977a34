"""Streams in RDB files: node by node, each a listpack behind the id that its entries are counted from; then the groups.

Redis 5 wrote type 15, 7.0 added what counts entries (19), 7.2 when consumers got something last (21).
"""

from __future__ import annotations

from struct import Struct

from node.persistence.rdb_encoding import I64, Cursor, encode_length, encode_string
from node.persistence.rdb_errors import RdbError
from node.persistence.stream_listpack import decode_node, encode_node
from node.structures.consumer_groups import UNKNOWN, Consumer, Group
from node.structures.stream_ids import SEQUENCE_BITS, SEQUENCE_MAX, make_id, raw_id
from node.structures.stream_nodes import StreamNode
from node.structures.streams import Stream

_ID = Struct(">QQ")
_BROKEN = "Stream listpack integrity check failed."
# What is counted up is saved in 64 bits, and nobody counts to half of that.
_COUNT_END = 1 << 63


def decode_stream(cursor: Cursor) -> Stream:
    """Type 15."""
    return _decode(cursor, 1)


def decode_stream_2(cursor: Cursor) -> Stream:
    """Type 19."""
    return _decode(cursor, 2)


def decode_stream_3(cursor: Cursor) -> Stream:
    """Type 21."""
    return _decode(cursor, 3)


def _decode(cursor: Cursor, version: int) -> Stream:
    stream = Stream()
    before = -1
    for _ in range(cursor.count()):
        key = cursor.string()
        if len(key) != _ID.size:
            raise RdbError("Stream node key entry is not the size of a stream ID", cursor.position)
        node = _decode_node(int.from_bytes(key, "big"), cursor)
        if node.base <= before:
            raise RdbError(_BROKEN, cursor.position)
        before = node.last_id
        stream.attach(node)
    stream.length = cursor.length()
    stream.last_id = make_id(cursor.length(), cursor.length())
    if stream.length != sum(map(len, stream.nodes())) or before > stream.last_id:
        raise RdbError("Stream length inconsistent with rax listpacks", cursor.position)
    stream.find_first()
    if version >= 2:
        # The first id is known from the entries.
        cursor.length(), cursor.length()
        stream.max_deleted_id = make_id(cursor.length(), cursor.length())
        stream.added = _counted(cursor)
    else:
        stream.added = stream.length
    for _ in range(cursor.count()):
        name = cursor.string()
        last_id = make_id(cursor.length(), cursor.length())
        read = cursor.length() if version >= 2 else stream.position_of(last_id)
        if name in stream.groups:
            raise RdbError("Duplicated consumer group name detected", cursor.position)
        stream.groups[name] = group = Group(last_id, UNKNOWN if read >= _COUNT_END else read)
        _decode_pending(group, cursor, version)
    return stream


def _counted(cursor: Cursor) -> int:
    """A number that goes up from here."""
    count = cursor.length()
    if count >= _COUNT_END:
        raise RdbError("Stream counter out of range", cursor.position)
    return count


def _decode_node(base: int, cursor: Cursor) -> StreamNode:
    try:
        return decode_node(base, cursor.string())
    except ValueError:
        raise RdbError(_BROKEN, cursor.position) from None


def _decode_pending(group: Group, cursor: Cursor, version: int) -> None:
    """A group's consumers and what is pending with each."""
    deliveries = {}
    for _ in range(cursor.count()):
        entry_id = make_id(*_ID.unpack(cursor.take(_ID.size)))
        deliveries[entry_id] = (cursor.integer(I64), _counted(cursor))
    for _ in range(cursor.count()):
        consumer = Consumer(cursor.string(), cursor.integer(I64))
        if consumer.name in group.consumers:
            raise RdbError("Duplicate stream consumer detected", cursor.position)
        # What an older server did not write it takes to be the same.
        consumer.active_ms = cursor.integer(I64) if version >= 3 else consumer.seen_ms
        group.consumers[consumer.name] = consumer
        for _ in range(cursor.count()):
            entry_id = make_id(*_ID.unpack(cursor.take(_ID.size)))
            delivery = deliveries.pop(entry_id, None)
            if delivery is None:
                raise RdbError("Consumer entry not found in group global PEL", cursor.position)
            group.deliver(entry_id, consumer, *delivery)
    if deliveries:
        raise RdbError("NACK without consumer", cursor.position)


def encode_stream(stream: Stream, compress: bool) -> bytes:
    """The body for type 19."""
    nodes = [node for node in stream.nodes() if len(node)]
    parts = [encode_length(len(nodes))]
    for node in nodes:
        parts += (b"\x10", raw_id(node.base), encode_string(encode_node(node), compress))
    numbers = [stream.length]
    for entry_id in (stream.last_id, stream.first_id, stream.max_deleted_id):
        numbers += (entry_id >> SEQUENCE_BITS, entry_id & SEQUENCE_MAX)
    parts += map(encode_length, (*numbers, stream.added, len(stream.groups)))
    for name, group in stream.groups_by_name():
        parts.append(encode_string(name, compress))
        last_id = group.last_id
        numbers = [last_id >> SEQUENCE_BITS, last_id & SEQUENCE_MAX, group.entries_read & SEQUENCE_MAX]
        parts += map(encode_length, (*numbers, len(group.pending)))
        for entry_id in group.pending.since(0):
            delivery = group.deliveries[entry_id]
            parts += (raw_id(entry_id), I64.pack(delivery.time_ms), encode_length(delivery.count))
        parts.append(encode_length(len(group.consumers)))
        for consumer in group.consumers_by_name():
            parts += (encode_string(consumer.name, compress), I64.pack(consumer.seen_ms))
            parts.append(encode_length(len(consumer.pending)))
            parts += map(raw_id, consumer.pending.since(0))
    return b"".join(parts)
