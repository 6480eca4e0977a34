"""Commands that come by themselves, from clients that wait for each reply.

Most look like one that came before: the same name, and arguments of the same lengths (ids, numbers with leading zeros,
short values). Such a shape is kept by the length of the whole command, with the command that it names, so that a chunk
of that length is taken apart, held against the shape and looked up all at once. What does not fit is read as any
chunk is.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import TYPE_CHECKING, Final

from wire.shapes import Shape
from wire.table import Command

if TYPE_CHECKING:
    from wire.connection import Connection

# Commands that are longer, or have more words, are read as they come.
SINGLE_END: Final = 1024
_WORDS_MAX: Final = 16
# Making a shape takes as long as reading a few commands without one: so many have to come first.
_SEEN_MIN: Final = 16
# So many commands may be gathered for a crowd in vain before any have been run together, and so many at the most after.
_CREDIT: Final = 3
_CREDIT_MAX: Final = 40
# To run a command together with others saves so many times what it costs to gather one in vain, and a crowd by itself
# costs what so many of them save.
_SAVED: Final = 4
_CROWD_COST: Final = 3


class Crowd:
    """Clients that have sent a command of one shape in this turn, which is put off until the turn's end."""

    __slots__ = ("_blanks", "_words", "chunks", "command", "credit", "senders", "shape", "size")

    def __init__(self, command: Command, argv: list[bytes]) -> None:
        self.command = command
        # About how many more commands may be gathered in vain before it rests.
        self.credit = _CREDIT
        # Who they are, and what they sent.
        self.senders: list[Connection] = []
        self.chunks: list[bytes] = []
        # One command, and where its like have had other words. Words that are always the same (the key of a queue, say)
        # need not be taken out of each.
        self._words = argv
        self._blanks: list[int] = []
        self.shape = Shape(argv, [])
        # The length of each command.
        self.size = self.shape.size

    def settle(self, together: int, apart: int) -> bool:
        """Of those that had gathered so many were run together, and the others were not; False if it is to rest."""
        credit = self.credit - apart
        if together:
            credit += (together - _CROWD_COST) * _SAVED
        self.credit = min(credit, _CREDIT_MAX)
        return credit >= 0

    def learn(self, data: bytes) -> list[list[bytes]] | None:
        """The words by their place, if all of `data` is such commands, though not of the shape as it was known."""
        columns = Shape(self._words, list(range(1, len(self._words)))).columns(data)
        if columns is not None:
            self._blanks = [
                at
                for at, words in enumerate(columns)
                if at in self._blanks or words.count(self._words[at]) < len(words)
            ]
            self.shape = Shape(self._words, self._blanks)
        return columns


class Single:
    """The shape of one command, whose number of arguments is right."""

    __slots__ = ("_crowd", "_example", "command", "name", "template", "unpack")

    def __init__(self, command: Command, argv: list[bytes]) -> None:
        self.command = command
        self.name = argv[0]
        self._example = argv
        self._crowd: Crowd | None = None
        between = b"*%d\r\n$%d\r\n%b\r\n" % (len(argv), len(self.name), self.name)
        # The command without its arguments, to be filled with them again; and where they lie in it.
        self.template = b""
        layout = ""
        for word in argv[1:]:
            between += b"$%d\r\n" % len(word)
            self.template += between.replace(b"%", b"%%") + b"%b"
            layout += f"{len(between)}x{len(word)}s"
            between = b"\r\n"
        self.template += between.replace(b"%", b"%%")
        self.unpack: Callable[[bytes], tuple[bytes, ...]] = Struct(f"{layout}{len(between)}x").unpack

    def crowd(self) -> Crowd | None:
        """Those that send it at once, if it can be run together."""
        command, argv = self.command, self._example
        if self._crowd is None and command.stretch is not None and command.stretch_argc in (0, len(argv)):
            self._crowd = Crowd(command, argv)
        return self._crowd


class Singles:
    """The shapes that a server knows."""

    __slots__ = ("_by_name", "_resting", "_seen", "by_size", "crowds")

    def __init__(self, by_name: dict[bytes, Command]) -> None:
        self._by_name = by_name
        self.by_size: list[Single | None] = [None] * SINGLE_END
        # Crowds that gather, and lengths for which none does until `reopen`: the last ones gathered in vain, or had
        # another shape.
        self.crowds: list[Crowd | None] = [None] * SINGLE_END
        self._resting: list[int] = []
        # How many commands of a length came that were not of the shape kept for it.
        self._seen = [0] * SINGLE_END

    def find(self, argv: list[bytes], size: int) -> Command | None:
        """The command, if it has a right number of arguments, not so many that it must be timed.

        Its shape is kept when `size` comes often.
        """
        command = self._by_name.get(argv[0])
        if command is None or not command.argc_min <= len(argv) <= command.single_argc_max:
            return None
        if size < SINGLE_END:
            self._seen[size] = seen = self._seen[size] + 1
            if seen >= _SEEN_MIN and len(argv) <= _WORDS_MAX:
                self._seen[size] = 0
                self.by_size[size] = Single(command, argv)
                self.rest(size)
        return command

    def rest(self, size: int) -> None:
        """Let commands of this length run as they come for a while."""
        self.crowds[size] = None
        self._resting.append(size)

    def reopen(self) -> None:
        """From time to time: try again what rests."""
        for size in self._resting:
            single = self.by_size[size]
            crowd = self.crowds[size] = single.crowd() if single is not None else None
            if crowd is not None:
                crowd.credit = _CREDIT
        self._resting.clear()
