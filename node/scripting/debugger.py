"""The Lua debugger: what SCRIPT DEBUG's user is shown, and what the words that they send mean.

One `Debugger` is one session: the run of one script, line by line. It knows lines, breakpoints and the words of the
conversation; what is in Lua's variables only Lua can tell (`node.scripting.prelude` asks here what to do next, and does
what concerns a stack). The bytes come and go by a `Console`: the client's connection, or a pipe to it in a forked
process. The conversation is Redis' (its page on the Lua debugger): each command is answered by an array of lines.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from runtime.quoting import quoted
from wire.arguments import parse_integer
from wire.encoder import encode
from wire.errors import Error, until_nul
from wire.reply import Reply

_BREAKPOINTS_MAX = 64
# Longer lines are cut, until MAXLEN says otherwise; and no limit is smaller than the second figure.
_LENGTH, _LENGTH_MIN = 256, 60
# Of a REDIS command so many words are shown.
_WORDS_SHOWN = 10
# A command may have so many words, each so long; and what is not a whole command yet no more bytes.
_WORDS_MAX, _WORD_MAX, _INPUT_MAX = 1024, 1024, 1 << 20
_CONTEXT = 5
_EVERYTHING = 1_000_000
_HEADER = re.compile(rb"\*([^\r]*)\r\n")
_ARGUMENT = re.compile(rb"\$([^\r]*)\r\n")
_HELP = (
    "The words of the Lua debugger; each may be cut to its first letter:",
    "  step, next           Run this line, and stop at the next one.",
    "  continue             Run on to a breakpoint, or to the end.",
    "  list [line [context]]  Show the lines around this one, or around another.",
    "  whole                Show the whole script.",
    "  print [variable]     Show one local variable, or all of this function; also KEYS and ARGV.",
    "  break [line ...]     Show the breakpoints, or add some; -line removes one, 0 removes all.",
    "  trace                Show who called whom, up to this line.",
    "  eval code            Run Lua code; it has no part in the script's local variables.",
    "  redis command        Run a command of Redis.",
    "  maxlen [length]      Cut long lines after so many bytes; 0: never.",
    "  abort                End the script. What it has written in a synchronous session stays.",
    "A script may call redis.debug(value, ...) to show values here, and redis.breakpoint() to stop.",
)

# What Lua is to do next: a verb and its arguments.
Order = tuple[bytes, ...]


class Console(Protocol):
    """The way to whoever debugs."""

    def read(self) -> bytes:
        """What has come, waiting for it if need be; nothing when nobody is there any more."""
        ...

    def write(self, data: bytes) -> None: ...


class Debugger:
    """One session."""

    __slots__ = (
        "_asked",
        "_breakpoints",
        "_called",
        "_console",
        "_ended",
        "_hinted",
        "_input",
        "_length",
        "_line",
        "_lines",
        "_patience_ns",
        "_perf_ns",
        "_since_ns",
        "_source",
        "_timed_out",
        "stepping",
    )

    def __init__(
        self,
        source: bytes,
        console: Console,
        patience_ms: int,
        perf_ns: Callable[[], int],
        ended: Callable[[], object],
    ) -> None:
        text = source.rstrip(b"\r\n")
        self._source = text.split(b"\n") if text else []
        self._console = console
        # A script that runs on for so long without a stop has one.
        self._patience_ns = patience_ms * 1_000_000
        self._perf_ns = perf_ns
        # Called at the end of the session, when all but the reply has been said.
        self._ended = ended
        # When it last went on.
        self._since_ns = perf_ns()
        # Whether to stop at the next line; meanwhile the script's commands are shown.
        self.stepping = True
        # redis.breakpoint() was called.
        self._called = False
        # Stopped because it had run on for long.
        self._timed_out = False
        # Lua has been asked to do something, and to come back.
        self._asked = False
        self._breakpoints: list[int] = []
        # The line that the script is at.
        self._line = -1
        # What is to be shown next.
        self._lines: list[bytes] = []
        self._length = _LENGTH
        # Whether it has been said that lines are cut.
        self._hinted = False
        self._input = b""

    # ---- what a script does

    def stops(self, line: int) -> bool:
        """Whether the script stops before this line."""
        self._line = line
        at_breakpoint = self._called or line in self._breakpoints
        self._timed_out = False
        if not self.stepping and not at_breakpoint:
            if self._perf_ns() - self._since_ns < self._patience_ns:
                return False
            self._timed_out = True
        reason = b"step over"
        if at_breakpoint:
            reason = b"redis.breakpoint() called" if self._called else b"break point"
        elif self._timed_out:
            reason = b"timeout reached, infinite loop?"
        self.stepping = self._called = False
        self.show(b"* Stopped at %d, stop reason = %b" % (line, reason))
        self._show_line(line)
        self.send()
        return True

    def breakpoint(self) -> None:
        """redis.breakpoint()."""
        self._called = True

    def debug(self, values: bytes) -> None:
        """redis.debug(values)."""
        self.show(b"<debug> line %d: %b" % (self._line, values))

    def command(self, argv: list[bytes]) -> None:
        """The script is about to run a command."""
        if self.stepping:
            words = argv if len(argv) <= _WORDS_SHOWN else [*argv[:_WORDS_SHOWN], b"... (%d more)" % (len(argv) - 11)]
            self.show(b" ".join([b"<redis>", *words]))

    def refused(self, error: Error) -> None:
        """The command may not run."""
        if self.stepping:
            text = error.text
            self.show(b"<error> " + (text.removeprefix(b"ERR ") if text.startswith(b"ERR ") else b"-" + text))

    def replied(self, reply: Reply, proto: int) -> None:
        """The command has run."""
        if not self.stepping:
            return
        if isinstance(reply, Error):
            self.show(b"<error> -" + reply.text)
        self.show_value(b"<reply> ", _readable(encode(reply, proto), 0)[0])

    # ---- the conversation

    def next(self) -> Order:
        """Talk until Lua has something to do: "go", "fail" with an error, or what concerns its stack."""
        if self._asked:
            self._asked = self.stepping = False
            self.send()
        while True:
            try:
                argv = self._read_command()
            except _BrokenError as error:
                return (b"fail", error.text)
            if argv is None:
                return self._nobody_there()
            verb, count = _VERBS.get(until_nul(argv[0]).lower(), b""), len(argv)
            if verb in (b"step", b"continue"):
                self.stepping = self.stepping or verb == b"step"
                self._since_ns = self._perf_ns()
                return (b"go",)
            if verb == b"abort":
                return (b"fail", b"ERR script aborted for user request")
            if verb in (b"trace", b"print", b"eval") or (verb == b"redis" and count > 1):
                # A command is shown as if the script stepped over it.
                self._asked, self.stepping = True, verb == b"redis"
                return (verb, *argv[1:])
            self._answer(verb, argv)
            self.send()

    def _nobody_there(self) -> Order:
        """The script runs on by itself, unless it seems to have no end."""
        self.stepping = False
        self._breakpoints.clear()
        self._since_ns = self._perf_ns()
        if self._timed_out:
            return (b"fail", b"ERR timeout during Lua debugging with client closing connection")
        return (b"go",)

    def _answer(self, verb: bytes, argv: list[bytes]) -> None:
        """What can be said without Lua."""
        if verb == b"help":
            self._lines += [line.encode() for line in _HELP]
        elif verb == b"list":
            around = _leading_integer(argv[1]) if len(argv) > 1 else 0
            context = _leading_integer(argv[2]) if len(argv) > 2 else _CONTEXT
            self._list(around if around > 0 else self._line, context)
        elif verb == b"whole":
            self._list(1, _EVERYTHING)
        elif verb == b"break" and len(argv) == 1:
            self._show_breakpoints()
        elif verb == b"break":
            for word in argv[1:]:
                self._change_breakpoints(word)
        elif verb == b"maxlen":
            if len(argv) == 2:
                self._hinted = True
                length = _leading_integer(argv[1])
                self._length = max(length, _LENGTH_MIN) if length else 0
            what = b"truncated at %d bytes." % self._length if self._length else b"unlimited."
            self.show(b"<value> replies are " + what)
        else:
            self.show(b"<error> Unknown Redis Lua debugger command or wrong number of arguments.")

    def _show_breakpoints(self) -> None:
        if not self._breakpoints:
            self.show(b"No breakpoints set. Use 'b <line>' to add one.")
            return
        self.show(b"%d breakpoints set:" % len(self._breakpoints))
        for line in self._breakpoints:
            self._show_line(line)

    def _change_breakpoints(self, word: bytes) -> None:
        try:
            line = parse_integer(word)
        except Error:
            self.show(b"Invalid argument:'%b'" % until_nul(word))
            return
        known = self._breakpoints
        if line == 0:
            known.clear()
            self.show(b"All breakpoints removed.")
        elif line < 0:
            if -line in known:
                known.remove(-line)
                self.show(b"Breakpoint removed.")
            else:
                self.show(b"No breakpoint in the specified line.")
        elif len(known) == _BREAKPOINTS_MAX:
            self.show(b"Too many breakpoints set.")
        elif line in known or line > len(self._source):
            self.show(b"Wrong line number.")
        else:
            known.append(line)
            self._list(line, 1)

    # ---- what is shown

    def show(self, line: bytes) -> None:
        self._lines.append(line)

    def show_value(self, prefix: bytes, value: bytes) -> None:
        """A line that is cut when it is too long."""
        line = prefix + value
        if not self._length or len(line) <= self._length:
            self.show(line)
            return
        self.show(line[: self._length] + b" ...")
        if not self._hinted:
            self._hinted = True
            self.show(b"<hint> The above reply was trimmed. Use 'maxlen 0' to disable trimming.")

    def show_place(self, line: int, name: bytes, *, innermost: bool) -> None:
        """One line of a trace."""
        self.show(b"%b %b:" % (b"In" if innermost else b"From", name or b"top level"))
        self._show_line(line)

    def send(self) -> None:
        """Whatever is to be shown, as one reply."""
        lines, self._lines = self._lines, []
        blanks = bytes.maketrans(b"\r\n", b"  ")
        pieces = [b"+%b\r\n" % line.translate(blanks) for line in lines]
        self._console.write(b"*%d\r\n" % len(pieces) + b"".join(pieces))

    def end(self) -> None:
        """The script has ended; its reply follows."""
        self.show(b"<endsession>")
        self.send()
        self._ended()

    def _list(self, around: int, context: int) -> None:
        for line in range(1, len(self._source) + 1):
            if abs(around - line) <= context:
                self._show_line(line)

    def _show_line(self, line: int) -> None:
        known = 0 < line <= len(self._source)
        text = self._source[line - 1] if known else b"<out of range source code line>"
        marks = (b"->" if line == self._line else b"  ") + (b"#" if line in self._breakpoints else b" ")
        self.show(b"%b%-3d %b" % (marks, line, text))

    # ---- what is read

    def _read_command(self) -> list[bytes] | None:
        """The next command; None when nobody is there any more. Raises _BrokenError."""
        while True:
            argv = _parse(self._input) if self._input else None
            if argv is not None:
                # As in Redis, one command at a time: what has come behind it is lost.
                self._input = b""
                return argv
            data = self._console.read()
            if not data:
                return None
            self._input += data
            if len(self._input) > _INPUT_MAX:
                self._input = b""
                raise _BrokenError(b"ERR max client buffer reached")


class _BrokenError(Exception):
    """What was sent is no command; it ends the script."""

    def __init__(self, text: bytes) -> None:
        super().__init__(text)
        self.text = text


_VERBS = {
    name: verb
    for verb, names in {
        b"help": (b"h", b"help"),
        b"step": (b"s", b"step", b"n", b"next"),
        b"continue": (b"c", b"continue"),
        b"list": (b"l", b"list"),
        b"whole": (b"w", b"whole"),
        b"print": (b"p", b"print"),
        b"break": (b"b", b"break"),
        b"trace": (b"t", b"trace"),
        b"eval": (b"e", b"eval"),
        b"redis": (b"r", b"redis"),
        b"maxlen": (b"m", b"maxlen"),
        b"abort": (b"a", b"abort"),
    }.items()
    for name in names
}


def _parse(data: bytes) -> list[bytes] | None:
    """The command in `data`; None when it is not whole. Raises _BrokenError."""
    start = data.find(b"*")
    if start < 0:
        raise _BrokenError(b"ERR protocol error")
    header = _HEADER.match(data, start)
    if header is None:
        return None
    count = _leading_integer(header[1])
    if not 0 < count <= _WORDS_MAX:
        raise _BrokenError(b"ERR protocol error")
    argv: list[bytes] = []
    place = header.end()
    while len(argv) < count:
        if place == len(data):
            return None
        if data[place : place + 1] != b"$":
            raise _BrokenError(b"ERR protocol error")
        header = _ARGUMENT.match(data, place)
        if header is None:
            return None
        length = _leading_integer(header[1])
        if not 0 < length <= _WORD_MAX:
            raise _BrokenError(b"ERR protocol error")
        place = header.end() + length
        if place + 2 > len(data):
            return None
        if data[place : place + 2] != b"\r\n":
            raise _BrokenError(b"ERR protocol error")
        argv.append(data[header.end() : place])
        place += 2
    return argv


def _leading_integer(text: bytes) -> int:
    """What C's `atoi` makes of it."""
    match = re.match(rb"\s*([+-]?\d{1,9})", text)
    return int(match[1]) if match is not None else 0


def _readable(reply: bytes, place: int) -> tuple[bytes, int]:
    """The encoded reply at `place` for people, and where it ends."""
    end = reply.index(b"\r\n", place)
    kind, text = reply[place : place + 1], reply[place + 1 : end]
    place = end + 2
    if kind == b":":
        return text, place
    if kind in b"+-":
        return quoted(kind + text), place
    if kind == b"_":
        return b"(null)", place
    if kind == b"#":
        return b"#true" if text == b"t" else b"#false", place
    if kind == b",":
        return b"(double) " + text, place
    count = int(text)
    if count < 0:
        return b"NULL", place
    if kind in b"$=(":
        return quoted(reply[place : place + count]), place + count + 2
    items = []
    for _ in range(count * 2 if kind == b"%" else count):
        item, place = _readable(reply, place)
        items.append(item)
    if kind == b"%":
        pairs = zip(items[::2], items[1::2], strict=True)
        return b"{" + b",".join(b"%b => %b" % pair for pair in pairs) + b"}", place
    opening, closing = (b"~(", b")") if kind == b"~" else (b"[", b"]")
    return opening + b",".join(items) + closing, place
