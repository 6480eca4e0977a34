"""Redis' quoted words: how inline commands and configuration lines are split, and how MONITOR and REWRITE write them.

Bytes in, bytes out; ``"…"`` knows ``\\n \\r \\t \\b \\a \\xHH`` and takes any other escaped byte as it is,
``'…'`` knows only ``\\'``. `split_quoted` reads back whatever `quoted` writes.
"""

from __future__ import annotations

from collections.abc import Iterable

_BLANKS = b" \t\n\r\v\f\0"
_ESCAPES = {ord("n"): 10, ord("r"): 13, ord("t"): 9, ord("b"): 8, ord("a"): 7}
_ESCAPED = {0x0A: b"\\n", 0x0D: b"\\r", 0x09: b"\\t", 0x07: b"\\a", 0x08: b"\\b", 0x22: b'\\"', 0x5C: b"\\\\"}


def split_quoted(line: bytes) -> list[bytes] | None:
    """Split as a shell would (``sdssplitargs``); None when quotes do not balance."""
    if b'"' not in line and b"'" not in line:
        return line.replace(b"\0", b" ").split()
    arguments: list[bytes] = []
    position, end = 0, len(line)
    while True:
        while position < end and line[position] in _BLANKS:
            position += 1
        if position >= end:
            return arguments
        found = _quoted_word(line, position)
        if found is None:
            return None
        position, word = found
        arguments.append(word)


def quoted(text: bytes) -> bytes:
    """`text` in double quotes (``sdscatrepr``)."""
    pieces = [b'"']
    for byte in text:
        if byte in _ESCAPED:
            pieces.append(_ESCAPED[byte])
        elif 0x20 <= byte < 0x7F:
            pieces.append(bytes((byte,)))
        else:
            pieces.append(b"\\x%02x" % byte)
    pieces.append(b'"')
    return b"".join(pieces)


def joined(words: Iterable[bytes]) -> bytes:
    """A line that reads back as `words`; only what needs quotes gets them."""
    return b" ".join(quoted(word) if _needs_quotes(word) else word for word in words)


def _needs_quotes(word: bytes) -> bool:
    return not word or any(byte <= 0x20 or byte in b"\"'\\" for byte in word)


def _quoted_word(line: bytes, position: int) -> tuple[int, bytes] | None:
    """The word at `position` and where it ends, or None when a quote is left open or stuck to more text."""
    word = bytearray()
    end = len(line)
    quote = 0
    while position < end:
        byte = line[position]
        if not quote:
            if byte in _BLANKS:
                return position, bytes(word)
            if byte in b"\"'":
                quote = byte
            else:
                word.append(byte)
        elif byte == quote:
            # A closing quote must be followed by a blank or by nothing.
            if position + 1 < end and line[position + 1] not in _BLANKS:
                return None
            return position + 1, bytes(word)
        elif byte == 0x5C and position + 1 < end and (quote == 0x22 or line[position + 1] == 0x27):
            position += 1
            escaped = line[position]
            hexadecimal = line[position + 1 : position + 3]
            if quote == 0x22 and escaped == 0x78 and len(hexadecimal) == 2 and _is_hex(hexadecimal):
                word.append(int(hexadecimal, 16))
                position += 2
            else:
                word.append(_ESCAPES.get(escaped, escaped) if quote == 0x22 else escaped)
        else:
            word.append(byte)
        position += 1
    return None if quote else (position, bytes(word))


def _is_hex(text: bytes) -> bool:
    return all(byte in b"0123456789abcdefABCDEF" for byte in text)
