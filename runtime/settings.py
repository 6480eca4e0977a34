"""redis.conf's grammar and redis-server's command line: from text to directives, in the order in which they count.

A line is a directive's name and its words (`runtime.quoting`); ``#`` begins a comment line; ``include`` reads other
files in place, by pattern if it has wildcards. Words of the command line become lines behind the file's, so that
whatever comes later wins, and so that errors name the line where Redis would. What the directives mean is the
business of `runtime.directives` and of the settings built with it.
"""

from __future__ import annotations

import glob
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from runtime.quoting import quoted, split_quoted

# A file that includes itself must not be read for ever.
_INCLUDE_DEPTH_MAX = 32
_TRIMMED = " \t\r\n"


class SettingsError(Exception):
    """Settings that cannot be used; `place` is the line's number and text where one is to blame."""

    def __init__(self, reason: str, place: tuple[int, str] | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.place = place

    def __str__(self) -> str:
        """What redis-server prints below its banner."""
        if self.place is None:
            return self.reason
        number, text = self.place
        return f"Reading the configuration file, at line {number}\n>>> '{text}'\n{self.reason}"


class MissingFileError(Exception):
    """A configuration file cannot be read; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Line:
    """One directive as written."""

    number: int
    text: str
    name: str
    words: tuple[str, ...]

    def error(self, reason: str) -> SettingsError:
        return SettingsError(reason, (self.number, self.text))


@dataclass(frozen=True, slots=True)
class CommandLine:
    """redis-server's arguments, taken apart."""

    # "" when none was named.
    file: str
    from_stdin: bool
    # The options as lines of configuration.
    options: str

    @classmethod
    def parse(cls, argv: list[str]) -> CommandLine:
        """``[FILE] [--directive word …] [-]``; a word right behind a directive is a word even if it begins with --."""
        words = list(argv)
        file = words.pop(0) if words and not words[0].startswith("-") else ""
        from_stdin = bool(words) and words[-1] == "-"
        if from_stdin:
            words.pop()
        lines: list[list[str]] = []
        word_expected = False
        for place, word in enumerate(words):
            if word.startswith("--") and not word_expected:
                lines.append([word[2:]])
                follower = words[place + 1] if place + 1 < len(words) else "--"
                # `--port "6379"` and `--port 6379` are both written; `--save --port 1` means no save points.
                word_expected = len(word.split()) == 1
                if word.lower() in ("--save", "--sentinel") and follower.startswith("--"):
                    lines[-1] += ['""'] if word.lower() == "--save" else []
                    word_expected = False
            else:
                repeated = to_text(quoted(to_bytes(word)))
                if lines:
                    lines[-1].append(repeated)
                else:
                    lines.append([repeated])
                word_expected = False
        return cls(file, from_stdin, "\n".join(" ".join(line) for line in lines))


class ConfigFiles(Protocol):
    """Where configuration is read from."""

    def read(self, path: str) -> str:
        """Raises MissingFileError."""
        ...

    def matching(self, pattern: str) -> list[str]: ...

    def stdin(self) -> str: ...


class SystemConfigFiles:
    """The machine's files."""

    __slots__ = ()

    def read(self, path: str) -> str:
        try:
            with open(path, "rb") as file:
                return to_text(file.read())
        except OSError as error:
            raise MissingFileError(f"can't open config file '{path}': {error.strerror}") from error

    def matching(self, pattern: str) -> list[str]:
        return sorted(glob.glob(pattern))

    def stdin(self) -> str:
        return to_text(sys.stdin.buffer.read())


def lines_of(command_line: CommandLine, files: ConfigFiles) -> Iterator[Line]:
    """Every directive, in order; raises SettingsError and MissingFileError where it comes to something unreadable."""
    text = files.read(command_line.file) if command_line.file else ""
    if command_line.from_stdin:
        text += files.stdin()
    if command_line.options:
        text += "\n" + command_line.options
    return parse(text, files)


def parse(text: str, files: ConfigFiles, depth: int = 0) -> Iterator[Line]:
    """The directives of `text` and of what it includes."""
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip(_TRIMMED)
        if not line or line.startswith("#"):
            continue
        words = split_quoted(to_bytes(line))
        if words is None:
            raise SettingsError("Unbalanced quotes in configuration line", (number, line))
        if not words:
            continue
        found = Line(number, line, to_text(words[0]).lower(), tuple(map(to_text, words[1:])))
        if found.name == "include" and len(found.words) == 1:
            if depth == _INCLUDE_DEPTH_MAX:
                raise found.error("Files include each other without end")
            for path in _included(found.words[0], files):
                yield from parse(files.read(path), files, depth + 1)
        else:
            yield found


def _included(pattern: str, files: ConfigFiles) -> list[str]:
    return files.matching(pattern) if any(wildcard in pattern for wildcard in "*?[") else [pattern]


def to_text(raw: bytes) -> str:
    """Settings are text; bytes that are no UTF-8 survive the way there and back."""
    return raw.decode("utf-8", "surrogateescape")


def to_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
