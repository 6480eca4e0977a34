"""The two things everything in an RDB file is written with: lengths and strings.

A length's first two bits choose 6, 14, 32 or 64 bits, or say that a specially encoded string follows:
an integer in 8, 16 or 32 bits, or LZF. Writers may choose any form that holds the value, so `Cursor`
takes every form everywhere. A `Cursor` walks over bytes in memory and checks each announced length
against what is really there before it takes anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf, nan
from struct import Struct

from node.persistence import lzf
from node.persistence.rdb_errors import RdbError, RdbTruncatedError
from node.structures.limits import DEFAULT_LIMITS, CompactLimits
from wire.arguments import NO_INTEGER_FROM, canonical_integer

# The first byte of a record: opcodes from the top, value types from 0 (`rdb_types`).
SLOT_INFO = 244
FUNCTION2 = 245
FUNCTION_PRE_GA = 246
MODULE_AUX = 247
IDLE = 248
FREQ = 249
AUX = 250
RESIZEDB = 251
EXPIRETIME_MS = 252
EXPIRETIME = 253
SELECTDB = 254
EOF = 255

# Special encodings: the low six bits of a first byte that starts with 11.
_INT8, _INT16, _INT32, _LZF = range(4)

_LENGTH_32 = 0x80
_LENGTH_64 = 0x81
_SPECIAL = 0xC0

_U32_BIG = Struct(">I")
_U64_BIG = Struct(">Q")
_INTEGERS = {_INT8: Struct("<b"), _INT16: Struct("<h"), _INT32: Struct("<i")}
I64 = Struct("<q")
_F64 = Struct("<d")

# First bytes of a score written as text that are no length: not a number, and the two infinities.
_TEXT_NAN, _TEXT_INF, _TEXT_MINUS_INF = 253, 254, 255

# redis-server tries LZF from 21 bytes on. Below this the few bytes that it may save are not worth the time that it
# takes in Python; a reader takes a string in any form.
_COMPRESS_ABOVE = 64
_DIGIT_MAX = ord("9")
# The longest decimal text of a 32-bit integer: "-2147483648".
INTEGER_TEXT_MAX = 11
# The first byte of a compressed string; its two lengths follow.
COMPRESSED = 0xC3
# Lengths below this are a byte, and no byte below it is anything else.
SHORT = 64


class Cursor:
    """A position in bytes held in memory. Every method raises RdbError, never IndexError."""

    __slots__ = ("data", "end", "limits", "position")

    def __init__(self, data: bytes, position: int = 0, limits: CompactLimits = DEFAULT_LIMITS) -> None:
        self.data = data
        # What becomes of collections that are read here depends on the directives, not on the writer's.
        self.limits = limits
        # The next byte to be read.
        self.position = position
        self.end = len(data)

    def replace(self, data: bytes) -> None:
        """Go on at the beginning of other data."""
        self.data = data
        self.position = 0
        self.end = len(data)

    def byte(self) -> int:
        position = self.position
        if position >= self.end:
            raise RdbTruncatedError(position)
        self.position = position + 1
        return self.data[position]

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        position = self.position
        stop = position + size
        if stop > self.end:
            raise RdbTruncatedError(position)
        self.position = stop
        return self.data[position:stop]

    def integer(self, form: Struct) -> int:
        """The next number in a fixed width."""
        value: int = form.unpack(self.take(form.size))[0]
        return value

    def length(self) -> int:
        """A length that is a length; raises RdbError on a special encoding."""
        position = self.position
        if position < self.end and (first := self.data[position]) < SHORT:
            self.position = position + 1
            return first
        value, special = self.length_or_encoding()
        if special:
            raise RdbError(f"Unknown length encoding {value} in RDB", self.position)
        return value

    def length_or_encoding(self) -> tuple[int, bool]:
        """(length, False), or (number of a special encoding, True)."""
        first = self.byte()
        kind = first & 0xC0
        if kind == 0:
            return first, False
        if kind == 0x40:
            return (first & 0x3F) << 8 | self.byte(), False
        if first == _LENGTH_32:
            return self.integer(_U32_BIG), False
        if first == _LENGTH_64:
            return self.integer(_U64_BIG), False
        if kind == _SPECIAL:
            return first & 0x3F, True
        raise RdbError(f"Unknown length encoding {first} in RDB", self.position)

    def count(self) -> int:
        """How many items follow; each takes a byte at least, so more than are left is a lie."""
        value = self.length()
        if value > self.end - self.position:
            raise RdbTruncatedError(self.position)
        return value

    def string(self) -> bytes:
        """A string in any of its five forms."""
        position = self.position
        if position < self.end and (first := self.data[position]) < SHORT:
            stop = position + 1 + first
            if stop <= self.end:
                self.position = stop
                return self.data[position + 1 : stop]
        value, special = self.length_or_encoding()
        if not special:
            return self.take(value)
        if value == _LZF:
            return self._compressed()
        form = _INTEGERS.get(value)
        if form is None:
            raise RdbError(f"Unknown RDB string encoding type {value}", self.position)
        return b"%d" % self.integer(form)

    def strings(self, count: int) -> list[bytes]:
        """So many strings; short ones, which most are, without a call for each."""
        data, position = self.data, self.position
        # The longest short one, and what comes behind it, lies before the end.
        last = self.end - SHORT
        texts: list[bytes] = []
        for _ in range(count):
            if position < last and (size := data[position]) < SHORT:
                start = position + 1
                position = start + size
                texts.append(data[start:position])
            else:
                self.position = position
                texts.append(self.string())
                position = self.position
        self.position = position
        return texts

    def score(self) -> float:
        """A sorted set's score, in binary; raises RdbError for one that is not a number."""
        value: float = _F64.unpack(self.take(_F64.size))[0]
        if value != value:
            raise RdbError("Zset with NAN score detected", self.position)
        return value

    def text_score(self) -> float:
        """A sorted set's score, as text, which Redis wrote before 4.0."""
        size = self.byte()
        if size == _TEXT_INF:
            return inf
        if size == _TEXT_MINUS_INF:
            return -inf
        try:
            value = nan if size == _TEXT_NAN else float(self.take(size))
        except ValueError:
            raise RdbError("Invalid score in RDB", self.position) from None
        if value != value:
            raise RdbError("Zset with NAN score detected", self.position)
        return value

    def _compressed(self) -> bytes:
        compressed_size = self.length()
        size = self.length()
        data = self.take(compressed_size)
        if size > compressed_size * lzf.EXPANSION_MAX:
            raise RdbError("Invalid LZF compressed string", self.position)
        try:
            return lzf.decompress(data, size)
        except lzf.LzfError:
            raise RdbError("Invalid LZF compressed string", self.position) from None


