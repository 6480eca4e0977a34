"""Named, supervised tasks: kept in order of birth, cancelled in that order, never silently dead."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Tasks:
    """The running tasks of one part of a process.

    `on_death` is told of every task that ended with an exception: its name and the exception.
    """

    __slots__ = ("_on_death", "_tasks")

    def __init__(self, on_death: Callable[[str, BaseException], None]) -> None:
        self._on_death = on_death
        # A dict and not a set: it keeps the order of birth, in which tasks are cancelled.
        self._tasks: dict[asyncio.Task[Any], None] = {}

    def start(self, name: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run `work` as a task called `name`."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks[task] = None
        task.add_done_callback(self._ended)
        return task

    async def cancel_all(self) -> None:
        """Cancel what still runs, oldest first, and wait for each to end."""
        for task in list(self._tasks):
            task.cancel()
        for task in list(self._tasks):
            # A task's own failure has been told to `on_death`; here only its end matters.
            await asyncio.wait([task])

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)
        if task.cancelled():
            return
        failure = task.exception()
        if failure is not None:
            self._on_death(task.get_name(), failure)
