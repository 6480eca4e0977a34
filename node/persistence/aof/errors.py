"""What can be wrong with an append-only file; each refuses to go on with half of it."""

from __future__ import annotations


class AofError(Exception):
    """The append-only file cannot be loaded; `lines` is what the log says, in Redis' words."""

    def __init__(self, *lines: str) -> None:
        super().__init__(lines[-1])
        self.lines = list(lines)
