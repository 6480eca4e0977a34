"""Python values to RESP2 or RESP3.

The executor inlines the commonest replies (bytes, int, None and the constants) with the tables below;
everything else passes through `encode_into`. Pieces are appended to a list that is joined once a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from wire.errors import Error
from wire.reply import (
    NIL_ARRAY,
    NO_REPLY,
    PARKED,
    Bulks,
    BulkSet,
    Digits,
    PairMap,
    Push,
    Raw,
    Reply,
    ReplySet,
    Several,
    Simple,
    Verbatim,
)

CRLF = b"\r\n"
# Headers ``$n\r\n`` and whole integer replies ``:n\r\n`` for small n.
BULK_HEADERS = [b"$%d\r\n" % n for n in range(1024)]
INTEGERS = [b":%d\r\n" % n for n in range(1024)]
# The same headers without the end of the line.
_BULK_LINES = [b"$%d" % n for n in range(1024)]
# With fewer items than this it is quicker to write one after the other.
_JOINED_MIN = 4
NIL_2 = b"$-1\r\n"
NIL_ARRAY_2 = b"*-1\r\n"
NIL_3 = b"_\r\n"

_TEXT_BREAKS = bytes.maketrans(b"\r\n", b"  ")


def encode(value: Reply, proto: int) -> bytes:
    """The whole reply as one piece."""
    out: list[bytes] = []
    encode_into(out, value, proto)
    return b"".join(out)


def encode_into(out: list[bytes], value: Reply, proto: int) -> None:
    """Append the encoding of `value` for protocol `proto` (2 or 3) to `out`."""
    kind = type(value)
    if kind is bytes:
        length = len(value)
        if length < 1024:
            out += (BULK_HEADERS[length], value, CRLF)
        else:
            out.append(b"$%d\r\n%b\r\n" % (length, value))
    elif kind is int:
        out.append(INTEGERS[value] if 0 <= value < 1024 else b":%d\r\n" % value)
    elif value is None:
        out.append(NIL_2 if proto == 2 else NIL_3)
    elif kind is Bulks:
        out.append(encode_bulks(value))
    elif kind is float:
        text = format_double(value)
        out.append(b"$%d\r\n%b\r\n" % (len(text), text) if proto == 2 else b",%b\r\n" % text)
    elif kind is list or kind is tuple:
        out.append(b"*%d\r\n" % len(value))
        for item in value:
            encode_into(out, item, proto)
    else:
        _encode_rare(out, value, proto)


def encode_bulks(items: list[bytes]) -> bytes:
    """An array of bulk strings. Nothing is formatted for each: LRANGE and its like are mostly this."""
    count = len(items)
    if count < _JOINED_MIN:
        return encode_command(items)
    joined = _joined_alike(items)
    if joined is not None:
        return b"*%d\r\n%b" % (count, joined)
    pieces = [b""] * (2 * count + 1)
    try:
        pieces[0:-1:2] = [_BULK_LINES[len(item)] for item in items]
    except IndexError:
        pieces[0:-1:2] = [b"$%d" % len(item) for item in items]
    pieces[1::2] = items
    return b"*%d\r\n%b" % (count, CRLF.join(pieces))


def _joined_alike(items: Sequence[bytes]) -> bytes | None:
    """Bulk strings, if all are equally long, as ids and numbers often are; None otherwise.

    Then there is one header, and it is part of what they are joined by.
    """
    length = len(items[0])
    if length != len(items[-1]) or set(map(len, items)) != {length}:
        return None
    header = b"$%d\r\n" % length
    return b"%b%b\r\n" % (header, (CRLF + header).join(items))


def encode_values(out: list[bytes], values: Sequence[bytes | None], missing: int, proto: int) -> None:
    """Replies of one bulk string each, for a stretch of commands; `missing` of the values are None."""
    if not missing:
        joined = _joined_alike(cast(Sequence[bytes], values))
        if joined is not None:
            out.append(joined)
            return
    nil = NIL_2 if proto == 2 else NIL_3
    for value in values:
        if value is None:
            out.append(nil)
        elif len(value) < 1024:
            out += (BULK_HEADERS[len(value)], value, CRLF)
        else:
            out.append(b"$%d\r\n%b\r\n" % (len(value), value))


def encode_error(text: bytes) -> bytes:
    """CR and LF would end the line early, so Redis shows them as spaces, and none at the end."""
    return b"-%b\r\n" % text.rstrip(b"\r\n").translate(_TEXT_BREAKS)


def encode_command(argv: Sequence[bytes]) -> bytes:
    """A request: an array of bulk strings."""
    return b"*%d\r\n%b" % (len(argv), encode_items(argv))


def encode_items(items: Sequence[bytes]) -> bytes:
    """What stands in an array of bulk strings, of which there are a few."""
    pieces: list[bytes] = []
    for item in items:
        length = len(item)
        pieces += (BULK_HEADERS[length] if length < 1024 else b"$%d\r\n" % length, item, CRLF)
    return b"".join(pieces)


def format_double(value: float) -> bytes:
    """Redis 7.0's text of a double: 17 significant digits, no fraction when integral."""
    if value and -1e17 < value < 1e17 and value.is_integer():
        # The same digits, found in half the time.
        return b"%d" % value
    if value != value:
        return b"nan"
    if value in (float("inf"), float("-inf")):
        return b"inf" if value > 0 else b"-inf"
    return b"%.17g" % value


def _encode_rare(out: list[bytes], value: Reply, proto: int) -> None:
    if isinstance(value, Bulks):
        array = encode_bulks(value)
        if proto == 2:
            out.append(array)
        else:
            head = b"~%d" % len(value) if isinstance(value, BulkSet) else b"%%%d" % (len(value) // 2)
            out += (head, array[array.index(CRLF) :])
    elif isinstance(value, Simple):
        out.append(b"+%b\r\n" % value.text)
    elif isinstance(value, Error):
        out.append(encode_error(value.text))
    elif isinstance(value, Verbatim):
        head = b"$%d\r\n" % len(value) if proto == 2 else b"=%d\r\ntxt:" % (len(value) + 4)
        out += (head, value, CRLF)
    elif isinstance(value, Raw):
        out.append(value)
    elif isinstance(value, Digits) and proto == 3:
        out.append(b",%b\r\n" % value)
    elif isinstance(value, (bytes, bytearray)):
        out += (b"$%d\r\n" % len(value), bytes(value), CRLF)
    elif isinstance(value, dict):
        out.append(b"*%d\r\n" % (2 * len(value)) if proto == 2 else b"%%%d\r\n" % len(value))
        for key, item in value.items():
            encode_into(out, key, proto)
            encode_into(out, item, proto)
    elif isinstance(value, PairMap) and proto == 3:
        out.append(b"%%%d\r\n" % len(value))
        for pair in value:
            for item in pair:
                encode_into(out, item, proto)
    elif isinstance(value, Several):
        for item in value:
            encode_into(out, item, proto)
    elif isinstance(value, list):
        sign = (
            b"*" if proto == 2 else b"~" if isinstance(value, ReplySet) else b">" if isinstance(value, Push) else b"*"
        )
        out.append(b"%b%d\r\n" % (sign, len(value)))
        for item in value:
            encode_into(out, item, proto)
    elif value is NIL_ARRAY:
        out.append(NIL_ARRAY_2 if proto == 2 else NIL_3)
    else:
        assert value is NO_REPLY or value is PARKED, f"no reply can be made of {value!r}"
