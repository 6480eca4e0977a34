"""`oom-score-adj`: which of the machine's processes the kernel ends first when memory runs out.

A node's score depends on its role, and a child, which can be done without, has one of its own. The kernel's own figure
for this process is kept, and is put back when the directive is switched off.
"""

from __future__ import annotations

from collections.abc import Callable

from node.settings import NodeSettings
from runtime.log import Log
from runtime.process import Process

# What the kernel takes.
_LOWEST, _HIGHEST = -1000, 1000
# Places in `oom-score-adj-values`.
_MASTER, _REPLICA, _CHILD = range(3)


class OomScore:
    """The score in force."""

    __slots__ = ("_base", "_is_replica", "_log", "_process", "_settings")

    def __init__(self, settings: NodeSettings, process: Process, log: Log, is_replica: Callable[[], bool]) -> None:
        self._settings = settings
        self._process = process
        self._log = log
        self._is_replica = is_replica
        # What was in force before it was changed; None while it is as it was.
        self._base: int | None = None

    def apply(self) -> bool:
        """Bring it up to date with the settings and the role; False when the kernel refuses, which is logged."""
        if self._settings.oom_score_adj == "no":
            base, self._base = self._base, None
            return base is None or self._set(base)
        return self._set_for(_REPLICA if self._is_replica() else _MASTER)

    def apply_to_child(self, pid: int) -> None:
        """A child of this process has begun."""
        if self._settings.oom_score_adj != "no":
            self._set_for(_CHILD, pid)

    def _set_for(self, place: int, pid: int = 0) -> bool:
        if self._base is None:
            try:
                self._base = self._process.oom_score()
            except (OSError, ValueError) as error:
                self._log.warning(f"Unable to read oom_score_adj: {error}")
                return False
        score = int(self._settings.oom_score_adj_values[place])
        if self._settings.oom_score_adj != "absolute":
            score += self._base
        return self._set(min(max(score, _LOWEST), _HIGHEST), pid)

    def _set(self, score: int, pid: int = 0) -> bool:
        try:
            self._process.set_oom_score(score, pid)
        except OSError as error:
            self._log.warning(f"Unable to write oom_score_adj: {error.strerror}")
            return False
        return True
