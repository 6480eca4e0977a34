"""Quoted words: read as Redis reads them, and read back as they were written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.quoting import quoted, split_quoted


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"", []),
        (b"  \t ", []),
        (b"set a b", [b"set", b"a", b"b"]),
        (b'a"b"', [b"ab"]),
        (b"\"\" ''", [b"", b""]),
        (b'"a b" c', [b"a b", b"c"]),
        (b'"\\x41\\xzz\\n\\r\\t\\b\\a\\"\\\\\\q"', [b'Axzz\n\r\t\b\a"\\q']),
        (b"'\\'\\n\"'", [b"'\\n\""]),
        (b'"a', None),
        (b"'a", None),
        (b'"a"b', None),
        (b"'a''b'", None),
        (b'"a\\"', None),
        (b"a\\", [b"a\\"]),
    ],
)
def test_lines(line: bytes, words: list[bytes] | None) -> None:
    assert split_quoted(line) == words


@given(st.lists(st.binary(max_size=20), max_size=5))
def test_what_is_written_is_read_back(words: list[bytes]) -> None:
    assert split_quoted(b" ".join(quoted(word) for word in words)) == words


@given(st.binary(max_size=50))
def test_no_line_is_too_odd(line: bytes) -> None:
    words = split_quoted(line)
    assert words is None or all(isinstance(word, bytes) for word in words)
