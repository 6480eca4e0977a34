"""A node of a stream as the listpack that Redis keeps it in.

It begins with how many entries there are, how many were deleted, and the fields of the first entry there ever was. Then
come the entries, the deleted ones too: flags, the two halves of the id as differences to that first entry's, and, when
the fields are the same ones, only the values; at last how many items the entry has, for who walks backwards. What was
deleted counts when a node is full, so it must be in the file, or the same XADD would begin a new node at another entry
in a server that has loaded it, and ``XTRIM ~`` would remove other entries.

Nearly all nodes have entries with the same fields and nothing deleted: those are written and read by columns.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
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
_INT64_LIMIT = 1 << 63
_BULK_HEADS = [b"$%d" % size for size in range(4096)]


def encode_node(node: StreamNode) -> bytes:
    """The listpack."""
    fields = node.fields
    head: list[bytes | int] = [len(node), node.deleted, len(fields), *fields, 0]
    entries = list(map(listpack.entry, head))
    values = _columns(node) if not node.deleted else None
    if values is None:
        return listpack.assemble([*entries, *_encode_rows(node)])
    count = len(entries) + len(node) * (_ITEMS_SAME + 1 + len(fields))
    return listpack.framed(b"".join(entries) + _encode_columns(node, values), count)


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


def _encode_columns(node: StreamNode, values: list[list[bytes]]) -> bytes:
    times, sequences = node.halves()
    form = listpack.number_entry(_SAME_FIELDS) + b"%b"
    columns = [listpack.number_entries(_differences(times, node.base >> SEQUENCE_BITS))]
    if sequences.count(node.base & SEQUENCE_MAX) == len(sequences):
        form += listpack.number_entry(0)
    else:
        form += b"%b"
        columns.append(listpack.number_entries(_differences(sequences, node.base & SEQUENCE_MAX)))
    columns += map(listpack.text_entries, values)
    form += b"%b" * len(values) + listpack.number_entry(_ITEMS_SAME + len(values)).replace(b"%", b"%%")
    return b"".join(map(form.__mod__, zip(*columns, strict=True)))


def _differences(numbers: array[int], base: int) -> list[int]:
    differences = [number - base for number in numbers]
    if min(differences) >= -_INT64_LIMIT and max(differences) < _INT64_LIMIT:
        return differences
    return list(map(wrapped, differences))


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
    items = listpack.decode_mixed(data)
    if len(items) < 3:
        raise ValueError("no header")
    count, deleted, width = map(int, items[:3])
    start = 3 + width
    if count < 0 or deleted < 0 or width < 0 or count + deleted == 0 or start >= len(items) or int(items[start]):
        raise ValueError("a header that is none")
    node = StreamNode(base, listpack.as_texts(items[3:start]))
    rows = items[start + 1 :]
    if deleted or not _decode_columns(node, count, rows):
        _decode_rows(node, count + deleted, iter(rows))
    if len(node) != count or node.deleted != deleted:
        raise ValueError("not as many as announced")
    node.size = len(data) - number_size(count) - number_size(deleted)
    return node


def _decode_columns(node: StreamNode, count: int, rows: list[bytes | int]) -> bool:
    """Read entries that all have the fields of the first one; False when they do not, and nothing has been read."""
    width = len(node.fields)
    stride = _ITEMS_SAME + 1 + width
    if len(rows) != count * stride or rows[::stride].count(_SAME_FIELDS) != count:
        return False
    if rows[stride - 1 :: stride].count(stride - 1) != count:
        return False
    times = _sums(rows[1::stride], node.base >> SEQUENCE_BITS)
    sequences = _sums(rows[2::stride], node.base & SEQUENCE_MAX)
    ids = list(zip(times, sequences, strict=True))
    if make_id(*ids[0]) < node.base or not all(map(lt, ids, ids[1:])):
        raise ValueError("ids do not ascend")
    node.fill(times, sequences, [listpack.as_texts(rows[place::stride]) for place in range(3, 3 + width)])
    return True


def _sums(differences: list[bytes | int], base: int) -> list[int]:
    """The numbers that differ so much from `base`; raises ValueError."""
    if differences.count(0) == len(differences):
        return [base] * len(differences)
    return [base + int(difference) & SEQUENCE_MAX for difference in differences]


def _decode_rows(node: StreamNode, count: int, items: Iterator[bytes | int]) -> None:
    """Read entries of any kind; raises ValueError."""
    try:
        for _ in range(count):
            _decode_row(node, items)
    except (StopIteration, RuntimeError):
        raise ValueError("too few items") from None
    if next(items, None) is not None:
        raise ValueError("too many items")


def _decode_row(node: StreamNode, items: Iterator[bytes | int]) -> None:
    flags = int(next(items))
    time_ms = (node.base >> SEQUENCE_BITS) + int(next(items)) & SEQUENCE_MAX
    entry_id = make_id(time_ms, (node.base & SEQUENCE_MAX) + int(next(items)) & SEQUENCE_MAX)
    if flags & _SAME_FIELDS:
        parts = [part for field in node.fields for part in (field, _text(next(items)))]
        count = _ITEMS_SAME + len(node.fields)
    else:
        width = int(next(items))
        parts = [_text(next(items)) for _ in range(2 * width)]
        count = _ITEMS_OTHER + 2 * width
    if int(next(items)) != count:
        raise ValueError("not as many items as announced")
    if entry_id < node.last_id or (entry_id == node.last_id and (node.stop() or node.deleted)):
        raise ValueError("ids do not ascend")
    if flags & _DELETED:
        node.bury(entry_id, parts)
    else:
        node.put(entry_id, parts)


def _text(item: bytes | int) -> bytes:
    return item if isinstance(item, bytes) else b"%d" % item
