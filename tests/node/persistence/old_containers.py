"""Writers of the containers that Redis no longer writes, for tests that read them: ziplists and zipmaps.

They choose forms at random where the format leaves a choice; a real server vouches for what they write.
"""

from __future__ import annotations

from random import Random
from struct import pack

# First byte and width of a ziplist's numbers.
_WIDTHS = [(0xFE, 1), (0xC0, 2), (0xF0, 3), (0xD0, 4), (0xE0, 8)]


def ziplist(items: list[bytes], chance: Random) -> bytes:
    """A ziplist; texts of integers become numbers or stay texts."""
    body, last_at, previous = b"", 10, 0
    for item in items:
        long_form = previous >= 254 or chance.random() < 0.2
        entry = (b"\xfe" + pack("<I", previous) if long_form else bytes((previous,))) + _entry(item, chance)
        last_at = 10 + len(body)
        body += entry
        previous = len(entry)
    count = 0xFFFF if chance.random() < 0.1 else len(items)
    return pack("<IIH", 11 + len(body), last_at, count) + body + b"\xff"


def _entry(item: bytes, chance: Random) -> bytes:
    try:
        number = int(item)
    except ValueError:
        number = 1 << 70
    if b"%d" % number == item and number < 1 << 63 and number >= -(1 << 63) and chance.random() < 0.8:
        if 0 <= number <= 12 and chance.random() < 0.8:
            return bytes((0xF1 + number,))
        first, width = chance.choice([(f, w) for f, w in _WIDTHS if -(1 << 8 * w - 1) <= number < 1 << 8 * w - 1])
        return bytes((first,)) + number.to_bytes(width, "little", signed=True)
    size = len(item)
    forms = [b"\x80" + pack(">I", size)]
    if size < 1 << 14:
        forms.append(bytes((0x40 | size >> 8, size & 0xFF)))
    if size < 64:
        forms.append(bytes((size,)))
    return chance.choice(forms) + item


def zipmap(pairs: list[tuple[bytes, bytes]], chance: Random) -> bytes:
    """A zipmap, with some room behind some values."""
    count = 254 if chance.random() < 0.1 else min(len(pairs), 254)
    body = b""
    for field, value in pairs:
        room = chance.choice([0, 0, 3])
        body += _length(field) + field + _length(value) + bytes((room,)) + value + bytes(room)
    return bytes((count,)) + body + b"\xff"


def _length(item: bytes) -> bytes:
    return bytes((len(item),)) if len(item) < 254 else b"\xfe" + pack("<I", len(item))
