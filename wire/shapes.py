"""The shape of a pipeline: what its commands have in common when they differ only in words of equal length.

Clients that load data or fetch many keys often send one command over and over, with keys and values as long as those
before. Then the places of the words are known before a chunk is looked at: they are taken out all at once, and what
stands between them is held against the chunk all at once. The chunk is as long as it must be, each length line stands
where it should and says what it said before, so a word may have any bytes in it, CRLF too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import chain
from struct import Struct
from typing import Final

# Fewer commands are no pipeline; larger ones cost more by themselves than by being read.
_COMMANDS_MIN: Final = 4
_SIZE_MAX: Final = 4096
# The words of so many commands are taken out by one call, for which the places of all are known.
_AT_ONCE_MAX: Final = 64


class Shape:
    """One command with blanks in it, each of a known length."""

    __slots__ = ("_blanks", "_head", "_joint", "_layout", "_rows", "_tail", "_template", "_words", "size")

    def __init__(self, words: list[bytes], blanks: list[int]) -> None:
        """`words` are those of one command, its name first; those at `blanks` differ from command to command."""
        self._words = words
        self._blanks = blanks
        # What stands in front of each blank, and behind the last.
        between = [b"*%d\r\n" % len(words)]
        layout = ""
        for at, word in enumerate(words):
            between[-1] += b"$%d\r\n" % len(word)
            if at in blanks:
                layout += f"{len(between[-1])}x{len(word)}s"
                between.append(b"\r\n")
            else:
                between[-1] += word + b"\r\n"
        layout += f"{len(between[-1])}x"
        # Bytes of one command.
        self.size = sum(map(len, between)) + sum([len(words[at]) for at in blanks])
        self._head = between[0]
        self._tail = between[-1]
        self._joint = self._tail + self._head
        # What stands around the blanks, with room for them.
        self._template = [piece for text in between[:-1] for piece in (text, b"")] + [between[-1]]
        self._layout = layout
        self._rows: Callable[[bytes], Iterator[tuple[bytes, ...]]] = Struct(layout).iter_unpack

    def columns(self, data: bytes) -> list[list[bytes]] | None:
        """The names, the first arguments, and so on, if all of `data` is commands of this shape."""
        count = len(data) // self.size
        if count * self.size != len(data) or not data.startswith(self._head):
            return None
        blanks = self._blanks
        columns = [[word] * count for word in self._words]
        if not blanks:
            return columns if data == self._head * count else None
        if count <= _AT_ONCE_MAX:
            words = _reader(self._layout, count)(data)
        else:
            words = tuple(chain.from_iterable(self._rows(data)))
        if len(blanks) == 1:
            columns[blanks[0]] = list(words)
            return columns if data == b"%b%b%b" % (self._head, self._joint.join(words), self._tail) else None
        template = self._template
        step = len(template)
        pieces = template * count
        for place, at in enumerate(blanks):
            column = words[place :: len(blanks)]
            columns[at] = list(column)
            pieces[2 * place + 1 :: step] = column
        return columns if data == b"".join(pieces) else None


@lru_cache(maxsize=512)
def _reader(layout: str, count: int) -> Callable[[bytes], tuple[bytes, ...]]:
    """Takes the blanks out of so many commands."""
    return Struct(layout * count).unpack


def shape_of(columns: list[list[bytes]], length: int) -> Shape | None:
    """The shape of commands that came in `length` bytes, if they have one."""
    count = len(columns[0])
    if count < _COMMANDS_MIN or length % count or length > count * _SIZE_MAX:
        return None
    blanks = []
    for at, words in enumerate(columns):
        if words.count(words[0]) != count:
            if len(set(map(len, words))) > 1:
                return None
            blanks.append(at)
    return Shape([words[0] for words in columns], blanks)
