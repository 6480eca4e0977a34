"""redis.conf's grammar: lines, includes, and the command line behind them."""

from __future__ import annotations

import pytest

from runtime.settings import CommandLine, MissingFileError, SettingsError, lines_of, parse, to_bytes, to_text


class Files:
    """Configuration files by name."""

    def __init__(self, **files: str) -> None:
        self._files = {f"{name}.conf": text for name, text in files.items()}

    def read(self, path: str) -> str:
        if path not in self._files:
            raise MissingFileError(f"can't open config file '{path}': No such file or directory")
        return self._files[path]

    def matching(self, pattern: str) -> list[str]:
        start = pattern.partition("*")[0]
        return sorted(name for name in self._files if name.startswith(start))

    def stdin(self) -> str:
        return "from stdin\n"


def directives(text: str, **files: str) -> list[tuple[str, tuple[str, ...]]]:
    return [(line.name, line.words) for line in parse(text, Files(**files))]


def test_lines_comments_and_blanks() -> None:
    text = "# c\n\n  PORT  1 \r\n\tsave 900 1\nsave ''\nbind\n #x\n"
    assert directives(text) == [("port", ("1",)), ("save", ("900", "1")), ("save", ("",)), ("bind", ())]


def test_a_line_remembers_where_it_stood() -> None:
    (line,) = parse("\n# x\n  port   'a b'  \n", Files())
    assert (line.number, line.text) == (3, "port   'a b'")
    assert str(line.error("no")) == "Reading the configuration file, at line 3\n>>> 'port   'a b''\nno"


def test_includes_are_read_in_place() -> None:
    found = directives("a 1\ninclude one.conf\nb 2\n", one="c 3\ninclude two.conf\n", two="d 4\n")
    assert [name for name, _ in found] == ["a", "c", "d", "b"]


def test_includes_by_pattern_may_match_nothing() -> None:
    assert directives("include nothing*\na 1\n") == [("a", ("1",))]
    assert [name for name, _ in directives("include x*\n", x2="b 1\n", x1="a 1\n")] == ["a", "b"]


def test_a_file_that_includes_itself_is_refused() -> None:
    with pytest.raises(SettingsError, match="without end"):
        directives("include me.conf\n", me="include me.conf\n")


def test_a_missing_file_is_an_error_only_when_it_is_come_to() -> None:
    lines = parse("a 1\ninclude nosuch.conf\n", Files())
    assert next(lines).name == "a"
    with pytest.raises(MissingFileError, match=r"can't open config file 'nosuch\.conf'"):
        next(lines)


@pytest.mark.parametrize(
    ("argv", "file", "from_stdin", "options"),
    [
        ([], "", False, ""),
        (["x.conf"], "x.conf", False, ""),
        (["-"], "", True, ""),
        (["x.conf", "--port", "1", "-"], "x.conf", True, 'port "1"'),
        (["--port", "1", "--bind", "a", "b"], "", False, 'port "1"\nbind "a" "b"'),
        (["--port 1", "--bind a"], "", False, "port 1\nbind a"),
        (["--requirepass", "--x"], "", False, 'requirepass "--x"'),
        (["--save", "--port", "1"], "", False, 'save ""\nport "1"'),
        (["--port", "1", "--save"], "", False, 'port "1"\nsave ""'),
        (["--save", "", "--port", "1"], "", False, 'save ""\nport "1"'),
        (["--a", "b c", "d\n"], "", False, 'a "b c" "d\\n"'),
    ],
)
def test_command_lines(argv: list[str], file: str, from_stdin: bool, options: str) -> None:
    assert CommandLine.parse(argv) == CommandLine(file, from_stdin, options)


def test_the_command_line_comes_last() -> None:
    lines = list(lines_of(CommandLine.parse(["x.conf", "--port", "1", "-"]), Files(x="a 1\nb 2\n")))
    assert [line.name for line in lines] == ["a", "b", "from", "port"]


def test_bytes_that_are_no_text_survive() -> None:
    raw = bytes(range(256))
    assert to_bytes(to_text(raw)) == raw
    (line,) = parse('a "\\xff\\x00"', Files())
    assert to_bytes(line.words[0]) == b"\xff\x00"
