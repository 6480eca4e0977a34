"""One incarnation of a simulated program: what may run, when, and what is left of it when it dies.

Every callback of asyncio carries a context, and a context variable in it says which process it belongs to. So one
look decides whether a callback runs (now, in a turn of its process' own), waits (the process is paused, or busy), or is
dropped (it is dead). A crash is just that: from one moment on nothing of the process runs. No task is cancelled, no
``finally`` is executed, because a killed process executes nothing.

Each process has a queue of its own and runs it in turns: what is ready, as its event loop would, and what becomes ready
by that, until nothing is or, by chance, the CPU is taken away between two rounds. The next turn comes a drawn while
later (the CPU it used). Meanwhile input collects, so that batching, group commit and buffers are exercised as they are
in reality.
"""

from __future__ import annotations

import asyncio
import contextlib
from asyncio.events import Handle
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar
from random import Random
from types import CoroutineType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sim.host import Host
    from sim.loop import SimLoop, SimTask

# Which process the running code belongs to; None for the kernel, the network and the run's own code.
PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)

# How often a process loses the CPU between two rounds of its loop, so that what happens meanwhile comes between them.
_LOSES_CPU = 0.25


class Resource:
    """Something that the kernel takes back when its process ends: a socket, a listening port, an open file."""

    __slots__ = ()

    def reclaim(self) -> None:
        """The process is dead; no code of it runs any more."""
        raise NotImplementedError

    def abandon(self) -> None:
        """The kernel is dead too: hold nothing of the process' any more."""


