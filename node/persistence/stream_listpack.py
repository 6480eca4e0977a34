"""A node of a stream as the listpack that Redis keeps it in.

It begins with how many entries there are, how many were deleted, and the fields of the first entry there ever was. Then
come the entries, the deleted ones too: flags, the two halves of the id as differences to that first entry's, and, when
the fields are the same ones, only the values; at last how many items the entry has, for who walks backwards. What was
deleted counts when a node is full, so it must be in the file, or the same XADD would begin a new node at another entry
in a server that has loaded it, and ``XTRIM ~`` would remove other entries.

Nearly all nodes have entries with the same fields and nothing deleted: those are written and read by columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, repeat
from operator import lt

from node.persistence import listpack
from node.structures.stream_ids import SEQUENCE_BITS, SEQUENCE_MAX, make_id
from node.structures.stream_nodes import StreamNode, number_size, wrapped

# Flags of an entry.
_DELETED, _SAME_FIELDS = 1, 2
# Items of an entry beside its fields and values: flags, two halves of the id, and their number. With fields of its own
# also how many those are.
_ITEMS_SAME, _ITEMS_OTHER = 3, 4
# Pieces between line ends of an encoded entry (`StreamNode.entries`): its head, and for every field and value.
_HEAD_PIECES, _PAIR_PIECES = 4, 4
_BULK_HEADS = [b"$%d" % size for size in range(4096)]


def encode_node(node: StreamNode) -> bytes:
    """The listpack."""
    fields = node.fields
    head: list[bytes | int] = [len(node), node.deleted, len(fields), *fields, 0]
    values = _columns(node) if not node.deleted else None
    entries = _encode_rows(node) if values is None else _encode_columns(node, values)
    return listpack.assemble([*map(listpack.entry, head), *entries])


def _columns(node: StreamNode) -> list[list[bytes]] | None:
    """The values by field, if all entries have the fields of the first one, and no line ends inside of a value.

    A piece is what it seems to be when the one before it, which announces its size, is right, and so are all before it.
    """
    count, width = len(node), len(node.fields)
    pieces = node.entries(0, count).split(b"\r\n")
    stride = _HEAD_PIECES + _PAIR_PIECES * width
    if len(pieces) != count * stride + 1:
        return None
    if pieces[::stride].count(b"*2") != count or pieces[3::stride].count(b"*%d" % (2 * width)) != count:
        return None
    columns = []
    for field, start in zip(node.fields, range(_HEAD_PIECES, stride, _PAIR_PIECES), strict=True):
        if (
            pieces[start::stride].count(b"$%d" % len(field)) != count
            or pieces[start + 1 :: stride].count(field) != count
        ):
            return None
        values = pieces[start + 3 :: stride]
        try:
            heads = [_BULK_HEADS[len(value)] for value in values]
        except IndexError:
            return None
        if pieces[start + 2 :: stride] != heads:
            return None
        columns.append(values)
    return columns


def _encode_columns(node: StreamNode, values: list[list[bytes]]) -> Iterator[bytes]:
    base_ms, base_sequence = node.base >> SEQUENCE_BITS, node.base & SEQUENCE_MAX
    entry = listpack.number_entry
    times, sequences = node.halves()
    columns = [
        repeat(entry(_SAME_FIELDS)),
        [entry(wrapped(time_ms - base_ms)) for time_ms in times],
        [entry(wrapped(sequence - base_sequence)) for sequence in sequences],
        *(map(listpack.text_entry, column) for column in values),
        repeat(entry(_ITEMS_SAME + len(values))),
    ]
    return chain.from_iterable(zip(*columns, strict=False))


def _encode_rows(node: StreamNode) -> Iterator[bytes]:
    """The entries one by one, with those that were deleted in their places."""
    fields = node.fields
    base_ms, base_sequence = node.base >> SEQUENCE_BITS, node.base & SEQUENCE_MAX
    for entry_id, parts, deleted in node.all_items():
        same = parts[::2] == fields
        flags = (_SAME_FIELDS if same else 0) | (_DELETED if deleted else 0)
        items: list[bytes | int] = [flags, wrapped((entry_id >> SEQUENCE_BITS) - base_ms)]
        items.append(wrapped((entry_id & SEQUENCE_MAX) - base_sequence))
        if same:
            items += (*parts[1::2], _ITEMS_SAME + len(fields))
        else:
            items += (len(parts) // 2, *parts, _ITEMS_OTHER + len(parts))
        yield from map(listpack.entry, items)


def decode_node(base: int, data: bytes) -> StreamNode:
    """The node that `data` is; raises ValueError, or RdbError when it is no listpack."""
    items = listpack.decode(data)
    if len(items) < 3:
        raise ValueError("no header")
    count, deleted, width = map(int, items[:3])
    start = 3 + width
    if count < 0 or deleted < 0 or width < 0 or count + deleted == 0 or items[start : start + 1] != [b"0"]:
        raise ValueError("a header that is none")
    node = StreamNode(base, items[3:start])
    rows = items[start + 1 :]
    if deleted or not _decode_columns(node, count, rows):
        _decode_rows(node, count + deleted, iter(rows))
    if len(node) != count or node.deleted != deleted:
        raise ValueError("not as many as announced")
    node.size = len(data) - number_size(count) - number_size(deleted)
    return node


def _decode_columns(node: StreamNode, count: int, rows: list[bytes]) -> bool:
    """Read entries that all have the fields of the first one; False when they do not, and nothing has been read."""
    width = len(node.fields)
    stride = _ITEMS_SAME + 1 + width
    if len(rows) != count * stride or rows[::stride].count(b"%d" % _SAME_FIELDS) != count:
        return False
    if rows[stride - 1 :: stride].count(b"%d" % (stride - 1)) != count:
        return False
    base_ms, base_sequence = node.base >> SEQUENCE_BITS, node.base & SEQUENCE_MAX
    times = [base_ms + after & SEQUENCE_MAX for after in map(int, rows[1::stride])]
    sequences = [base_sequence + after & SEQUENCE_MAX for after in map(int, rows[2::stride])]
    ids = list(map(make_id, times, sequences))
    if ids[0] < node.base or not all(map(lt, ids, ids[1:])):
        raise ValueError("ids do not ascend")
    node.fill(times, sequences, [rows[place::stride] for place in range(3, 3 + width)])
    return True


def _decode_rows(node: StreamNode, count: int, items: Iterator[bytes]) -> None:
    """Read entries of any kind; raises ValueError."""
    try:
        for _ in range(count):
            _decode_row(node, items)
    except (StopIteration, RuntimeError):
        raise ValueError("too few items") from None
    if next(items, None) is not None:
        raise ValueError("too many items")


def _decode_row(node: StreamNode, items: Iterator[bytes]) -> None:
    flags = int(next(items))
    time_ms = (node.base >> SEQUENCE_BITS) + int(next(items)) & SEQUENCE_MAX
    entry_id = make_id(time_ms, (node.base & SEQUENCE_MAX) + int(next(items)) & SEQUENCE_MAX)
    if flags & _SAME_FIELDS:
        parts = [part for field in node.fields for part in (field, next(items))]
        count = _ITEMS_SAME + len(node.fields)
    else:
        width = int(next(items))
        parts = [next(items) for _ in range(2 * width)]
        count = _ITEMS_OTHER + 2 * width
    if int(next(items)) != count:
        raise ValueError("not as many items as announced")
    if entry_id < node.last_id or (entry_id == node.last_id and (node.stop() or node.deleted)):
        raise ValueError("ids do not ascend")
    if flags & _DELETED:
        node.bury(entry_id, parts)
    else:
        node.put(entry_id, parts)
