"""Writes an RDB file piece by piece into any sink: a file, or the pipe that feeds replicas.

Version 10, Redis 7.0's, which every newer server and Valkey read too. Pieces are gathered into chunks;
the checksum runs over chunks, so that it costs a call into C per chunk and not per key.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

from node.persistence.crc64 import crc64
from node.persistence.rdb_encoding import (
    AUX,
    EOF,
    EXPIRETIME_MS,
    FREQ,
    FUNCTION2,
    IDLE,
    INTEGER_TEXT_MAX,
    RESIZEDB,
    SELECTDB,
    SHORT,
    encode_length,
    encode_string,
)
from node.persistence.rdb_types import ENCODERS, STRING, Value

VERSION = 10
_CHUNK = 64 * 1024
# What begins behind it is no number.
_LAST_DIGIT = b"9"
# What stands before a short key whose value is a string, and before a short value.
_SHORT_STRINGS = [bytes((STRING, length)) for length in range(SHORT)]
_SHORT_LENGTHS = [bytes((length,)) for length in range(SHORT)]
_U64 = Struct("<Q")
_EXPIRE = Struct("<Bq")


class RdbWriter:
    """One file being written: header, remarks, functions, then databases with their keys, end."""

    __slots__ = ("_checksum", "_compress", "_crc", "_parts", "_size", "_write")

    def __init__(self, write: Callable[[bytes], object], *, compress: bool, checksum: bool) -> None:
        self._write = write
        # LZF for long strings (`rdbcompression`).
        self._compress = compress
        # Whether the end carries a CRC or the zero that says "not computed" (`rdbchecksum`).
        self._checksum = checksum
        # The CRC of all chunks written.
        self._crc = 0
        # Pieces not yet written, and their bytes together.
        self._parts: list[bytes] = [b"REDIS%04d" % VERSION]
        self._size = 0

    def aux(self, key: bytes, value: bytes | int) -> None:
        """A remark about the file."""
        text = b"%d" % value if isinstance(value, int) else value
        self._add(bytes((AUX,)) + encode_string(key, False) + encode_string(text, False))

    def function(self, source: bytes) -> None:
        """A library of functions."""
        self._add(bytes((FUNCTION2,)) + encode_string(source, self._compress))

    def database(self, index: int, keys: int, expires: int) -> None:
        """The entries that follow belong to database `index`, which has so many."""
        self._add(bytes((SELECTDB,)) + encode_length(index))
        self._add(bytes((RESIZEDB,)) + encode_length(keys) + encode_length(expires))

    def entry(self, key: bytes, value: Value, expire_at_ms: int | None) -> None:
        """A key of the current database."""
        kind, body = ENCODERS[type(value)](value, self._compress)
        head = bytes((kind,)) if expire_at_ms is None else _EXPIRE.pack(EXPIRETIME_MS, expire_at_ms) + bytes((kind,))
        self._add(head + encode_string(key, self._compress) + body)

    def entries(self, shard: dict[bytes, Value]) -> None:
        """Keys of the current database without a time to live.

        Short strings are written here, as `entry` would write them, without its calls: those were a third of the time
        that a snapshot of many small keys takes.
        """
        add = self._parts.extend
        for key, value in shard.items():
            if type(value) is bytes:
                size, length = len(key), len(value)
                if (
                    size < SHORT
                    and length < SHORT
                    and (size > INTEGER_TEXT_MAX or key[:1] > _LAST_DIGIT)
                    and (length > INTEGER_TEXT_MAX or value[:1] > _LAST_DIGIT)
                ):
                    add((_SHORT_STRINGS[size], key, _SHORT_LENGTHS[length], value))
                    self._size += size + length + 3
                    if self._size >= _CHUNK:
                        self._flush()
                    continue
            self.entry(key, value, None)

    def use(self, idle_s: int | None, frequency: int | None) -> None:
        """How long the entry that comes next has not been used, or how often it is."""
        if idle_s is not None:
            self._add(bytes((IDLE,)) + encode_length(idle_s))
        if frequency is not None:
            self._add(bytes((FREQ, frequency)))

    def end(self) -> None:
        """Write what is left and the checksum."""
        self._add(bytes((EOF,)))
        self._flush()
        self._write(_U64.pack(self._crc if self._checksum else 0))

    def _add(self, piece: bytes) -> None:
        self._parts.append(piece)
        self._size += len(piece)
        if self._size >= _CHUNK:
            self._flush()

    def _flush(self) -> None:
        chunk = b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        if self._checksum:
            self._crc = crc64(chunk, self._crc)
        self._write(chunk)
