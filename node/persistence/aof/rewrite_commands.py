"""A key as the commands that make it: what a base is made of with `aof-use-rdb-preamble no`.

A type of the keyspace adds a row to `REWRITERS`. One that has none is written as RESTORE, which says the same and is
harder to read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from node.keyspace import Keyspace
from node.persistence.payload import serialized
from node.persistence.rdb_types import Value
from node.persistence.snapshot import Advance
from node.structures.hashes import Hash
from node.structures.lists import Quicklist
from node.structures.sets import Set
from node.structures.sortedsets import SortedSet
from node.structures.stream_ids import format_id
from node.structures.streams import Stream
from wire.encoder import encode_command, format_double

# A key's name and value to commands that make it.
Rewriter = Callable[[bytes, Value], Iterator[tuple[bytes, ...]]]

# As many elements as one command adds.
_ITEMS_PER_COMMAND = 64
_CHUNK = 64 * 1024


def _string(key: bytes, value: Value) -> Iterator[tuple[bytes, ...]]:
    assert isinstance(value, (bytes, bytearray))
    yield b"SET", key, bytes(value)


def _list(key: bytes, value: Value) -> Iterator[tuple[bytes, ...]]:
    assert isinstance(value, Quicklist)
    return in_chunks(b"RPUSH", key, value)


def _hash(key: bytes, value: Value) -> Iterator[tuple[bytes, ...]]:
    assert isinstance(value, Hash)
    yield from in_chunks(b"HMSET", key, (part for pair in value.fields.items() for part in pair), each=2)
    if value.expiry is not None:
        for field, when_ms in value.expiry.times.items():
            yield b"HPEXPIREAT", key, b"%d" % when_ms, b"FIELDS", b"1", field


def _set(key: bytes, value: Value) -> Iterator[tuple[bytes, ...]]:
    assert isinstance(value, Set)
    return in_chunks(b"SADD", key, value.listed())


def _sorted_set(key: bytes, value: Value) -> Iterator[tuple[bytes, ...]]:
    assert isinstance(value, SortedSet)
    pairs = value.pairs(0, len(value))
    return in_chunks(b"ZADD", key, (part for member, score in pairs for part in (format_double(score), member)), each=2)


def _stream(key: bytes, value: Value) -> Iterator[tuple[bytes, ...]]:
    assert isinstance(value, Stream)
    for node in value.nodes():
        for place in range(node.first, node.stop()):
            yield b"XADD", key, format_id(node.id_at(place)), *node.items_at(place)
    if not value.length:
        # An empty stream is one of which everything has been taken away again.
        yield b"XADD", key, b"MAXLEN", b"0", b"0-1", b"x", b"y"
    counted = (b"ENTRIESADDED", b"%d" % value.added, b"MAXDELETEDID", format_id(value.max_deleted_id))
    yield b"XSETID", key, format_id(value.last_id), *counted
    for name, group in value.groups_by_name():
        read = b"%d" % group.entries_read
        yield b"XGROUP", b"CREATE", key, name, format_id(group.last_id), b"ENTRIESREAD", read
        for consumer in group.consumers_by_name():
            if not len(consumer.pending):
                yield b"XGROUP", b"CREATECONSUMER", key, name, consumer.name
            for entry_id in consumer.pending.since(0):
                delivery = group.deliveries[entry_id]
                claimed = (b"TIME", b"%d" % delivery.time_ms, b"RETRYCOUNT", b"%d" % delivery.count)
                yield b"XCLAIM", key, name, consumer.name, b"0", format_id(entry_id), *claimed, b"JUSTID", b"FORCE"


def in_chunks(name: bytes, key: bytes, items: Iterable[bytes], *, each: int = 1) -> Iterator[tuple[bytes, ...]]:
    """Commands that add `items`, of `each` arguments, some of them at a time."""
    rest = iter(items)
    while some := tuple(islice(rest, _ITEMS_PER_COMMAND * each)):
        yield name, key, *some


REWRITERS: dict[type, Rewriter] = {
    bytes: _string,
    bytearray: _string,
    Quicklist: _list,
    Hash: _hash,
    Set: _set,
    SortedSet: _sorted_set,
    Stream: _stream,
}


def _restored(key: bytes, value: Value) -> Iterator[tuple[bytes, ...]]:
    yield b"RESTORE", key, b"0", serialized(value, compress=False)


def write_commands(write: Callable[[bytes], object], keyspace: Keyspace, annotation: bytes, advance: Advance) -> None:
    """Write everything as commands, behind `annotation`."""
    pieces = [annotation]
    size = 0
    if keyspace.functions is not None:
        pieces += [encode_command((b"FUNCTION", b"LOAD", source)) for source in keyspace.functions.sources()]
    for database in keyspace.databases():
        if not database.size:
            continue
        pieces.append(encode_command((b"SELECT", b"%d" % database.index)))
        for shard, expires in zip(database.shards, database.expires, strict=True):
            for key, value in shard.items():
                for argv in REWRITERS.get(type(value), _restored)(key, value):
                    pieces.append(encode_command(argv))
                    size += len(pieces[-1])
                when_ms = None if expires is None else expires.get(key)
                if when_ms is not None:
                    pieces.append(encode_command((b"PEXPIREAT", key, b"%d" % when_ms)))
                if size >= _CHUNK:
                    write(b"".join(pieces))
                    pieces.clear()
                    size = 0
            if shard:
                advance(len(shard))
    write(b"".join(pieces))
