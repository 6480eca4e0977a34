"""`client-output-buffer-limit`: how much may wait for a client that reads slowly.

Three classes (normal, replica, pubsub), each with a hard limit, and a soft limit that may be exceeded for
some seconds. A client over its limit is cut off at once: the alternative is to run out of memory.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from node.session import NodeSession
from wire.session import CLOSING

_MB = 1024 * 1024
# What little is said to our master is under a usual client's limits, as in Redis.
_LIMIT_OF = {"master": "normal"}


@dataclass(frozen=True, slots=True)
class OutputLimit:
    """Bytes and seconds; 0 switches a limit off."""

    hard: int
    soft: int
    soft_s: int


class OutputLimits:
    """The limits in force, and since when each client has been over its soft one."""

    __slots__ = ("_over_since", "by_class", "disconnections", "replica_min")

    def __init__(self) -> None:
        self.by_class: dict[str, OutputLimit] = {
            "normal": OutputLimit(0, 0, 0),
            "replica": OutputLimit(256 * _MB, 64 * _MB, 60),
            "pubsub": OutputLimit(32 * _MB, 8 * _MB, 60),
        }
        # `repl-backlog-size`: a replica may have so much unsent whatever its limit says. One that continues from the
        # backlog would otherwise be cut off with what it came for.
        self.replica_min = _MB
        # Client id to the loop time at which it went over its soft limit.
        self._over_since: dict[int, float] = {}
        # For INFO: clients that had to go.
        self.disconnections = 0

    @property
    def hard_min(self) -> int:
        """The lowest limit of those that a usual client can have."""
        return min(
            (limit.hard for name in ("normal", "pubsub") if (limit := self.by_class[name]).hard), default=1 << 62
        )

    def exceeded(self, session: NodeSession, pending: int) -> bool:
        """Whether a client with `pending` bytes unsent must go."""
        limit = self._limit_of(session)
        if self.is_hard(session, pending):
            return True
        if not limit.soft or pending <= limit.soft:
            self._over_since.pop(session.id, None)
            return False
        now = asyncio.get_running_loop().time()
        return now - self._over_since.setdefault(session.id, now) > limit.soft_s

    def drop(self, session: NodeSession) -> None:
        """The client is beyond a limit: it must go."""
        if not session.mask & CLOSING:
            self.disconnections += 1
        session.drop()

    def is_hard(self, session: NodeSession, pending: int) -> bool:
        """Whether `pending` bytes are beyond the hard limit."""
        hard = self._limit_of(session).hard
        return hard > 0 and pending > (max(hard, self.replica_min) if session.kind == "replica" else hard)

    def _limit_of(self, session: NodeSession) -> OutputLimit:
        kind = session.kind
        return self.by_class[_LIMIT_OF.get(kind, kind)]

    def forget(self, session: NodeSession) -> None:
        self._over_since.pop(session.id, None)
