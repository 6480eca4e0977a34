"""A piece of an RDB file with the format's version and a CRC-64 behind it: what DUMP and FUNCTION DUMP give, and what
RESTORE and FUNCTION RESTORE take."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

from node.persistence.crc64 import crc64
from node.persistence.rdb_encoding import Cursor
from node.persistence.rdb_errors import RdbError
from node.persistence.rdb_reader import VERSION_MAX
from node.persistence.rdb_types import ENCODERS, Value, decoder_of
from node.persistence.rdb_writer import VERSION
from node.structures.limits import CompactLimits
from wire.errors import Error

# What stands behind: version and checksum.
_FOOTER = Struct("<HQ")
_CHECKSUM_SIZE = 8


def sealed(content: bytes) -> bytes:
    """`content` with its version and checksum."""
    payload = content + VERSION.to_bytes(2, "little")
    return payload + crc64(payload).to_bytes(_CHECKSUM_SIZE, "little")


def unsealed(payload: bytes, *, unchecked: bool = False) -> bytes:
    """The content of a sealed payload; raises Error for one that is newer than we are.

    And for one that is damaged, unless it is to go `unchecked`.
    """
    if len(payload) >= _FOOTER.size:
        version, checksum = _FOOTER.unpack_from(payload, len(payload) - _FOOTER.size)
        if version <= VERSION_MAX and (unchecked or checksum == crc64(payload[:-_CHECKSUM_SIZE])):
            return payload[: -_FOOTER.size]
    raise Error(b"ERR DUMP payload version or checksum are wrong")


def serialized(value: Value, *, compress: bool) -> bytes:
    """What DUMP answers for `value`."""
    kind, body = ENCODERS[type(value)](value, compress)
    return sealed(bytes((kind,)) + body)


def deserialized(
    payload: bytes, limits: CompactLimits, say: Callable[[str], object], *, unchecked: bool = False
) -> Value:
    """The value in a DUMP payload; raises Error for one that is damaged, newer than we are, or of a foreign type.

    What is wrong with it is said besides. `unchecked`, damage shows only where it leaves nothing that could be a
    value.
    """
    cursor = Cursor(unsealed(payload, unchecked=unchecked), limits=limits)
    try:
        kind = cursor.byte()
        return decoder_of(kind, 0)(cursor)
    except RdbError as error:
        for line in error.lines:
            say(line)
        raise Error(b"ERR Bad data format") from None
