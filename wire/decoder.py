"""Requests: RESP arrays of bulk strings, or inline commands, from bytes in any chunks.

Two parsers share the work. The quick one splits a chunk on CRLF and checks every announced length
against the pieces; it takes the ordinary pipeline whole. Whatever it cannot vouch for (a command that
goes on in the next chunk, a value with CRLF inside, an inline command, a mistake) goes to the scanner,
which reads byte by byte what Redis reads, keeps its state between chunks, and knows Redis' limits and
error texts (`networking.c`'s rules as the fact sheet on RESP has them).

A client library's reply parser would not do: it lets integers, nulls and nested arrays through as
arguments, and cannot say where a command's bytes lie, which propagation needs (`Batch.encoded`).
"""

from __future__ import annotations

from runtime.quoting import split_quoted
from wire.encoder import encode_command
from wire.errors import ProtocolError

MAX_LINE = 64 * 1024
MAX_ARGUMENTS = 2**31 - 1
UNAUTHENTICATED_ARGUMENTS = 10
UNAUTHENTICATED_BULK = 16384
# A command cut by the chunk's end is kept as it came, and read again with the next chunk, if it is no larger than
# this: otherwise every chunk of a long pipeline, all but the first, would be left to the scanner.
_REREAD_MAX = 4096
_REREAD_ARGUMENTS = 16

_COUNTS = {b"*%d" % n: n for n in range(1, 1025)}
_LENGTHS = [b"$%d" % n for n in range(4096)]
_LENGTH_OF = _LENGTHS.__getitem__


class Batch:
    """Whole commands read from one chunk, in order."""

    __slots__ = ("commands", "marks", "parts")

    def __init__(self) -> None:
        # Each command's arguments, its name first.
        self.commands: list[list[bytes]] = []
        # The chunk split on CRLF, and where in it each command starts that the quick parser took;
        # one mark more than such commands. They are the first ones of `commands`.
        self.parts: list[bytes] = []
        self.marks: list[int] = [0]

    def encoded(self, first: int, last: int) -> bytes:
        """The request bytes of commands `first` to `last` - 1: the client's own where they are at hand."""
        marks = self.marks
        quick = len(marks) - 1
        if last <= quick:
            return b"\r\n".join(self.parts[marks[first] : marks[last]]) + b"\r\n"
        pieces = []
        if first < quick:
            pieces.append(b"\r\n".join(self.parts[marks[first] : marks[quick]]) + b"\r\n")
            first = quick
        pieces += [encode_command(argv) for argv in self.commands[first:last]]
        return b"".join(pieces)


