"""What can be wrong with a simulation: findings about the system under test, and mistakes of whoever uses it."""

from __future__ import annotations


class SimulationError(Exception):
    """A run cannot go on, or must not count as good."""


class DeadlockError(SimulationError):
    """Nothing is left to happen, and the run is not over. The message lists the tasks that wait, by process."""


class LivelockError(SimulationError):
    """Time stands still: event follows event at one instant."""


class UnexpectedExitError(SimulationError):
    """A process ended, or failed, although nobody wanted it to."""


class EscapeError(SimulationError):
    """Simulated code reached for the real world; the message names what it wanted, and who wanted it."""


class GoneError(BaseException):
    """Cleanup code of a dead process touched its disk. Not an `Exception`: nothing in that process may handle it."""
