"""Listpack: many short strings in one, as redis-server 7 keeps small collections and the nodes of streams.

A header (size of the whole, number of entries), the entries, and a byte 0xFF. An entry is its encoding and its data,
then the size of both once more, written so that it can be read backwards. What is the canonical text of a 64-bit
integer is kept as a number; readers never see the difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from struct import Struct

from node.persistence.rdb_errors import RdbError
from wire.arguments import canonical_integer

_HEADER = Struct("<IH")
# The header's number of entries when there are more than it can say.
_COUNT_UNKNOWN = 0xFFFF
_END = 0xFF

_U32 = Struct("<I")
# First bytes above the ranges for short strings and small numbers.
_STRING_32, _INT_16, _INT_24, _INT_32, _INT_64 = range(0xF0, 0xF5)
# The data bytes behind each of those that announces a number.
_WIDTHS = {_INT_16: 2, _INT_24: 3, _INT_32: 4, _INT_64: 8}

# Whole entries of numbers.
_INT_13 = Struct(">HB")
_ENTRY_16, _ENTRY_24, _ENTRY_32, _ENTRY_64 = map(Struct, ("<BhB", "<BHbB", "<BiB", "<BqB"))

# Entries of one byte and their texts, ready made: counters, flags and small numbers are most of what is in listpacks.
_TINY_TEXTS = [b"%d" % number for number in range(128)]
_TINY_ENTRIES = [bytes((number, 1)) for number in range(128)]
# What stands before and behind a text of up to 63 bytes.
_STRING_HEADS = [bytes((0x80 | size,)) for size in range(64)]
_TINY_BACKLENS = [bytes((size,)) for size in range(65)]
_DIGIT_MAX = ord("9")


def decode(data: bytes) -> list[bytes]:
    """The entries, numbers as text; raises RdbError unless every byte of `data` is as it should be."""
    size = len(data)
    if size < _HEADER.size + 1:
        raise _broken()
    total, count = _HEADER.unpack_from(data)
    if total != size or data[size - 1] != _END:
        raise _broken()
    items: list[bytes] = []
    position = _HEADER.size
    end = size - 1
    try:
        while position < end:
            first = data[position]
            if first < 0x80:
                items.append(_TINY_TEXTS[first])
                if data[position + 1] != 1:
                    raise _broken()
                position += 2
                continue
            start = position
            if first < 0xC0:
                position += first - 0x7F
                items.append(data[start + 1 : position])
                if data[position] != position - start:
                    raise _broken()
                position += 1
                continue
            if first < 0xE0:
                number = (first & 0x1F) << 8 | data[position + 1]
                items.append(b"%d" % (number - 8192 if number >= 4096 else number))
                position += 2
            elif first < 0xF0:
                position += 2 + ((first & 0x0F) << 8 | data[position + 1])
                items.append(data[start + 2 : position])
            elif first == _STRING_32:
                if position + 5 > end:
                    raise _broken()
                position += 5 + _U32.unpack_from(data, position + 1)[0]
                items.append(data[start + 5 : position])
            else:
                width = _WIDTHS[first]
                position += 1 + width
                items.append(b"%d" % int.from_bytes(data[start + 1 : position], "little", signed=True))
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
    body = b"".join(entries)
    header = _HEADER.pack(_HEADER.size + len(body) + 1, min(len(entries), _COUNT_UNKNOWN))
    return b"%b%b\xff" % (header, body)


def text_entries(items: Sequence[bytes]) -> list[bytes]:
    """`text_entry` of each."""
    return [text_entry(item) for item in items]


def entry(item: bytes | int) -> bytes:
    """An item, in the form that redis-server would choose."""
    return number_entry(item) if isinstance(item, int) else text_entry(item)


def text_entry(item: bytes) -> bytes:
    """An item that is text, or a number's text."""
    size = len(item)
    if 0 < size < 64 and item[0] > _DIGIT_MAX:
        # Most are short, and no numbers.
        return b"%b%b%b" % (_STRING_HEADS[size], item, _TINY_BACKLENS[size + 1])
    number = canonical_integer(item)
    return _string_entry(item) if number is None else number_entry(number)


def number_entry(item: int) -> bytes:
    """An item that is a number."""
    if 0 <= item < 128:
        return _TINY_ENTRIES[item]
    if -4096 <= item < 4096:
        return _INT_13.pack(0xC000 | item & 0x1FFF, 2)
    if -(1 << 15) <= item < 1 << 15:
        return _ENTRY_16.pack(_INT_16, item, 3)
    if -(1 << 23) <= item < 1 << 23:
        return _ENTRY_24.pack(_INT_24, item & 0xFFFF, item >> 16, 4)
    if -(1 << 31) <= item < 1 << 31:
        return _ENTRY_32.pack(_INT_32, item, 5)
    return _ENTRY_64.pack(_INT_64, item, 9)


def _string_entry(item: bytes) -> bytes:
    size = len(item)
    if size < 64:
        return _STRING_HEADS[size] + item + _TINY_BACKLENS[size + 1]
    if size < 4096:
        head = bytes((0xE0 | size >> 8, size & 0xFF))
    else:
        head = bytes((_STRING_32,)) + _U32.pack(size)
    return head + item + _backlen(len(head) + size)


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
