"""MurmurHash64A, by Austin Appleby (public domain), with the seed that Redis uses: values move between servers only if
all hash alike."""

from __future__ import annotations

from struct import Struct

_SEED = 0xADC83B19
_M = 0xC6A4A7935BD1E995
_R = 47
_MASK = (1 << 64) - 1
_WORD = Struct("<Q")


def murmur64(data: bytes) -> int:
    """The 64-bit hash of `data`."""
    length = len(data)
    h = _SEED ^ (length * _M & _MASK)
    whole = length & ~7
    for (word,) in _WORD.iter_unpack(data[:whole]):
        k = word * _M & _MASK
        k = (k ^ k >> _R) * _M & _MASK
        h = (h ^ k) * _M & _MASK
    if length & 7:
        h = (h ^ int.from_bytes(data[whole:], "little")) * _M & _MASK
    h = (h ^ h >> _R) * _M & _MASK
    return h ^ h >> _R
