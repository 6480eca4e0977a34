"""The value types of an RDB file: one row a type, to read and to write.

A new type of the keyspace adds a row to `DECODERS` (type byte → how to read the body) and one to
`ENCODERS` (Python class → type byte and how to write the body). `NAMES` knows all types of
redis-server 7.0, so that a file with one we cannot hold is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable

from node.persistence.rdb_encoding import Cursor, encode_string
from node.persistence.rdb_errors import RdbError, RdbUnsupportedError

STRING = 0

# What a key can hold, as the keyspace holds it; a bytearray is a string that is being appended to.
Value = object
# Reads a value's body.
Decoder = Callable[[Cursor], Value]
# Gives a value's body, in pieces; the flag allows compression.
Encoder = Callable[[Value, bool], bytes]

NAMES = {
    STRING: "string",
    1: "list",
    2: "set",
    3: "sorted set (old)",
    4: "hash",
    5: "sorted set",
    6: "module value (pre-release)",
    7: "module value",
    9: "hash as zipmap",
    10: "list as ziplist",
    11: "set as intset",
    12: "sorted set as ziplist",
    13: "hash as ziplist",
    14: "list as quicklist of ziplists",
    15: "stream",
    16: "hash as listpack",
    17: "sorted set as listpack",
    18: "list as quicklist",
    19: "stream (version 2)",
    20: "set as listpack",
    21: "stream (version 3)",
}

DECODERS: dict[int, Decoder] = {
    STRING: Cursor.string,
}


def _encode_string(value: Value, compress: bool) -> bytes:
    assert isinstance(value, (bytes, bytearray))
    return encode_string(value, compress)


ENCODERS: dict[type, tuple[int, Encoder]] = {
    bytes: (STRING, _encode_string),
    bytearray: (STRING, _encode_string),
}


def decoder_of(kind: int, offset: int) -> Decoder:
    """How to read a value of type `kind`; raises RdbUnsupportedError, or RdbError for a byte that is no type."""
    decoder = DECODERS.get(kind)
    if decoder is not None:
        return decoder
    name = NAMES.get(kind)
    if name is None:
        raise RdbError(f"Unknown RDB encoding type {kind}", offset)
    raise RdbUnsupportedError(f"The RDB file contains a value this server can't hold: {name} (type {kind})", offset)
