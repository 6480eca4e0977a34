"""Reads an RDB file that is in memory and hands what it says to a target, a budget at a time.

Knows the records (opcodes) and their order; what a value looks like is in `rdb_types`, where the data
goes is the target's business. Reading can be interrupted after any number of records, so that a server
that loads gigabytes still answers -LOADING and its cluster's heartbeats.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import Protocol

from node.persistence import lzf
from node.persistence.crc64 import crc64
from node.persistence.rdb_encoding import (
    AUX,
    COMPRESSED,
    EOF,
    EXPIRETIME,
    EXPIRETIME_MS,
    FREQ,
    FUNCTION2,
    FUNCTION_PRE_GA,
    I64,
    IDLE,
    MODULE_AUX,
    RESIZEDB,
    SELECTDB,
    SHORT,
    SLOT_INFO,
    Cursor,
)
from node.persistence.rdb_errors import (
    RdbChecksumError,
    RdbEmptyError,
    RdbError,
    RdbForeignError,
    RdbModuleError,
    RdbTruncatedError,
)
from node.persistence.rdb_module import skip_module_aux
from node.persistence.rdb_types import DECODERS, STRING, Value, decoder_of
from node.structures.limits import DEFAULT_LIMITS, CompactLimits

# The newest version read: that of Redis 7.4. Its files and those of 7.2 (11) differ from 7.0's (10) in value types, and
# in what a node of a cluster says of its slots.
VERSION_MAX = 12
HEADER_SIZE = 9
# Versions before this one have no checksum.
_CHECKSUM_SINCE = 5
# About 5 ms of checksum.
_SLICE = 2 * 1024 * 1024
_U64 = Struct("<Q")
_I32 = Struct("<i")


class RdbTarget(Protocol):
    """Where what is read goes. Each method may raise RdbError to refuse the file."""

    def aux(self, key: bytes, value: bytes) -> None:
        """A remark about the file: who wrote it, its replication id and offset; unknown ones are to be ignored."""
        ...

    def function(self, source: bytes) -> None:
        """The source of a library of functions."""
        ...

    def select(self, index: int) -> None:
        """The entries that follow belong to database `index` (0 until the first call)."""
        ...

    def entry(self, key: bytes, value: Value, expire_at_ms: int | None) -> None:
        """A key. Already expired ones are reported too: only a master drops them."""
        ...

    def empty(self, key: bytes) -> None:
        """A key whose value has no elements (a bug of old versions wrote such): it is passed over."""
        ...

    def used(self, key: bytes, idle_s: int | None, frequency: int | None) -> None:
        """How long the key that came last had not been used, or how often it was; only where the file says so."""
        ...

    def module(self, type_name: str, key: bytes | None) -> None:
        """A module's value, or (without a key) what it left beside the data: it was passed over."""
        ...


