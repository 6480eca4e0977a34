"""ACL LOG: what was refused, to whom, how often."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

from wire.acl.selector import Reason

# The same refusal of the same user counts as another time for so long.
_GROUP_MS = 60_000


@dataclass(slots=True)
class Entry:
    """Some refusals that were alike."""

    reason: Reason
    # toplevel, multi or lua.
    context: bytes
    # What was refused: a command, a key, a channel; AUTH or HELLO.
    name: bytes
    username: bytes
    client: bytes
    created_ms: int
    updated_ms: int
    number: int
    count: int = 1

    def shown(self, now_ms: int) -> dict[bytes, Any]:
        return {
            b"count": self.count,
            b"reason": self.reason.value,
            b"context": self.context,
            b"object": self.name,
            b"username": self.username,
            b"age-seconds": (now_ms - self.updated_ms) / 1000,
            b"client-info": self.client,
            b"entry-id": self.number,
            b"timestamp-created": self.created_ms,
            b"timestamp-last-updated": self.updated_ms,
        }


class AclLog:
    """The last refusals, the latest first."""

    __slots__ = ("_next", "entries", "max", "refused")

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque()
        # `acllog-max-len`.
        self.max = 128
        self._next = 0
        # For INFO: how often each was a reason.
        self.refused = Counter[Reason]()

    def note(self, reason: Reason, context: bytes, name: bytes, username: bytes, client: bytes, now_ms: int) -> None:
        self.refused[reason] += 1
        for at, entry in enumerate(self.entries):
            alike = (entry.reason, entry.context, entry.name, entry.username) == (reason, context, name, username)
            if alike and now_ms - entry.updated_ms <= _GROUP_MS:
                entry.count += 1
                entry.updated_ms = now_ms
                entry.client = client
                del self.entries[at]
                self.entries.appendleft(entry)
                return
        self.entries.appendleft(Entry(reason, context, name, username, client, now_ms, now_ms, self._next))
        self._next += 1
        self.trim()

    def trim(self) -> None:
        while len(self.entries) > self.max:
            self.entries.pop()
