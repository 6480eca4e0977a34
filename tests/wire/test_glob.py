"""Glob patterns, beside a dumb matcher that follows Redis' rules letter by letter."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.glob import matches


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        (b"*", b"", True),
        (b"a*", b"abc", True),
        (b"a*c", b"abd", False),
        (b"h?llo", b"hello", True),
        (b"h[ae]llo", b"hillo", False),
        (b"h[^e]llo", b"hallo", True),
        (b"h[a-c]llo", b"hbllo", True),
        (b"h[c-a]llo", b"hbllo", True),
        (b"a\\*b", b"a*b", True),
        (b"a\\*b", b"axb", False),
        (b"[\\]]", b"]", True),
        (b"a\nb*", b"a\nb\n", True),
        (b"*a*b*", b"xxaxxbxx", True),
        (b"", b"", True),
        (b"", b"a", False),
        (b"\xff?", b"\xff\x00", True),
    ],
)
def test_patterns(pattern: bytes, text: bytes, expected: bool) -> None:
    assert matches(pattern, text) is expected


def dumb(pattern: bytes, text: bytes) -> bool:
    """Stars and question marks only, by trying everything."""
    if not pattern:
        return not text
    if pattern[:1] == b"*":
        return any(dumb(pattern[1:], text[at:]) for at in range(len(text) + 1))
    return bool(text) and pattern[:1] in (b"?", text[:1]) and dumb(pattern[1:], text[1:])


letters = st.lists(st.sampled_from([b"a", b"b", b"*", b"?"]), max_size=8).map(b"".join)


@given(letters, st.lists(st.sampled_from([b"a", b"b"]), max_size=8).map(b"".join))
def test_stars_match_as_by_trying_everything(pattern: bytes, text: bytes) -> None:
    assert matches(pattern, text) is dumb(pattern, text)


def test_a_hostile_pattern_takes_no_exponential_time() -> None:
    started = time.process_time()
    assert not matches(b"*a" * 30 + b"b", b"a" * 3000)
    assert time.process_time() - started < 1.0


@given(st.binary(max_size=12), st.binary(max_size=12))
def test_any_pattern_compiles(pattern: bytes, text: bytes) -> None:
    assert isinstance(matches(pattern, text), bool)