class RdbReader:
    """One pass over one file."""

    __slots__ = (
        "_checked",
        "_crc",
        "_cursor",
        "_dropped",
        "_growing",
        "_record_at",
        "_summed",
        "_target",
        "_version",
        "starved",
    )

    def __init__(
        self,
        data: bytes,
        target: RdbTarget,
        limits: CompactLimits = DEFAULT_LIMITS,
        *,
        checked: bool = False,
        growing: bool = False,
    ) -> None:
        """Checks the header; raises RdbError. `checked`: `checking` has been done with the checksum.

        `growing`: `data` is the beginning, of `HEADER_SIZE` bytes at least; `grow` brings the rest.
        """
        self._cursor = Cursor(data, HEADER_SIZE, limits)
        self._target = target
        # The file's version, which says whether a checksum ends it.
        self._version = _header_version(data)
        # The checksum of the first so many bytes: it keeps step with the reading, so that none of it takes long.
        self._checked = checked
        self._crc = 0
        self._summed = 0
        # More will come behind what there is; what was there and has been read is dropped.
        self._growing = growing
        self._dropped = 0
        # Where the record under way begins; and whether it ends beyond what has come.
        self._record_at = 0
        self.starved = False

    @property
    def position(self) -> int:
        """Bytes read so far; after the end also the first byte behind the file."""
        return self._dropped + self._cursor.position

    @property
    def unread(self) -> int:
        """Bytes that have come and have not been read."""
        return self._cursor.end - self._cursor.position

    def grow(self, data: bytes) -> None:
        """More has come; nothing, when there is no more."""
        if not data:
            self._growing = False
            return
        cursor = self._cursor
        assert self._summed == cursor.position, "what is dropped has been summed up"
        self._dropped += cursor.position
        self._summed = 0
        cursor.replace(cursor.data[cursor.position :] + data)

    def read_all(self) -> None:
        """Read to the end; raises RdbError."""
        while not self.read_some(1 << 30):
            pass

    def read_some(self, records: int) -> bool:
        """Read up to about `records` records; True once the end is reached and the checksum is right.

        It also ends, `starved`, where the next record has not come whole.
        """
        self.starved = False
        try:
            if self._read(records):
                return True
        except RdbTruncatedError:
            if not self._growing:
                raise
            self._cursor.position = self._record_at
            self.starved = True
        self._sum(self._cursor.position)
        return False

    def _read(self, records: int) -> bool:
        cursor = self._cursor
        target = self._target
        expire_at_ms: int | None = None
        idle_s: int | None = None
        frequency: int | None = None
        pending = False  # a record about the next key has been read: do not stop before that key
        while records > 0 or pending:
            if not pending:
                if cursor.position < cursor.end and cursor.data[cursor.position] == STRING:
                    records -= self._read_short_strings(records)
                self._record_at = cursor.position
            records -= 1
            kind = cursor.byte()
            if kind in DECODERS:
                key = cursor.string()
                try:
                    value = cursor.string() if kind == STRING else DECODERS[kind](cursor)
                except RdbEmptyError:
                    target.empty(key)
                except RdbModuleError as error:
                    target.module(error.type_name, key)
                else:
                    target.entry(key, value, expire_at_ms)
                expire_at_ms = None
                pending = False
                if idle_s is not None or frequency is not None:
                    target.used(key, idle_s, frequency)
                    idle_s = frequency = None
            elif kind == EXPIRETIME_MS:
                expire_at_ms = cursor.integer(I64)
                pending = True
            elif kind == EXPIRETIME:
                expire_at_ms = cursor.integer(_I32) * 1000
                pending = True
            elif kind == IDLE:
                idle_s = cursor.length()
                pending = True
            elif kind == FREQ:
                frequency = cursor.byte()
                pending = True
            elif kind == EOF:
                self._check_end()
                return True
            else:
                self._read_other(kind)
        return False

    def _read_short_strings(self, records: int) -> int:
        """Read strings that are not volatile as long as one follows the other, keys and values being shorter than 64
        bytes (and compressed ones shorter still); returns how many there were.

        It does what `read_some` would do, without the calls, which take half of the time of loading many of them.
        """
        cursor = self._cursor
        data = cursor.data
        position = cursor.position
        entry = self._target.entry
        # A whole record with the longest key and value, and what comes behind it, lies before the end.
        last = cursor.end - 2 * SHORT - 5
        count = 0
        while count < records and position < last and data[position] == STRING:
            size = data[position + 1]
            if size >= SHORT:
                break
            stop = position + 2 + size
            length = data[stop]
            if length < SHORT:
                value_at = stop + 1
                value = data[value_at : value_at + length]
            elif length == COMPRESSED and data[stop + 1] < SHORT and data[stop + 2] < SHORT:
                value_at = stop + 3
                length = data[stop + 1]
                try:
                    value = lzf.decompress(data[value_at : value_at + length], data[stop + 2])
                except lzf.LzfError:
                    break  # the usual lane says so
            else:
                break
            entry(data[position + 2 : stop], value, None)
            position = value_at + length
            count += 1
        cursor.position = position
        return count

    def _read_other(self, kind: int) -> None:
        """A record that is not about a key."""
        cursor = self._cursor
        if kind == SELECTDB:
            self._target.select(cursor.length())
        elif kind == RESIZEDB:
            # A hint for hash tables of fixed size; it may be wrong, and dicts need none.
            cursor.length()
            cursor.length()
        elif kind == SLOT_INFO:
            # Another one: a slot, and how many keys of it follow, and how many of these are volatile.
            for _ in range(3):
                cursor.length()
        elif kind == AUX:
            key = cursor.string()
            self._target.aux(key, cursor.string())
        elif kind == FUNCTION2:
            self._target.function(cursor.string())
        elif kind == FUNCTION_PRE_GA:
            raise RdbError("Pre-release function format not supported.", cursor.position)
        elif kind == MODULE_AUX:
            self._target.module(skip_module_aux(cursor), None)
        else:
            decoder_of(kind, cursor.position - 1)

    def _check_end(self) -> None:
        if self._version < _CHECKSUM_SINCE:
            return
        covered = self._cursor.position
        stored = self._cursor.integer(_U64)
        if not self._checked:
            self._sum(covered)
            _compare(self._crc, stored, covered)

    def _sum(self, stop: int) -> None:
        """Let the checksum catch up with the reading, up to here."""
        if self._checked:
            return
        self._crc = crc64(memoryview(self._cursor.data)[self._summed : stop], self._crc)
        self._summed = stop


def checking(data: bytes) -> Iterator[None]:
    """Check header and checksum of an RDB that takes up all of `data`, a slice a step; raises RdbError.

    A replica does this before it throws its old data away.
    """
    if _header_version(data) < _CHECKSUM_SINCE:
        return
    covered = len(data) - _U64.size
    if covered <= HEADER_SIZE:
        raise RdbTruncatedError(len(data))
    view = memoryview(data)
    crc = 0
    for start in range(0, covered, _SLICE):
        crc = crc64(view[start : min(start + _SLICE, covered)], crc)
        yield
    _compare(crc, _U64.unpack_from(data, covered)[0], covered)


def _compare(computed: int, stored: int, covered: int) -> None:
    """A stored 0 says "not computed" (`rdbchecksum no`)."""
    if stored not in (0, computed):
        raise RdbChecksumError(computed, stored, covered)


def _header_version(data: bytes) -> int:
    if len(data) < HEADER_SIZE:
        raise RdbTruncatedError(0)
    if data[:5] != b"REDIS":
        raise RdbForeignError("Wrong signature trying to load DB from file")
    digits = data[5:HEADER_SIZE]
    version = int(digits) if digits.isdigit() else 0
    if not 1 <= version <= VERSION_MAX:
        raise RdbForeignError(f"Can't handle RDB format version {version}")
    return version
