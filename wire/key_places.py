"""Where the keys are in commands whose arguments have to be read for that: XREAD, SORT, MIGRATE, EVAL and their like.

A declaration's key specifications say to others where keys are (COMMAND INFO), and have no words for some commands, or
lead astray when a name looks like an option. These functions read the arguments like the commands themselves do, and
find nothing in what a command refuses: its own error is then the answer, not a redirection to another node (cluster
specification, "Keys distribution model"; Redis: `getkeys_proc`). Keys are found in the order in which Redis looks at
them, which decides whose slot is asked for first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

# The index of a key, and what is done with it, as far as that is known here.
KeyPlace = tuple[int, tuple[str, ...]]
KeyFinder = Callable[[Sequence[bytes]], list[KeyPlace]]

# A count as C's `atoi` reads it; the command itself is stricter.
_COUNT = re.compile(rb"\s*([+-]?\d{1,18})")


def counted(count_at: int, target_at: int = 0, step: int = 1) -> KeyFinder:
    """As many keys as one argument says, every `step`-th behind it; then the one at `target_at`, if any."""

    def find(argv: Sequence[bytes]) -> list[KeyPlace]:
        match = _COUNT.match(argv[count_at]) if count_at < len(argv) else None
        count = int(match[1]) if match is not None else 0
        first = count_at + 1
        if not 1 <= count <= (len(argv) - first) // step:
            return []
        places: list[KeyPlace] = [(place, ()) for place in range(first, first + count * step, step)]
        return [*places, (target_at, ())] if target_at else places

    return find


def streams(argv: Sequence[bytes]) -> list[KeyPlace]:
    """XREAD, XREADGROUP: the first half of what stands behind STREAMS."""
    index = 1
    while index < len(argv) and (word := argv[index].upper()) != b"STREAMS":
        if word not in _STREAM_OPTIONS:
            return []
        index += 1 + _STREAM_OPTIONS[word]
    first, left = index + 1, len(argv) - index - 1
    if left <= 0 or left % 2:
        return []
    return [(place, ()) for place in range(first, first + left // 2)]


# How many arguments each has.
_STREAM_OPTIONS = {b"BLOCK": 1, b"CLAIM": 1, b"COUNT": 1, b"GROUP": 2, b"NOACK": 0}


def sorted_only(_: Sequence[bytes]) -> list[KeyPlace]:
    """SORT_RO: the key; those that BY and GET come upon cannot be known."""
    return [(1, ("RO", "access"))]


def sorted_and_stored(argv: Sequence[bytes]) -> list[KeyPlace]:
    """SORT: also the key behind the last STORE."""
    places = sorted_only(argv)
    index = 2
    while index < len(argv):
        word = argv[index].upper()
        if word == b"STORE" and index + 1 < len(argv):
            places[1:] = [(index + 1, ("OW", "update"))]
        index += 1 + _SORT_OPTIONS.get(word, 0)
    return places


_SORT_OPTIONS = {b"LIMIT": 2, b"GET": 1, b"BY": 1}


def radius_and_stored(options_at: int) -> KeyFinder:
    """GEORADIUS, GEORADIUSBYMEMBER: the key, and the one behind the last STORE or STOREDIST."""

    def find(argv: Sequence[bytes]) -> list[KeyPlace]:
        places: list[KeyPlace] = [(1, ())]
        index = options_at
        while index + 1 < len(argv):
            if argv[index].upper() in (b"STORE", b"STOREDIST"):
                index += 1
                places[1:] = [(index, ())]
            index += 1
        return places

    return find


def migrated(argv: Sequence[bytes]) -> list[KeyPlace]:
    """MIGRATE: the third argument, or all behind KEYS when that one is empty."""
    index = 6
    while index < len(argv):
        word = argv[index].upper()
        if word == b"KEYS":
            return [] if argv[3] else [(place, _MIGRATED) for place in range(index + 1, len(argv))]
        index += 1 + _MIGRATE_OPTIONS.get(word, 0)
    return [(3, _MIGRATED)]


_MIGRATED = ("RW", "access", "delete")
_MIGRATE_OPTIONS = {b"AUTH": 1, b"AUTH2": 2}
