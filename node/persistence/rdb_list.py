"""Lists in RDB files: a row of nodes, each a listpack of up to 8 KB; in old files ziplists, or element by element."""

from __future__ import annotations

from node.persistence import listpack, ziplist
from node.persistence.rdb_encoding import Cursor, encode_length, encode_string
from node.persistence.rdb_errors import RdbEmptyError, RdbError
from node.structures.lists import Quicklist

# What a node of type 18 is: one element as it is, or a listpack.
_PLAIN, _PACKED = 1, 2
# A node's size, unless `list-max-listpack-size` says otherwise. An element that is larger has a plain node.
_NODE_BYTES = 8192
# An entry's own bytes beside the element, at most, in a node of this size.
_ENTRY_BYTES = 7


def decode_list(cursor: Cursor) -> Quicklist:
    """Type 1: element by element."""
    return _quicklist([cursor.string() for _ in range(cursor.count())], cursor)


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
        if container == _PLAIN:
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
    """The body for type 18."""
    nodes: list[bytes] = []
    waiting: list[bytes] = []
    room = _NODE_BYTES
    for item in value:
        size = len(item) + _ENTRY_BYTES
        if size > room and waiting:
            nodes.append(_node(_PACKED, listpack.encode(waiting), compress))
            waiting = []
            room = _NODE_BYTES
        if size > _NODE_BYTES:
            nodes.append(_node(_PLAIN, item, compress))
        else:
            waiting.append(item)
            room -= size
    if waiting:
        nodes.append(_node(_PACKED, listpack.encode(waiting), compress))
    return encode_length(len(nodes)) + b"".join(nodes)


def _node(container: int, data: bytes, compress: bool) -> bytes:
    return encode_length(container) + encode_string(data, compress)
