"""SCAN: a walk over the database in a fixed order that no change of the keyspace disturbs.

The order is by slot, and within a slot by a hash of the key. A cursor is a place in that order, ``position * 16384
+ slot``, and means the same whatever was added or removed since it was given out: a key that stays is met exactly
once in a full walk. Slots of up to `_PART_KEYS` keys are taken whole; a larger one (many keys with one hash tag) is
taken in up to `_PARTS_MAX` parts of its hash range, each at the price of looking at all keys of the slot. For one that
is much larger the cursor has a third part, the number of a walk that knows the keys of each part (`node.slot_walks`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar
from zlib import crc32

from cluster.slots import SLOTS
from node.call import Call
from node.commands.keys import kind_of
from node.database import Database
from node.slot_walks import POSITIONS, PREPARED_FROM, SlotWalks
from node.structures.table import Table
from node.structures.table import walk as walk_keys
from wire.arguments import parse_integer
from wire.command import ARBITRARY_KEYS, READONLY, command
from wire.errors import SYNTAX, Error
from wire.glob import matcher
from wire.reply import Reply

V = TypeVar("V")

_PART_KEYS = 1024
_PARTS_MAX = 16
_DEFAULT_COUNT = 10
_CURSOR = re.compile(rb"(?:([+-]?)(\d+))?")
_CURSOR_MAX = (1 << 64) - 1
_CURSOR_DIGITS = 20


@command(
    "SCAN",
    arity=-2,
    flags=READONLY | ARBITRARY_KEYS,
    group="generic",
    since="2.8.0",
    complexity="O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to "
    "return back to 0. N is the number of elements inside the collection.",
    summary="Iterates over the key names in the database.",
    syntax="cursor [MATCH pattern] [COUNT count] [TYPE type]",
    tips=("nondeterministic_output", "request_policy:special"),
    history=(("6.0.0", "Added the `TYPE` subcommand."),),
)
def scan(call: Call) -> Reply:
    argv = call.argv
    cursor = parse_cursor(argv[1])
    options = ScanOptions(argv, 2, b"TYPE")
    matches, kind = options.matches, options.kind
    db = call.db
    cursor, names = walk(db, cursor, options.count, call.node.slot_walks)
    if matches is not None:
        names = [name for name in names if matches(name)]
    if db.volatile or kind is not None:
        # Looking a key up is what expires it.
        values = [(name, db.peek(name)) for name in names]
        names = [name for name, value in values if value is not None and (kind is None or kind_of(value) == kind)]
    return [b"%d" % cursor, names]


class ScanOptions:
    """What may follow the cursor of SCAN, SSCAN, HSCAN and ZSCAN; raises Error for anything else."""

    __slots__ = ("count", "kind", "matches", "no_values")

    def __init__(self, argv: list[bytes], start: int, *own: bytes) -> None:
        # About how many elements a step is to give.
        self.count = _DEFAULT_COUNT
        # Whether an element is to be given; None for all.
        self.matches: Callable[[bytes], object] | None = None
        # TYPE, an option of SCAN's `own`.
        self.kind: bytes | None = None
        # NOVALUES, an option of HSCAN's own (Redis 7.4).
        self.no_values = False
        at = start
        while at < len(argv):
            option = argv[at].upper()
            if option == b"NOVALUES" and option in own:
                self.no_values = True
                at += 1
                continue
            if at + 1 == len(argv):
                raise Error(SYNTAX)
            argument = argv[at + 1]
            if option == b"COUNT":
                self.count = parse_integer(argument)
                if self.count < 1:
                    raise Error(SYNTAX)
            elif option == b"MATCH":
                self.matches = None if argument == b"*" else matcher(argument)
            elif option == b"TYPE" and option in own:
                self.kind = argument.lower()
            else:
                raise Error(SYNTAX)
            at += 2


def scan_keys(
    keys: dict[bytes, V] | Table[V], cursor: int, options: ScanOptions, *, whole: bool
) -> tuple[bytes, list[bytes]]:
    """A step through the members or fields of a collection, for SSCAN, HSCAN and ZSCAN: next cursor, and elements.

    A `whole` collection (one that Redis would keep in one piece) is given at once, whatever COUNT says.
    """
    if whole:
        cursor, found = 0, list(keys)
    else:
        cursor, found = walk_keys(keys, cursor, options.count)
    matches = options.matches
    if matches is not None:
        found = [key for key in found if matches(key)]
    return b"%d" % cursor, found


def parse_cursor(text: bytes) -> int:
    """What C's strtoul reads as a 64-bit cursor, a sign and the empty text included; raises Error otherwise."""
    match = _CURSOR.fullmatch(text.partition(b"\0")[0])
    if match is None:
        raise Error(b"ERR invalid cursor")
    digits = (match[2] or b"").lstrip(b"0")
    if len(digits) > _CURSOR_DIGITS or int(digits or b"0") > _CURSOR_MAX:
        raise Error(b"ERR invalid cursor")
    number = int(digits or b"0")
    return -number & _CURSOR_MAX if match[1] == b"-" else number


def walk(db: Database, cursor: int, count: int, walks: SlotWalks | None = None) -> tuple[int, list[bytes]]:
    """At least `count` keys from `cursor` on, unless the database ends before; and the next cursor, 0 at the end.

    With `walks` it may be fewer, or none, where a slot of very many keys is being prepared.
    """
    slot = cursor % SLOTS
    position = cursor // SLOTS % POSITIONS
    number = cursor // (SLOTS * POSITIONS)
    names: list[bytes] = []
    if not position and not number:
        slot = db.next_slot(slot)
    while slot < SLOTS:
        shard = db.shards[slot]
        through = None
        if walks is not None and number:
            # When it is gone, all keys are looked at; to begin anew might never come to an end.
            through = walks.find(number, db, slot)
        elif walks is not None and not position and len(shard) > PREPARED_FROM:
            if names:
                # These are given first.
                break
            number, through = walks.begin(db, slot)
        if walks is not None and through is not None:
            if not through.prepare(count):
                return number * POSITIONS * SLOTS + slot, []
            position, names = through.step(position, count)
            if position < POSITIONS:
                return (number * POSITIONS + position) * SLOTS + slot, names
            walks.end(number)
            position = 0
        elif not position and len(shard) <= _PART_KEYS:
            names += shard
        else:
            parts = min(max(len(shard) // _PART_KEYS, 1), _PARTS_MAX)
            end = min(position + POSITIONS // parts, POSITIONS)
            names += [name for name in shard if position <= crc32(name) % POSITIONS < end]
            position = end % POSITIONS
        number = 0
        if not position:
            slot = db.next_slot(slot + 1)
        if len(names) >= count:
            break
    return (0 if slot == SLOTS else position * SLOTS + slot), names
