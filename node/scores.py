"""Scores, and the bounds of ranges of scores and of members, as commands write them: C's rules, Redis' refusals.

A score is read by C's ``strtod``, which knows hexadecimal numbers and infinities and is stricter than Python about
underscores and blanks. A bound of a score range is read more loosely than a score: blanks may stand before it, and a
number too large for a double is an infinity.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from wire.errors import NOT_A_FLOAT, Error

_NOT_A_BOUND = b"ERR min or max is not a float"
_NOT_A_STRING_BOUND = b"ERR min or max not valid string range item"
_HEX = re.compile(rb"[+-]?0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)(?:[pP][+-]?[0-9]+)?")
_INFINITE = re.compile(rb"[+-]?inf(inity)?", re.IGNORECASE)
_MANTISSA_END = re.compile(rb"[eEpP]")
_BLANKS = b" \t\n\v\f\r"

# Most scores are small integers: read without looking at their digits, and kept once.
_SHARED = {b"%d" % number: float(number) for number in range(1024)}


def parse_score(text: bytes, refusal: bytes = NOT_A_FLOAT) -> float:
    """The double that all of `text` stands for; raises Error(`refusal`), also for NaN and what no double can hold."""
    shared = _SHARED.get(text)
    if shared is not None:
        return shared
    try:
        score = float(text)
    except ValueError:
        score = _parse_hex(text, refusal)
    if 95 in text or text[0] <= 32 or text[-1] <= 32 or score != score:
        raise Error(refusal)
    if score - score != 0 and not _INFINITE.fullmatch(text):
        raise Error(refusal)
    if not score and not _is_zero(text):
        raise Error(refusal)
    return score


def _parse_hex(text: bytes, refusal: bytes) -> float:
    if not _HEX.fullmatch(text):
        raise Error(refusal)
    try:
        return float.fromhex(text.decode())
    except OverflowError:
        return float("-inf" if text.startswith(b"-") else "inf")


def _is_zero(text: bytes) -> bool:
    """Whether a text whose double is zero means zero, and not something too small."""
    digits = text.lower().lstrip(b"+-").removeprefix(b"0x")
    return not _MANTISSA_END.split(digits)[0].strip(b"0.")


class ScoreRange(NamedTuple):
    """Scores from `low` to `high`; an open end does not belong to the range."""

    low: float
    low_open: bool
    high: float
    high_open: bool


def parse_score_range(low: bytes, high: bytes) -> ScoreRange:
    """The range between two bounds, ``(`` opening an end; raises Error."""
    return ScoreRange(*_parse_bound(low), *_parse_bound(high))


def _parse_bound(text: bytes) -> tuple[float, bool]:
    opened = text[:1] == b"("
    if opened:
        text = text[1:]
    shared = _SHARED.get(text)
    return parse_loosely(text, _NOT_A_BOUND) if shared is None else shared, opened


def parse_loosely(text: bytes, refusal: bytes) -> float:
    """The double that C reads from `text` as a string of its own; raises Error(`refusal`) when something is left.

    C's string ends with the first NUL, blanks may stand before the number, no text at all is zero, and a number that is
    too large is an infinity.
    """
    try:
        value = float(text)
    except ValueError:
        number = text.partition(b"\0")[0]
        if not number:
            return 0.0
        if number != text:
            return parse_loosely(number, refusal)
        value = _parse_hex(number.lstrip(_BLANKS), refusal)
    if value != value or 95 in text or text[-1] <= 32:
        raise Error(refusal)
    return value


class LexBound(NamedTuple):
    """An end of a range of members. `place` and `text` compare as the bound sorts among members (place 0)."""

    place: int  # -1 before every member (``-``), 1 behind every member (``+``)
    text: bytes
    open: bool

    def admits_above(self, member: bytes) -> bool:
        """As a lower bound, whether `member` is not below it."""
        return self.place < 0 or (not self.place and (member > self.text or (member == self.text and not self.open)))

    def admits_below(self, member: bytes) -> bool:
        """As an upper bound, whether `member` is not above it."""
        return self.place > 0 or (not self.place and (member < self.text or (member == self.text and not self.open)))


class LexRange(NamedTuple):
    """Members from one bound to another."""

    low: LexBound
    high: LexBound

    def is_empty(self) -> bool:
        """Whether no member can be in the range."""
        low, high = self.low[:2], self.high[:2]
        return low > high or (low == high and (self.low.open or self.high.open))


def parse_lex_range(low: bytes, high: bytes) -> LexRange:
    """The range between two bounds, each ``-``, ``+``, or a text after ``[`` or ``(``; raises Error."""
    return LexRange(_parse_lex_bound(low), _parse_lex_bound(high))


def _parse_lex_bound(text: bytes) -> LexBound:
    sign = text[:1]
    if sign == b"[":
        return LexBound(0, text[1:], False)
    if sign == b"(":
        return LexBound(0, text[1:], True)
    if sign in (b"-", b"+") and text[1:2] in (b"", b"\0"):
        return LexBound(-1 if sign == b"-" else 1, b"", True)
    raise Error(_NOT_A_STRING_BOUND)
