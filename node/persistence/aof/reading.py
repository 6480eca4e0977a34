"""Commands as an append-only file holds them: from bytes to arguments, and where the last whole one ends.

Arrays of bulk strings and nothing else; lines that begin with ``#`` are annotations. A file that was being written
when the power went may end anywhere, or in zero bytes where its last blocks never reached the disk. That is a torn
tail (`TornError`), which may be cut off; anything else that is not a command is damage (`FormatError`), which may not.
Pure.
"""

from __future__ import annotations


class TornError(Exception):
    """The file ends inside a command."""


class FormatError(Exception):
    """What stands there is no command."""


class CommandReader:
    """One pass over commands in memory."""

    __slots__ = ("_data", "_end", "_written", "position")

    def __init__(self, data: bytes, position: int = 0) -> None:
        self._data = data
        self._end = len(data)
        # What lies behind this is zeros; found when something is wrong.
        self._written = -1
        # Where the next command begins, or its annotation: everything before it is whole.
        self.position = position

    def next(self) -> list[bytes] | None:
        """The next command, None at the end; raises TornError or FormatError."""
        data, end = self._data, self._end
        position = self.position
        while position < end and data[position] == 0x23:
            position = data.find(b"\n", position) + 1
            if not position:
                raise TornError
        if position >= end:
            self.position = position
            return None
        if data[position] != 0x2A:
            raise self._wrong(position)
        stop = data.find(b"\r\n", position)
        count = self._number(position + 1, stop)
        if count < 1:
            raise self._wrong(position)
        argv: list[bytes] = []
        position = stop + 2
        while count:
            if position >= end:
                raise TornError
            if data[position] != 0x24:
                raise self._wrong(position)
            stop = data.find(b"\r\n", position)
            length = self._number(position + 1, stop)
            start = stop + 2
            stop = start + length
            position = stop + 2
            if position > end:
                raise TornError
            if data[stop:position] != b"\r\n":
                raise self._wrong(stop + data.startswith(b"\r", stop))
            argv.append(data[start:stop])
            count -= 1
        self.position = position
        return argv

    def _number(self, start: int, stop: int) -> int:
        """The number between the two; `stop` is -1 when its line has no end."""
        if stop < 0:
            # All that is there may be the beginning of such a line.
            rest = self._data[start:]
            if rest.rstrip(b"\0").rstrip(b"\r").isdigit() or not rest.rstrip(b"\0\r"):
                raise TornError
            raise FormatError
        text = self._data[start:stop]
        if not text.isdigit() or len(text) > 18:
            raise self._wrong(start)
        return int(text)

    def _wrong(self, position: int) -> Exception:
        """What to raise for what stands at `position`: whether the rest of the file is zeros makes the difference."""
        if self._written < 0:
            self._written = len(self._data.rstrip(b"\0"))
        return TornError() if position >= self._written else FormatError()
