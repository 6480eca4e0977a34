"""Everything that happened, as lines of text, and one hash over all of them.

A line has the time in seconds, who, and what. The hash is what makes two runs comparable: equal hashes mean that not a
byte, not a microsecond and not a choice differed. The text is kept only on demand; the last lines always are, because
they are what a person wants to see first when something broke.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from hashlib import blake2b
from itertools import zip_longest

_LAST = 200
# Lines are hashed in blocks: one call into the hash for each line would cost as much as making it.
_BLOCK = 512

# Told of every event: when (seconds), who, what.
Listener = Callable[[float, str, str], None]


class Trace:
    """The record of one run."""

    __slots__ = ("_block", "_hash", "_last", "_listeners", "_text", "events", "now")

    def __init__(self, now: Callable[[], float], *, keep: bool = False) -> None:
        # The virtual time, in seconds.
        self.now = now
        self._hash = blake2b(digest_size=16)
        # Lines not hashed yet, and the newest of those that are.
        self._block: list[str] = []
        self._last: deque[str] = deque(maxlen=_LAST)
        # All lines, when they are kept.
        self._text: list[str] | None = [] if keep else None
        # By kind of event; see `listen`.
        self._listeners: list[Listener] = []
        self.events = 0

    def event(self, who: str, what: str) -> None:
        """Note something too frequent for listeners: packets, turns, disk operations."""
        block = self._block
        block.append(f"{self.now():.9f} {who} {what}\n")
        if len(block) >= _BLOCK:
            self._flush()

    def tell(self, who: str, what: str) -> None:
        """Note something that others may want to react to: log lines, faults, births and deaths."""
        now = self.now()
        self._block.append(f"{now:.9f} {who} {what}\n")
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
        return list(self._last)

    def text(self) -> list[str]:
        """All lines; only of a trace that keeps them."""
        assert self._text is not None, "the trace was not asked to keep its text"
        self._flush()
        return self._text

    def _flush(self) -> None:
        block = self._block
        self.events += len(block)
        self._hash.update("".join(block).encode("utf-8", "surrogateescape"))
        self._last.extend(block)
        if self._text is not None:
            self._text += block
        block.clear()


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
