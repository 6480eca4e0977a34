"""Lists in RDB files: a row of nodes, each a listpack of up to 8 KB; in old files ziplists, or element by element."""

from __future__ import annotations

from node.persistence import listpack, ziplist
from node.persistence.rdb_encoding import Cursor, encode_length, encode_string
from node.persistence.rdb_errors import RdbEmptyError, RdbError
from node.structures.lists import Quicklist

# What a node of type 18 is: one element as it is, or a listpack.
_PLAIN, _PACKED = 1, 2
# What a node has room for beside its header and end, unless `list-max-listpack-size` says otherwise; as much as Redis
# takes an entry for before it is made, beside the element; and an element so large that no listpack is to hold it.
_ROOM = 8192 - 7
_ENTRY_BYTES = 8
_PLAIN_MIN = 1 << 30


def decode_list(cursor: Cursor) -> Quicklist:
    """Type 1: element by element."""
    return _quicklist(cursor.strings(cursor.count()), cursor)


def decode_ziplist(cursor: Cursor) -> Quicklist:
    """Type 10: one ziplist."""
    return _quicklist(ziplist.decode(cursor.string()), cursor)


def decode_quicklist_of_ziplists(cursor: Cursor) -> Quicklist:
    """Type 14."""
    items: list[bytes] = []
    for _ in range(cursor.count()):
        items += ziplist.decode(cursor.string())
    return _quicklist(items, cursor)


def decode_quicklist(cursor: Cursor) -> Quicklist:
    """Type 18."""
    items: list[bytes] = []
    for _ in range(cursor.count()):
        container = cursor.length()
        node = cursor.string()
        if container == _PLAIN and node:
            items.append(node)
        elif container == _PACKED:
            items += listpack.decode(node)
        else:
            raise RdbError("Quicklist integrity check failed.", cursor.position)
    return _quicklist(items, cursor)


def _quicklist(items: list[bytes], cursor: Cursor) -> Quicklist:
    if not items:
        raise RdbEmptyError("Empty list", cursor.position)
    return Quicklist(items)


def encode_quicklist(value: Quicklist, compress: bool) -> bytes:
    """The body for type 18, in the nodes that RPUSH makes of the elements."""
    items = value.items()
    entries = listpack.text_entries(items)
    if sum(map(len, entries)) <= _ROOM:
        return b"\x01" + _node(_PACKED, listpack.assemble(entries), compress)
    nodes: list[bytes] = []
    first, room = 0, _ROOM
    for place, (item, entry) in enumerate(zip(items, entries, strict=True)):
        plain = len(item) >= _PLAIN_MIN
        if place > first and (plain or len(item) + _ENTRY_BYTES > room):
            nodes.append(_node(_PACKED, listpack.assemble(entries[first:place]), compress))
            first, room = place, _ROOM
        if plain:
            nodes.append(_node(_PLAIN, item, compress))
            first = place + 1
        else:
            room -= len(entry)
    if first < len(items):
        nodes.append(_node(_PACKED, listpack.assemble(entries[first:]), compress))
    return encode_length(len(nodes)) + b"".join(nodes)


def _node(container: int, data: bytes, compress: bool) -> bytes:
    return encode_length(container) + encode_string(data, compress)
