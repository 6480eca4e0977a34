"""What the commands for streams read from their arguments: ids, bounds of ranges, how to trim.

Redis reads the halves of an id as C's ``strtoull`` does wherever they are no plain numbers: blanks, signs and leading
zeros are fine, and a negative number counts from the top.
"""

from __future__ import annotations

import re

from node.call import Call
from node.database import SEE_EXPIRED
from node.structures.stream_ids import ID_MAX, SEQUENCE_BITS, SEQUENCE_MAX, format_id, make_id
from node.structures.stream_references import ACKED, DELREF, WAYS, Deletion
from node.structures.streams import Stream
from wire.arguments import INT64_MIN, parse_integer
from wire.errors import SYNTAX, Error

INVALID_ID = b"ERR Invalid stream ID specified as stream command argument"
_BAD_START = b"ERR invalid start ID for the interval"
_BAD_END = b"ERR invalid end ID for the interval"
_TWO_STRATEGIES = b"ERR syntax error, MAXLEN and MINID options at the same time are not compatible"
_LIMIT_WITHOUT_STRATEGY = b"ERR syntax error, LIMIT cannot be used without specifying a trimming strategy"
_LIMIT_WITHOUT_TILDE = b"ERR syntax error, LIMIT cannot be used without the special ~ option"
_NO_STRATEGY = b"ERR syntax error, XTRIM must be called with a trimming strategy"
_NEGATIVE_MAXLEN = b"ERR The MAXLEN argument must be >= 0."
_NEGATIVE_LIMIT = b"ERR The LIMIT argument must be >= 0."
# The longest text of an id that is looked at.
_ID_TEXT_MAX = 127
_UNUSUAL_NUMBER = re.compile(rb"[ \t-\r]*([+-]?)([0-9]+)")
# How many entries trimming with "~" removes at once, unless LIMIT says otherwise: nodes, or without a limit for them.
_NODES_TRIMMED_MAX = 100
_TRIMMED_MAX = 10_000
_TRIMMED_MOST = 1_000_000


def _parse_half(text: bytes) -> int:
    """One of the two numbers of an id; raises Error."""
    if text.isdigit() and (text[0] != 48 or len(text) == 1):
        number = int(text)
        negative = False
    else:
        match = _UNUSUAL_NUMBER.fullmatch(text)
        if match is None:
            raise Error(INVALID_ID)
        number = int(match[2])
        negative = match[1] == b"-"
        if negative and text[1:] == match[2] and match[2][0] != 48 and number <= -INT64_MIN:
            # A plain number, and negative.
            raise Error(INVALID_ID)
    if number > SEQUENCE_MAX:
        raise Error(INVALID_ID)
    return -number & SEQUENCE_MAX if negative else number


def parse_id(text: bytes, missing: int = 0, *, strict: bool = False) -> int:
    """An id, `missing` being the second number if there is none; "-" and "+" for the lowest and highest, not `strict`.

    Raises Error.
    """
    if len(text) > _ID_TEXT_MAX:
        raise Error(INVALID_ID)
    text = text.partition(b"\0")[0]
    if text in (b"-", b"+"):
        if strict:
            raise Error(INVALID_ID)
        return 0 if text == b"-" else ID_MAX
    time_ms, dash, sequence = text.partition(b"-")
    return _parse_half(time_ms) << SEQUENCE_BITS | (_parse_half(sequence) if dash else missing)


def parse_new_id(text: bytes) -> tuple[int, bool]:
    """The id that XADD is given, and whether it leaves the number within the millisecond to us; raises Error."""
    if len(text) <= _ID_TEXT_MAX:
        time_ms, dash, sequence = text.partition(b"\0")[0].partition(b"-")
        if dash and sequence == b"*":
            return make_id(_parse_half(time_ms), 0), True
    return parse_id(text, strict=True), False


def parse_start(text: bytes) -> int:
    """The lower bound of a range: an id, ``-`` or ``(`` and an id that is left out; raises Error."""
    if text[:1] != b"(" or len(text) == 1:
        return parse_id(text)
    start = parse_id(text[1:], strict=True)
    if start == ID_MAX:
        raise Error(_BAD_START)
    return start + 1


def parse_end(text: bytes) -> int:
    """The upper bound of a range; raises Error."""
    if text[:1] != b"(" or len(text) == 1:
        return parse_id(text, SEQUENCE_MAX)
    end = parse_id(text[1:], SEQUENCE_MAX, strict=True)
    if end == 0:
        raise Error(_BAD_END)
    return end - 1


