"""Listpack: many short strings in one, as redis-server 7 keeps small collections and the nodes of streams.

A header (size of the whole, number of entries), the entries, and a byte 0xFF. An entry is its encoding and its data,
then the size of both once more, written so that it can be read backwards. What is the canonical text of a 64-bit
integer is kept as a number; readers never see the difference.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from struct import Struct
from typing import cast

from node.persistence.rdb_errors import RdbError
from wire.arguments import NO_INTEGER_FROM, canonical_integer

_HEADER = Struct("<IH")
# The header's number of entries when there are more than it can say.
_COUNT_UNKNOWN = 0xFFFF
_END = 0xFF

_I16 = Struct("<h")
_U32 = Struct("<I")
# First bytes above the ranges for short strings and small numbers.
_STRING_32, _INT_16, _INT_24, _INT_32, _INT_64 = range(0xF0, 0xF5)
# The data bytes behind each of those that announces a number.
_WIDTHS = {_INT_16: 2, _INT_24: 3, _INT_32: 4, _INT_64: 8}

# Whole entries of numbers.
_INT_13 = Struct(">HB")
_ENTRY_16, _ENTRY_24, _ENTRY_32, _ENTRY_64 = map(Struct, ("<BhB", "<BHbB", "<BiB", "<BqB"))

# Numbers of up to 13 bits, which are most of what is a number in listpacks: their texts and entries, ready made. A
# negative number finds its own from the end.
_SMALL_MIN, _SMALL_MAX = -(1 << 12), (1 << 12) - 1
_SMALL_TEXTS = [b"%d" % number for number in (*range(_SMALL_MAX + 1), *range(_SMALL_MIN, 0))]
_SMALL_ENTRIES = [
    bytes((number, 1)) if number < 128 else _INT_13.pack(0xC000 | number, 2) for number in range(len(_SMALL_TEXTS))
]
# What stands before and behind a text of up to 63 bytes.
_HEADS = [bytes((0x80 | size,)) for size in range(64)]
_TAILS = [bytes((size + 1,)) for size in range(64)]


def decode(data: bytes) -> list[bytes]:
    """The entries, numbers as text; raises RdbError unless every byte of `data` is as it should be."""
    return cast("list[bytes]", _decode(data, numbers=False))


def decode_mixed(data: bytes) -> list[bytes | int]:
    """`decode` for who needs numbers: those that are kept as numbers stay numbers."""
    return _decode(data, numbers=True)


def as_texts(items: list[bytes | int]) -> list[bytes]:
    """Decoded items, numbers as text."""
    return [item if isinstance(item, bytes) else b"%d" % item for item in items]


def _decode(data: bytes, *, numbers: bool) -> list[bytes | int]:
    size = len(data)
    if size < _HEADER.size + 1:
        raise _broken()
    total, count = _HEADER.unpack_from(data)
    if total != size or data[size - 1] != _END:
        raise _broken()
    items: list[bytes | int] = []
    position = _HEADER.size
    end = size - 1
    texts = _SMALL_TEXTS
    try:
        while position < end:
            first = data[position]
            start = position
            if 0x80 <= first < 0xC0:
                position += first - 0x7F
                if data[position] != position - start:
                    raise _broken()
                items.append(data[start + 1 : position])
                position += 1
            elif first < 0x80:
                if data[position + 1] != 1:
                    raise _broken()
                items.append(first if numbers else texts[first])
                position += 2
            elif first < 0xE0:
                number = (first & 0x1F) << 8 | data[position + 1]
                if data[position + 2] != 2:
                    raise _broken()
                items.append(texts[number] if not numbers else number if number <= _SMALL_MAX else number - 0x2000)
                position += 3
            elif first > _STRING_32:
                width = _WIDTHS[first]
                position += width + 1
                if data[position] != width + 1:
                    raise _broken()
                if width == 2:
                    number = _I16.unpack_from(data, start + 1)[0]
                else:
                    number = int.from_bytes(data[start + 1 : position], "little", signed=True)
                items.append(number if numbers else b"%d" % number)
                position += 1
            else:
                position += 2 + ((first & 0x0F) << 8 | data[position + 1]) if first < _STRING_32 else 5
                if first == _STRING_32:
                    if position > end:
                        raise _broken()
                    position += _U32.unpack_from(data, start + 1)[0]
                    items.append(data[start + 5 : position])
                else:
                    items.append(data[start + 2 : position])
                back = _backlen(position - start)
                start = position
                position += len(back)
                # The entry's end lies before the last byte, so nothing above was taken from beyond it.
                if position > end or data[start:position] != back:
                    raise _broken()
    except (IndexError, KeyError):
        raise _broken() from None
    if position != end or count not in (len(items), _COUNT_UNKNOWN):
        raise _broken()
    return items


def encode(items: Iterable[bytes | int]) -> bytes:
    """A listpack of `items`, each in the form that redis-server would choose; numbers must fit 64 bits."""
    return assemble([entry(item) for item in items])


def assemble(entries: list[bytes]) -> bytes:
    """A listpack of entries made by `entry` and its like."""
    return framed(b"".join(entries), len(entries))


def framed(body: bytes, count: int) -> bytes:
    """A listpack of so many entries that are one behind the other in `body`."""
    header = _HEADER.pack(_HEADER.size + len(body) + 1, min(count, _COUNT_UNKNOWN))
    return b"%b%b\xff" % (header, body)


def entry(item: bytes | int) -> bytes:
    """An item, in the form that redis-server would choose."""
    return number_entry(item) if isinstance(item, int) else text_entry(item)


def text_entry(item: bytes) -> bytes:
    """An item that is text, or a number's text."""
    if item < NO_INTEGER_FROM:
        number = canonical_integer(item)
        if number is not None:
            return number_entry(number)
    size = len(item)
    if size < 64:
        return _HEADS[size] + item + _TAILS[size]
    if size < 4096:
        head = bytes((0xE0 | size >> 8, size & 0xFF))
    else:
        head = bytes((_STRING_32,)) + _U32.pack(size)
    return head + item + _backlen(len(head) + size)


