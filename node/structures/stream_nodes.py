"""A node of a stream: some neighbouring entries, as Redis keeps them in one listpack.

Which entries share a node shows: trimming with ``~`` removes whole nodes. So a node knows how large Redis' listpack of
the same entries would be, and counts deleted entries as Redis does: there they keep their place until the node goes.

The entries themselves are kept as XRANGE answers them, encoded, one behind the other: a range of them is a slice. (An
object for each would take twice the memory, and encoding is most of the time that reading takes.)
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from heapq import merge
from itertools import accumulate
from sys import getsizeof

from node.structures.stream_ids import SEQUENCE_BITS, SEQUENCE_MAX, format_id, make_id
from wire.arguments import canonical_integer
from wire.encoder import encode_bulks, encode_items

# The longest text of a 64-bit integer, which a listpack would keep as a number.
_INTEGER_TEXT_MAX = 20
# A listpack's header and end; an entry's flags with its length behind.
_FRAME_SIZE = 7
_FLAGS_SIZE = 2
_INT64_LIMIT = 1 << 63
# What a number takes that is not negative, by its bits; those of a signed one in 13 bits.
_SHORT_BITS = 12
_SIZES = [2] * 8 + [3] * 5 + [4] * 3 + [5] * 8 + [6] * 8 + [10] * 33
_DIGIT_MAX = ord("9")


def number_size(number: int) -> int:
    """What `number` takes in a listpack."""
    if number >= 0:
        return _SIZES[number.bit_length()]
    if number >= -4096:
        return 3
    # What is negative has a value more.
    return _SIZES[max((-number - 1).bit_length(), _SHORT_BITS + 1)]


def _text_size(text: bytes) -> int:
    """What `text` takes in a listpack: its encoding, itself, and the length of both."""
    size = len(text)
    number = canonical_integer(text) if size <= _INTEGER_TEXT_MAX else None
    if number is not None:
        return number_size(number)
    if size < 64:
        return size + 2
    whole = size + (2 if size < 4096 else 5)
    return whole + 1 + (whole > 127) + (whole >= 16383) + (whole >= 2097151) + (whole >= 268435455)


def wrapped(difference: int) -> int:
    """A difference of two unsigned 64-bit numbers as a signed one, which is how listpacks keep it."""
    return (difference + _INT64_LIMIT & SEQUENCE_MAX) - _INT64_LIMIT


class StreamNode:
    """Entries with ids that ascend, `first` of them passed over; a place is an index into all of them."""

    __slots__ = (
        "_ends",
        "_entries",
        "_sequences",
        "_times",
        "base",
        "deleted",
        "fields",
        "first",
        "graves",
        "last_id",
        "size",
    )

    def __init__(self, base: int, fields: list[bytes]) -> None:
        # The id of the first entry there ever was in this node, and its fields: Redis writes the others relative to it.
        self.base = base
        self.fields = fields
        # Entries that have been deleted, wherever they stood.
        self.deleted = 0
        # Deleted entries that are not among the others any more, encoded, by id: a snapshot has them (`bury`).
        self.graves: dict[int, bytes] = {}
        # The id of the last entry, deleted or not.
        self.last_id = base
        # The size of Redis' listpack without the two numbers that change with every entry, `len(self)` and `deleted`.
        self.size = _FRAME_SIZE + number_size(len(fields)) + sum(map(_text_size, fields)) + 2
        # How many entries at the beginning have been deleted and are still here.
        self.first = 0
        # The two halves of each id.
        self._times = array("Q")
        self._sequences = array("Q")
        # The encoded entries, and where each of them ends.
        self._entries = bytearray()
        self._ends = array("Q")

    # Reading

    def __len__(self) -> int:
        return len(self._times) - self.first

    def has_room(self, size: int, bytes_max: int, entries_max: int) -> bool:
        """Whether an entry of `size` bytes still goes here; see `Stream.append`."""
        deleted = self.deleted
        count = len(self._times) - self.first
        if 0 < entries_max <= count + deleted:
            return False
        if count < 128 > deleted:
            return self.size + 4 + size < bytes_max
        return self.size + number_size(count) + number_size(deleted) + size < bytes_max

    def find(self, entry_id: int) -> int:
        """The place of the first entry that is not before `entry_id`."""
        time_ms = entry_id >> SEQUENCE_BITS
        times = self._times
        place = bisect_left(times, time_ms, self.first)
        if place < len(times) and times[place] == time_ms:
            stop = bisect_right(times, time_ms, place)
            place = bisect_left(self._sequences, entry_id & SEQUENCE_MAX, place, stop)
        return place

    def holds(self, entry_id: int) -> int:
        """The place of the entry with this id; -1 when there is none."""
        place = self.find(entry_id)
        return place if place < len(self._times) and self.id_at(place) == entry_id else -1

    def stop(self) -> int:
        """The place behind the last entry."""
        return len(self._times)

    def id_at(self, place: int) -> int:
        return self._times[place] << SEQUENCE_BITS | self._sequences[place]

    def entries(self, start: int, stop: int) -> bytes:
        """The encoded entries from one place up to another, which must not be the same."""
        return bytes(self._entries[self._ends[start - 1] if start else 0 : self._ends[stop - 1]])

    def items_at(self, place: int) -> list[bytes]:
        """An entry's fields and values in turns."""
        return _items_in(self._entries, self._ends[place - 1] if place else 0)

    def halves(self) -> tuple[array[int], array[int]]:
        """The times and the sequence numbers of the entries, without those passed over."""
        return self._times[self.first :], self._sequences[self.first :]

    def all_items(self) -> Iterator[tuple[int, list[bytes], bool]]:
        """Every entry there ever was: its id, its fields and values in turns, and whether it was deleted."""
        places = range(len(self._times))
        rows = ((self.id_at(place), self.items_at(place), place < self.first) for place in places)
        buried = ((entry_id, _items_in(data), True) for entry_id, data in sorted(self.graves.items()))
        return merge(rows, buried)

    # Changing

    def append(self, entry_id: int, items: list[bytes]) -> bytes:
        """Put an entry behind all others: fields and values in turns. Returns its id as text."""
        fields = self.fields
        count = len(items) // 2
        base = self.base
        time_after = (entry_id >> SEQUENCE_BITS) - (base >> SEQUENCE_BITS)
        sequence_after = (entry_id & SEQUENCE_MAX) - (base & SEQUENCE_MAX)
        size = self.size + _FLAGS_SIZE
        size += _SIZES[time_after.bit_length()] if time_after < _INT64_LIMIT else number_size(wrapped(time_after))
        size += number_size(
            sequence_after if -_INT64_LIMIT <= sequence_after < _INT64_LIMIT else wrapped(sequence_after)
        )
        if count == len(fields) and (items[0] == fields[0] if count == 1 else items[::2] == fields):
            size += _SIZES[(3 + count).bit_length()]
            texts = items[1::2]
        else:
            size += _SIZES[count.bit_length()] + _SIZES[(4 + 2 * count).bit_length()]
            texts = items
        for text in texts:
            # Most are short and no numbers.
            size += len(text) + 2 if text and text[0] > _DIGIT_MAX and len(text) < 64 else _text_size(text)
        self.size = size
        return self.put(entry_id, items)

    def append_run(
        self, entry_id: int, rows: list[list[bytes]], bytes_max: int, entries_max: int
    ) -> tuple[list[bytes], list[bytes]]:
        """Put entries behind all others, the first one certainly and then as many as there is room for.

        Their ids follow each other within a millisecond, and all have equally many fields. Returns what each consists
        of: the ids, and the fields and values, as bulk strings.
        """
        fields, deleted, count, size = self.fields, self.deleted, len(self), self.size
        if entries_max > 0:
            rows = rows[: max(entries_max - count - deleted, 1)]
        pairs = len(rows[0]) // 2
        time_ms, sequence = entry_id >> SEQUENCE_BITS, entry_id & SEQUENCE_MAX
        before = self.base & SEQUENCE_MAX
        frame = _FLAGS_SIZE + number_size(wrapped(time_ms - (self.base >> SEQUENCE_BITS)))
        # What frames an entry with the node's fields, and any other one.
        alike = frame + _SIZES[(3 + pairs).bit_length()]
        unlike = frame + _SIZES[pairs.bit_length()] + _SIZES[(4 + 2 * pairs).bit_length()]
        entries, ends = self._entries, self._ends
        prefix = b"%d-" % time_ms
        ids: list[bytes] = []
        contents: list[bytes] = []
        for items in rows:
            length = sum(map(len, items))
            if (
                # What counts entries takes no more than twenty bytes.
                size + length + 20 >= bytes_max
                and ids
                and size + length + number_size(count + len(ids)) + number_size(deleted) >= bytes_max
            ):
                break
            if items[0] == fields[0] and (pairs == 1 if len(fields) == 1 else items[::2] == fields):
                size += alike
                texts = items[1::2]
            else:
                size += unlike
                texts = items
            size += number_size(wrapped(sequence - before))
            for text in texts:
                # Most are short and no numbers.
                size += len(text) + 2 if text and text[0] > _DIGIT_MAX and len(text) < 64 else _text_size(text)
            text = b"%b%d" % (prefix, sequence)
            head = b"$%d\r\n%b\r\n" % (len(text), text)
            content = encode_items(items)
            entries += b"*2\r\n%b*%d\r\n%b" % (head, 2 * pairs, content)
            ends.append(len(entries))
            ids.append(head)
            contents.append(content)
            sequence += 1
        added = len(ids)
        self.size = size
        self._times.extend([time_ms] * added)
        self._sequences.extend(range(sequence - added, sequence))
        self.last_id = entry_id + added - 1
        return ids, contents

    def put(self, entry_id: int, items: list[bytes]) -> bytes:
        """The same for who knows the size of the whole node."""
        time_ms, sequence = entry_id >> SEQUENCE_BITS, entry_id & SEQUENCE_MAX
        self._times.append(time_ms)
        self._sequences.append(sequence)
        text = b"%d-%d" % (time_ms, sequence)
        entries = self._entries
        if len(items) == 2:
            field, value = items
            entries += b"*2\r\n$%d\r\n%b\r\n*2\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (
                *(len(text), text),
                *(len(field), field),
                *(len(value), value),
            )
        else:
            entries += b"*2\r\n$%d\r\n%b\r\n%b" % (len(text), text, encode_bulks(items))
        self._ends.append(len(entries))
        self.last_id = entry_id
        return text

    def fill(self, times: list[int], sequences: list[int], values: list[list[bytes]]) -> None:
        """Put all entries into an empty node, with its fields, the values of each in a column."""
        texts = list(map(b"%d-%d".__mod__, zip(times, sequences, strict=True)))
        # An entry's form, and for each of what goes into it its size, and itself.
        form = b"*2\r\n$%%d\r\n%%b\r\n*%d\r\n" % (2 * len(values))
        columns: list[Iterable[int] | list[bytes]] = [map(len, texts), texts]
        for field, column in zip(self.fields, values, strict=True):
            form += b"$%d\r\n%b\r\n$%%d\r\n%%b\r\n" % (len(field), field.replace(b"%", b"%%"))
            columns += (map(len, column), column)
        entries = list(map(form.__mod__, zip(*columns, strict=True)))
        self._times.extend(times)
        self._sequences.extend(sequences)
        self._entries += b"".join(entries)
        self._ends.extend(accumulate(map(len, entries)))
        self.last_id = make_id(times[-1], sequences[-1])

    def bury(self, entry_id: int, items: list[bytes]) -> None:
        """Put a deleted entry behind all others."""
        text = format_id(entry_id)
        self.graves[entry_id] = b"*2\r\n$%d\r\n%b\r\n%b" % (len(text), text, encode_bulks(items))
        self.deleted += 1
        self.last_id = entry_id

    def drop_first(self, count: int) -> None:
        """Delete the first `count` entries."""
        self.first += count
        self.deleted += count

    def delete(self, place: int) -> None:
        """Delete the entry at `place`; those behind it move up."""
        self.deleted += 1
        if place == self.first:
            self.first += 1
            return
        start, end = self._ends[place - 1], self._ends[place]
        self.graves[self.id_at(place)] = bytes(self._entries[start:end])
        del self._entries[start:end], self._times[place], self._sequences[place]
        width = end - start
        self._ends[place:] = array("Q", [each - width for each in self._ends[place + 1 :]])

    def copy(self) -> StreamNode:
        other = StreamNode(self.base, self.fields)
        other.deleted, other.last_id, other.size, other.first = self.deleted, self.last_id, self.size, self.first
        other._times, other._sequences, other._ends = self._times[:], self._sequences[:], self._ends[:]
        other._entries = self._entries[:]
        other.graves = self.graves.copy()
        return other

    def memory_bytes(self) -> int:
        parts = (
            self,
            self._times,
            self._sequences,
            self._ends,
            self._entries,
            self.fields,
            *self.fields,
            self.graves,
            *self.graves.values(),
        )
        return sum(map(getsizeof, parts))

    def _check(self) -> None:
        """Raise AssertionError unless everything fits together."""
        count = len(self._times)
        assert len(self._sequences) == len(self._ends) == count >= self.first
        ids = [make_id(*parts) for parts in zip(self._times, self._sequences, strict=True)]
        assert ids == sorted(set(ids))
        assert self.deleted == self.first + len(self.graves)
        assert not set(ids) & set(self.graves)
        assert not ids or self.base <= ids[0] <= ids[-1] <= self.last_id
        assert list(self._ends) == sorted(self._ends)
        assert len(self._entries) == (self._ends[-1] if count else 0)
        for place in range(self.first, count):
            text, items = format_id(ids[place]), self.items_at(place)
            whole = b"*2\r\n$%d\r\n%b\r\n%b" % (len(text), text, encode_bulks(items))
            assert self.entries(place, place + 1) == whole


def _items_in(data: bytes | bytearray, start: int = 0) -> list[bytes]:
    """Fields and values in turns of the encoded entry that begins at `start`."""
    at = data.index(b"*", start + 1)
    end = data.index(b"\r", at)
    items = []
    for _ in range(int(data[at + 1 : end])):
        begin = data.index(b"\r", end + 2) + 2
        end = begin + int(data[end + 3 : begin - 2])
        items.append(bytes(data[begin:end]))
    return items
