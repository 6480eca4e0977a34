"""Requests: RESP arrays of bulk strings, or inline commands, from bytes in any chunks.

Two parsers share the work. The quick one splits a chunk on CRLF and holds every announced length against the
pieces, all at once; it takes the ordinary pipeline whole. Whatever it cannot vouch for (a command that
goes on in the next chunk, a value with CRLF inside, an inline command, a mistake) goes to the scanner,
which reads byte by byte what Redis reads, keeps its state between chunks, and knows Redis' limits and
error texts (`networking.c`'s rules as the fact sheet on RESP has them).

A client library's reply parser would not do: it lets integers, nulls and nested arrays through as
arguments, and cannot say where a command's bytes lie, which propagation needs (`Batch.encoded`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from runtime.quoting import split_quoted
from wire.encoder import encode_command
from wire.errors import ProtocolError
from wire.shapes import Shape, shape_of

MAX_LINE = 64 * 1024
MAX_ARGUMENTS = 2**31 - 1
UNAUTHENTICATED_ARGUMENTS = 10
UNAUTHENTICATED_BULK = 16384
# A command cut by the chunk's end is kept as it came, and read again with the next chunk, if it is no larger than
# this: otherwise every chunk of a long pipeline, all but the first, would be left to the scanner.
_REREAD_MAX = 4096
_REREAD_ARGUMENTS = 16

_NO_MARKS: Final = (0,)
# A command's first line, to the number of lines that the command has.
_LINES = {b"*%d" % n: 1 + 2 * n for n in range(1, 1025)}
_NEVER: Final = 1 << 60
# The line in front of a word, by the word's length.
_LENGTHS_END: Final = 4096
_LENGTHS = [b"$%d" % n for n in range(_LENGTHS_END)]


class Batch:
    """Whole commands read from one chunk, in order."""

    __slots__ = ("_commands", "chunk", "columns", "count", "lines", "marks", "stride")

    def __init__(
        self,
        commands: list[list[bytes]],
        chunk: bytes = b"",
        marks: Sequence[int] = _NO_MARKS,
        lines: Sequence[bytes] = (),
        columns: list[list[bytes]] | None = None,
        stride: int = 0,
    ) -> None:
        self._commands = commands
        # Given if all commands have the same name, to the letter, and the same number of arguments: the names, the
        # first arguments, and so on. The commands are then made of them when somebody asks for them.
        self.columns = columns
        self.count = len(commands) if columns is None else len(columns[0])
        # The chunk's lines, and which one each command starts with that the quick parser took; one mark more
        # than such commands. They are the first ones of `commands`. A single command that is all of the chunk has none.
        self.marks = marks
        self.lines = lines
        # The chunk itself, if the quick parser took all of it.
        self.chunk = chunk
        # Bytes of each command, if all are known to have as many.
        self.stride = stride

    @property
    def commands(self) -> list[list[bytes]]:
        """Each command's arguments, its name first."""
        if not self._commands and self.columns is not None:
            self._commands = list(map(list, zip(*self.columns, strict=True)))
        return self._commands

    def extend(self, commands: list[list[bytes]]) -> None:
        """These came behind."""
        self.commands.extend(commands)
        self.columns = None
        self.count = len(self._commands)

    def encoded(self, first: int, last: int) -> bytes:
        """The request bytes of commands `first` to `last` - 1: the client's own where they are at hand."""
        if self.chunk and last - first == self.count:
            return self.chunk
        if self.stride:
            return self.chunk[first * self.stride : last * self.stride]
        marks = self.marks
        quick = len(marks) - 1
        if last <= quick:
            return b"\r\n".join(self.lines[marks[first] : marks[last]]) + b"\r\n"
        pieces = []
        if first < quick:
            pieces.append(b"\r\n".join(self.lines[marks[first] : marks[quick]]) + b"\r\n")
            first = quick
        pieces += [encode_command(argv) for argv in self.commands[first:last]]
        return b"".join(pieces)

    def encoded_without(self, first: int, last: int, omitted: Sequence[int]) -> bytes:
        """The same, without some commands among them, in ascending order."""
        chunk, stride = self.chunk, self.stride
        pieces = []
        for at in omitted:
            if first < at:
                pieces.append(chunk[first * stride : at * stride] if stride else self.encoded(first, at))
            first = at + 1
        if first < last:
            pieces.append(self.encoded(first, last))
        return b"".join(pieces)