class Decoder:
    """The reading side of one connection."""

    __slots__ = (
        "_argv",
        "_bulk_length",
        "_chunks",
        "_left",
        "_need",
        "_size",
        "buffer_max",
        "bulk_max",
        "error",
        "limited",
    )

    def __init__(self, bulk_max: int = 512 * 1024 * 1024, buffer_max: int = 1024 * 1024 * 1024) -> None:
        # Bytes not yet understood, as they came; joined only when `_need` of them are there, so that a
        # huge value that arrives in small chunks is not copied once a chunk.
        self._chunks: list[bytes] = []
        self._size = 0
        self._need = 0
        # The command under way: arguments so far, arguments to come (0: none under way), and the length
        # of the bulk string that comes next (-1: its header has not been read).
        self._argv: list[bytes] = []
        self._left = 0
        self._bulk_length = -1
        # `proto-max-bulk-len` and `client-query-buffer-limit`.
        self.bulk_max = bulk_max
        self.buffer_max = buffer_max
        # Before authentication Redis takes only small requests.
        self.limited = False
        # Set once the peer broke the protocol; nothing is read after that.
        self.error: ProtocolError | None = None

    @property
    def buffered(self) -> int:
        """Bytes held that do not yet make a command (`qbuf`)."""
        return self._size

    def feed(self, data: bytes) -> Batch:
        """The whole commands that `data` completes; check `error` after executing them."""
        batch = Batch()
        if self.error is not None:
            return batch
        if self._size:
            self._chunks.append(data)
            self._size += len(data)
            if self._size < self._need:
                return batch
            data = b"".join(self._chunks)
            self._chunks.clear()
            self._size = self._need = 0
        position = 0
        if not self._left and not self.limited:
            position = _parse_quickly(data, batch)
            if position == len(data):
                return batch
        self._scan(data, position, batch.commands)
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
                    if data[position] != 0x24:
                        raise ProtocolError(b"expected '$', got '%c'" % data[position])
                    position, length = self._line(data, position, b"bulk")
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
            return
        if self._left and begins >= 0 and end - begins <= _REREAD_MAX and len(self._argv) <= _REREAD_ARGUMENTS:
            self._argv = []
            self._left = self._need = 0
            self._bulk_length = -1
            position = begins
        if position < end:
            self._chunks.append(data[position:])
            self._size = end - position

    def _begin(self, text: bytes) -> None:
        count = _integer(text)
        if count is None or count > MAX_ARGUMENTS:
            raise ProtocolError(b"invalid multibulk length")
        if self.limited and count > UNAUTHENTICATED_ARGUMENTS:
            raise ProtocolError(b"unauthenticated multibulk length")
        # ``*0`` and ``*-1`` ask for nothing and get nothing.
        self._left = max(count, 0)

    def _checked_length(self, text: bytes) -> int:
        length = _integer(text)
        if length is None or length < 0 or length > self.bulk_max:
            raise ProtocolError(b"invalid bulk length")
        if self.limited and length > UNAUTHENTICATED_BULK:
            raise ProtocolError(b"unauthenticated bulk length")
        return length

    @staticmethod
    def _line(data: bytes, position: int, what: bytes) -> tuple[int, bytes]:
        """The text after the type byte up to CR, and where the next line begins (LF is not verified)."""
        stop = data.find(b"\r", position)
        if stop < 0 or stop + 1 >= len(data):
            if stop < 0 and len(data) - position > MAX_LINE:
                raise ProtocolError(b"too big %s count string" % what)
            raise _IncompleteError(position)
        return stop + 2, data[position + 1 : stop]

    @staticmethod
    def _inline(data: bytes, position: int) -> tuple[int, list[bytes]]:
        stop = data.find(b"\n", position)
        if stop < 0:
            if len(data) - position > MAX_LINE:
                raise ProtocolError(b"too big inline request")
            raise _IncompleteError(position)
        line = data[position:stop]
        argv = split_quoted(line.removesuffix(b"\r"))
        if argv is None:
            raise ProtocolError(b"unbalanced quotes in request")
        return stop + 1, argv


class _IncompleteError(Exception):
    """The rest of the command has not arrived; it begins at `position`."""

    __slots__ = ("position",)

    def __init__(self, position: int) -> None:
        self.position = position


def _parse_quickly(data: bytes, batch: Batch) -> int:
    """Take commands from the head of `data` for as long as every length agrees; returns the bytes taken."""
    parts = data.split(b"\r\n")
    count_of = _COUNTS.get
    commands = batch.commands
    marks = batch.marks
    last = len(parts) - 1
    index = 0
    try:
        while index < last:
            count = count_of(parts[index])
            if count is None:
                break
            after = index + 1 + 2 * count
            if after > last:
                break
            argv = parts[index + 2 : after : 2]
            # A value with CRLF inside, or longer than the table, fails here and goes to the scanner.
            if parts[index + 1 : after : 2] != list(map(_LENGTH_OF, map(len, argv))):
                break
            commands.append(argv)
            marks.append(after)
            index = after
    except IndexError:
        # An argument longer than `_LENGTHS` covers.
        pass
    if not commands:
        return 0
    batch.parts = parts
    if index == last and not parts[last]:
        return len(data)
    return sum(map(len, parts[:index])) + 2 * index


def _integer(text: bytes) -> int | None:
    """A decimal integer as Redis' ``string2ll`` reads it: no plus sign, no leading zero, no blanks."""
    digits = text[1:] if text[:1] == b"-" else text
    if not digits.isdigit() or len(digits) > 19 or (digits[0] == 0x30 and text != b"0"):
        return None
    return int(text)