class Trimming:
    """What XADD and XTRIM are told about removing old entries."""

    __slots__ = (
        "_deletion",
        "_limit",
        "_limited",
        "_way",
        "_way_at",
        "approximate",
        "by_id",
        "create",
        "place",
        "threshold",
        "wanted",
    )

    def __init__(self) -> None:
        self.wanted = False
        # MINID instead of MAXLEN; the id or length; where that stands among the arguments.
        self.by_id = False
        self.threshold = 0
        self.place = 0
        # With "~".
        self.approximate = False
        # LIMIT, and whether it was given.
        self._limit = 0
        self._limited = False
        # KEEPREF, DELREF or ACKED, where that stands, and how the last two were carried out.
        self._way = b""
        self._way_at = 0
        self._deletion: Deletion | None = None
        # XADD without NOMKSTREAM.
        self.create = True

    def parse(self, call: Call, *, adding: bool) -> int:
        """Read the options from argument 2 on; returns where they end, for XADD at the id. Raises Error."""
        argv = call.argv
        last = len(argv) - 1
        at = 2
        while at <= last:
            if adding and argv[at] == b"*":
                break
            word = argv[at].upper()
            more = last - at
            if word in (b"MAXLEN", b"MINID") and more:
                at = self._parse_strategy(argv, at, by_id=word == b"MINID")
            elif word == b"LIMIT" and more:
                at += 1
                self._limit = parse_integer(argv[at])
                if self._limit < 0:
                    raise Error(_NEGATIVE_LIMIT)
                self._limited = True
            elif word in WAYS and not self._way:
                self._way = word
                self._way_at = at
            elif word == b"NOMKSTREAM" and adding:
                self.create = False
            elif adding:
                # The id; whether it is one is for the caller to find out, before anything else is complained about.
                parse_new_id(argv[at])
                break
            else:
                raise Error(SYNTAX)
            at += 1
        if self._limit and not self.wanted:
            raise Error(_LIMIT_WITHOUT_STRATEGY)
        if not adding and not self.wanted:
            raise Error(_NO_STRATEGY)
        # What our master or the log says was written by Redis itself, with "=" and a LIMIT that means nothing.
        obeyed = call.keyspace.expiry == SEE_EXPIRED
        if obeyed:
            self._limit = 0
        elif self._limited:
            if not self.approximate:
                raise Error(_LIMIT_WITHOUT_TILDE)
        elif self.approximate:
            limit = _NODES_TRIMMED_MAX * call.node.settings.stream_node_max_entries
            self._limit = min(limit, _TRIMMED_MOST) if limit > 0 else _TRIMMED_MAX
        return at

    def _parse_strategy(self, argv: list[bytes], at: int, *, by_id: bool) -> int:
        """The words behind MAXLEN or MINID; returns where the threshold is."""
        if self.wanted:
            raise Error(_TWO_STRATEGIES)
        self.wanted = True
        self.by_id = by_id
        at += 1
        self.approximate = False
        if at + 1 < len(argv) and argv[at] in (b"~", b"="):
            self.approximate = argv[at] == b"~"
            at += 1
        self.place = at
        if by_id:
            self.threshold = parse_id(argv[at], strict=True)
        else:
            self.threshold = parse_integer(argv[at])
            if self.threshold < 0:
                raise Error(_NEGATIVE_MAXLEN)
        return at

    def trim(self, stream: Stream) -> int:
        """Remove what is too old; returns how many entries that were."""
        if self._way in (DELREF, ACKED):
            self._deletion = Deletion(stream, self._way)
            self._deletion.trim(self.threshold, by_id=self.by_id, limit=self._limit)
            self._deletion.finish()
            return len(self._deletion.deleted)
        trim = stream.trim_before if self.by_id else stream.trim_to
        return trim(self.threshold, approximate=self.approximate, limit=self._limit)

    def is_repeated_as_it_is(self) -> bool:
        """Whether the same arguments would do the same on a replica, whichever version it has."""
        return not self.approximate and not self._way

    def repeatable(self, argv: list[bytes], stream: Stream) -> list[bytes]:
        """The command's arguments so that they remove exactly what `trim` has removed.

        Of one that looks at groups nothing is left of the options: what it did, `others` tells.
        """
        argv = argv.copy()
        if self._deletion is not None:
            return argv[:2]
        if self.approximate:
            argv[self.place - 1] = b"="
            if not self.by_id:
                argv[self.place] = b"%d" % stream.length
            else:
                argv[self.place] = format_id(stream.first_id if stream.length else ID_MAX)
        if self._way:
            del argv[self._way_at]
        return argv

    def others(self, key: bytes) -> list[tuple[bytes, ...]]:
        """What else replicas are to be told."""
        return [] if self._deletion is None else [*self._deletion.told(key)]
