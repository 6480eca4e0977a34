"""Redis' glob patterns (KEYS, SCAN MATCH, PSUBSCRIBE, CONFIG GET): ``* ? [a-c] [^x] \\x``.

The commonest, a text with a star behind it, is compared as it is: there may be thousands, and to compile one takes a
hundred times as long as to look at a text. Any other becomes a compiled regular expression over bytes. Each ``*`` is
tied to the fixed text behind it in an atomic group, so that a hostile pattern costs time in proportion to text times
pattern, never exponential.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

_SPECIAL = re.compile(rb"[*?\[\\]")


def matches(pattern: bytes, text: bytes) -> bool:
    """True when the whole of `text` matches `pattern`; letter case counts."""
    return bool(matcher(pattern)(text))


def matcher(pattern: bytes) -> Callable[[bytes], object]:
    """What tells of a text whether the whole of it matches `pattern`: something true, or not."""
    special = _SPECIAL.search(pattern)
    if special is None:
        return pattern.__eq__
    if special.end() == len(pattern) and pattern.endswith(b"*"):
        prefix = pattern[:-1]
        return lambda text: text.startswith(prefix)
    return _compile(pattern).fullmatch


@lru_cache(maxsize=1024)
def _compile(pattern: bytes) -> re.Pattern[bytes]:
    """The regular expression for `pattern`, to be used with ``fullmatch``."""
    segments = _segments(pattern)
    head = segments.pop(0)
    if not segments:
        return re.compile(head, re.DOTALL)
    tail = segments.pop()
    middle = b"".join(b"(?>.*?%b)" % segment for segment in segments if segment)
    return re.compile(head + middle + b".*" + tail, re.DOTALL)


def _segments(pattern: bytes) -> list[bytes]:
    """The pattern cut at its stars, each segment a regular expression without repetition."""
    segments = [b""]
    position, end = 0, len(pattern)
    while position < end:
        byte = pattern[position : position + 1]
        if byte == b"*":
            segments.append(b"")
        elif byte == b"?":
            segments[-1] += b"."
        elif byte == b"[":
            position, expression = _character_class(pattern, position + 1)
            segments[-1] += expression
        else:
            if byte == b"\\" and position + 1 < end:
                position += 1
                byte = pattern[position : position + 1]
            segments[-1] += re.escape(byte)
        position += 1
    return segments


def _character_class(pattern: bytes, position: int) -> tuple[int, bytes]:
    """The class that starts behind ``[`` and the position of its last byte; an open class ends with the pattern."""
    end = len(pattern)
    negated = pattern[position : position + 1] == b"^"
    if negated:
        position += 1
    members = bytearray()
    while position < end and pattern[position] != 0x5D:
        if pattern[position] == 0x5C and position + 1 < end:
            position += 1
            members.append(pattern[position])
        elif pattern[position + 1 : position + 2] == b"-" and position + 2 < end:
            low, high = sorted((_signed(pattern[position]), _signed(pattern[position + 2])))
            members.extend(byte & 0xFF for byte in range(low, high + 1))
            position += 2
        else:
            members.append(pattern[position])
        position += 1
    if not members:
        return min(position, end - 1), b"." if negated else b"(?!)"
    listed = b"".join(re.escape(bytes((member,))) for member in sorted(members))
    return min(position, end - 1), b"[%b%b]" % (b"^" if negated else b"", listed)


def _signed(byte: int) -> int:
    """Redis compares the ends of a range as C's signed characters."""
    return byte - 256 if byte > 127 else byte
