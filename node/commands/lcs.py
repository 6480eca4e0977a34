"""LCS: the longest common subsequence of two strings, and where its pieces are.

The table of all lengths, (n + 1) * (m + 1) of them, would take seconds to fill in Python. It is kept as bits: row `i`
is an integer whose bit `j` is 0 where the length grows from column `j` to `j + 1` (Hyyrö's form of the algorithm by
Allison and Dix), so that a row follows from the one above by a few operations on whole integers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from node.call import Call
from wire.arguments import parse_integer
from wire.command import READONLY, command, keys
from wire.errors import SYNTAX, Error
from wire.reply import Reply

_NOT_STRINGS = b"ERR The specified keys must contain string values"
# What an entry of the table takes in Redis, which refuses when all of them need more than `proto-max-bulk-len`.
_ENTRY_BYTES = 4


class Match(NamedTuple):
    """A piece that both strings have: its first and last place in each."""

    first: int
    last: int
    other_first: int
    other_last: int

    @property
    def length(self) -> int:
        return self.last - self.first + 1


@command(
    "LCS",
    arity=-3,
    flags=READONLY,
    keys=keys(1, 2, 1, "RO", "access"),
    group="string",
    since="7.0.0",
    complexity="O(N*M) where N and M are the lengths of s1 and s2, respectively",
    summary="Find longest common substring",
    syntax="key1:key key2:key [LEN] [IDX] [MINMATCHLEN len] [WITHMATCHLEN]",
)
def lcs(call: Call) -> Reply:
    _, name, other_name, *options = call.argv
    # Both are looked up, and missed, before either is looked at.
    one, other = map(_string, [call.db.read(name), call.db.read(other_name)])
    given: dict[bytes, None] = {}
    shortest = 0
    rest = iter(options)
    left = len(options)
    for option in rest:
        word = option.upper()
        left -= 1
        if word in (b"IDX", b"LEN", b"WITHMATCHLEN"):
            given[word] = None
        elif word == b"MINMATCHLEN" and left:
            shortest = max(parse_integer(next(rest)), 0)
            left -= 1
        else:
            raise Error(SYNTAX)
    if b"IDX" in given and b"LEN" in given:
        raise Error(b"ERR If you want both the length and indexes, please just use IDX.")
    if (len(one) + 1) * (len(other) + 1) * _ENTRY_BYTES > call.node.settings.proto_max_bulk_len:
        raise Error(b"ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")
    rows = _rows(one, other)
    length = len(other) - rows[-1].bit_count()
    if b"LEN" in given:
        return length
    matches = _matches(rows, one, other)
    if b"IDX" not in given:
        return b"".join(one[match.first : match.last + 1] for match in reversed(matches))
    shown = [match for match in matches if match.length >= shortest]
    with_length = b"WITHMATCHLEN" in given
    return {b"matches": [_answer(match, with_length=with_length) for match in shown], b"len": length}


def _string(value: Any) -> bytes:
    if value is None:
        return b""
    if not isinstance(value, (bytes, bytearray)):
        raise Error(_NOT_STRINGS)
    return bytes(value)


def _answer(match: Match, *, with_length: bool) -> Reply:
    ranges = [[match.first, match.last], [match.other_first, match.other_last]]
    return [*ranges, match.length] if with_length else ranges


def _rows(one: bytes, other: bytes) -> list[int]:
    """The rows of the table: first that of an empty string, then one for each byte of `one`."""
    ones = (1 << len(other)) - 1
    places: dict[int, int] = {}
    for at, byte in enumerate(other):
        places[byte] = places.get(byte, 0) | 1 << at
    row = ones
    rows = [row]
    for byte in one:
        met = row & places.get(byte, 0)
        row = (row + met | row - met) & ones
        rows.append(row)
    return rows


def _matches(rows: list[int], one: bytes, other: bytes) -> list[Match]:
    """The pieces of the subsequence that Redis finds, from the end to the beginning."""
    matches: list[Match] = []
    i, j = len(one), len(other)
    last = other_last = -1
    while i and j:
        if one[i - 1] == other[j - 1]:
            if last < 0:
                last, other_last = i - 1, j - 1
            i -= 1
            j -= 1
            continue
        if last >= 0:
            matches.append(Match(i, last, j, other_last))
            last = -1
        # To the left or up, wherever more is still to be found; to the left when both are as good.
        if _length(rows[i - 1], j) > _length(rows[i], j - 1):
            i -= 1
        else:
            j -= 1
    if last >= 0:
        matches.append(Match(i, last, j, other_last))
    return matches


def _length(row: int, columns: int) -> int:
    """The entry of the table in a row, behind so many columns."""
    return columns - (row & (1 << columns) - 1).bit_count()