class Decoder:
    """The reading side of one connection."""

    __slots__ = (
        "_argv",
        "_bulk_length",
        "_chunks",
        "_left",
        "_limited",
        "_need",
        "_shape",
        "buffer_max",
        "buffered",
        "bulk_max",
        "error",
        "fresh",
    )

    def __init__(self, bulk_max: int = 512 * 1024 * 1024, buffer_max: int = 1024 * 1024 * 1024) -> None:
        # Bytes not yet understood, as they came; joined only when `_need` of them are there, so that a
        # huge value that arrives in small chunks is not copied once a chunk.
        self._chunks: list[bytes] = []
        # How many bytes that is (`qbuf`).
        self.buffered = 0
        self._need = 0
        # The command under way: arguments so far, arguments to come (0: none under way), and the length
        # of the bulk string that comes next (-1: its header has not been read).
        self._argv: list[bytes] = []
        self._left = 0
        self._bulk_length = -1
        # `proto-max-bulk-len` and `client-query-buffer-limit`.
        self.bulk_max = bulk_max
        self.buffer_max = buffer_max
        self._limited = False
        # Set once the peer broke the protocol; nothing is read after that.
        self.error: ProtocolError | None = None
        # Nothing has been read in part, and nothing but the size of a chunk keeps the quick parser from it.
        self.fresh = True
        # That of the last pipeline, if it had one.
        self._shape: Shape | None = None

    @property
    def overfilled(self) -> bool:
        """Whether more waits to be understood than a client may send."""
        return self.buffered > self.buffer_max

    @property
    def limited(self) -> bool:
        """Before authentication Redis takes only small requests."""
        return self._limited

    @limited.setter
    def limited(self, limited: bool) -> None:
        self._limited = limited
        self._look()

    @property
    def argv_bytes(self) -> int:
        """What has been read of a command whose other arguments are still to come."""
        return sum(map(len, self._argv))

    @property
    def reserved(self) -> int:
        """Bytes that there is room for already, though they have not come: the rest of a value (`qbuf-free`)."""
        return max(self._need - self.buffered, 0)

    def _look(self) -> None:
        self.fresh = not (self.buffered or self._left or self._limited or self.error is not None)

    def read(self, data: bytes) -> Batch | list[bytes]:
        """The whole commands that `data` completes, or, if it is one command and nothing else, that one's arguments.

        Check `error` after executing them.
        """
        size = len(data)
        if self.fresh and size <= self.bulk_max:
            shape = self._shape
            if shape is not None and size > shape.size:
                columns = shape.columns(data)
                if columns is not None:
                    return Batch([], data, _NO_MARKS, (), columns, shape.size)
                self._shape = None
            lines = data.split(b"\r\n")
            if _LINES.get(lines[0]) == len(lines) - 1 and size < _LENGTHS_END and not lines[-1]:
                argv = lines[2::2]
                if lines[1:-1:2] == _announced(argv):
                    return argv
            return self._take(data, lines)
        return self._resume(data)

    def feed(self, data: bytes) -> Batch:
        """`read`, for who makes no difference between one command and many."""
        batch = self.read(data)
        return Batch([batch], data) if isinstance(batch, list) else batch

    def _resume(self, data: bytes) -> Batch:
        if self.error is not None:
            return Batch([])
        if self.buffered:
            self._chunks.append(data)
            self.buffered += len(data)
            if self.buffered < self._need:
                return Batch([])
            data = b"".join(self._chunks)
            self._chunks.clear()
            self.buffered = self._need = 0
        if self._left or self._limited or len(data) > self.bulk_max:
            commands: list[list[bytes]] = []
            self._scan(data, 0, commands)
            return Batch(commands)
        return self._take(data, data.split(b"\r\n"))

    def _take(self, data: bytes, lines: list[bytes]) -> Batch:
        """The commands of a chunk, given as its lines, too."""
        size = _LINES.get(lines[0], _NEVER)
        last = len(lines) - 1
        batch = (_take_alike(lines, size) if size * 4 <= last else None) or _take_each(lines)
        end = batch.marks[-1]
        if end == last and not lines[last]:
            batch.chunk = data
            if batch.columns is not None:
                self._shape = shape_of(batch.columns, len(data))
            self._look()
        else:
            commands: list[list[bytes]] = []
            self._scan(data, sum(map(len, lines[:end])) + 2 * end, commands)
            if commands:
                batch.extend(commands)
        return batch

    def _scan(self, data: bytes, position: int, commands: list[list[bytes]]) -> None:
        """Read commands from `position` on, and keep what is incomplete."""
        end = len(data)
        # Where the command under way begins; -1 when that was in an earlier chunk.
        begins = -1
        try:
            while position < end:
                if not self._left:
                    begins = position
                    if data[position] != 0x2A:
                        position, argv = self._inline(data, position)
                        if argv:
                            commands.append(argv)
                        continue
                    position, count = self._line(data, position, b"mbulk")
                    self._begin(count)
                    continue
                if self._bulk_length < 0:
                    kind = data[position]
                    # Redis waits for the end of the line before it looks at the beginning.
                    position, length = self._line(data, position, b"bulk")
                    if kind != 0x24:
                        raise ProtocolError(b"expected '$', got '%c'" % kind)
                    self._bulk_length = self._checked_length(length)
                stop = position + self._bulk_length
                if stop + 2 > end:
                    self._need = self._bulk_length + 2
                    raise _IncompleteError(position)
                self._argv.append(data[position:stop])
                position = stop + 2
                self._bulk_length = -1
                self._left -= 1
                if not self._left:
                    commands.append(self._argv)
                    self._argv = []
        except _IncompleteError as incomplete:
            position = incomplete.position
        except ProtocolError as error:
            self.error = error
            self._look()
            return
        if self._left and begins >= 0 and end - begins <= _REREAD_MAX and len(self._argv) <= _REREAD_ARGUMENTS:
            self._argv = []
            self._left = self._need = 0
            self._bulk_length = -1
            position = begins
        if position < end:
            self._chunks.append(data[position:])
            self.buffered = end - position
        self._look()

    def _begin(self, text: bytes) -> None:
        count = _integer(text)
        if count is None or count > MAX_ARGUMENTS:
            raise ProtocolError(b"invalid multibulk length")
        if self._limited and count > UNAUTHENTICATED_ARGUMENTS:
            raise ProtocolError(b"unauthenticated multibulk length")
        # ``*0`` and ``*-1`` ask for nothing and get nothing.
        self._left = max(count, 0)

    def _checked_length(self, text: bytes) -> int:
        length = _integer(text)
        if length is None or length < 0 or length > self.bulk_max:
            raise ProtocolError(b"invalid bulk length")
        if self._limited and length > UNAUTHENTICATED_BULK:
            raise ProtocolError(b"unauthenticated bulk length")
        return length

    @staticmethod
    def _line(data: bytes, position: int, what: bytes) -> tuple[int, bytes]:
        """The text after the type byte up to CR, and where the next line begins (LF is not verified)."""
        stop = _find_text(data, b"\r", position)
        if stop < 0 or stop + 1 >= len(data):
            if stop < 0 and len(data) - position > MAX_LINE:
                raise ProtocolError(b"too big %s count string" % what)
            raise _IncompleteError(position)
        # An empty line has no type byte either, and compiled code no slice that ends before it begins.
        return stop + 2, data[position + 1 : max(stop, position + 1)]

    @staticmethod
    def _inline(data: bytes, position: int) -> tuple[int, list[bytes]]:
        stop = _find_text(data, b"\n", position)
        if stop < 0:
            if len(data) - position > MAX_LINE:
                raise ProtocolError(b"too big inline request")
            raise _IncompleteError(position)
        line = data[position:stop]
        argv = split_quoted(line.removesuffix(b"\r"))
        if argv is None:
            raise ProtocolError(b"unbalanced quotes in request")
        return stop + 1, argv


