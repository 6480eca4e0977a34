"""The value types of an RDB file: one row a type, to read and to write.

A new type of the keyspace adds a row to `DECODERS` (type byte → how to read the body) and one to
`ENCODERS` (Python class → how to choose the type byte and write the body).
"""

from __future__ import annotations

from collections.abc import Callable

from node.persistence.rdb_encoding import Cursor, encode_string
from node.persistence.rdb_errors import RdbError
from node.persistence.rdb_hash import (
    decode_expiring_hash,
    decode_expiring_hash_listpack,
    decode_hash,
    decode_hash_listpack,
    decode_hash_ziplist,
    decode_hash_zipmap,
    encode_expiring_hash,
    encode_hash,
    encode_hash_listpack,
)
from node.persistence.rdb_list import (
    decode_list,
    decode_quicklist,
    decode_quicklist_of_ziplists,
    decode_ziplist,
    encode_quicklist,
)
from node.persistence.rdb_module import decode_module, decode_old_module
from node.persistence.rdb_set import (
    decode_set,
    decode_set_intset,
    decode_set_listpack,
    encode_set,
    encode_set_intset,
)
from node.persistence.rdb_stream import decode_stream, decode_stream_2, decode_stream_3, encode_stream
from node.persistence.rdb_zset import (
    decode_old_zset,
    decode_zset,
    decode_zset_listpack,
    decode_zset_ziplist,
    encode_zset,
    encode_zset_listpack,
)
from node.structures.hashes import Hash
from node.structures.lists import Quicklist
from node.structures.sets import Set
from node.structures.sortedsets import SortedSet
from node.structures.streams import Stream

STRING = 0
SET = 2
HASH = 4
ZSET = 5
SET_INTSET = 11
HASH_LISTPACK = 16
ZSET_LISTPACK = 17
QUICKLIST = 18
STREAM = 19
HASH_EXPIRING = 24

# What a key can hold, as the keyspace holds it; a bytearray is a string that is being appended to.
Value = object
# Reads a value's body.
Decoder = Callable[[Cursor], Value]
# Gives a value's type byte and its body; the flag allows compression.
Encoder = Callable[[Value, bool], tuple[int, bytes]]

DECODERS: dict[int, Decoder] = {
    STRING: Cursor.string,
    1: decode_list,
    SET: decode_set,
    3: decode_old_zset,
    HASH: decode_hash,
    ZSET: decode_zset,
    6: decode_old_module,
    7: decode_module,
    9: decode_hash_zipmap,
    10: decode_ziplist,
    SET_INTSET: decode_set_intset,
    12: decode_zset_ziplist,
    13: decode_hash_ziplist,
    14: decode_quicklist_of_ziplists,
    15: decode_stream,
    HASH_LISTPACK: decode_hash_listpack,
    ZSET_LISTPACK: decode_zset_listpack,
    QUICKLIST: decode_quicklist,
    STREAM: decode_stream_2,
    20: decode_set_listpack,
    21: decode_stream_3,
    HASH_EXPIRING: decode_expiring_hash,
    25: decode_expiring_hash_listpack,
}


def _encode_string(value: Value, compress: bool) -> tuple[int, bytes]:
    assert isinstance(value, (bytes, bytearray))
    return STRING, encode_string(value, compress)


def _encode_list(value: Value, compress: bool) -> tuple[int, bytes]:
    assert isinstance(value, Quicklist)
    return QUICKLIST, encode_quicklist(value, compress)


def _encode_zset(value: Value, compress: bool) -> tuple[int, bytes]:
    assert isinstance(value, SortedSet)
    if value.compact:
        return ZSET_LISTPACK, encode_zset_listpack(value, compress)
    return ZSET, encode_zset(value, compress)


def _encode_hash(value: Value, compress: bool) -> tuple[int, bytes]:
    assert isinstance(value, Hash)
    if value.expiry is not None and value.expiry.times:
        return HASH_EXPIRING, encode_expiring_hash(value, compress)
    if value.compact:
        return HASH_LISTPACK, encode_hash_listpack(value, compress)
    return HASH, encode_hash(value, compress)


def _encode_set(value: Value, compress: bool) -> tuple[int, bytes]:
    assert isinstance(value, Set)
    if value.compact:
        return SET_INTSET, encode_set_intset(value, compress)
    return SET, encode_set(value, compress)


def _encode_stream(value: Value, compress: bool) -> tuple[int, bytes]:
    assert isinstance(value, Stream)
    return STREAM, encode_stream(value, compress)


ENCODERS: dict[type, Encoder] = {
    bytes: _encode_string,
    bytearray: _encode_string,
    Quicklist: _encode_list,
    Hash: _encode_hash,
    Set: _encode_set,
    SortedSet: _encode_zset,
    Stream: _encode_stream,
}


def decoder_of(kind: int, offset: int) -> Decoder:
    """How to read a value of type `kind`; raises RdbError for a byte that is no type."""
    decoder = DECODERS.get(kind)
    if decoder is None:
        raise RdbError(f"Unknown RDB encoding type {kind}", offset)
    return decoder
