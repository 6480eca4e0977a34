"""The CRC-64 that ends an RDB file and a DUMP payload.

Reflected polynomial 0xAD93D23594C935A9 with nothing mixed in before or after (rdb.c, crc64.c name it
"Jones"). crcmod computes it in C; in plain Python the checksum alone would take longer than the save,
so a test insists on the C extension.
"""

from __future__ import annotations

from collections.abc import Callable

import crcmod

Crc = Callable[..., int]

# crcmod wants the polynomial with its leading bit, hence 65 bits.
_compute: Crc = crcmod.mkCrcFun(0x1AD93D23594C935A9, initCrc=0, rev=True, xorOut=0)


def crc64(data: bytes | bytearray | memoryview, crc: int = 0) -> int:
    """The CRC of `data`, going on from `crc`, the result for what stands before it."""
    return _compute(data, crc)
