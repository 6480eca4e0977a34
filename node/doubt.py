"""Doubt: whether what clients have this node do still counts.

A process that was stopped (SIGSTOP, a machine that was moved) may have been replaced as a master meanwhile. Its next
timer comes after its clients, so before it runs anything for them it looks at the clock; and what it ran when it was
stopped waits (`wire.turn`) until the rules of the cluster know.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop

from cluster.bus import Bus
from cluster.machine import ClusterMachine
from wire.turn import Turn


class Doubt:
    """That of one node in cluster mode. Asked twice in every turn."""

    __slots__ = ("_bus", "_state", "_time", "_turn", "_view")

    def __init__(self, machine: ClusterMachine, bus: Bus, turn: Turn, loop: AbstractEventLoop) -> None:
        self._view = machine.view
        self._state = machine.state
        self._bus = bus
        self._turn = turn
        self._time = loop.time
        turn.openings.append(self.catch_up)
        turn.hold_s = self.hold_s

    def catch_up(self) -> None:
        """Clients' commands are about to run: not on tables that went stale while the process was stopped."""
        if self._time() * 1000 > self._view.trusted_until_ms:
            self._turn.doubt()
            self._bus.catch_up()

    def hold_s(self) -> float:
        """For how long replies must wait: what a stopped process had executed counts only if it was not replaced."""
        self.catch_up()
        until_ms = self._view.listening_until_ms
        if not until_ms or not self._state.myself.is_master:
            return 0.0
        return max(until_ms / 1000 - self._time(), 0.0)

    @property
    def is_there(self) -> bool:
        """Whether this process was stopped and does not know yet if it has been replaced meanwhile.

        What it now adds to its stream by itself (PING, expired keys) would keep it from continuing its successor's.
        """
        now_ms = self._time() * 1000
        return now_ms > self._view.trusted_until_ms or now_ms < self._view.listening_until_ms
