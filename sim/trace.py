"""Everything that happened, as lines of text, and one hash over all of them.

A line has the time in seconds, who, and what. The hash is what makes two runs comparable: equal hashes mean that not a
byte, not a moment and not a choice differed. The text is kept only on demand; the last lines always are, because
they are what a person wants to see first when something broke.

To write a line costs as much as to simulate a packet, and nobody reads most of them. So an event is noted as a tuple
(when, who, a template, its values), the hash is over those, and lines are made of them only where somebody asks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from hashlib import blake2b
from itertools import zip_longest
from marshal import dumps

_LAST = 200
# Events are hashed in blocks: one call into the hash for each would cost more than noting it.
_BLOCK = 512
# Marshal's last format that writes every value in full. Later ones write "as before" for an object that is referred to
# more than once, and who refers to what is not the same in every process.
_MARSHAL_VERSION = 2

# When, who, what, and the values of %-fields in what.
_Event = tuple[float, str, str, tuple[object, ...]]

# Told of every event: when (seconds), who, what.
Listener = Callable[[float, str, str], None]


class Trace:
    """The record of one run."""

    __slots__ = ("_block", "_hash", "_last", "_listeners", "_text", "events", "now")

    def __init__(self, now: Callable[[], float], *, keep: bool = False) -> None:
        # The virtual time, in seconds.
        self.now = now
        self._hash = blake2b(digest_size=16)
        # Events not hashed yet, and the newest of those that are.
        self._block: list[_Event] = []
        self._last: deque[_Event] = deque(maxlen=_LAST)
        # All lines, when they are kept.
        self._text: list[str] | None = [] if keep else None
        # By kind of event; see `listen`.
        self._listeners: list[Listener] = []
        self.events = 0

    def event(self, who: str, what: str, *values: object) -> None:
        """Note something too frequent for listeners: packets, disk operations. `values` are plain numbers and texts
        that belong into `what` as the % operator puts them there; without any, `what` is said as it is."""
        block = self._block
        block.append((self.now(), who, what, values))
        if len(block) >= _BLOCK:
            self._flush()

    def tell(self, who: str, what: str) -> None:
        """Note something that others may want to react to: log lines, faults, births and deaths."""
        now = self.now()
        self._block.append((now, who, what, ()))
        for listener in self._listeners:
            listener(now, who, what)

    def listen(self, listener: Listener) -> None:
        """Have `listener` called for everything told."""
        self._listeners.append(listener)

    def close(self) -> None:
        """Nobody listens any more."""
        self._listeners.clear()

    def digest(self) -> str:
        """The hash of everything so far, as hexadecimal digits."""
        self._flush()
        return self._hash.hexdigest()

    def last_lines(self) -> list[str]:
        self._flush()
        return [_line(event) for event in self._last]

    def text(self) -> list[str]:
        """All lines; only of a trace that keeps them."""
        assert self._text is not None, "the trace was not asked to keep its text"
        self._flush()
        return self._text

    def _flush(self) -> None:
        block = self._block
        self.events += len(block)
        self._hash.update(dumps(block, _MARSHAL_VERSION))
        self._last.extend(block)
        if self._text is not None:
            self._text += map(_line, block)
        block.clear()


def _line(event: _Event) -> str:
    when, who, what, values = event
    return f"{when:.9f} {who} {what % values if values else what}\n"


def first_difference(one: Iterable[str], other: Iterable[str], context: int = 5) -> list[str]:
    """Where two traces part: some common lines, then the first two that differ; empty when none do."""
    common: deque[str] = deque(maxlen=context)
    for number, (left, right) in enumerate(zip_longest(one, other, fillvalue="(the end)\n"), 1):
        if left != right:
            return [f"  {line}" for line in common] + [
                f"first difference at line {number}:\n",
                f"< {left}",
                f"> {right}",
            ]
        common.append(left)
    return []
