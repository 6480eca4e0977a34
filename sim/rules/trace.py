"""What happened in a run, a line an event: when, who, what, why.

All lines go into a digest, by which two runs are compared. The text of all of them is kept only on demand; of the
last ones always, since they are what one wants to see when an invariant breaks.
"""

from __future__ import annotations

import hashlib
from collections import deque

_LAST_LINES = 40


class Trace:
    """The lines of one run."""

    __slots__ = ("_hash", "count", "lines", "timeline")

    def __init__(self, *, keep: bool = False) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self.count = 0
        # Every line, or the last few.
        self.lines: deque[str] = deque(maxlen=None if keep else _LAST_LINES)
        # Those that tell the story: faults, votes, roles, what nodes logged.
        self.timeline: list[str] = []

    def note(self, now_ms: float, who: str, what: str, why: str = "", *, story: bool = False) -> None:
        """Add a line; `story` ones are for people."""
        line = f"{now_ms:12.3f} {who:<4} {what} {why}".rstrip()
        self._hash.update(line.encode())
        self.count += 1
        self.lines.append(line)
        if story:
            self.timeline.append(line)

    def digest(self) -> str:
        """What two equal runs have in common, and two others do not."""
        return self._hash.hexdigest()