def text_entries(items: Iterable[bytes]) -> list[bytes]:
    """`text_entry` of each; most are short, and no numbers."""
    heads, tails = _HEADS, _TAILS
    return [
        heads[size] + item + tails[size] if item >= NO_INTEGER_FROM and (size := len(item)) < 64 else text_entry(item)
        for item in items
    ]


def form_of(names: tuple[bytes, ...], sizes: bytes) -> bytes:
    """A format for the entries of names, each with a value behind it that is no number and of these sizes, below 64: it
    takes the values."""
    pieces = []
    for name, size in zip(text_entries(names), sizes, strict=True):
        pieces.append((name + _HEADS[size]).replace(b"%", b"%%") + b"%b" + _TAILS[size].replace(b"%", b"%%"))
    return b"".join(pieces)


def are_short_texts(items: Collection[bytes]) -> bool:
    """Whether none of them (there must be some) is a number or longer than 63 bytes."""
    return min(items) >= NO_INTEGER_FROM and max(map(len, items)) < len(_HEADS)


def number_entry(item: int) -> bytes:
    """An item that is a number."""
    if _SMALL_MIN <= item <= _SMALL_MAX:
        return _SMALL_ENTRIES[item]
    if -(1 << 15) <= item < 1 << 15:
        return _ENTRY_16.pack(_INT_16, item, 3)
    if -(1 << 23) <= item < 1 << 23:
        return _ENTRY_24.pack(_INT_24, item & 0xFFFF, item >> 16, 4)
    if -(1 << 31) <= item < 1 << 31:
        return _ENTRY_32.pack(_INT_32, item, 5)
    return _ENTRY_64.pack(_INT_64, item, 9)


def number_entries(items: Iterable[int]) -> list[bytes]:
    """`number_entry` of each."""
    small = _SMALL_ENTRIES
    return [small[item] if _SMALL_MIN <= item <= _SMALL_MAX else number_entry(item) for item in items]


def _backlen(size: int) -> bytes:
    """`size` in groups of seven bits, highest first; a set top bit says that there is another group before it.

    Redis takes a further byte a little before it would have to.
    """
    if size <= 127:
        return bytes((size,))
    if size < 16383:
        return bytes((size >> 7, size & 127 | 128))
    if size < 2097151:
        return bytes((size >> 14, size >> 7 & 127 | 128, size & 127 | 128))
    if size < 268435455:
        return bytes((size >> 21, size >> 14 & 127 | 128, size >> 7 & 127 | 128, size & 127 | 128))
    return bytes((size >> 28, size >> 21 & 127 | 128, size >> 14 & 127 | 128, size >> 7 & 127 | 128, size & 127 | 128))


def _broken() -> RdbError:
    return RdbError("Listpack integrity check failed.")
