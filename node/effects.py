"""Commands to propagate beside or instead of the one that runs, and who is to have each of them."""

from __future__ import annotations

# Commands, each with its database, in order.
Effects = list[tuple[int, tuple[bytes, ...]]]


class ForLog(tuple[bytes, ...]):
    """The words of a command that only the log is to have."""


class ForReplicas(tuple[bytes, ...]):
    """The words of a command that only replicas are to have."""