def _find_text(data: bytes, end: bytes, position: int) -> int:
    """Where the line ends; -1 for one that does not, or not before a NUL: Redis looks for no end behind that."""
    stop = data.find(end, position)
    return -1 if stop > 0 and data.find(b"\0", position, stop) >= 0 else stop


class _IncompleteError(Exception):
    """The rest of the command has not arrived; it begins at `position`."""

    __slots__ = ("position",)

    def __init__(self, position: int) -> None:
        self.position = position


def _take_alike(lines: list[bytes], size: int) -> Batch | None:
    """Take a chunk in which every command has `size` lines, or nothing.

    A pipeline often repeats one command, so words are looked at by their place in it: one that is the same in all
    commands (the name, often the key) has the same length in all of them.
    """
    count = (len(lines) - 1) // size
    end = count * size
    if lines[0:end:size].count(lines[0]) != count:
        return None
    columns = []
    alike = True
    for at in range(2, size, 2):
        words = lines[at:end:size]
        lengths = lines[at - 1 : end : size]
        if words.count(words[0]) == count:
            if lengths.count(_announced(words[:1])[0]) != count:
                return None
        else:
            if lengths != _announced(words):
                return None
            if at == 2:
                alike = False
        columns.append(words)
    batch = Batch([], b"", range(0, end + 1, size), lines, columns)
    if not alike:
        batch.extend([])
    return batch


def _take_each(lines: list[bytes]) -> Batch:
    """Take commands of any shape, as far as they are whole and right."""
    size_of = _LINES.get
    last = len(lines) - 1
    commands: list[list[bytes]] = []
    marks = [0]
    lengths: list[bytes] = []
    words: list[bytes] = []
    index = 0
    while index < last:
        size = size_of(lines[index])
        if size is None:
            break
        after = index + size
        if after > last:
            break
        argv = lines[index + 2 : after : 2]
        lengths += lines[index + 1 : after : 2]
        words += argv
        commands.append(argv)
        marks.append(after)
        index = after
    announced = _announced(words)
    if lengths != announced:
        # Some value has a CRLF inside, or some length is wrong: what comes before is right.
        right = next(at for at, length in enumerate(lengths) if length != announced[at])
        taken = len(words)
        while taken > right:
            taken -= len(commands.pop())
            marks.pop()
    return Batch(commands, b"", marks, lines)


def _announced(words: list[bytes]) -> list[bytes]:
    """The line that must stand in front of each word."""
    try:
        return [_LENGTHS[len(word)] for word in words]
    except IndexError:
        return [b"$%d" % len(word) for word in words]


def _integer(text: bytes) -> int | None:
    """A decimal integer as Redis' ``string2ll`` reads it: no plus sign, no leading zero, no blanks."""
    digits = text[1:] if text[:1] == b"-" else text
    if not digits.isdigit() or len(digits) > 19 or (digits[0] == 0x30 and text != b"0"):
        return None
    return int(text)
