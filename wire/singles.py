"""Commands that come by themselves, from clients that wait for each reply.

Most look like one that came before: the same name, and arguments of the same lengths (ids, numbers with leading zeros,
short values). Such a shape is kept by the length of the whole command, with the command that it names, so that a chunk
of that length is taken apart, held against the shape and looked up all at once. What does not fit is read as any
chunk is.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Final

from wire.table import Command

# Commands that are longer, or have more words, are read as they come.
SINGLE_END: Final = 1024
_WORDS_MAX: Final = 16
# Making a shape takes as long as reading a few commands without one: so many have to come first.
_SEEN_MIN: Final = 16


class Single:
    """The shape of one command, whose number of arguments is right."""

    __slots__ = ("command", "name", "template", "unpack")

    def __init__(self, command: Command, argv: list[bytes]) -> None:
        self.command = command
        self.name = argv[0]
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


class Singles:
    """The shapes that a server knows."""

    __slots__ = ("_by_name", "_seen", "by_size")

    def __init__(self, by_name: dict[bytes, Command]) -> None:
        self._by_name = by_name
        self.by_size: list[Single | None] = [None] * SINGLE_END
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
        return command
