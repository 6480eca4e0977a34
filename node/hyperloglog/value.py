"""A HyperLogLog as the string that a key holds: ``HYLL``, the encoding, the last estimate, then the registers.

The estimate in bytes 8 to 15 is little-endian; its highest bit says that it is out of date. Dense registers are six
bits each, the first in the low bits of the first byte.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable
from itertools import chain

from node.hyperloglog import sparse
from node.hyperloglog.estimate import RANK_MAX, REGISTERS, estimate
from node.hyperloglog.murmur import murmur64
from wire.errors import Error

_MAGIC = b"HYLL"
_HEADER = 16
_DENSE, _SPARSE = 0, 1
_DENSE_SIZE = _HEADER + REGISTERS * 6 // 8
_STALE = 0x80
_NOT_ONE = b"WRONGTYPE Key is not a valid HyperLogLog string value."
_CORRUPT = b"INVALIDOBJ Corrupted HLL object detected"
# base64 takes six bits at a time, too: the other way round, but at the speed of C.
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_TO_VALUE = bytes.maketrans(_ALPHABET, bytes(range(64)))
_TO_LETTER = bytes.maketrans(bytes(range(64)), _ALPHABET)
_HIGHEST_BITS = int.from_bytes(bytes((0x80,)) * REGISTERS, "little")


def new() -> bytearray:
    """One that has seen nothing."""
    return bytearray(_MAGIC + bytes((_SPARSE,)) + bytes(_HEADER - 5) + sparse.empty())


def check(value: bytes | bytearray) -> None:
    """Raises Error for a string that is no HyperLogLog."""
    if len(value) < _HEADER or value[:4] != _MAGIC or value[4] > _SPARSE:
        raise Error(_NOT_ONE)
    if value[4] == _DENSE and len(value) != _DENSE_SIZE:
        raise Error(_NOT_ONE)


def is_dense(value: bytes | bytearray) -> bool:
    return value[4] == _DENSE


def readable(value: bytes | bytearray) -> bytes:
    """The codes of a sparse value, for people; raises Error."""
    if is_dense(value):
        raise Error(b"ERR HLL encoding is not sparse")
    try:
        return sparse.readable(value[_HEADER:])
    except sparse.SparseError:
        raise Error(_CORRUPT) from None


def place(element: bytes) -> tuple[int, int]:
    """The register of an element, and what it is raised to: how far behind its lowest bits the first one is set."""
    h = murmur64(element)
    rest = h >> 14 | 1 << RANK_MAX
    return h & REGISTERS - 1, (rest & -rest).bit_length()


def raise_registers(value: bytearray, places: Iterable[tuple[int, int]], sparse_max: int) -> int:
    """Let each of these registers be its rank at least; how many were not. A sparse value that gets too big becomes
    dense.

    Raises Error when the value is damaged.
    """
    changes = 0
    left = iter(places)
    if value[4] == _SPARSE:
        codes = sparse.Codes(value[_HEADER:], sparse_max - _HEADER)
        full = False
        try:
            for index, rank in left:
                changes += codes.raise_register(index, rank)
        except sparse.SparseError:
            raise Error(_CORRUPT) from None
        except sparse.FullError:
            left, full = chain(((index, rank),), left), True
        value[_HEADER:] = codes.codes
        if not full:
            return changes
        make_dense(value)
    for index, rank in left:
        changes += _raise_dense(value, index, rank)
    return changes


def _raise_dense(value: bytearray, index: int, rank: int) -> bool:
    bit = index * 6
    at = _HEADER + (bit >> 3)
    shift = bit & 7
    # The last register ends with the last byte.
    pair = value[at] | (value[at + 1] << 8 if at + 1 < len(value) else 0)
    if pair >> shift & 63 >= rank:
        return False
    pair = pair & ~(63 << shift) | rank << shift
    value[at] = pair & 0xFF
    if at + 1 < len(value):
        value[at + 1] = pair >> 8
    return True


def registers(value: bytes | bytearray) -> bytes:
    """All registers, a byte each; raises Error when the value is damaged."""
    if value[4] == _SPARSE:
        try:
            return sparse.registers(value[_HEADER:])
        except sparse.SparseError:
            raise Error(_CORRUPT) from None
    return b2a_base64(value[_HEADER:][::-1], newline=False).translate(_TO_VALUE)[::-1]


def make_dense(value: bytearray) -> None:
    """Give each register its six bits; raises Error when the value is damaged."""
    if value[4] == _SPARSE:
        replace_registers(value, registers(value))


def replace_registers(value: bytearray, all_registers: bytes) -> None:
    """Let these be the registers, a byte each; the value is dense from now on."""
    value[_HEADER:] = a2b_base64(all_registers.translate(_TO_LETTER)[::-1])[::-1]
    value[4] = _DENSE


def highest(one: bytes, other: bytes) -> bytes:
    """Each register at the higher of two values.

    As two long numbers of 16,384 bytes, in a dozen operations: a byte's highest bit, which no register uses, is where
    its comparison comes out.
    """
    a, b = int.from_bytes(one, "little"), int.from_bytes(other, "little")
    not_less = (a | _HIGHEST_BITS) - b & _HIGHEST_BITS
    from_a = not_less - (not_less >> 7)
    return (a & from_a | b & ~from_a).to_bytes(REGISTERS, "little")


def cached_estimate(value: bytes | bytearray) -> int | None:
    """The estimate that the value carries; None when it is out of date."""
    return None if value[15] & _STALE else int.from_bytes(value[8:16], "little")


def cache_estimate(value: bytearray, cardinality: int) -> None:
    value[8:16] = cardinality.to_bytes(8, "little")


def forget_estimate(value: bytearray) -> None:
    value[15] |= _STALE


def cardinality(all_registers: bytes) -> int:
    """The estimate for these registers."""
    histogram = [0] * 64
    left = REGISTERS
    for rank in range(64):
        histogram[rank] = all_registers.count(rank)
        left -= histogram[rank]
        if not left:
            break
    return estimate(histogram)
