"""All clients of a process: ids, look-ups, limits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from wire.session import Session

S = TypeVar("S", bound=Session)


class Clients(Generic[S]):
    """The registry of open sessions, in order of connecting."""

    __slots__ = ("_next_id", "by_id", "max", "rejected", "total")

    def __init__(self, maximum: int = 10000) -> None:
        self.by_id: dict[int, S] = {}
        self._next_id = 1
        # `maxclients`.
        self.max = maximum
        # For INFO: connections accepted and turned away since the start.
        self.total = 0
        self.rejected = 0

    def next_id(self) -> int:
        """A fresh client id; ids only grow."""
        id = self._next_id
        self._next_id += 1
        return id

    def add(self, session: S) -> None:
        self.by_id[session.id] = session
        self.total += 1

    def enlist(self, session: S) -> None:
        """List a session that did not come through a port of ours: our master's stream."""
        self.by_id[session.id] = session

    def remove(self, session: S) -> None:
        self.by_id.pop(session.id, None)

    @property
    def full(self) -> bool:
        return len(self.by_id) >= self.max

    def __iter__(self) -> Iterator[S]:
        """Over a copy, so that a loop may close clients."""
        return iter(list(self.by_id.values()))

    def __len__(self) -> int:
        return len(self.by_id)