class Process:
    """A running, paused or dead program."""

    __slots__ = (
        "_cpu",
        "_cpu_cost_s",
        "_holds",
        "_loop",
        "_scheduled",
        "alive",
        "context",
        "ended",
        "exception_handler",
        "host",
        "lag_s",
        "name",
        "pid",
        "ready",
        "ready_at",
        "resources",
        "signals",
        "status",
        "tasks",
        "turns",
    )

    def __init__(self, loop: SimLoop, host: Host, name: str, pid: int, cpu: Random, cpu_cost_s: tuple[float, float]):
        self._loop = loop
        self.host = host
        self.name = name
        self.pid = pid
        # In which all its code runs.
        self.context = Context()
        self.context.run(PROCESS.set, self)
        # Until it ends, by itself or by force; then `status`, which is None after a crash.
        self.alive = True
        self.status: int | None = None
        # Called once with the process when it has ended.
        self.ended: Callable[[Process], None] = _nobody
        # How many faults hold it still.
        self._holds = 0
        # Callbacks that are due; run in a turn.
        self.ready: deque[Handle] = deque()
        # A turn is under way or on the loop's heap.
        self._scheduled = False
        # When the CPU is free for the next turn.
        self.ready_at = 0.0
        # How far the process' own time has run ahead of the world's in this turn: it waited for a disk, say.
        # Whatever it sends now leaves that much later.
        self.lag_s = 0.0
        # The CPU a turn takes: drawn between these two.
        self._cpu = cpu
        self._cpu_cost_s = cpu_cost_s
        self.turns = 0
        # Tasks by number, so in order of birth; ended ones are swept out now and then.
        self.tasks: dict[int, SimTask] = {}
        # What the kernel holds for it, in order of acquisition.
        self.resources: dict[Resource, None] = {}
        self.signals: dict[int, tuple[Callable[..., object], tuple[Any, ...]]] = {}
        self.exception_handler: Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object] | None = None

    def __repr__(self) -> str:
        return f"<process {self.name} {self.pid}>"

    # ---- life

    def run(self, main: Coroutine[Any, Any, int | None]) -> None:
        """Begin; what `main` returns is the exit status."""
        task = self._loop.create_task(main, name=f"main of {self.name}", context=self.context)
        task.add_done_callback(self._main_ended, context=self.context)

    def _main_ended(self, task: asyncio.Task[int | None]) -> None:
        failure = None if task.cancelled() else task.exception()
        if failure is not None:
            self._loop.report(self, "main died", failure)
            self.end(1)
        else:
            self.end(0 if task.cancelled() else task.result() or 0)

    def end(self, status: int | None) -> None:
        """Nothing of the process runs from here on; the kernel takes back what it held. None: it was killed."""
        if self.alive:
            self.alive = False
            self.status = status
            self.free(self._give_back)
            self._loop.bury(self)
            self.ended(self)

    def _give_back(self) -> None:
        self.ready.clear()
        for resource in list(self.resources):
            resource.reclaim()
        self.resources.clear()

    def lose_power(self) -> None:
        """Stop in the middle of what it does; there is no kernel that could do anything about it."""
        self.alive = False
        self.free(self._abandon)
        self._loop.bury(self)

    def _abandon(self) -> None:
        self.ready.clear()
        for resource in list(self.resources):
            resource.abandon()
        self.resources.clear()

    def free(self, let_go: Callable[[], object]) -> None:
        """Call what drops references to the process' objects. Finalizers that it sets off run as code of the dead
        process: in anybody else's context they could start tasks and be heard."""
        self.context.copy().run(let_go)

    def signal(self, number: int) -> None:
        """Have the handler of a signal called; without one the process ends. A paused one gets it when it goes on."""
        found = self.signals.get(number)
        if found is None and self.paused:
            self.ready.appendleft(Handle(self.end, (-number,), self._loop, self.context))
        elif found is None:
            self.end(-number)
        else:
            callback, arguments = found
            self._loop.call_soon(callback, *arguments, context=self.context)

    @property
    def now(self) -> float:
        """The world's time, as far as this process has come."""
        return self._loop.now + self.lag_s

    @property
    def runs(self) -> bool:
        """It is its turn. Its code can run at another time as well: when what it left is freed."""
        return self._loop.current is self

    def escaped(self, what: str) -> None:
        """Its code reached for the real world."""
        self._loop.report(self, what, None)

    # ---- stopping the clock

    @property
    def paused(self) -> bool:
        return self._holds > 0

    def pause(self) -> None:
        """Run no callback until resumed as often as paused; what becomes due meanwhile waits."""
        self._holds += 1

    def resume(self) -> None:
        assert self._holds, f"{self.name} is not paused"
        self._holds -= 1
        self._wake()

    def stall(self, seconds: float) -> None:
        """The process does nothing for so long, in the middle of its turn."""
        self.lag_s += seconds

    # ---- turns

    def enqueue(self, handle: Handle) -> None:
        """Run a callback in the next turn."""
        if self.alive:
            self.ready.append(handle)
            if not self._scheduled and not self._holds:
                self._scheduled = True
                self._loop.at(self.ready_at, self._turn)

    def interrupt(self, handle: Handle) -> None:
        """An event of the world's, whose last deed this is, makes a callback due: it runs at once if the CPU is free.

        Where code of a process, or more of the kernel's, is still to run, `enqueue` is the way.
        """
        if not self.alive:
            return
        self.ready.append(handle)
        if self._scheduled or self._holds:
            return
        self._scheduled = True
        if self.ready_at <= self._loop.now:
            self._turn()
        else:
            self._loop.at(self.ready_at, self._turn)

    def _wake(self) -> None:
        if self.ready and self.alive and not self._scheduled and not self._holds:
            self._scheduled = True
            self._loop.at(self.ready_at, self._turn)

    def _turn(self) -> None:
        """Run what is ready, in rounds; each is one iteration of asyncio's loop."""
        if self._holds or not self.alive:
            self._scheduled = False
            return
        ready, loop, draw = self.ready, self._loop, self._cpu.random
        self.turns += 1
        self.lag_s = 0.0
        loop.current = self
        try:
            while True:
                for _ in range(len(ready)):
                    if not ready:
                        # The process has ended, and with it what was to come.
                        break
                    handle = ready.popleft()
                    if not handle._cancelled:
                        # What `Handle._run` does, which is one call too many for what happens most.
                        try:
                            handle._context.run(handle._callback, *handle._args)  # type: ignore[attr-defined]
                        except (SystemExit, KeyboardInterrupt):
                            raise
                        except BaseException as failure:
                            loop.handle_failed(handle, failure)
                # What it does after it has waited comes after the world has caught up.
                if not ready or self.lag_s or draw() <= _LOSES_CPU:
                    break
        except SystemExit as leaving:
            self.end(leaving.code if isinstance(leaving.code, int) else 1)
            return
        finally:
            loop.current = None
            self._scheduled = False
        low, high = self._cpu_cost_s
        self.ready_at = loop.now + self.lag_s + low + (high - low) * draw()
        self.lag_s = 0.0
        if ready:
            self._wake()

    # ---- remains

    def keep(self, task: SimTask) -> None:
        """Hold a task until it has ended. Were the last reference to a task of a dead process dropped, the garbage
        collector would run its ``finally`` blocks, at some moment, in somebody else's context."""
        tasks = self.tasks
        tasks[task.number] = task
        if len(tasks) >= 64 and not len(tasks) & (len(tasks) - 1):
            self.tasks = {number: task for number, task in tasks.items() if not task.done()}

    def pending(self) -> list[SimTask]:
        return [task for task in self.tasks.values() if not task.done()]

    def waiting(self) -> list[str]:
        """What its tasks wait for, in order of birth, as sentences."""
        return [f"{task.get_name()} at {place_of(task)}" for task in self.pending()]

    def dissolve(self) -> None:
        """Free what the tasks of a dead process hold: close their coroutines, oldest first. Their cleanup code finds a
        dead loop, dead sockets and a dead disk, so nothing of it is seen outside."""
        assert not self.alive
        while self.tasks:
            tasks, self.tasks = self.tasks, {}
            for task in tasks.values():
                if not task.done():
                    task.forget()
                    coroutine = task.get_coro()
                    assert isinstance(coroutine, Coroutine)
                    # Whatever the cleanup runs into is no finding: in reality it would not have run.
                    with contextlib.suppress(BaseException):
                        self.context.run(coroutine.close)


def place_of(task: asyncio.Task[Any]) -> str:
    """Where it waits: the innermost coroutine that it awaits."""
    place = "its beginning"
    waiting: object = task.get_coro()
    while isinstance(waiting, CoroutineType) and waiting.cr_frame is not None:
        place = f"{waiting.cr_code.co_filename}:{waiting.cr_frame.f_lineno}"
        waiting = waiting.cr_await
    return place


def _nobody(_: Process) -> None:
    pass
