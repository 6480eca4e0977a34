"""SORT and SORT_RO: the elements of a list, a set or a sorted set, ordered by themselves or by other keys.

Of equals, numbers stand in the order of their texts; what has no weight (its key is missing) weighs 0, or, with ALPHA,
comes first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from cluster.slots import key_slot
from node.call import Call
from node.commands.hash_access import look_up
from node.notifications import GENERIC, LIST
from node.scores import parse_loosely
from node.structures.hashes import Hash
from node.structures.lists import Quicklist
from node.structures.sets import Set
from node.structures.sortedsets import SortedSet
from wire.arguments import parse_integer
from wire.command import DENYOOM, READONLY, WRITE, KeySpec, command, key
from wire.errors import SYNTAX, WRONGTYPE, Error
from wire.key_places import sorted_and_stored, sorted_only
from wire.reply import Bulks, Reply

# What makes a pattern stand for several keys.
_SPECIAL = re.compile(rb"[*?\[\\]")
_NOT_A_NUMBER = b"ERR One or more scores can't be converted into double"
_FORBIDDEN = b"ERR %b option of SORT denied due to insufficient ACL permissions."
_DENIED = b"ERR %b option of SORT denied in Cluster mode."
_UNKNOWN = "It is marked 'unknown' because the "
_LOOKED_AT = KeySpec(
    0,
    ("RO", "access"),
    notes=f"For the optional BY/GET keyword. {_UNKNOWN}key names derive from the content of the key we sort",
    unknown=True,
)
_STORED = KeySpec(
    0,
    ("OW", "update"),
    keyword="STORE",
    notes=f"For the optional STORE keyword. {_UNKNOWN}keyword can appear anywhere in the argument array",
    unknown=True,
)
_CATEGORIES = ("set", "sortedset", "list", "dangerous")


def slot_of_pattern(pattern: bytes) -> int | None:
    """The slot of every key that a pattern stands for; None unless its hash tag, or its having no star, tells it."""
    special = _SPECIAL.search(pattern)
    if special is None:
        return key_slot(pattern)
    before = pattern[: special.start()]
    start = before.find(b"{")
    return key_slot(before) if 0 <= start < before.find(b"}", start + 1) - 1 else None


class _Request:
    """What is asked for, read from the arguments; raises Error as Redis does."""

    __slots__ = ("alpha", "by", "count", "descending", "get", "offset", "ordered", "target")

    def __init__(self, call: Call, *, read_only: bool) -> None:
        # The pattern of the keys that hold the weights.
        self.by: bytes | None = None
        # False when BY names no key that depends on the element: then nothing is sorted.
        self.ordered = True
        self.get: list[bytes] = []
        self.offset, self.count = 0, -1
        self.descending = self.alpha = False
        self.target: bytes | None = None
        # In a cluster, the slot in which other keys have to be.
        own_slot = key_slot(call.argv[1]) if call.node.mode == "cluster" else None
        user = call.node.accounts.user_of(call.session)
        forbidden = not user.unrestricted and not user.reads_all_keys(call.command, call.argv)
        options = call.argv[2:]
        rest = iter(options)
        left = len(options)
        for option in rest:
            word = option.upper()
            left -= 1
            if word in (b"ASC", b"DESC"):
                self.descending = word == b"DESC"
            elif word == b"ALPHA":
                self.alpha = True
            elif word == b"LIMIT" and left >= 2:
                self.offset, self.count = parse_integer(next(rest)), parse_integer(next(rest))
                left -= 2
            elif word == b"STORE" and left and not read_only:
                self.target = next(rest)
                left -= 1
            elif word == b"BY" and left:
                self.by = next(rest)
                left -= 1
                if b"*" not in self.by:
                    self.ordered = False
                elif own_slot is not None and slot_of_pattern(self.by) != own_slot:
                    raise Error(_DENIED % word)
                elif forbidden:
                    raise Error(_FORBIDDEN % word)
            elif word == b"GET" and left:
                pattern = next(rest)
                if own_slot is not None and pattern != b"#" and slot_of_pattern(pattern) != own_slot:
                    raise Error(_DENIED % word)
                if forbidden:
                    raise Error(_FORBIDDEN % word)
                self.get.append(pattern)
                left -= 1
            else:
                raise Error(SYNTAX)

    def window(self, size: int) -> tuple[int, int]:
        """Which of `size` elements are wanted."""
        start = min(max(self.offset, 0), size)
        return start, size if self.count < 0 else min(start + self.count, size)


@command(
    "SORT",
    arity=-2,
    flags=WRITE | DENYOOM,
    keys=(*key(1, "RO", "access"), _LOOKED_AT, _STORED),
    find_keys=sorted_and_stored,
    group="generic",
    since="1.0.0",
    complexity="O(N+M*log(M)) where N is the number of elements in the list or set to sort, and M the number of "
    "returned elements. When the elements are not sorted, complexity is O(N).",
    summary="Sort the elements in a list, set or sorted set",
    syntax="key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA] [STORE "
    "destination]",
    categories=_CATEGORIES,
)
def sort(call: Call) -> Reply:
    request = _Request(call, read_only=False)
    values = _values(call, request)
    if request.target is None:
        return values
    name = request.target
    if values:
        call.db.put(name, Quicklist([b"" if value is None else value for value in values]))
        call.keyspace.dirty += len(values) - 1
        call.notify(LIST, b"sortstore", name)
    elif call.db.delete(name):
        call.notify(GENERIC, b"del", name)
    return len(values)


@command(
    "SORT_RO",
    arity=-2,
    flags=READONLY,
    keys=(*key(1, "RO", "access"), _LOOKED_AT),
    find_keys=sorted_only,
    group="generic",
    since="7.0.0",
    complexity="O(N+M*log(M)) where N is the number of elements in the list or set to sort, and M the number of "
    "returned elements. When the elements are not sorted, complexity is O(N).",
    summary="Sort the elements in a list, set or sorted set. Read-only variant of SORT.",
    syntax="key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA]",
    categories=_CATEGORIES,
)
def sort_ro(call: Call) -> Reply:
    return _values(call, _Request(call, read_only=True))


def _values(call: Call, request: _Request) -> Sequence[bytes | None]:
    """The elements in order, or what GET names for each."""
    elements = _sorted(call, request)
    if not request.get:
        return Bulks(elements)
    return [_look_up(call, pattern, element) for element in elements for pattern in request.get]


def _sorted(call: Call, request: _Request) -> list[bytes]:
    value = call.db.read(call.argv[1])
    if value is None:
        return []
    if not isinstance(value, Quicklist | Set | SortedSet):
        raise Error(WRONGTYPE)
    size = len(value)
    start, stop = request.window(size)
    if isinstance(value, Set):
        if request.ordered:
            return _ordered(call, request, value.listed())[start:stop]
        if request.target is None and call.session.connection is not None:
            return value.listed()[start:stop]
        # What is stored, or decides what a script does, must not depend on how a server keeps its sets.
        return sorted(value.members, reverse=request.descending)[start:stop]
    if isinstance(value, SortedSet):
        # Redis converts it, which OBJECT ENCODING shows.
        value.compact = False
    part = value.members if isinstance(value, SortedSet) else value.slice
    if request.ordered:
        return _ordered(call, request, part(0, size))[start:stop]
    if request.descending:
        return part(size - stop, size - start)[::-1]
    return part(start, stop)


def _ordered(call: Call, request: _Request, elements: list[bytes]) -> list[bytes]:
    weight = _weight_by_text if request.alpha else _weight_by_number
    weights: list[Any]
    if request.by is None:
        weights = [weight(element, element) for element in elements]
    else:
        weights = [weight(_look_up(call, request.by, element), element) for element in elements]
    order = sorted(range(len(elements)), key=weights.__getitem__, reverse=request.descending)
    return [elements[at] for at in order]


def _weight_by_number(text: bytes | None, element: bytes) -> tuple[float, bytes]:
    if text is None:
        return 0.0, element
    number = parse_loosely(text, _NOT_A_NUMBER)
    if number - number != 0 and b"inf" not in text.lower():
        raise Error(_NOT_A_NUMBER)
    return number, element


def _weight_by_text(text: bytes | None, element: bytes) -> bytes:  # noqa: ARG001 - as the other
    # Nothing comes before an empty text: put one byte before all others.
    return b"" if text is None else b"\0" + text


def _look_up(call: Call, pattern: bytes, element: bytes) -> bytes | None:
    """What stands at the key, or in the hash field, that `pattern` names with the element for its star."""
    if pattern == b"#":
        return element
    before, star, behind = pattern.partition(b"*")
    if not star:
        return None
    postfix, arrow, field = behind.partition(b"->")
    if not field:
        postfix, arrow = behind, b""
    name = before + element + postfix
    value = call.db.read(name)
    if arrow:
        return look_up(call, name, value, field) if type(value) is Hash else None
    return bytes(value) if isinstance(value, (bytes, bytearray)) else None
