"""Pauses: clients' writes, or all their commands, are held back for a while and then run.

CLIENT PAUSE asks for one, and so do a start and a failover that are under way. Each purpose has its own end; the
strongest kind wins. While clients are paused nothing expires either, since expiry would move the replication offset.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum

from node.gates import ALL_PAUSED, WRITES_PAUSED, Conditions
from node.session import NodeSession
from wire.clients import Clients


class PausePurpose(Enum):
    START = "start"
    CLIENT_COMMAND = "client-pause"
    FAILOVER = "failover"
    SHUTDOWN = "shutdown"
    MIGRATION = "migration"


class Pauses:
    """The pauses in force."""

    __slots__ = ("_clients", "_conditions", "_ends", "_on_change", "_timer")

    def __init__(self, conditions: Conditions, clients: Clients[NodeSession], on_change: Callable[[], None]) -> None:
        self._conditions = conditions
        self._clients = clients
        # Called after a pause began or ended (expiry depends on it).
        self._on_change = on_change
        # By purpose: when it ends (loop time, seconds) and whether reads are held back too.
        self._ends: dict[PausePurpose, tuple[float, bool]] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def active(self) -> bool:
        return bool(self._ends)

    def holds(self, purpose: PausePurpose) -> bool:
        """Whether there is a pause for `purpose`."""
        return purpose in self._ends

    def hold_stream(self, writes: bool) -> bool:
        """Whether a piece of our master's stream, which `writes` or does not, waits as well: when a client wants it.

        A failover or a shutdown is no business of the stream.
        """
        pause = self._ends.get(PausePurpose.CLIENT_COMMAND)
        return pause is not None and (writes or pause[1])

    def begin(self, purpose: PausePurpose, until: float, *, everything: bool) -> None:
        """Hold back writes, or `everything`, until loop time `until`. A longer or stronger pause stays."""
        end, all_commands = self._ends.get(purpose, (until, everything))
        self._ends[purpose] = (max(end, until), all_commands or everything)
        self._update()

    def end(self, purpose: PausePurpose) -> None:
        """End the pause for `purpose` now."""
        if self._ends.pop(purpose, None) is not None:
            self._update()

    def _update(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for purpose, (end, _) in list(self._ends.items()):
            if end <= now:
                del self._ends[purpose]
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._ends:
            self._timer = loop.call_at(min(end for end, _ in self._ends.values()), self._update)
        everything = any(all_commands for _, all_commands in self._ends.values())
        self._conditions.set(WRITES_PAUSED, bool(self._ends))
        self._conditions.set(ALL_PAUSED, everything)
        self._on_change()
        self._release()

    def _release(self) -> None:
        """Run what was held back; whoever still meets a pause is held back again."""
        for session in self._clients:
            if session.postponed:
                session.postponed = False
                session.parked = False
                if session.connection is not None:
                    session.connection.resume()