def _short_length(value: int) -> bytes:
    return bytes((value,)) if value < 64 else bytes((0x40 | value >> 8, value & 0xFF))


# Every length of up to 14 bits, ready made: nearly all that are ever written.
_SHORT_LENGTHS = [_short_length(value) for value in range(1 << 14)]


def encode_length(value: int) -> bytes:
    """`value` in its shortest form."""
    if value < 1 << 14:
        return _SHORT_LENGTHS[value]
    if value < 1 << 32:
        return b"\x80" + _U32_BIG.pack(value)
    return b"\x81" + _U64_BIG.pack(value)


def encode_string(data: bytes | bytearray, compress: bool) -> bytes:
    """`data` as redis-server would write it; `compress` allows LZF."""
    size = len(data)
    if size <= INTEGER_TEXT_MAX:
        number = canonical_integer(data) if size and data[0] <= _DIGIT_MAX else None
        if number is not None and -(1 << 31) <= number < 1 << 31:
            return encode_integer(number)
    elif compress and size > _COMPRESS_ABOVE:
        packed = lzf.compress(bytes(data))
        if packed is not None:
            return bytes((COMPRESSED,)) + encode_length(len(packed)) + encode_length(size) + packed
    return encode_length(size) + data


def encode_strings(items: Iterable[bytes], compress: bool) -> list[bytes]:
    """`encode_string` of each; short ones that are no numbers, which most are, without a call for each."""
    lengths = _SHORT_LENGTHS
    return [
        lengths[size] + item
        if item >= NO_INTEGER_FROM and (size := len(item)) <= _COMPRESS_ABOVE
        else encode_string(item, compress)
        for item in items
    ]


def encode_score(score: float) -> bytes:
    """A sorted set's score, in binary."""
    return _F64.pack(score)


def encode_integer(number: int) -> bytes:
    """A 32-bit integer in its string form."""
    if -128 <= number <= 127:
        return b"\xc0" + _INTEGERS[_INT8].pack(number)
    if -32768 <= number <= 32767:
        return b"\xc1" + _INTEGERS[_INT16].pack(number)
    return b"\xc2" + _INTEGERS[_INT32].pack(number)
